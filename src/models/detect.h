// Images to what a detector finds in them.
#pragma once

#include <vector>

#include "models/deformable_detr.h"
#include "models/image_batch.h"
#include "models/post_process.h"

namespace lethe {

/// The `most` surest finds in each image, best first (detections_of), without dropout or gradients.
/// `backbone`: model.backbone(weights), made once for all batches. `images` on any device; they are
/// taken to that of the weights, where the results are. `sizes`: of the original images, in whose
/// pixels the boxes are told; resizing them for the model is the caller's. Throws kInvalidArgument
/// for images or sizes that do not fit.
std::vector<Detections> detect(const DeformableDetr& model, const ResNet& backbone,
                               const Weights& weights, const ImageBatch& images,
                               const std::vector<ImageSize>& sizes, int64_t most = 100);

}  // namespace lethe
