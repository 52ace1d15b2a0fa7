// The training network for LoRA wherever a site may be, attention included, by autograd: slower
// than LoraTransformer, and equal to it where both apply.
#pragma once

#include "adapters/lora_leaves.h"
#include "adapters/lora_network.h"

namespace lethe {

/// W + s B A is formed differentiably of every site, and the model runs on those weights. Dropout's
/// masks are drawn as encode() draws them, so they differ from LoraTransformer's.
class AutogradLoraNetwork final : public LoraNetwork {
 public:
  /// `savings.folded_lora` has no meaning here: LoRA is always folded.
  AutogradLoraNetwork(const Classifier& model, const Weights& weights, LoraParameters& lora,
                      StepSavings savings = {}, double dropout = 0, at::Generator generator = {});

  /// The residual stream [B, N, D] that enters the lowest block with LoRA.
  at::Tensor prefix(const at::Tensor& tokens) const override;
  at::Tensor forward(const at::Tensor& prefix) override;
  void backward(const at::Tensor& gradient) override;

 private:
  ForwardOptions options(at::Generator& generator) const;

  const Classifier& model_;
  const Weights& weights_;
  LoraLeaves leaves_;
  StepSavings savings_;
  double dropout_;
  at::Generator generator_;
  size_t first_ = 0;
  at::Tensor embeddings_;  ///< of the last forward(), with its graph
};

}  // namespace lethe
