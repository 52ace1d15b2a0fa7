// What a model is, before it has weights.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/head_kind.h"
#include "support/json.h"

namespace lethe {

/// The fields and their meaning are documented at lethe_model_create in lethe.h. "face_vits" is
/// "face_vit" on overlapping patches: windows of patch_size pixels, patch_stride apart, the image
/// framed with patch_padding zeros. Its fields, beside those that all have:
///   patch_size     side of a window, default 12
///   patch_stride   1 to patch_size, default 8
///   patch_padding  0 to patch_size - 1, default 4
/// The windows must reach the image's last row and column. The other architectures have no such
/// fields: their patches lie side by side.
struct ModelSpec {
  std::string arch;
  int64_t classes = 0;
  int64_t image_size = 0;
  int64_t channels = 3;
  int64_t patch_size = 0;
  int64_t patch_stride = 0;  ///< 0: patches lie side by side
  int64_t patch_padding = 0;
  int64_t dim = 0;
  int64_t depth = 0;
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t mlp_dim = 0;
  double dropout = 0;
  double layer_norm_eps = 0;
  HeadKind head = HeadKind::kLinear;
  double head_scale = 64;
  double head_margin = 0;
  bool scale_by_model_dim = false;  ///< attention_scale: "dim" instead of "head_dim"
  std::vector<std::string> adapter_layers = {"fc1", "fc2"};
  int64_t seed = 1337;

  /// The published model of that architecture: ViT-B/16 for "vit", ViT-P8S8 for "face_vit", its
  /// variant ViT-P12S8 for "face_vits" (algorithm.md 2.1, 2.4). Throws kNotFound naming the known
  /// ones.
  static ModelSpec defaults(const std::string& arch);
  /// defaults() overwritten by the given fields; "arch" is required. Throws kInvalidArgument.
  static ModelSpec from_json(const Json& json);
  Json to_json() const;

  bool overlapping_patches() const { return patch_stride > 0; }
  int64_t patches_per_side() const {
    if (!overlapping_patches()) return image_size / patch_size;
    return (image_size + 2 * patch_padding - patch_size) / patch_stride + 1;
  }
  int64_t tokens() const { return patches_per_side() * patches_per_side() + 1; }
  double attention_scale() const;
};

}  // namespace lethe
