// Objects in an image, written out.
#pragma once

#include "models/detection.h"
#include "near.h"

namespace lethe::testing {

/// float64 boxes, (cx, cy, w, h) each.
inline DetectionTargets objects(const std::vector<int64_t>& labels,
                                const std::vector<std::vector<double>>& boxes) {
  return {at::tensor(labels, at::kLong), matrix(boxes)};
}

inline DetectionTargets no_objects() {
  return {at::empty({0}, at::kLong), at::empty({0, 4}, at::kDouble)};
}

}  // namespace lethe::testing
