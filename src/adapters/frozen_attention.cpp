#include "adapters/frozen_attention.h"

#include <array>

#include "kernels/project.h"

namespace lethe {
namespace {

/// q, k, v [B, H, N, d] of [B, N, 3, H, d].
std::array<at::Tensor, 3> by_head(const at::Tensor& qkv) {
  const auto part = [&](int64_t i) { return qkv.select(2, i).transpose(1, 2); };
  return {part(0), part(1), part(2)};
}

}  // namespace

FrozenAttention::FrozenAttention(const Block& block, const Transformer& transformer,
                                 bool class_token_only, bool fused)
    : block_(block),
      transformer_(transformer),
      class_token_only_(class_token_only),
      fused_(fused) {}

at::Tensor FrozenAttention::forward(const at::Tensor& normed) {
  if (!class_token_only_) return forward_all(normed);
  normed_ = normed;
  class_token_ = class_token_attention(normed, block_, transformer_);
  return class_token_.output;
}

void FrozenAttention::backward(const at::Tensor& gradient, const at::Tensor& out) {
  if (class_token_only_) {
    backward_class_token(gradient, out);
  } else {
    backward_all(gradient, out);
  }
}

at::Tensor FrozenAttention::forward_all(const at::Tensor& normed) {
  const int64_t batch = normed.size(0), n = normed.size(1);
  const int64_t heads = transformer_.heads, width = transformer_.head_dim;
  const at::Tensor rows = qkv_memory_.get({batch * n, 3 * heads * width}, normed.options());
  project_into(rows, normed.view({batch * n, -1}), block_.qkv.weight, block_.qkv.bias);
  qkv_ = rows.view({batch, n, 3, heads, width});
  const auto [q, k, v] = by_head(qkv_);
  if (fused_) {
    std::tie(mixed_, state_) = at::_scaled_dot_product_flash_attention_for_cpu(
        q, k, v, 0.0, false, std::nullopt, transformer_.attention_scale);
  } else {
    const at::Tensor scores = at::matmul(q, k.transpose(2, 3));
    state_ = at::softmax(scores * transformer_.attention_scale, -1);
    mixed_ = at::matmul(state_, v);
  }
  return mixed_.transpose(1, 2).reshape({batch * n, heads * width});
}

void FrozenAttention::backward_all(const at::Tensor& gradient, const at::Tensor& out) {
  const int64_t batch = qkv_.size(0), n = qkv_.size(1);
  const int64_t heads = transformer_.heads, width = transformer_.head_dim;
  const double scale = transformer_.attention_scale;
  const auto [q, k, v] = by_head(qkv_);
  const at::Tensor dmixed = gradient.view({batch, n, heads, width}).transpose(1, 2);
  at::Tensor dq, dk, dv;
  if (fused_) {
    std::tie(dq, dk, dv) = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        dmixed, q, k, v, mixed_, state_, 0.0, false, std::nullopt, scale);
  } else {
    const at::Tensor& p = state_;
    dv = at::matmul(p.transpose(2, 3), dmixed);
    const at::Tensor dp = at::matmul(dmixed, v.transpose(2, 3));
    const at::Tensor ds = (dp - (dp * p).sum(-1, true)).mul_(p).mul_(scale);
    dq = at::matmul(ds, k);
    dk = at::matmul(ds.transpose(2, 3), q);
  }
  // q, k and v were read for the last time: their gradients take their place, so that one product
  // brings all three back.
  int64_t part = 0;
  for (const at::Tensor& d : {dq, dk, dv}) qkv_.select(2, part++).copy_(d.transpose(1, 2));
  project_into(out, qkv_.view({batch * n, 3 * heads * width}), block_.qkv.weight.t());
}

// Of scores s = scale r n^T, p = softmax(s), c = p n, output_h = W_v c_h, with r_h = q_h W_k:
// dc_h = g_h W_v, dp = dc n^T, ds = p (dp - sum(dp p)), dr = scale ds n,
// dn = p^T dc + scale ds^T r, and from r's side dn_0 += (dr_h W_k^T) W_q.
void FrozenAttention::backward_class_token(const at::Tensor& gradient, const at::Tensor& out) {
  const int64_t batch = normed_.size(0), n = normed_.size(1), dim = normed_.size(2);
  const int64_t heads = transformer_.heads, width = transformer_.head_dim;
  const at::Tensor w = block_.qkv.weight.view({3, heads, width, dim});
  const at::Tensor& p = class_token_.probabilities;  // [B, H, N]
  const at::Tensor& r = class_token_.queries;        // [B, H, D]

  const at::Tensor g = gradient.view({batch, heads, width}).transpose(0, 1);  // [H, B, d]
  const at::Tensor dc = at::bmm(g, w[2]).transpose(0, 1);                     // [B, H, D]
  const at::Tensor dp = at::bmm(dc, normed_.transpose(1, 2));
  const at::Tensor ds = (dp - (dp * p).sum(-1, true)).mul_(p).mul_(transformer_.attention_scale);
  at::Tensor dn = out.view({batch, n, dim});
  at::bmm_out(dn, at::cat({p, ds}, 1).transpose(1, 2), at::cat({dc, r}, 1));

  const at::Tensor dr = at::bmm(ds, normed_).transpose(0, 1);               // [H, B, D]
  const at::Tensor dq = at::bmm(dr, w[1].transpose(1, 2)).transpose(0, 1);  // [B, H, d]
  dn.select(1, 0).addmm_(dq.reshape({batch, heads * width}), w[0].reshape({-1, dim}));
}

}  // namespace lethe
