// Queries made of what the encoder itself proposes (Zhu et al. 2021, section 4.2, "two-stage"), as
// views of named weights and plain functions. Shapes: B images, S positions of all levels together,
// D width, Q queries.
#pragma once

#include <ATen/core/Tensor.h>

#include "models/deformable_transformer.h"
#include "models/detection.h"

namespace lethe {

/// A box at every position, (cx, cy, w, h) before the sigmoid, [B, S, 4]: the middle of the cell in
/// shares of the image's own part of the level; a side of 0.05 on the first level and twice as much
/// on each further one. Infinite where the cell is padding, or one of the four numbers is not
/// between 0.01 and 0.99.
at::Tensor proposed_boxes(const Pyramid& pyramid);

/// Sines of the four numbers of boxes [B, Q, 4], 0 to 1, `waves` (even) channels each, one number
/// after the other: [B, Q, 4 waves]. Channel 2i of x is sin(2 pi x / 10000^(2i / waves)), channel
/// 2i + 1 the cosine of the same.
at::Tensor sine_boxes(const at::Tensor& boxes, int64_t waves);

struct ProposalLayers {
  Linear output;  ///< D to D, of the memory; padding and infinite boxes go in as zeros
  LayerNorm output_norm;
  Linear classes;  ///< the logit of class 0 ranks
  BoxHead boxes;
  Linear queries;  ///< 2D to 2D, of the sines of the best boxes
  LayerNorm queries_norm;
  int64_t count;  ///< of queries: the best of all positions, or all
};

struct Proposals {
  DetectorLayer all;  ///< at every position, where boxes that are infinite are 1; no embeddings
  at::Tensor position, target;  ///< [B, Q, D]: first and second half of the queries, best first
  at::Tensor reference;         ///< [B, Q, 4]: their boxes, through which no gradient flows
};

Proposals propose(const ProposalLayers& layers, const at::Tensor& memory, const Pyramid& pyramid);

}  // namespace lethe
