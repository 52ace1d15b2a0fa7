#include "forgetting/samples.h"

#include <ATen/ATen.h>

#include "support/error.h"

namespace lethe {
namespace {

template <typename Data>
Data draw(const Data& all, const TaskOn<Data>& task, const char* name) {
  const uint64_t seed =
      RandomStream(static_cast<uint64_t>(task.config.seed), str("task ", task.index, " ", name))
          .next();
  return task.config.few_shot > 0 ? all.few_shot(task.config.few_shot, seed)
                                  : all.ratio(task.config.data_ratio, seed);
}

template <typename Data>
TaskSamplesOf<Data> draw_both(const TaskOn<Data>& task) {
  TaskSamplesOf<Data> samples{draw(task.forget, task, "forget"), draw(task.retain, task, "retain")};
  require(samples.forget.size() > 0 && samples.retain.size() > 0, Code::kInvalidArgument,
          "data_ratio ", task.config.data_ratio, " leaves ", samples.forget.size(), " of ",
          task.forget.size(), " forget samples and ", samples.retain.size(), " of ",
          task.retain.size(), " retain samples; raise it or use few_shot");
  return samples;
}

}  // namespace

TaskSamples draw_samples(const ForgetTask& task) { return draw_both(task); }
DetectorTaskSamples draw_samples(const DetectorTask& task) { return draw_both(task); }

WrongLabels::WrongLabels(Form form, int64_t forget_classes, std::vector<int64_t> retained,
                         RandomStream stream)
    : form_(form),
      forget_classes_(forget_classes),
      retained_(std::move(retained)),
      stream_(stream) {}

at::Tensor WrongLabels::draw(const at::Tensor& labels) {
  at::Tensor wrong = labels.to(at::kCPU).clone();
  auto* values = wrong.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < wrong.numel(); ++i) {
    int64_t& y = values[i];
    if (form_ == Form::kCorrected) {
      y = retained_[stream_.below(retained_.size())];
    } else {
      const int64_t moved = (y + 1 + static_cast<int64_t>(stream_.below(100))) % forget_classes_;
      y = moved == y ? (y + 1) % forget_classes_ : moved;
    }
  }
  return wrong;
}

}  // namespace lethe
