// The training step's network: a frozen Transformer with LoRA in it, from tokens to embeddings and
// back to the gradients of the LoRA matrices.
#pragma once

#include <ATen/core/Generator.h>

#include <memory>

#include "adapters/lora.h"
#include "models/classifier.h"

namespace lethe {

/// Which savings are in force; each is exact up to rounding.
struct StepSavings {
  bool class_token_only = true;  ///< last block for one token
  bool fused_attention = true;   ///< attention matrix never stored
  bool folded_lora = true;       ///< W + s B A formed once a step, one product each way
};

/// Not thread-safe; one for each training run.
class LoraNetwork {
 public:
  virtual ~LoraNetwork() = default;

  /// What lies beneath the first LoRA layer, from tokens [B, N, D]: a residual stream [B, T, D], T
  /// being 1 or N. No LoRA value enters it, so it can be kept between steps.
  virtual at::Tensor prefix(const at::Tensor& tokens) const = 0;

  /// From prefix() [B, T, D] to embeddings [B, D]; keeps what backward() needs.
  virtual at::Tensor forward(const at::Tensor& prefix) = 0;

  /// From dL/d(embeddings) [B, D], adds dL/dA and dL/dB to lora.gradients().
  virtual void backward(const at::Tensor& gradient) = 0;
};

/// The network for the sites of `lora`: LoraTransformer when all are FFN linears,
/// AutogradLoraNetwork otherwise. `dropout`: the probability in force. The references outlive it.
std::unique_ptr<LoraNetwork> make_lora_network(const Classifier& model, const Weights& weights,
                                               LoraParameters& lora, StepSavings savings = {},
                                               double dropout = 0, at::Generator generator = {});

}  // namespace lethe
