// The training step's network: a frozen Transformer with LoRA on its FFN linears, forward and
// backward written out for the one case that matters, because every experiment pays for it
// (performance.md 1.3 to 1.5). Only LoRA gradients and input gradients exist; no gradient of a
// frozen weight is formed.
#pragma once

#include "adapters/lora_network.h"

namespace lethe {

/// `lora`'s sites are FFN linears. Activations live in a workspace that is reused from step to
/// step.
class LoraTransformer final : public LoraNetwork {
 public:
  LoraTransformer(Transformer transformer, LoraParameters& lora, StepSavings savings = {},
                  double dropout = 0, at::Generator generator = {});
  ~LoraTransformer() override;

  /// Everything before the FFN of the lowest block k with LoRA: blocks 0 to k-1 and block k's
  /// attention, as the residual stream [B, T, D]. T is 1 when k is the last block and only its
  /// class token is wanted, N otherwise.
  at::Tensor prefix(const at::Tensor& tokens) const override;
  at::Tensor forward(const at::Tensor& prefix) override;
  void backward(const at::Tensor& gradient) override;

 private:
  struct Workspace;
  Transformer transformer_;
  LoraParameters& lora_;
  StepSavings savings_;
  double dropout_;
  at::Generator generator_;
  int64_t first_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace lethe
