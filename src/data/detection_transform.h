// Changes of geometry that boxes follow, and the augmentation that DETR is trained with. Source:
// Carion et al. 2020 (DETR), Zhu et al. 2021 (Deformable DETR), datasets/transforms.py of both.
#pragma once

#include <cstdint>
#include <vector>

#include "data/detection_sample.h"
#include "support/random.h"

namespace lethe {

/// The shorter side to `shorter` pixels, the longer one in proportion, floored; where that would
/// exceed `longest`, the shorter side becomes round(longest * short / long) first, halves to even,
/// whose rounding may put the longer one a little above `longest`, as in DETR. Bilinear with
/// antialias as Transform resizes. Boxes and areas are scaled by the true ratios of the sides.
/// Throws kInvalidArgument unless 1 <= shorter <= longest <= 16384.
DetectionSample resize_shorter(const DetectionSample& sample, int64_t shorter, int64_t longest);

/// Left and right exchanged: x becomes width - x.
DetectionSample flip_horizontally(const DetectionSample& sample);

/// The part of `height` x `width` pixels at (left, top). Boxes are cut at its border, an object's
/// area becomes that of its cut box, objects of which no area is left are dropped; as in DETR, an
/// object stays however little of it is left. Throws kInvalidArgument when the part is empty or
/// leaves the image.
DetectionSample crop(const DetectionSample& sample, int64_t top, int64_t left, int64_t height,
                     int64_t width);

/// Training augmentation: flip or not; then, evenly, either resize to one of `sizes`, or resize to
/// one of `sizes_before_crop`, crop a random part with sides of `crop_least` to `crop_most` pixels,
/// and resize that to one of `sizes`. Every choice is uniform. The values are those for COCO, whose
/// images are looked at with a shorter side of 800 pixels.
struct DetectionAugmentation {
  std::vector<int64_t> sizes = {480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800};
  int64_t longest = 1333;                                    ///< limit after the last resize
  std::vector<int64_t> sizes_before_crop = {400, 500, 600};  ///< empty: never crop
  int64_t crop_least = 384, crop_most = 600;                 ///< a shorter side is taken whole
  bool flip = true;

  /// All pixels in proportion to `shorter` instead of 800, at least 1; `longest` as given, but not
  /// under the largest size. Throws kInvalidArgument.
  static DetectionAugmentation scaled_to(int64_t shorter, int64_t longest);

  /// Throws kInvalidArgument when a field is out of range.
  void validate() const;
  /// The same state of `stream` gives the same result. Throws kInvalidArgument.
  DetectionSample apply(const DetectionSample& sample, RandomStream& stream) const;
};

}  // namespace lethe
