#include "models/deformable_transformer.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numbers>

namespace lethe {
namespace {

at::Tensor feed_forward(const at::Tensor& x, const FeedForward& ffn,
                        const ForwardOptions& options) {
  const at::Tensor inner = dropout(at::relu(linear(x, ffn.linear1)), options);
  return layer_norm(x + dropout(linear(inner, ffn.linear2), options), ffn.norm);
}

/// Plain attention among queries; q and k see positions, v does not.
at::Tensor self_attention(const at::Tensor& target, const at::Tensor& position,
                          const DecoderLayer& layer, const ForwardOptions& options) {
  const int64_t batch = target.size(0), n = target.size(1), dim = target.size(2);
  const int64_t heads = layer.cross.heads, width = dim / heads;
  const auto part = [&](const at::Tensor& x, int64_t begin, int64_t rows) {
    return linear(x, {layer.self_in.weight.narrow(0, begin, rows),
                      layer.self_in.bias.narrow(0, begin, rows)});
  };
  const auto split = [&](const at::Tensor& x) {
    return x.view({batch, n, heads, width}).transpose(1, 2);
  };
  const std::vector<at::Tensor> qk = part(target + position, 0, 2 * dim).chunk(2, -1);
  const at::Tensor q = split(qk[0].contiguous()), k = split(qk[1].contiguous());
  const at::Tensor scores = at::matmul(q, k.transpose(2, 3)) / std::sqrt(width);
  const at::Tensor mixed =
      at::matmul(dropout(at::softmax(scores, -1), options), split(part(target, 2 * dim, dim)));
  return linear(mixed.transpose(1, 2).reshape({batch, n, dim}), layer.self_out);
}

}  // namespace

at::Tensor BoxHead::operator()(const at::Tensor& x) const {
  return linear(at::relu(linear(at::relu(linear(x, layers[0])), layers[1])), layers[2]);
}

at::Tensor inverse_sigmoid(const at::Tensor& x) {
  constexpr double kEdge = 1e-5;
  const at::Tensor inside = x.clamp(0, 1);
  return (inside.clamp_min(kEdge) / (1 - inside).clamp_min(kEdge)).log();
}

at::Tensor cell_centres(const Pyramid& pyramid) {
  const at::Tensor& ratios = pyramid.valid_ratios;
  std::vector<at::Tensor> levels;
  for (size_t l = 0; l < pyramid.levels.size(); ++l) {
    const auto [height, width] = pyramid.levels[l];
    const auto centres = [&](int64_t cells, int64_t axis) {  // [B, cells]
      const at::Tensor line = at::arange(cells, ratios.options()) + 0.5;
      return line /
             (ratios.select(1, static_cast<int64_t>(l)).select(1, axis) * cells).unsqueeze(1);
    };
    const std::array<int64_t, 3> grid{ratios.size(0), height, width};
    levels.push_back(at::stack({centres(width, 0).unsqueeze(1).expand(grid),
                                centres(height, 1).unsqueeze(2).expand(grid)},
                               -1)
                         .flatten(1, 2));
  }
  return at::cat(levels, 1);
}

at::Tensor sine_waves(const at::Tensor& angles, int64_t waves) {
  const at::Tensor pair = at::arange(waves, angles.options()).div(2, "floor");
  const at::Tensor wavelengths = at::pow(10000, 2 * pair / static_cast<double>(waves));
  const at::Tensor phase = angles.unsqueeze(-1) / wavelengths;
  return at::stack({phase.slice(-1, 0, waves, 2).sin(), phase.slice(-1, 1, waves, 2).cos()}, -1)
      .flatten(-2);
}

at::Tensor sine_positions(const at::Tensor& padding, int64_t dim) {
  constexpr double kScale = 2 * std::numbers::pi, kEps = 1e-6;
  const at::Tensor inside = padding.logical_not().to(at::kFloat);
  const auto place = [&](int64_t axis) {
    const at::Tensor count = inside.cumsum(axis);
    const at::Tensor last = count.narrow(axis, count.size(axis) - 1, 1);
    return (count - 0.5) / (last + kEps) * kScale;
  };
  return at::cat({sine_waves(place(1), dim / 2), sine_waves(place(2), dim / 2)}, -1)
      .permute({0, 3, 1, 2});
}

at::Tensor deformable(const DeformableAttention& attention, const at::Tensor& query,
                      const at::Tensor& reference, const at::Tensor& values,
                      const Pyramid& pyramid) {
  const int64_t batch = query.size(0), queries = query.size(1), dim = query.size(2);
  const int64_t heads = attention.heads, levels = attention.levels, points = attention.points;
  const at::Tensor value = linear(values, attention.value)
                               .masked_fill(pyramid.padding.unsqueeze(-1), 0)
                               .view({batch, values.size(1), heads, dim / heads});
  const at::Tensor offsets =
      linear(query, attention.offsets).view({batch, queries, heads, levels, points, 2});
  const at::Tensor logits =
      linear(query, attention.weights).view({batch, queries, heads, levels * points});
  return linear(
      deformable_attention_from_offsets(value, pyramid.levels, reference, offsets, logits),
      attention.output);
}

at::Tensor encode_pyramid(const Pyramid& pyramid, const std::vector<EncoderLayer>& layers,
                          int64_t begin, int64_t end, const ForwardOptions& options) {
  at::Tensor x = pyramid.values;
  if (begin == end) return x;
  const at::Tensor reference =  // on all levels, [B, S, L, 2]
      cell_centres(pyramid).unsqueeze(2) * pyramid.valid_ratios.unsqueeze(1);
  for (int64_t i = begin; i < end; ++i) {
    const EncoderLayer& layer = layers[static_cast<size_t>(i)];
    const at::Tensor seen =
        deformable(layer.attention, x + pyramid.positions, reference, x, pyramid);
    x = layer_norm(x + dropout(seen, options), layer.norm1);
    x = feed_forward(x, layer.ffn, options);
  }
  return x;
}

DecoderOutputs decode(at::Tensor target, const at::Tensor& position, at::Tensor reference,
                      const at::Tensor& memory, const Pyramid& pyramid,
                      const std::vector<DecoderLayer>& layers, const std::vector<BoxHead>& refine,
                      const ForwardOptions& options) {
  const at::Tensor ratios = pyramid.valid_ratios.unsqueeze(1);  // [B, 1, L, 2]
  DecoderOutputs outputs;
  for (size_t i = 0; i < layers.size(); ++i) {
    const DecoderLayer& layer = layers[i];
    target = layer_norm(target + dropout(self_attention(target, position, layer, options), options),
                        layer.norm2);
    const bool box = reference.size(-1) == 4;
    const at::Tensor on_levels =
        reference.unsqueeze(2) * (box ? at::cat({ratios, ratios}, -1) : ratios);
    const at::Tensor seen = deformable(layer.cross, target + position, on_levels, memory, pyramid);
    target = layer_norm(target + dropout(seen, options), layer.norm1);
    target = feed_forward(target, layer.ffn, options);
    outputs.embeddings.push_back(target);
    outputs.references.push_back(reference);
    if (!refine.empty()) reference = box_beside(refine[i](target), reference).detach();
  }
  return outputs;
}

at::Tensor box_beside(const at::Tensor& raw, const at::Tensor& reference) {
  const at::Tensor shift = inverse_sigmoid(reference);
  if (reference.size(-1) == 4) return (raw + shift).sigmoid();
  return at::cat({raw.narrow(-1, 0, 2) + shift, raw.narrow(-1, 2, 2)}, -1).sigmoid();
}

}  // namespace lethe
