#include "forgetting/training_state.h"

#include <ATen/ATen.h>

#include "forgetting/task.h"
#include "support/error.h"

namespace lethe {
namespace {

/// The figures of a Progress as numbers, in an order that only this file knows.
template <typename P, typename Visit>
void visit_figures(P& p, const Visit& visit) {
  for (auto* figure : {&p.loss, &p.loss_retain, &p.loss_forget, &p.loss_structure,
                       &p.loss_prototype, &p.acc_f, &p.acc_r, &p.seconds, &p.eta_seconds}) {
    visit(*figure);
  }
}

}  // namespace

void TrainingState::put(const std::string& name, const at::Tensor& tensor) {
  tensors_[name] = tensor.detach().to(at::kCPU).clone(at::MemoryFormat::Contiguous);
}

void TrainingState::put(const std::string& name, const Loader& loader) {
  const Loader::State state = loader.state();
  values_[name] = {{"stream", state.stream}, {"position", state.position}};
  put(name, at::tensor(state.order, at::kLong));
}

void TrainingState::put(const std::string& name, const at::Generator& generator) {
  put(name, generator.get_state());
}

void TrainingState::put(const std::string& name, const Progress& progress) {
  values_[name] = {{"step", progress.step},
                   {"total_steps", progress.total_steps},
                   {"groups_live", progress.groups_live},
                   {"groups_total", progress.groups_total}};
  std::vector<double> figures;  // as a tensor, since JSON has no NaN
  visit_figures(progress, [&](double figure) { figures.push_back(figure); });
  put(name, at::tensor(figures, at::kDouble));
}

const at::Tensor& TrainingState::tensor(const std::string& name) const {
  const auto found = tensors_.find(name);
  require(found != tensors_.end(), Code::kCorrupt, "the saved training state has no tensor ",
          in_quotes(name));
  return found->second;
}

const Json& TrainingState::value(const std::string& name) const {
  const auto found = values_.find(name);
  require(found != values_.end(), Code::kCorrupt, "the saved training state has no value ",
          in_quotes(name));
  return *found;
}

int64_t TrainingState::integer(const std::string& name) const {
  const Json& json = value(name);
  require(json.is_number_integer(), Code::kCorrupt, "the saved training state's ", in_quotes(name),
          " is no integer");
  return json.get<int64_t>();
}

void TrainingState::restore(const std::string& name, at::Tensor& target) const {
  const at::Tensor& saved = tensor(name);
  require(saved.sizes() == target.sizes() && saved.scalar_type() == target.scalar_type(),
          Code::kCorrupt, "the saved training state's ", in_quotes(name), " has shape ",
          saved.sizes(), ", this task's has ", target.sizes());
  target.copy_(saved);
}

void TrainingState::restore(const std::string& name, Loader& loader) const {
  JsonFields fields(value(name), "the saved order");
  const at::Tensor& order = tensor(name);
  require(order.scalar_type() == at::kLong && order.dim() == 1, Code::kCorrupt, "the saved order ",
          in_quotes(name), " is no list of positions");
  const auto* data = order.const_data_ptr<int64_t>();
  Loader::State state{
      0, {data, data + order.numel()}, fields.integer("position", -1, 0, INT64_MAX)};
  const Json stream = fields.value("stream");
  require(stream.is_number_integer(), Code::kCorrupt, "the saved order ", in_quotes(name),
          " has no random stream");
  state.stream = stream.get<uint64_t>();
  loader.restore(std::move(state));
}

void TrainingState::restore(const std::string& name, at::Generator& generator) const {
  const at::Tensor& saved = tensor(name);
  const at::Tensor present = generator.get_state();
  require(saved.sizes() == present.sizes() && saved.scalar_type() == at::kByte, Code::kCorrupt,
          "the saved random state ", in_quotes(name), " is not of this library's LibTorch");
  generator.set_state(saved);
}

void TrainingState::restore(const std::string& name, RandomStream& stream) const {
  const Json& json = value(name);
  require(json.is_number_integer(), Code::kCorrupt, "the saved random stream ", in_quotes(name),
          " is no integer");
  stream.set_state(json.get<uint64_t>());
}

void TrainingState::restore(const std::string& name, Progress& progress) const {
  JsonFields fields(value(name), "the saved progress");
  progress.step = fields.integer("step", 0, 0, INT64_MAX);
  const int64_t total = fields.integer("total_steps", 0, 0, INT64_MAX);
  require(total == progress.total_steps && progress.step <= total, Code::kCorrupt,
          "the saved progress is step ", progress.step, " of ", total, ", this task has ",
          progress.total_steps, " steps");
  progress.groups_live = static_cast<int32_t>(fields.integer("groups_live", 0, 0, INT32_MAX));
  progress.groups_total = static_cast<int32_t>(fields.integer("groups_total", 0, 0, INT32_MAX));
  at::Tensor figures = at::empty({9}, at::kDouble);
  restore(name, figures);
  const double* next = figures.const_data_ptr<double>();
  visit_figures(progress, [&](double& figure) { figure = *next++; });
}

}  // namespace lethe
