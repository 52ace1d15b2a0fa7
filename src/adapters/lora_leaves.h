// LoRA matrices in a network that autograd differentiates.
#pragma once

#include "adapters/lora.h"

namespace lethe {

/// Not thread-safe; `lora` outlives it.
class LoraLeaves {
 public:
  explicit LoraLeaves(LoraParameters& lora) : lora_(lora) {}

  /// `weights` with W + scale B A at every site, of fresh leaves A and B at their present values.
  Weights merge(Weights weights);

  /// After a backward pass: adds dL/dA and dL/dB of the last merge() to lora.gradients(), and
  /// forgets them. A matrix that the loss does not depend on adds nothing.
  void collect();

  void clear() { leaves_.clear(); }

 private:
  LoraParameters& lora_;
  std::vector<at::Tensor> leaves_;  ///< A and B of each site in turn
};

}  // namespace lethe
