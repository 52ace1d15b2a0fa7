// What goes into and comes out of an object detector, as tensors. B images, Q queries (objects that
// a detector can name in an image), C classes, D numbers an embedding.
#pragma once

#include <ATen/core/Tensor.h>

namespace lethe {

/// The objects in one image that a detector should find.
struct DetectionTargets {
  at::Tensor labels;  ///< int64 [n], 0 to C - 1
  at::Tensor boxes;   ///< floating point [n, 4], (cx, cy, w, h) in shares of the image, 0 to 1
};

/// What a detector says of a batch at the end of one decoder layer. Every class has a sigmoid of
/// its own; there is no class "none".
struct DetectorLayer {
  at::Tensor logits;      ///< [B, Q, C]
  at::Tensor boxes;       ///< [B, Q, 4], as in DetectionTargets
  at::Tensor embeddings;  ///< [B, Q, D], what the classifier reads
};

/// What a detector found in one image, best first.
struct Detections {
  at::Tensor scores;  ///< floating point [n], 0 to 1, descending
  at::Tensor labels;  ///< int64 [n]
  at::Tensor boxes;   ///< floating point [n, 4], (left, top, right, bottom) in pixels of the image
};

}  // namespace lethe
