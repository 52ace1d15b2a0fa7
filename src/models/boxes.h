// Boxes of objects in images, as tensors whose last dimension is 4. Two forms:
//   centre form  (cx, cy, w, h): what detectors predict, in shares of the image, 0 to 1
//   corners      (left, top, right, bottom): what areas and overlaps are computed from
// All functions are differentiable, take any floating dtype, device and unit, and are defined for
// degenerate boxes: a box without extent in either direction (right <= left or bottom <= top) is
// empty, of area 0. No function looks at the values, so a NaN stays a NaN.
#pragma once

#include <ATen/core/Tensor.h>

namespace lethe {

/// (cx, cy, w, h) [..., 4] to corners [..., 4].
at::Tensor corners_of(const at::Tensor& boxes);
/// Corners [..., 4] to (cx, cy, w, h) [..., 4], its inverse; an inverted box has a negative size.
at::Tensor centres_of(const at::Tensor& corners);

/// Areas [...] of corners [..., 4], at least 0, in the square of their unit.
at::Tensor areas(const at::Tensor& corners);

/// Intersection over union of every pair, [..., N, M], from corners [..., N, 4] and [..., M, 4]
/// with leading dimensions that broadcast. 0 to 1. Two empty boxes, even equal ones, have the IoU
/// 0.
at::Tensor pairwise_iou(const at::Tensor& a, const at::Tensor& b);

/// Generalised IoU of every pair, [..., N, M], from corners as above:
///   GIoU = IoU - (E - U) / E,  U the union, E the smallest box around both.
/// -1 (far apart) to 1 (equal). 0 where E is empty: two points in one place, or two segments on one
/// line. Its gradient is finite everywhere. Source: Rezatofighi et al. 2019.
at::Tensor pairwise_giou(const at::Tensor& a, const at::Tensor& b);

/// The same for row i of both alone, [...], from corners [..., 4] of equal shape.
at::Tensor aligned_iou(const at::Tensor& a, const at::Tensor& b);
at::Tensor aligned_giou(const at::Tensor& a, const at::Tensor& b);

}  // namespace lethe
