#include "tensor_view.h"

#include <ATen/ops/from_blob.h>

#include <array>
#include <vector>

#include "data/describe.h"
#include "structs.h"
#include "support/error.h"

namespace lethe::capi {
namespace {

constexpr int32_t kMaxDimensions = 8;

at::ScalarType scalar_type(lethe_dtype dtype, const char* name) {
  switch (dtype) {
    case LETHE_U8:
      return at::kByte;
    case LETHE_I64:
      return at::kLong;
    case LETHE_F32:
      return at::kFloat;
    case LETHE_F16:
      return at::kHalf;
    case LETHE_BF16:
      return at::kBFloat16;
  }
  fail(Code::kInvalidArgument, name, " has the dtype ", dtype,
       ", which is none of LETHE_U8 (1) to ", "LETHE_BF16 (5)");
}

int64_t multiply(int64_t a, int64_t b, const char* name) {
  int64_t product = 0;
  require(!__builtin_mul_overflow(a, b, &product), Code::kInvalidArgument, name,
          " has a shape or strides whose product does not fit 64 bits");
  return product;
}

int64_t add(int64_t a, int64_t b, const char* name) {
  int64_t sum = 0;
  require(!__builtin_add_overflow(a, b, &sum), Code::kInvalidArgument, name,
          " has a shape or strides whose sum does not fit 64 bits");
  return sum;
}

/// Strides in elements.
std::vector<int64_t> strides_of(const lethe_tensor_view& view, int64_t element, const char* name) {
  std::vector<int64_t> strides(view.ndim);
  if (view.byte_strides) {
    for (int32_t i = 0; i < view.ndim; ++i) {
      const int64_t stride = view.byte_strides[i];
      require(stride >= 0 && stride % element == 0, Code::kInvalidArgument, name,
              " has the byte stride ", stride, " in dimension ", i,
              "; it must be 0 or a positive multiple of the element size, ", element);
      strides[i] = stride / element;
    }
    return strides;
  }
  int64_t stride = 1;
  for (int32_t i = view.ndim; i-- > 0;) {
    strides[i] = stride;
    stride = multiply(stride, view.shape[i], name);
  }
  return strides;
}

}  // namespace

at::Tensor borrow(const lethe_tensor_view* given, const char* name) {
  require(given, Code::kInvalidArgument, name, " is NULL");
  const auto view = read_struct(given, lethe_tensor_view{}, name);
  require_reserved(view.reserved0, name);
  const at::ScalarType type = scalar_type(view.dtype, name);
  const auto element = static_cast<int64_t>(c10::elementSize(type));
  require(view.ndim >= 0 && view.ndim <= kMaxDimensions, Code::kInvalidArgument, name, " has ndim ",
          view.ndim, ", allowed is 0 to ", kMaxDimensions);
  require(view.shape || view.ndim == 0, Code::kInvalidArgument, name, " has no shape (NULL)");

  int64_t count = 1;
  for (int32_t i = 0; i < view.ndim; ++i) {
    require(view.shape[i] >= 0, Code::kInvalidArgument, name, " has the size ", view.shape[i],
            " in dimension ", i, "; it must not be negative");
    count = multiply(count, view.shape[i], name);
  }
  const std::vector<int64_t> strides = strides_of(view, element, name);
  int64_t end = count == 0 ? 0 : 1;  // in elements, past the last one
  for (int32_t i = 0; count > 0 && i < view.ndim; ++i) {
    end = add(end, multiply(view.shape[i] - 1, strides[i], name), name);
  }
  const int64_t bytes = multiply(end, element, name);
  require(static_cast<uint64_t>(bytes) <= view.size, Code::kInvalidArgument, name, " needs ", bytes,
          " bytes for its shape and strides, but its size is ", view.size);
  require(view.data || count == 0, Code::kInvalidArgument, name, " has no data (NULL)");
  require(reinterpret_cast<uintptr_t>(view.data) % element == 0, Code::kInvalidArgument, name,
          " has data at an address that is not a multiple of the element size, ", element);

  // LibTorch wants an address even for no elements; it reads nothing there.
  static const std::array<char, 8> kNothing{};
  void* data = const_cast<void*>(count == 0 ? kNothing.data() : view.data);
  return at::from_blob(data, at::IntArrayRef(view.shape, view.ndim), strides,
                       at::TensorOptions().dtype(type));
}

at::Tensor borrow(const lethe_tensor_view* view, const char* name, at::ScalarType type,
                  int64_t dimensions, const char* layout) {
  const at::Tensor tensor = borrow(view, name);
  require(tensor.scalar_type() == type && tensor.dim() == dimensions, Code::kInvalidArgument, name,
          " is ", describe(tensor), ", it must be ", layout);
  return tensor;
}

}  // namespace lethe::capi
