// Images of different sizes as one tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace lethe {

/// Each image in the upper left corner of a common canvas.
struct ImageBatch {
  at::Tensor pixels;   ///< float32 [B, 3, H, W], normalised; zero in the padding
  at::Tensor padding;  ///< bool [B, H, W], true outside the image

  /// Images [3, H_i, W_i] on the smallest canvas that holds them. Throws kInvalidArgument for none,
  /// or one of another form.
  static ImageBatch of(const std::vector<at::Tensor>& images);
};

}  // namespace lethe
