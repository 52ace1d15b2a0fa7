// Tensors in the words of error messages.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "support/error.h"

namespace lethe {

/// Such as "[60000, 1, 28, 28]".
inline std::string describe(at::IntArrayRef shape) { return lethe::str(shape); }

/// Type and shape, such as "uint8 [60000, 1, 28, 28]".
inline std::string describe(const at::Tensor& tensor) {
  if (!tensor.defined()) return "an undefined tensor";
  const auto type = [&]() -> std::string {
    switch (tensor.scalar_type()) {
      case at::kByte:
        return "uint8";
      case at::kHalf:
        return "float16";
      case at::kFloat:
        return "float32";
      case at::kDouble:
        return "float64";
      case at::kInt:
        return "int32";
      case at::kLong:
        return "int64";
      default:
        return c10::toString(tensor.scalar_type());
    }
  };
  return type() + " " + describe(tensor.sizes());
}

}  // namespace lethe
