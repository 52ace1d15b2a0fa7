// Deformable attention as it is usually written for a CPU: one grid_sample a level.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "kernels/deformable_attention.h"

namespace lethe::testing {

/// deformable_attention() for levels that are not empty, recorded by autograd.
inline at::Tensor grid_attention(const at::Tensor& value, const std::vector<LevelSize>& levels,
                                 const at::Tensor& locations, const at::Tensor& weights) {
  const int64_t batch = value.size(0), heads = value.size(2), channels = value.size(3);
  const int64_t queries = locations.size(1), points = locations.size(4);
  const at::Tensor grids = 2 * locations - 1;
  std::vector<at::Tensor> sampled;
  int64_t start = 0;
  for (size_t l = 0; l < levels.size(); ++l) {
    const auto [height, width] = levels[l];
    const at::Tensor map = value.narrow(1, start, height * width)
                               .flatten(2)
                               .transpose(1, 2)
                               .reshape({batch * heads, channels, height, width});
    const at::Tensor grid = grids.select(3, static_cast<int64_t>(l)).transpose(1, 2).flatten(0, 1);
    sampled.push_back(at::grid_sampler(map, grid, /*interpolation_mode=*/0, /*padding_mode=*/0,
                                       /*align_corners=*/false));  // [B * M, D, Q, P]
    start += height * width;
  }
  const auto count = static_cast<int64_t>(levels.size());
  const at::Tensor a = weights.transpose(1, 2).reshape({batch * heads, 1, queries, count * points});
  return (at::stack(sampled, -2).flatten(-2) * a)
      .sum(-1)
      .view({batch, heads * channels, queries})
      .transpose(1, 2)
      .contiguous();
}

}  // namespace lethe::testing
