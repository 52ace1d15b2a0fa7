// The attention of a frozen block, forward and input gradient written out (performance.md 1.3
// to 1.5).
#pragma once

#include "adapters/slot.h"
#include "models/transformer.h"

namespace lethe {

/// softmax(q k^T scale) v for normalised input. Not thread-safe; `block` and `transformer` outlive
/// it.
class FrozenAttention {
 public:
  /// `class_token_only`: one query, see class_token_attention(). `fused`: for all tokens, the
  /// attention matrix is never stored.
  FrozenAttention(const Block& block, const Transformer& transformer, bool class_token_only,
                  bool fused);

  /// normed [B, N, D] to the heads' outputs side by side, [B*T, E]; T = 1 or N. `normed` must stay
  /// as it is until backward() when class_token_only.
  at::Tensor forward(const at::Tensor& normed);

  /// From dL/d(output) [B*T, E] to dL/d(normed) [B*N, D], written to `out`.
  void backward(const at::Tensor& gradient, const at::Tensor& out);

 private:
  at::Tensor forward_all(const at::Tensor& normed);
  void backward_all(const at::Tensor& gradient, const at::Tensor& out);
  void backward_class_token(const at::Tensor& gradient, const at::Tensor& out);

  const Block& block_;
  const Transformer& transformer_;
  bool class_token_only_, fused_;

  Slot qkv_memory_;
  at::Tensor qkv_;            // [B, N, 3, H, d]
  at::Tensor mixed_, state_;  // [B, H, N, d]; log-sum-exp, or the softmax
  at::Tensor normed_;         // [B, N, D]
  ClassTokenAttention class_token_;
};

}  // namespace lethe
