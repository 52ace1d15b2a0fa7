// The pre-norm Transformer encoder that both image models share, as views of named weights and
// plain functions. Shapes: x [B, N, D], heads H of width d, MLP width M.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <vector>

namespace lethe {

struct LayerNorm {
  at::Tensor weight, bias;  ///< [D]
  double eps;
};

struct Linear {
  at::Tensor weight;  ///< [out, in]
  at::Tensor bias;    ///< [out], or undefined
};

/// x += out(attention(norm1(x)));  x += fc2(gelu(fc1(norm2(x)))).
struct Block {
  LayerNorm norm1;
  Linear qkv;  ///< rows: q, k, v; within each, heads in order
  Linear out;
  LayerNorm norm2;
  Linear fc1, fc2;
};

/// The blocks and the norm after them. `final_norm` of the class token's row is the embedding.
struct Transformer {
  std::vector<Block> blocks;
  LayerNorm final_norm;
  int64_t heads;
  int64_t head_dim;
  double attention_scale;
};

/// How a forward pass runs. The two savings are exact up to rounding.
struct ForwardOptions {
  double dropout = 0;  ///< probability; > 0 needs a generator
  at::Generator* generator = nullptr;
  bool class_token_only = true;  ///< last block for one token
  bool fused_attention = true;
};

at::Tensor layer_norm(const at::Tensor& x, const LayerNorm& norm);
at::Tensor linear(const at::Tensor& x, const Linear& layer);

/// Inverted dropout from an explicit generator; LibTorch's own uses the process-wide one.
at::Tensor dropout(const at::Tensor& x, const ForwardOptions& options);

/// The attention branch of a block for normalised input: out(softmax(q k^T scale) v).
at::Tensor attention(const at::Tensor& normed, const Block& block, const Transformer& transformer,
                     const ForwardOptions& options);

/// Attention with the class token as the only query: all that a last block needs. Keys and values
/// are never projected for N tokens, because their projections can change sides: q_h (W_k n_j) =
/// (q_h W_k) n_j, and sum_j p_j W_v n_j = W_v (sum_j p_j n_j). A key's bias adds the same to all
/// scores of a head and leaves the softmax as it is.
struct ClassTokenAttention {
  at::Tensor queries;        ///< q_h W_k, [B, H, D]
  at::Tensor probabilities;  ///< [B, H, N]
  at::Tensor output;         ///< heads side by side, [B, E]; to be projected by `out`
};
ClassTokenAttention class_token_attention(const at::Tensor& normed, const Block& block,
                                          const Transformer& transformer);

/// The FFN branch of a block for normalised input.
at::Tensor feed_forward(const at::Tensor& normed, const Block& block,
                        const ForwardOptions& options);

/// x [B, N, D] and a block's attention branch on it, dropout included. `class_token_only`: the
/// class token's row alone, [B, 1, D].
at::Tensor add_attention(const at::Tensor& x, const Block& block, const Transformer& transformer,
                         const ForwardOptions& options, bool class_token_only);

/// Blocks `begin` to `end` - 1 of x [B, N, D], which had its dropout; [B, 1, D] after the last
/// block for the class token alone.
at::Tensor run_blocks(at::Tensor x, const Transformer& transformer, size_t begin, size_t end,
                      const ForwardOptions& options);

/// Tokens [B, N, D] to embeddings [B, D]. Differentiable in everything.
at::Tensor encode(const at::Tensor& tokens, const Transformer& transformer,
                  const ForwardOptions& options = {});

}  // namespace lethe
