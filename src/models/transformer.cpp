#include "models/transformer.h"

#include <ATen/ATen.h>

#include "kernels/project.h"
#include "support/error.h"

namespace lethe {

at::Tensor layer_norm(const at::Tensor& x, const LayerNorm& norm) {
  return at::layer_norm(x, norm.weight.sizes(), norm.weight, norm.bias, norm.eps);
}

at::Tensor linear(const at::Tensor& x, const Linear& layer) {
  return project(x, layer.weight, layer.bias);
}

at::Tensor dropout(const at::Tensor& x, const ForwardOptions& options) {
  if (options.dropout == 0) return x;
  require(options.generator, Code::kInternal, "dropout without a generator");
  const double keep = 1 - options.dropout;
  // Drawn on the CPU whatever the device, so that one seed means one mask everywhere.
  const at::Tensor mask =
      at::empty(x.sizes(), x.options().device(at::kCPU)).bernoulli_(keep, *options.generator);
  return x * mask.to(x.device()).div_(keep);
}

at::Tensor attention(const at::Tensor& normed, const Block& block, const Transformer& transformer,
                     const ForwardOptions& options) {
  const int64_t batch = normed.size(0), n = normed.size(1);
  const int64_t heads = transformer.heads, width = transformer.head_dim;
  const at::Tensor parts = linear(normed, block.qkv)
                               .view({batch, n, 3, heads, width})
                               .permute({2, 0, 3, 1, 4});  // [3, B, H, N, d]
  const at::Tensor q = parts[0], k = parts[1], v = parts[2];
  at::Tensor mixed;
  if (options.fused_attention) {
    mixed = at::scaled_dot_product_attention(q, k, v, /*attn_mask=*/{}, /*dropout_p=*/0.0,
                                             /*is_causal=*/false, transformer.attention_scale);
  } else {
    const at::Tensor scores = at::matmul(q, k.transpose(2, 3)) * transformer.attention_scale;
    mixed = at::matmul(at::softmax(scores, -1), v);
  }
  return linear(mixed.transpose(1, 2).reshape({batch, n, heads * width}), block.out);
}

ClassTokenAttention class_token_attention(const at::Tensor& normed, const Block& block,
                                          const Transformer& transformer) {
  const int64_t batch = normed.size(0), dim = normed.size(2);
  const int64_t heads = transformer.heads, width = transformer.head_dim, inner = heads * width;
  const at::Tensor& bias = block.qkv.bias;
  const auto bias_of = [&](int64_t part) {
    return bias.defined() ? bias.slice(0, part * inner, (part + 1) * inner) : bias;
  };
  const at::Tensor w = block.qkv.weight.view({3, heads, width, dim});
  const at::Tensor q =
      linear(normed.select(1, 0), Linear{block.qkv.weight.slice(0, 0, inner), bias_of(0)});

  ClassTokenAttention result;
  result.queries = at::bmm(q.view({batch, heads, width}).transpose(0, 1), w[1]).transpose(0, 1);
  const at::Tensor scores = at::bmm(result.queries, normed.transpose(1, 2));
  result.probabilities = at::softmax(scores * transformer.attention_scale, -1);
  const at::Tensor mixed = at::bmm(result.probabilities, normed).transpose(0, 1);  // [H, B, D]
  result.output = at::bmm(mixed, w[2].transpose(1, 2)).transpose(0, 1).reshape({batch, inner});
  if (bias.defined()) result.output = result.output + bias_of(2);
  return result;
}

at::Tensor feed_forward(const at::Tensor& normed, const Block& block,
                        const ForwardOptions& options) {
  return linear(dropout(at::gelu(linear(normed, block.fc1)), options), block.fc2);
}

at::Tensor add_attention(const at::Tensor& x, const Block& block, const Transformer& transformer,
                         const ForwardOptions& options, bool class_token_only) {
  const at::Tensor normed = layer_norm(x, block.norm1);
  if (!class_token_only) {
    return x + dropout(attention(normed, block, transformer, options), options);
  }
  const at::Tensor mixed = class_token_attention(normed, block, transformer).output;
  return x.narrow(1, 0, 1) + dropout(linear(mixed, block.out).unsqueeze(1), options);
}

at::Tensor run_blocks(at::Tensor x, const Transformer& transformer, size_t begin, size_t end,
                      const ForwardOptions& options) {
  for (size_t i = begin; i < end; ++i) {
    const Block& block = transformer.blocks[i];
    const bool last = i + 1 == transformer.blocks.size();
    x = add_attention(x, block, transformer, options, last && options.class_token_only);
    x = x + dropout(feed_forward(layer_norm(x, block.norm2), block, options), options);
  }
  return x;
}

at::Tensor encode(const at::Tensor& tokens, const Transformer& transformer,
                  const ForwardOptions& options) {
  const at::Tensor x =
      run_blocks(dropout(tokens, options), transformer, 0, transformer.blocks.size(), options);
  return layer_norm(x.select(1, 0), transformer.final_norm);
}

}  // namespace lethe
