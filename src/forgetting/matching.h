// Which of a detector's queries answers for which object: the pairs of smallest cost, one query an
// object (algorithm.md 8.4; Carion et al. 2020, with the costs of Zhu et al. 2021).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "models/detection.h"

namespace lethe {

/// How much label and box count, in the costs of a matching and in the losses after it.
struct DetectionWeights {
  double label = 2, l1 = 5, giou = 2;
  double alpha = 0.25, gamma = 2;  ///< of the focal loss (Lin et al. 2017)
};

/// Query queries[k] of an image answers for its object targets[k]; ascending in the queries.
struct Matching {
  std::vector<int64_t> queries, targets;
};

/// The matching of every image. The cost of query q (logits x, box b) and an object (label y, box
/// t):
///   label (pos(x_y) - neg(x_y)) + l1 |b - t|_1 - giou GIoU(b, t),  with p = sigmoid(x) and
///   pos(x) = -alpha (1 - p)^gamma log(p + 1e-8),   neg(x) = -(1 - alpha) p^gamma log(1 - p + 1e-8)
/// and |.|_1 over (cx, cy, w, h). Not differentiated, computed in the logits' type, at least
/// float32: all images in one go on the logits' device, copied to the CPU once, where images are
/// solved side by side on the caller's threads. The result does not depend on their number.
///
/// `logits` [B, Q, C], `boxes` [B, Q, 4] in centre form; `targets` of I images, B = L I: with
/// several decoder layers each is matched on its own, and image i of layer l is number l I + i. An
/// image without objects has no pairs; one with more objects than queries has Q, and the objects
/// whose pairs would cost most are left out. Throws kInvalidArgument for shapes, types or labels
/// that do not fit, kNumeric when a cost is NaN or infinite, naming image, query and object.
std::vector<Matching> match(const at::Tensor& logits, const at::Tensor& boxes,
                            const std::vector<DetectionTargets>& targets,
                            const DetectionWeights& weights = {});

}  // namespace lethe
