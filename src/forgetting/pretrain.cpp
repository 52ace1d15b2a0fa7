#include "forgetting/pretrain.h"

#include <ATen/ATen.h>

#include "forgetting/pretrain_run.h"

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

}  // namespace

Weights pretrain(const Classifier& model, const Weights& start, const Dataset& train,
                 const PretrainConfig& config, const Observer& observer,
                 const Checkpoints& checkpoints) {
  config.validate();
  PretrainRun run(
      start, [](const std::string&) { return true; }, train.size(), config);
  const at::Device device = start.begin()->second.device();
  ForwardOptions forward;
  forward.dropout = config.dropout < 0 ? model.spec().dropout : config.dropout;
  forward.generator = &run.dropout;
  const auto loss_of = [&](PretrainRun& run) {
    const Batch batch = train.batch(run.order.next());
    const at::Tensor images = augment(batch.images, config, run.augmentation).to(device);
    const at::Tensor labels = batch.labels.to(device);
    const at::Tensor scores =
        model.head(run.weights).scores(model.embed(run.weights, images, forward), labels);
    const double hits = scores.argmax(1).eq(labels).to(at::kDouble).mean().item<double>();
    double& right = run.progress.acc_r;
    right = run.progress.step == 0 ? 100 * hits : 0.98 * right + 2 * hits;
    return at::cross_entropy_loss(scores, labels, {}, at::Reduction::Mean, -100,
                                  config.label_smoothing);
  };
  return take_pretrain_steps(run, config, /*clip=*/0, loss_of, observer, checkpoints);
}

}  // namespace lethe
