// The encoder and decoder of Deformable DETR (Zhu et al. 2021, section 4), as views of named
// weights and plain functions. Shapes: B images, S positions of all levels together, L levels, D
// width, Q queries.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

#include "kernels/deformable_attention.h"
#include "models/transformer.h"

namespace lethe {

/// Attention that looks at a few points of every level, each beside its query's reference point.
struct DeformableAttention {
  Linear offsets;  ///< D to (heads, levels, points, xy)
  Linear weights;  ///< D to (heads, levels x points), a softmax over the latter
  Linear value, output;
  int64_t heads, levels, points;
};

struct FeedForward {
  Linear linear1, linear2;
  LayerNorm norm;
};

/// x = norm1(x + attention(x));  x = norm(x + linear2(relu(linear1(x)))).
struct EncoderLayer {
  DeformableAttention attention;
  LayerNorm norm1;
  FeedForward ffn;
};

/// The order is that of the published code: self-attention and norm2, attention to the image and
/// norm1, FFN and norm3.
struct DecoderLayer {
  Linear self_in;  ///< rows: q, k, v
  Linear self_out;
  LayerNorm norm2;
  DeformableAttention cross;
  LayerNorm norm1;
  FeedForward ffn;
};

/// Three linears with ReLU between: a decoder output to four numbers of a box, before the sigmoid.
struct BoxHead {
  std::array<Linear, 3> layers;
  at::Tensor operator()(const at::Tensor& x) const;
};

/// All levels of a batch, flattened one after the other, rows first.
struct Pyramid {
  at::Tensor values;        ///< [B, S, D]
  at::Tensor positions;     ///< [B, S, D]: sine of the place plus the level's embedding
  at::Tensor padding;       ///< bool [B, S], true outside the image
  at::Tensor valid_ratios;  ///< [B, L, 2]: the image's part of a level's width and height
  std::vector<LevelSize> levels;
};

/// log(x / (1 - x)), x held to 1e-5 from both ends.
at::Tensor inverse_sigmoid(const at::Tensor& x);

/// The centre of every cell of all levels, (x, y) in shares of the image's own part of its level:
/// [B, S, 2].
at::Tensor cell_centres(const Pyramid& pyramid);

/// Channel 2i of an angle a is sin(a / 10000^(2i / waves)), channel 2i + 1 the cosine of the same;
/// `waves` is even. [...] to [..., waves].
at::Tensor sine_waves(const at::Tensor& angles, int64_t waves);

/// Sines of normalised places (Carion et al. 2020): of y in the first half of `dim`, of x in the
/// second; places run from 0 to 2 pi over the image's own part, cell centres at - 0.5.
/// `padding` bool [B, H, W]; [B, dim, H, W].
at::Tensor sine_positions(const at::Tensor& padding, int64_t dim);

/// `reference` [B, Q, L, 2] points or [B, Q, L, 4] boxes, 0 to 1 of each padded level.
at::Tensor deformable(const DeformableAttention& attention, const at::Tensor& query,
                      const at::Tensor& reference, const at::Tensor& values,
                      const Pyramid& pyramid);

/// Encoder layers `begin` to `end` - 1 on the pyramid's values; [B, S, D], after the last layer the
/// memory.
at::Tensor encode_pyramid(const Pyramid& pyramid, const std::vector<EncoderLayer>& layers,
                          int64_t begin, int64_t end, const ForwardOptions& options);

/// What each decoder layer leaves.
struct DecoderOutputs {
  std::vector<at::Tensor> embeddings;  ///< [B, Q, D]
  std::vector<at::Tensor> references;  ///< what its box is told from: [B, Q, 2 or 4], 0 to 1
};

/// `target` and `position` [B, Q, D], `reference` [B, Q, 2 or 4]. `refine`: empty, or a box head
/// for each layer; the next layer's references are then its boxes, through which no gradient flows.
DecoderOutputs decode(at::Tensor target, const at::Tensor& position, at::Tensor reference,
                      const at::Tensor& memory, const Pyramid& pyramid,
                      const std::vector<DecoderLayer>& layers, const std::vector<BoxHead>& refine,
                      const ForwardOptions& options);

/// The box of head output `raw` [..., 4] beside its reference: inverse sigmoid of the reference
/// added to centre, or to all of it when it is a box; then the sigmoid.
at::Tensor box_beside(const at::Tensor& raw, const at::Tensor& reference);

}  // namespace lethe
