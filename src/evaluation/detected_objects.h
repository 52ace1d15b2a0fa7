// From what a detector found to what its average precision is computed from.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "evaluation/average_precision.h"
#include "models/detection.h"

namespace lethe {

/// The detections of one image (boxes in its own pixels), in their order, a label being a category.
/// Those of other categories than `categories` are left out, as COCO's evaluation does: a
/// classifier has outputs for numbers that no category bears. Copies to the CPU. Throws
/// kInvalidArgument when the three tensors are not of one length.
std::vector<DetectedObject> detected_objects(const Detections& found, int64_t image,
                                             const std::set<int64_t>& categories);

}  // namespace lethe
