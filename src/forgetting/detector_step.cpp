#include "forgetting/detector_step.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "support/error.h"

namespace lethe {
namespace {

DetectorLayer without_graph(const DetectorLayer& layer) {
  return {layer.logits.detach(), layer.boxes.detach(), layer.embeddings.detach()};
}

}  // namespace

DetectorStep::DetectorStep(const DeformableDetr& model, const Weights& start, LoraParameters& lora,
                           const ForgetConfig& config, const Prototypes* prototypes,
                           const DetectionSettings& settings, double dropout,
                           at::Generator generator)
    : model_(model),
      start_(start),
      lora_(lora),
      config_(config),
      prototypes_(prototypes),
      settings_(settings),
      dropout_(dropout),
      generator_(std::move(generator)) {}

DetectionLosses DetectorStep::run(const DetectorInput& forget, const DetectorInput& retain) {
  const at::AutoGradMode gradients(true);
  LoraLeaves leaves(lora_);
  const Weights weights = leaves.merge(start_);
  ForwardOptions options;
  options.dropout = dropout_;
  options.generator = &generator_;
  const auto forward = [&](const DetectorInput& batch) {
    return DetectionSide{model_.forward(weights, batch.features, batch.padding, options).layers,
                         batch.targets};
  };
  const DetectionSide forgotten = forward(forget), retained = forward(retain);
  DetectionLosses losses = detection_losses(forgotten, retained, config_, prototypes_, settings_);
  lora_.gradients().zero_();
  losses.trained.backward();
  leaves.collect();
  forget_output_ = without_graph(forgotten.layers.back());
  retain_output_ = without_graph(retained.layers.back());
  return losses;
}

Prototypes detector_prototypes(const DeformableDetr& model, const Weights& pretrained) {
  const int64_t last = model.spec().refine_boxes ? model.spec().decoder_layers - 1 : 0;
  return Prototypes(pretrained.at(str("class_embed.", last, ".weight")));
}

}  // namespace lethe
