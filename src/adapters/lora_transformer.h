// The training step's network: a frozen Transformer with LoRA on its FFN linears, forward and
// backward written out for the one case that matters, because every experiment pays for it
// (performance.md 1.3 to 1.5). Only LoRA gradients and input gradients exist; no gradient of a
// frozen weight is formed.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>

#include "adapters/lora.h"

namespace lethe {

/// Which savings are in force; each is exact up to rounding.
struct StepSavings {
  bool class_token_only = true;  ///< last block for one token
  bool fused_attention = true;   ///< attention matrix never stored
  bool folded_lora = true;       ///< W + s B A formed once a step, one product each way
};

/// Not thread-safe; one for each training run. Activations live in a workspace that is reused from
/// step to step.
class LoraTransformer {
 public:
  LoraTransformer(Transformer transformer, LoraParameters& lora, StepSavings savings = {},
                  double dropout = 0, at::Generator generator = {});
  ~LoraTransformer();

  /// What the first LoRA layer's block computes before it, from tokens [B, N, D]: the residual
  /// stream after block 0's attention. No LoRA value enters it, so it can be kept between steps.
  at::Tensor prefix(const at::Tensor& tokens) const;

  /// From prefix() [B, N, D] to embeddings [B, D]; keeps what backward() needs.
  at::Tensor forward(const at::Tensor& prefix);

  /// From dL/d(embeddings) [B, D], adds dL/dA and dL/dB to lora.gradients().
  void backward(const at::Tensor& gradient);

 private:
  struct Workspace;
  Transformer transformer_;
  LoraParameters& lora_;
  StepSavings savings_;
  double dropout_;
  at::Generator generator_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace lethe
