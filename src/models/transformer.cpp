#include "models/transformer.h"

#include <ATen/ATen.h>

#include "support/error.h"

namespace lethe {

at::Tensor layer_norm(const at::Tensor& x, const LayerNorm& norm) {
  return at::layer_norm(x, norm.weight.sizes(), norm.weight, norm.bias, norm.eps);
}

at::Tensor linear(const at::Tensor& x, const Linear& layer) {
  return at::linear(x, layer.weight, layer.bias);
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
                     const ForwardOptions& options, int64_t queries) {
  const int64_t batch = normed.size(0);
  const int64_t heads = transformer.heads, width = transformer.head_dim;
  const int64_t inner = heads * width;
  const auto to_heads = [&](const at::Tensor& x) {  // [B, N, inner] -> [B, heads, N, width]
    return x.view({batch, x.size(1), heads, width}).transpose(1, 2);
  };
  at::Tensor q, k, v;
  if (queries == 0) {
    const auto parts = linear(normed, block.qkv).split(inner, /*dim=*/2);
    q = parts[0], k = parts[1], v = parts[2];
  } else {
    const auto rows = [&](int64_t begin, int64_t end) {
      const at::Tensor& bias = block.qkv.bias;
      return Linear{block.qkv.weight.slice(0, begin, end),
                    bias.defined() ? bias.slice(0, begin, end) : bias};
    };
    q = linear(normed.narrow(1, 0, queries), rows(0, inner));
    const auto parts = linear(normed, rows(inner, 3 * inner)).split(inner, /*dim=*/2);
    k = parts[0], v = parts[1];
  }
  q = to_heads(q), k = to_heads(k), v = to_heads(v);

  at::Tensor mixed;
  if (options.fused_attention) {
    mixed = at::scaled_dot_product_attention(q, k, v, /*attn_mask=*/{}, /*dropout_p=*/0.0,
                                             /*is_causal=*/false, transformer.attention_scale);
  } else {
    const at::Tensor scores = at::matmul(q, k.transpose(2, 3)) * transformer.attention_scale;
    mixed = at::matmul(at::softmax(scores, -1), v);
  }
  return linear(mixed.transpose(1, 2).reshape({batch, mixed.size(2), inner}), block.out);
}

at::Tensor feed_forward(const at::Tensor& normed, const Block& block,
                        const ForwardOptions& options) {
  return linear(dropout(at::gelu(linear(normed, block.fc1)), options), block.fc2);
}

at::Tensor encode(const at::Tensor& tokens, const Transformer& transformer,
                  const ForwardOptions& options) {
  at::Tensor x = dropout(tokens, options);
  for (size_t i = 0; i < transformer.blocks.size(); ++i) {
    const Block& block = transformer.blocks[i];
    const bool last = i + 1 == transformer.blocks.size();
    const int64_t queries = last && options.class_token_only ? 1 : 0;
    const at::Tensor mixed =
        attention(layer_norm(x, block.norm1), block, transformer, options, queries);
    x = (queries ? x.narrow(1, 0, queries) : x) + dropout(mixed, options);
    x = x + dropout(feed_forward(layer_norm(x, block.norm2), block, options), options);
  }
  return layer_norm(x.select(1, 0), transformer.final_norm);
}

}  // namespace lethe
