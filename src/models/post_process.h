// From a detector's outputs to what it found in each image.
#pragma once

#include <cstdint>
#include <vector>

#include "models/detection.h"

namespace lethe {

/// Height and width of an image in pixels.
struct ImageSize {
  int64_t height = 0, width = 0;
};

/// The `most` highest scores, sigmoid(logit), over all queries and classes of each image: one query
/// may be found as several classes, no box is dropped for overlapping another. Fewer where Q C is
/// smaller. Equal scores come in the order of query, then class. Boxes are scaled to `sizes`, those
/// of the original images where the evaluation is to be in their pixels, and not cut at the
/// borders. `logits` [B, Q, C] and `boxes` [B, Q, 4] of one decoder layer, not differentiated;
/// results on their device. Throws kInvalidArgument for shapes or a number of sizes that do not
/// fit, or a size or `most` below 1. Source: Zhu et al. 2021 (Deformable DETR), post-processing.
std::vector<Detections> detections_of(const at::Tensor& logits, const at::Tensor& boxes,
                                      const std::vector<ImageSize>& sizes, int64_t most = 100);

}  // namespace lethe
