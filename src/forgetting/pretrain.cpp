#include "forgetting/pretrain.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>

#include "data/loader.h"
#include "forgetting/adamw.h"
#include "forgetting/schedule.h"
#include "support/error.h"

namespace lethe {
namespace {

/// Random mirror, shift and rectangle for each image of a batch (in place of its pixels).
at::Tensor augment(at::Tensor images, const PretrainConfig& config, RandomStream& random) {
  const int64_t height = images.size(2), width = images.size(3), reach = config.shift;
  if (!config.flip && reach == 0 && config.erase == 0) return images;
  const at::Tensor padded =
      reach ? at::replication_pad2d(images, {reach, reach, reach, reach}) : images;
  at::Tensor result = at::empty_like(images);
  for (int64_t i = 0; i < images.size(0); ++i) {
    at::Tensor view = padded[i];
    if (reach) {
      view = view.narrow(1, static_cast<int64_t>(random.below(2 * reach + 1)), height)
                 .narrow(2, static_cast<int64_t>(random.below(2 * reach + 1)), width);
    }
    if (config.flip && random.below(2)) view = view.flip({2});
    at::Tensor target = result[i];
    target.copy_(view);
    const double chance = static_cast<double>(random.next() >> 11) * 0x1p-53;
    if (chance < config.erase) {  // a rectangle of up to half of each side, filled with the mean
      const int64_t h = 1 + static_cast<int64_t>(random.below(std::max<int64_t>(1, height / 2)));
      const int64_t w = 1 + static_cast<int64_t>(random.below(std::max<int64_t>(1, width / 2)));
      target.narrow(1, static_cast<int64_t>(random.below(height - h + 1)), h)
          .narrow(2, static_cast<int64_t>(random.below(width - w + 1)), w)
          .zero_();
    }
  }
  return result;
}

/// theta_avg <- d theta_avg + (1 - d) theta, with d growing to `decay` so that early, bad weights
/// leave quickly.
void average(Weights& averaged, const Weights& weights, double decay, int64_t step) {
  const double d =
      std::min(decay, (1.0 + static_cast<double>(step)) / (10.0 + static_cast<double>(step)));
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : averaged) tensor.lerp_(weights.at(name), 1 - d);
}

/// What changes from step to step: the whole state of a run.
struct Run {
  Weights &weights, &averaged;
  AdamW& optimizer;
  Loader& order;
  RandomStream& augmentation;
  at::Generator& dropout;
  Progress& progress;

  /// Every tensor under a name of its own; the moments are in the order of the weights' names.
  template <typename Visit>
  void visit_tensors(const Visit& visit) const {
    size_t i = 0;
    for (auto& [name, tensor] : weights) {
      visit("weight " + name, tensor);
      visit("first moment " + name, optimizer.first_moments()[i]);
      visit("second moment " + name, optimizer.second_moments()[i]);
      ++i;
    }
    for (auto& [name, tensor] : averaged) visit("average " + name, tensor);
  }

  TrainingState save() const {
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

  void restore(const TrainingState& state) {
    const at::NoGradGuard no_grad;
    visit_tensors([&](const std::string& name, at::Tensor tensor) { state.restore(name, tensor); });
    optimizer.set_steps(state.integer("optimizer_steps"));
    state.restore("order", order);
    state.restore("augmentation", augmentation);
    state.restore("dropout", dropout);
    state.restore("progress", progress);
  }
};

}  // namespace

Weights pretrain(const Model& model, const Weights& start, const Dataset& train,
                 const PretrainConfig& config, const Observer& observer,
                 const Checkpoints& checkpoints) {
  config.validate();
  Weights weights, averaged;
  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : start) {
    weights[name] = tensor.clone().requires_grad_(true);
    parameters.push_back(weights[name]);
    if (config.average_decay > 0) averaged[name] = tensor.clone();
  }
  const at::Device device = parameters.at(0).device();
  AdamW optimizer(parameters);

  const auto seed = static_cast<uint64_t>(config.seed);
  Loader loader(train.size(), config.batch, RandomStream(seed, "pretrain order"));
  RandomStream augmentation(seed, "pretrain augmentation");
  at::Generator dropout = RandomStream(seed, "pretrain dropout").generator();
  ForwardOptions forward;
  forward.dropout = config.dropout < 0 ? model.spec().dropout : config.dropout;
  forward.generator = &dropout;

  const int64_t per_epoch = loader.batches_per_epoch();
  Progress progress;
  progress.total_steps = config.max_steps > 0 ? config.max_steps : config.epochs * per_epoch;
  const CosineSchedule schedule{config.learning_rate, config.min_learning_rate, config.epochs,
                                config.warmup_epochs};
  const auto begin = std::chrono::steady_clock::now();
  Run run{weights, averaged, optimizer, loader, augmentation, dropout, progress};
  if (checkpoints.resume) run.restore(*checkpoints.resume);
  const double seconds_before = progress.seconds;
  for (int64_t step = progress.step; step < progress.total_steps; ++step) {
    const Batch batch = train.batch(loader.next());
    const at::Tensor images = augment(batch.images, config, augmentation).to(device);
    const at::Tensor labels = batch.labels.to(device);

    const at::Tensor scores =
        model.head(weights).scores(model.embed(weights, images, forward), labels);
    const at::Tensor loss = at::cross_entropy_loss(scores, labels, {}, at::Reduction::Mean, -100,
                                                   config.label_smoothing);
    loss.backward();
    const double epoch = static_cast<double>(config.epochs) * static_cast<double>(step) /
                         static_cast<double>(progress.total_steps);
    optimizer.step(schedule.at(epoch), config.weight_decay);
    if (config.average_decay > 0) average(averaged, weights, config.average_decay, step);

    progress.step = step + 1;
    progress.loss = progress.loss_retain = loss.item<double>();
    require(std::isfinite(progress.loss), Code::kNumeric, "the loss is ", progress.loss,
            " at step ", step + 1, "; lower the learning rate (", config.learning_rate, ")");
    const double hits = scores.argmax(1).eq(labels).to(at::kDouble).mean().item<double>();
    progress.acc_r = step == 0 ? 100 * hits : 0.98 * progress.acc_r + 2 * hits;
    progress.seconds =
        seconds_before +
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    progress.eta_seconds = progress.seconds / static_cast<double>(step + 1) *
                           static_cast<double>(progress.total_steps - step - 1);
    if (checkpoints.due && checkpoints.due()) checkpoints.save(run.save());
    require(observer(progress), Code::kCancelled, "cancelled at step ", step + 1, " of ",
            progress.total_steps);
  }
  for (auto& [name, tensor] : weights) tensor = tensor.detach();
  return config.average_decay > 0 ? averaged : weights;
}

}  // namespace lethe
