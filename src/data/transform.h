// How a decoded image becomes a model's input. Every conversion is asked for; nothing is guessed.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "support/json.h"

namespace lethe {

/// Steps in the order they run; a zero or empty field is skipped. Geometry works on uint8 images
/// and is done once, when a data set is made; value steps run per batch.
///
///   {"resize": 256, "center_crop": 224, "pad": 2, "channels": 3,
///    "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
struct Transform {
  /// Shorter side to this many pixels, the longer one to floor(resize * long / short): bilinear
  /// with antialias, computed in float32 and rounded, as torchvision resizes uint8 tensors.
  int64_t resize = 0;
  /// Then a central square of this side; offsets round half to even, as torchvision's. A smaller
  /// image is refused: torchvision would fill it up with black.
  int64_t center_crop = 0;
  int64_t pad = 0;           ///< then this many zero pixels on each side
  int64_t channels = 0;      ///< 1: grey (ITU-R 601 luma) from RGB; 3: RGB from grey by repetition
  std::vector<double> mean;  ///< after scaling to [0, 1]; one value or one per channel
  std::vector<double> std;   ///< likewise; each at least 1e-6

  /// Reads the object above strictly. Throws kInvalidArgument.
  static Transform from_json(const Json& json);
  /// Only the fields that do something; from_json(to_json()) gives an equal transform.
  Json to_json() const;

  /// Throws kInvalidArgument when a field is out of range, whoever filled it.
  void validate() const;

  /// Whether apply_geometry() can change an image.
  bool has_geometry() const { return resize || center_crop || pad || channels; }

  /// The geometry and channel steps. uint8 [C,H,W] or [N,C,H,W] in, the same form out; the result
  /// may share memory with `images`. Throws kInvalidArgument.
  at::Tensor apply_geometry(const at::Tensor& images) const;
  /// uint8 [B,C,H,W] -> new float32 (x / 255 - mean) / std; float32 input is not divided by 255.
  /// Throws kInvalidArgument when `mean` or `std` has neither one value nor C.
  at::Tensor apply_values(const at::Tensor& images) const;
};

}  // namespace lethe
