// An image with the objects in it, before it is a detector's input. Batches, where boxes are shares
// of the image, are made of these by detection_batch.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lethe {

/// Corners in pixels of the image; x grows to the right, y downwards, and pixel (0, 0) covers [0,
/// 1) in both. So a box around one pixel has the size 1.
struct BoxCorners {
  double left = 0, top = 0, right = 0, bottom = 0;

  double width() const { return right - left; }
  double height() const { return bottom - top; }
  bool operator==(const BoxCorners&) const = default;
};

/// One object in an image. The box lies inside the image and has an area.
struct DetectionObject {
  int64_t label = 0;  ///< 0 to C - 1
  BoxCorners box;
  double area = 0;  ///< square pixels: of the outline where its source knows it, else of the box
  /// Not to be learnt from, and a detection there is neither right nor wrong: a crowd (COCO), or an
  /// object that is too difficult (Pascal VOC).
  bool crowd = false;

  bool operator==(const DetectionObject&) const = default;
};

/// One image and what is in it.
struct DetectionSample {
  at::Tensor image;  ///< uint8 [3, H, W]
  std::vector<DetectionObject> objects;
};

}  // namespace lethe
