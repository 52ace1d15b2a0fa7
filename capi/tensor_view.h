// A caller's array as a tensor over the same memory, checked before anything reads it.
#pragma once

#include <ATen/core/Tensor.h>

#include "lethe/lethe.h"

namespace lethe::capi {

/// Throws kInvalidArgument unless the view describes memory that can be read as it says: known
/// type, sizes without overflow, every element inside `size` bytes, aligned. `name` is the
/// parameter's.
at::Tensor borrow(const lethe_tensor_view* view, const char* name);

/// borrow(), and the tensor must have this type and number of dimensions; `layout` spells them out.
at::Tensor borrow(const lethe_tensor_view* view, const char* name, at::ScalarType type,
                  int64_t dimensions, const char* layout);

}  // namespace lethe::capi
