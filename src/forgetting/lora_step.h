// One training step of GS-LoRA(++): losses of a forget and a retain batch, gradients of the LoRA
// matrices.
#pragma once

#include <memory>

#include "adapters/lora_network.h"
#include "forgetting/losses.h"
#include "models/classifier.h"

namespace lethe {

/// Not thread-safe. The network is make_lora_network()'s, written by hand where speed matters; the
/// losses on its embeddings run by autograd: they are small, and so they stay readable.
class LoraStep {
 public:
  /// `start`: the frozen weights W0 + earlier adapters. `prototypes` may be null. `dropout`: the
  /// probability in force. All references outlive the object.
  LoraStep(const Classifier& model, const Weights& start, LoraParameters& lora,
           const ForgetConfig& config, const Prototypes* prototypes, double dropout = 0,
           at::Generator generator = {});

  /// Everything before the first LoRA layer, for float32 images [B, C, S, S]: the
  /// network's prefix, [B, T, D]. It depends on no LoRA value; without dropout it is the same in
  /// every step and may be cached.
  at::Tensor prefix(const at::Tensor& images) const;

  /// Losses at the present LoRA values; lora.gradients() becomes dL/d(A, B), L_structure's part
  /// excepted. Labels int64 [B].
  LossTerms run(const at::Tensor& forget_prefix, const at::Tensor& forget_labels,
                const at::Tensor& retain_prefix, const at::Tensor& retain_labels);

  /// Embeddings of the last run().
  const at::Tensor& forget_embeddings() const { return forget_embeddings_; }
  const at::Tensor& retain_embeddings() const { return retain_embeddings_; }

 private:
  const Classifier& model_;
  const Weights& start_;
  LoraParameters& lora_;
  const ForgetConfig& config_;
  const Prototypes* prototypes_;
  Head head_;
  std::unique_ptr<LoraNetwork> network_;
  std::unique_ptr<LoraNetwork> second_;  ///< for the forget batch when it has its own pass
  at::Tensor forget_embeddings_, retain_embeddings_;
};

}  // namespace lethe
