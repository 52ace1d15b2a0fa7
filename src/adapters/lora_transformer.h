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

  /// The lowest block k with LoRA; what is below it runs in prefix() alone.
  int64_t first_block() const { return first_; }

  /// Everything before the FFN of block k, from tokens [B, N, D]: blocks 0 to k-1 and block k's
  /// attention, as the residual stream [B, T, D]. T is 1 when k is the last block and only its
  /// class token is wanted, N otherwise. No LoRA value enters it, so it can be kept between steps.
  at::Tensor prefix(const at::Tensor& tokens) const;

  /// From prefix() [B, T, D] to embeddings [B, D]; keeps what backward() needs.
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
  int64_t first_;
  std::unique_ptr<Workspace> workspace_;
};

}  // namespace lethe
