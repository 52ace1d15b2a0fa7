#include "forgetting/pretrain_run.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>

#include "forgetting/schedule.h"
#include "support/error.h"

namespace lethe {
namespace {

std::vector<std::string> names_of(const Weights& weights,
                                  const std::function<bool(const std::string&)>& chosen) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : weights) {
    if (chosen(name)) names.push_back(name);
  }
  return names;
}

/// Copies of `start`; those of these names require gradients.
Weights leaves_of(const Weights& start, const std::vector<std::string>& names) {
  Weights weights;
  for (const auto& [name, tensor] : start) weights[name] = tensor.clone();
  for (const std::string& name : names) weights.at(name).requires_grad_(true);
  return weights;
}

std::vector<at::Tensor> tensors_of(const Weights& weights, const std::vector<std::string>& names) {
  std::vector<at::Tensor> list;
  for (const std::string& name : names) list.push_back(weights.at(name));
  return list;
}

/// theta_avg <- d theta_avg + (1 - d) theta, with d growing to `decay` so that early, bad weights
/// leave quickly.
void average(Weights& averaged, const Weights& weights, double decay, int64_t step) {
  const double d =
      std::min(decay, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : averaged) tensor.lerp_(weights.at(name), 1 - d);
}

}  // namespace

PretrainRun::PretrainRun(const Weights& start,
                         const std::function<bool(const std::string&)>& trained, int64_t samples,
                         const PretrainConfig& config)
    : names(names_of(start, trained)),
      optimizer({}),
      order(samples, config.batch,
            RandomStream(static_cast<uint64_t>(config.seed), "pretrain order")),
      augmentation(static_cast<uint64_t>(config.seed), "pretrain augmentation"),
      dropout(RandomStream(static_cast<uint64_t>(config.seed), "pretrain dropout").generator()) {
  weights = leaves_of(start, names);
  optimizer = AdamW(tensors_of(weights, names));
  for (const std::string& name : names) {
    if (config.average_decay > 0) averaged[name] = start.at(name).clone();
  }
  progress.total_steps =
      config.max_steps > 0 ? config.max_steps : config.epochs * order.batches_per_epoch();
}

/// Every tensor that changes under a name of its own.
template <typename Visit>
void PretrainRun::visit_tensors(const Visit& visit) const {
  for (size_t i = 0; i < names.size(); ++i) {
    visit("weight " + names[i], weights.at(names[i]));
    visit("first moment " + names[i], optimizer.first_moments()[i]);
    visit("second moment " + names[i], optimizer.second_moments()[i]);
  }
  for (const auto& [name, tensor] : averaged) visit("average " + name, tensor);
}

TrainingState PretrainRun::save() const {
  TrainingState state;
  visit_tensors(
      [&](const std::string& name, const at::Tensor& tensor) { state.put(name, tensor); });
  state.put("optimizer_steps", optimizer.steps());
  state.put("order", order);
  state.put("augmentation", augmentation);
  state.put("dropout", dropout);
  state.put("progress", progress);
  return state;
}

void PretrainRun::restore(const TrainingState& state) {
  const at::NoGradGuard no_grad;
  visit_tensors([&](const std::string& name, at::Tensor tensor) { state.restore(name, tensor); });
  optimizer.set_steps(state.integer("optimizer_steps"));
  state.restore("order", order);
  state.restore("augmentation", augmentation);
  state.restore("dropout", dropout);
  state.restore("progress", progress);
}

Weights take_pretrain_steps(PretrainRun& run, const PretrainConfig& config, double clip,
                            const std::function<at::Tensor(PretrainRun&)>& loss_of,
                            const Observer& observer, const Checkpoints& checkpoints) {
  const CosineSchedule schedule{config.learning_rate, config.min_learning_rate, config.epochs,
                                config.warmup_epochs};
  Progress& progress = run.progress;
  const auto begin = std::chrono::steady_clock::now();
  if (checkpoints.resume) run.restore(*checkpoints.resume);
  const double seconds_before = progress.seconds;
  for (int64_t step = progress.step; step < progress.total_steps; ++step) {
    const at::Tensor loss = at_step(step + 1, [&] { return loss_of(run); });
    loss.backward();
    if (clip > 0) clip_gradients(tensors_of(run.weights, run.names), clip);
    const double epoch = static_cast<double>(config.epochs) * static_cast<double>(step) /
                         static_cast<double>(progress.total_steps);
    run.optimizer.step(schedule.at(epoch), config.weight_decay);
    if (config.average_decay > 0) average(run.averaged, run.weights, config.average_decay, step);

    progress.step = step + 1;
    progress.loss = progress.loss_retain = loss.item<double>();
    require(std::isfinite(progress.loss), Code::kNumeric, "the loss is ", progress.loss,
            " at step ", step + 1, "; lower the learning rate (", config.learning_rate, ")");
    set_times(progress,
              seconds_before +
                  std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    if (checkpoints.due && checkpoints.due()) checkpoints.save(run.save());
    require(observer(progress), Code::kCancelled, "cancelled at step ", step + 1, " of ",
            progress.total_steps);
  }
  Weights trained = std::move(run.weights);
  for (auto& [name, tensor] : trained) tensor = tensor.detach();
  for (auto& [name, tensor] : run.averaged) trained[name] = tensor;
  return trained;
}

}  // namespace lethe
