// The frozen prefix of a task's samples, kept when memory allows (performance.md 1.4, item b).
#pragma once

#include <utility>

#include "data/dataset.h"
#include "forgetting/lora_step.h"

namespace lethe {

/// Prefixes [b, T, D] and labels [b] of samples by position. With a budget that holds all of them
/// they are computed once; otherwise at every call.
class SamplePrefixes {
 public:
  /// `budget` bytes; 0 or less: no cache. All references outlive the object.
  SamplePrefixes(const Dataset& dataset, const LoraStep& step, at::Device device, int64_t budget);

  std::pair<at::Tensor, at::Tensor> at(const std::vector<int64_t>& positions) const;
  int64_t bytes() const;  ///< taken by the cache

 private:
  const Dataset& dataset_;
  const LoraStep& step_;
  at::Device device_;
  at::Tensor prefixes_, labels_;
};

}  // namespace lethe
