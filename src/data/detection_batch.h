// Samples as a detector takes them.
#pragma once

#include <vector>

#include "data/detection_sample.h"
#include "data/transform.h"
#include "models/detection.h"
#include "models/detector_spec.h"
#include "models/image_batch.h"
#include "support/random.h"

namespace lethe {

/// Images on one canvas, and what is in them.
struct DetectionBatch : ImageBatch {
  /// float32 boxes in shares of each image without its padding, as Deformable DETR has them: its
  /// queries look at parts of the image, and only where they look is scaled to the canvas. Crowds
  /// are left out.
  std::vector<DetectionTargets> targets;
};

/// The mean and standard deviation that torchvision's pre-trained backbones expect.
inline Transform imagenet_values() {
  Transform values;
  values.mean = {0.485, 0.456, 0.406};
  values.std = {0.229, 0.224, 0.225};
  return values;
}

/// At least one sample. `values`: mean and std; its geometry must be empty, as boxes would not
/// follow. Throws kInvalidArgument.
DetectionBatch batch_of(const std::vector<DetectionSample>& samples,
                        const Transform& values = imagenet_values());

/// The image as a model of this spec looks at it: resized (resize_shorter), or as it is.
DetectionSample resized_for(const DetectorSpec& spec, const DetectionSample& sample);

/// The image as a model of this spec is trained with it: flipped, resized and cropped at random, as
/// DETR's training does, the sizes in proportion to the spec's (or, where it has none, the image's)
/// shorter side. The same state of `stream` gives the same result.
DetectionSample augmented_for(const DetectorSpec& spec, const DetectionSample& sample,
                              RandomStream& stream);

/// The objects that are no crowds, in shares of an image of this size.
DetectionTargets targets_of(const std::vector<DetectionObject>& objects, int64_t height,
                            int64_t width);

}  // namespace lethe
