// Multi-scale deformable attention on the CPU, forward and backward. Torch-free: raw contiguous
// arrays, and ranges of tasks that the caller shares out among its threads.
//
// value [B, S, M, D], locations [B, Q, M, L, P, 2] as (x, y), weights [B, Q, M, L, P], output
// [B, Q, M, D]; no size is 0. The S positions are the pixels of L maps, row by row, one map after
// the other. A sample lies at x = location_x width - 0.5, y likewise, and is interpolated between
// the four pixels around it; pixels outside the map count as zeros (grid_sample with align_corners
// = false and zero padding). A point that is not a number, or lies outside, samples zero.
#pragma once

#include <cstdint>

namespace lethe {

struct LevelSize {
  int64_t height = 0, width = 0;  ///< height * width below 2^30; 0 for an empty level
};

struct DeformableAttentionShape {
  int64_t batch, positions, heads, channels, queries, points;  // B, S, M, D, Q, P
  const LevelSize* levels;
  int64_t level_count;  // L

  /// Tasks of the forward pass: an image, a head and some of the queries each.
  int64_t forward_tasks() const;
  /// Tasks of the backward pass: an image, a head, a level, and some of the queries where the
  /// gradient of the values is not wanted. With it all queries, in their order: nothing but one
  /// task ever adds to a pixel's gradient, so that no atomics are needed.
  int64_t backward_tasks(bool value_gradient) const;
};

// Tasks write disjoint parts of the results, and what a task writes does not depend on the others:
// every split of the tasks over threads gives the same bytes. T is float or double. The vector unit
// is chosen when the program runs (AVX-512, AVX2 or what the compiler assumes), and with it the
// last digits.

/// Writes the tasks' part of `output`.
template <typename T>
void deformable_attention_forward(const DeformableAttentionShape& shape, const T* value,
                                  const T* locations, const T* weights, T* output,
                                  int64_t task_begin, int64_t task_end);

template <typename T>
struct DeformableAttentionGradients {
  T* value;      ///< added to: zeros before the first task; null where it is not wanted
  T* locations;  ///< written; null where not wanted
  T* weights;    ///< written; null where not wanted
};

/// Writes the tasks' part of the gradients for dL/d(output) = `grad_output`. `value_gradient` of
/// backward_tasks() is whether gradients.value is set.
template <typename T>
void deformable_attention_backward(const DeformableAttentionShape& shape, const T* value,
                                   const T* locations, const T* weights, const T* grad_output,
                                   const DeformableAttentionGradients<T>& gradients,
                                   int64_t task_begin, int64_t task_end);

}  // namespace lethe
