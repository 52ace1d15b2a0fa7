// The operator of Deformable DETR (arXiv 2010.04159, section 4): every query gathers from a few
// places of several feature maps.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "kernels/cpu/deformable_attention.h"

namespace lethe {

/// sum over levels and points of weight * bilinear(value, location): [B, Q, M * D], contiguous, in
/// the dtype of `value`. kernels/cpu/deformable_attention.h says where a location lies.
///
///   value      [B, S, M, D], the pixels of all levels, row by row, one level after the other
///   levels     L sizes, none negative, that sum up to S; a level may be empty
///   locations  [B, Q, M, L, P, 2], (x, y), 0 to 1 inside the map
///   weights    [B, Q, M, L, P]
///
/// Differentiable once in value, locations and weights, each only where its gradient is wanted; a
/// point on a pixel's very centre has the derivative to its right and below. Nothing is kept for
/// the backward pass but the inputs. Any number of threads computes the same bytes on a CPU.
///
/// CPU: float32 or float64 throughout. CUDA: value float32 or bfloat16, the others float32, at most
/// 8 levels; sums are in float32, those of the values' gradient in no fixed order. Throws
/// kInvalidArgument for shapes and dtypes that do not fit, kUnsupported for another device or a
/// second derivative, kDevice when CUDA fails.
at::Tensor deformable_attention(const at::Tensor& value, const std::vector<LevelSize>& levels,
                                const at::Tensor& locations, const at::Tensor& weights);

/// The same from what a layer's projections give: weights are softmax(logits) over all L * P
/// points, and locations
///   reference [B, Q, L, 2], (x, y):       reference + offset / (width, height of the level)
///   reference [B, Q, L, 4], (x, y, w, h): (x, y) + offset / P * (w, h) / 2
///
///   offsets    [B, Q, M, L, P, 2]
///   logits     [B, Q, M, L * P]
///
/// Differentiable in reference, offsets and logits too. On CUDA neither weights nor locations are
/// ever stored.
at::Tensor deformable_attention_from_offsets(const at::Tensor& value,
                                             const std::vector<LevelSize>& levels,
                                             const at::Tensor& reference, const at::Tensor& offsets,
                                             const at::Tensor& logits);

}  // namespace lethe
