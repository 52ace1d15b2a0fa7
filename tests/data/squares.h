// Images with a coloured square or none, and a detector that is small enough to learn them.
#pragma once

#include <ATen/ATen.h>

#include "data/detection_dataset.h"
#include "models/detector_spec.h"
#include "support/random.h"

namespace lethe::testing {

/// Of 32 x 32 pixels and a few thousand numbers.
inline Json tiny_detector_spec() {
  return {{"arch", "deformable_detr"},
          {"classes", 3},
          {"backbone", "resnet18"},
          {"backbone_width", 8},
          {"feature_levels", 2},
          {"dim", 32},
          {"heads", 2},
          {"encoder_layers", 1},
          {"decoder_layers", 2},
          {"ffn_dim", 32},
          {"points", 2},
          {"queries", 4},
          {"dropout", 0.0},
          {"shorter_side", 0},
          {"refine_boxes", true},
          {"auxiliary_losses", true}};
}

/// Grey images, number i with a square of colour i mod 3 (category 0 red, 1 green, 2 blue); the
/// last one is empty.
inline DetectionDataset squares(int64_t count, uint64_t seed = 3) {
  RandomStream random(seed, "squares");
  std::vector<DetectionImage> list;
  for (int64_t i = 0; i < count; ++i) {
    DetectionImage image;
    image.id = i;
    image.pixels = at::full({3, 32, 32}, 100, at::kByte);
    if (i + 1 < count) {
      const auto side = static_cast<int64_t>(10 + random.below(8));
      const auto left = static_cast<int64_t>(random.below(32 - side));
      const auto top = static_cast<int64_t>(random.below(32 - side));
      image.pixels.narrow(1, top, side).narrow(2, left, side).zero_();
      image.pixels[i % 3].narrow(0, top, side).narrow(1, left, side).fill_(255);
      const auto at = [](int64_t x) { return static_cast<double>(x); };
      image.objects = {
          {i % 3, {at(left), at(top), at(left + side), at(top + side)}, at(side * side), false}};
    }
    list.push_back(std::move(image));
  }
  return DetectionDataset({{1, "red"}, {2, "green"}, {3, "blue"}}, std::move(list));
}

}  // namespace lethe::testing
