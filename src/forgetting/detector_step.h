// One training step of GS-LoRA(++) on a detector: losses of a forget and a retain batch, gradients
// of the LoRA matrices.
#pragma once

#include "adapters/lora_leaves.h"
#include "forgetting/detection_losses.h"
#include "models/deformable_detr.h"

namespace lethe {

/// Images with their objects, as the encoder takes them. Features are the backbone's and depend on
/// no LoRA value, so they may be kept between steps where the images stay the same.
struct DetectorInput {
  std::vector<at::Tensor> features;  ///< ResNet::features(), or the caller's
  at::Tensor padding;                ///< ImageBatch::padding
  std::vector<DetectionTargets> targets;
  /// Instead of both, where the first encoder layers carry no LoRA: what these have left.
  std::optional<EncodedImages> encoded = std::nullopt;
};

/// Not thread-safe. All references outlive the object. On the CPU, without dropout and with two
/// LibTorch threads or more, run() has both batches under way at once, on the calling thread and
/// one of its own.
class DetectorStep {
 public:
  /// `start`: the frozen weights W0 + earlier adapters. `prototypes` may be null. `dropout`: the
  /// probability in force.
  DetectorStep(const DeformableDetr& model, const Weights& start, LoraParameters& lora,
               const ForgetConfig& config, const Prototypes* prototypes,
               const DetectionSettings& settings = {}, double dropout = 0,
               at::Generator generator = {});

  /// Losses at the present LoRA values; lora.gradients() becomes dL/d(A, B), L_structure's part
  /// excepted.
  DetectionLosses run(const DetectorInput& forget, const DetectorInput& retain);

  /// What the model said in the last run(), of the last layer.
  const DetectorLayer& forget_output() const { return forget_output_; }
  const DetectorLayer& retain_output() const { return retain_output_; }

 private:
  const DeformableDetr& model_;
  const Weights& start_;
  LoraParameters& lora_;
  const ForgetConfig& config_;
  const Prototypes* prototypes_;
  DetectionSettings settings_;
  double dropout_;
  at::Generator generator_;
  DetectorLayer forget_output_, retain_output_;
};

/// Prototypes of categories: the rows of the pre-trained classifier of the last decoder layer, [C,
/// D] (algorithm.md 8.5).
Prototypes detector_prototypes(const DeformableDetr& model, const Weights& pretrained);

}  // namespace lethe
