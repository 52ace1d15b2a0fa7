// What a detector is, before it has weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/json.h"

namespace lethe {

/// A Deformable DETR (Zhu et al. 2021). Defaults are those of the published COCO model.
struct DetectorSpec {
  std::string arch = "deformable_detr";
  int64_t classes = 91;  ///< sigmoid outputs; no background class
  /// "resnet18", "resnet34", "resnet50", or "features": the caller brings the feature maps.
  std::string backbone = "resnet50";
  /// Channels of a ResNet's first stage, 8 to 256 in steps of 8; the published ones have 64.
  int64_t backbone_width = 64;
  /// Channels of the maps that the backbone gives, finest first. With "features" they are a field
  /// of their own; otherwise the backbone and feature_levels say them.
  std::vector<int64_t> feature_channels;
  /// 1: the backbone's last stage (stride 32); 2: its last two; 3: strides 8, 16, 32; 4 and 5 add
  /// one and two levels, each half as large as the one before.
  int64_t feature_levels = 4;
  int64_t dim = 256;
  int64_t heads = 8;
  int64_t encoder_layers = 6;
  int64_t decoder_layers = 6;
  int64_t ffn_dim = 1024;
  int64_t points = 4;  ///< sampled by each head on each level
  int64_t queries = 300;
  double dropout = 0.1;
  /// Images are resized so that the shorter side has so many pixels and the longer one at most
  /// longest_side; 0: they are taken as they are.
  int64_t shorter_side = 800;
  int64_t longest_side = 1333;
  bool refine_boxes = false;  ///< each decoder layer starts from the boxes of the one before
  bool two_stage = false;  ///< queries come from the encoder's best proposals; needs refine_boxes
  bool auxiliary_losses = false;  ///< training looks at every decoder layer, not only the last
  int64_t seed = 1337;

  /// The defaults overwritten by the given fields; "arch" is required. Throws kInvalidArgument
  /// naming the field and what is allowed.
  static DetectorSpec from_json(const Json& json);
  Json to_json() const;

  /// Whether the backbone is a ResNet of this library.
  bool has_backbone() const { return backbone != "features"; }
  /// How many levels are made by convolutions beyond the backbone's maps.
  int64_t extra_levels() const {
    return feature_levels - static_cast<int64_t>(feature_channels.size());
  }
};

}  // namespace lethe
