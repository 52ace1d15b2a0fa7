#include "forgetting/teacher.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "support/error.h"

namespace lethe {
namespace {

/// `compute` of the samples `begin` to `end` - 1, for all in batches, one after the other.
template <typename Data, typename Compute>
at::Tensor for_all_ranges(const TaskOn<Data>& task, const Data& set, const std::string& what,
                          int64_t size, const Compute& compute) {
  return task.base->derived(str(what, " of ", set.content_digest()), [&] {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> parts;
    for (int64_t begin = 0; begin < set.size(); begin += size) {
      require(!task.cancelled || !task.cancelled(), Code::kCancelled,
              "cancelled while the base model was asked about the samples");
      parts.push_back(compute(begin, std::min(begin + size, set.size())));
    }
    return at::cat(parts);
  });
}

/// `compute` of the images [b, C, S, S] of all samples.
template <typename Compute>
at::Tensor for_all(const ForgetTask& task, const Dataset& set, const std::string& what,
                   const Compute& compute) {
  return for_all_ranges(task, set, what, 250, [&](int64_t begin, int64_t end) {
    return compute(set.batch(begin, end).images.to(task.base->device()));
  });
}

/// Whether the answers on all images of `set` may be kept.
bool keeps_answers(const DetectorTask& task, const DetectionDataset& set) {
  constexpr int64_t kMostBytes = 64 << 20;  // what BaseModel::derived() keeps
  const DetectorSpec& spec = task.base->detector().spec();
  const int64_t bytes = set.size() * spec.queries * spec.classes * int64_t{sizeof(float)};
  return (task.config.fast & kFastPrefixCache) && one_image_size(set) && bytes <= kMostBytes;
}

}  // namespace

TeacherOn<Dataset>::TeacherOn(const ForgetTask& task, const Dataset& set)
    : head_(task.base->classifier().head(task.base->weights())),
      embeddings_(for_all(task, set, "embeddings", [&](const at::Tensor& images) {
        return task.base->classifier().embed(task.base->weights(), images);
      })) {}

at::Tensor Teacher::embeddings(const std::vector<int64_t>& positions) const {
  return rows(embeddings_, positions);
}

at::Tensor Teacher::scores(const std::vector<int64_t>& positions, const at::Tensor& labels) const {
  return head_.scores(embeddings(positions), labels);
}

TeacherOn<DetectionDataset>::TeacherOn(const DetectorTask& task, const DetectionDataset& set)
    : task_(task) {
  if (!keeps_answers(task, set)) return;
  const BaseModel& base = *task.base;
  const ResNet backbone = base.detector().backbone(base.weights());
  DetectorSamples samples(set, base.detector(), backbone, base.device(), /*budget=*/0);
  logits_ = for_all_ranges(task, set, "logits", 16, [&](int64_t begin, int64_t end) {
    std::vector<int64_t> positions;
    for (int64_t i = begin; i < end; ++i) positions.push_back(i);
    return detector_part(base.detector(), base.weights(), samples.at(positions), positions)
        .logits();
  });
}

at::Tensor TeacherOn<DetectionDataset>::logits(const DetectorPart& part) const {
  if (logits_.defined()) return rows(logits_, part.positions);
  const at::NoGradGuard no_grad;
  return task_.base->detector()
      .forward(task_.base->weights(), part.input.features, part.input.padding)
      .last()
      .logits;
}

at::Tensor token_attention(const at::Tensor& tokens) {
  const at::Tensor mean = tokens.pow(2).mean(1);
  const at::Tensor unit = mean / mean.norm(2, {1}, true).clamp_min(1e-12);
  return at::where(unit < 0.005, at::zeros_like(unit), unit);
}

at::Tensor teacher_attention(const ForgetTask& task, const Dataset& set, int64_t depth) {
  const Classifier& model = task.base->classifier();
  const Weights& weights = task.base->weights();
  return for_all(
      task, set, str("attention after ", depth, " blocks"), [&](const at::Tensor& images) {
        return token_attention(
            run_blocks(model.tokens(weights, images), model.transformer(weights), 0, depth, {}));
      });
}

at::Tensor rows(const at::Tensor& table, const std::vector<int64_t>& positions) {
  return table.index_select(0, at::tensor(positions, at::kLong).to(table.device()));
}

}  // namespace lethe
