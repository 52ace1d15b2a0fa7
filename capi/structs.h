// Structs that grow at their end: how callers and libraries of different age read each other's
// (abi.md, section 1.4).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "lethe/lethe.h"
#include "support/error.h"

namespace lethe::capi {

/// Size of a struct in the ABI that brought it, when `last` was its last field.
#define LETHE_SIZE_UP_TO(type, last) (offsetof(type, last) + sizeof(type::last))

template <typename T>
constexpr size_t kFirstSize = 0;
template <>
inline constexpr size_t kFirstSize<lethe_runtime_options> = LETHE_SIZE_UP_TO(lethe_runtime_options,
                                                                             reserved);
template <>
inline constexpr size_t kFirstSize<lethe_limits> = LETHE_SIZE_UP_TO(lethe_limits, reserved);
template <>
inline constexpr size_t kFirstSize<lethe_tensor_info> = LETHE_SIZE_UP_TO(lethe_tensor_info, count);
template <>
inline constexpr size_t kFirstSize<lethe_export_options> = LETHE_SIZE_UP_TO(lethe_export_options,
                                                                            reserved);
template <>
inline constexpr size_t kFirstSize<lethe_tensor_view> = LETHE_SIZE_UP_TO(lethe_tensor_view,
                                                                         byte_strides);
template <>
inline constexpr size_t kFirstSize<lethe_forget_config> = LETHE_SIZE_UP_TO(lethe_forget_config,
                                                                           reserved);
template <>
inline constexpr size_t kFirstSize<lethe_pretrain_config> = LETHE_SIZE_UP_TO(lethe_pretrain_config,
                                                                             reserved);
template <>
inline constexpr size_t kFirstSize<lethe_engine_options> = LETHE_SIZE_UP_TO(lethe_engine_options,
                                                                            reserved);
template <>
inline constexpr size_t kFirstSize<lethe_task_options> = LETHE_SIZE_UP_TO(lethe_task_options,
                                                                          reserved);
template <>
inline constexpr size_t kFirstSize<lethe_event> = LETHE_SIZE_UP_TO(lethe_event, progress);
template <>
inline constexpr size_t kFirstSize<lethe_job_status_info> = LETHE_SIZE_UP_TO(lethe_job_status_info,
                                                                             progress);
template <>
inline constexpr size_t kFirstSize<lethe_evaluate_options> =
    LETHE_SIZE_UP_TO(lethe_evaluate_options, reserved);

/// No struct will ever be larger: a size beyond it is a variable that nobody set.
constexpr size_t kLargestStruct = 64 << 10;

template <typename T>
void require_size(size_t size, const char* name) {
  static_assert(kFirstSize<T> > 0 && kFirstSize<T> <= sizeof(T));
  require(size >= kFirstSize<T> && size <= kLargestStruct, Code::kInvalidArgument, name,
          " has the struct_size ", size, ", this library knows ", kFirstSize<T>,
          " and more; set it with the init function or to sizeof");
}

template <typename T>
void write_fields(T* out, T fields, size_t size) {
  fields.struct_size = static_cast<uint32_t>(size);
  std::memset(static_cast<void*>(out), 0, size);
  std::memcpy(static_cast<void*>(out), &fields, std::min(size, sizeof(T)));
}

/// The body of an init function: `defaults`, and zeros in fields that only the caller knows.
template <typename T>
void init_struct(T* out, size_t size, const T& defaults, const char* name) {
  require(out, Code::kInvalidArgument, name, " is NULL");
  require_size<T>(size, name);
  write_fields(out, defaults, size);
}

/// A caller's struct under this library's layout. Fields that the caller does not know have the
/// value of `defaults`; fields that this library does not know must be zero.
template <typename T>
T read_struct(const T* given, const T& defaults, const char* name) {
  const size_t size = given->struct_size;
  require_size<T>(size, name);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof(T); i < size; ++i) {
    require(bytes[i] == 0, Code::kInvalidArgument, name, " sets a field at byte ", i,
            " that this library does not know; leave it at zero or use a newer library");
  }
  T read = defaults;
  std::memcpy(static_cast<void*>(&read), given, std::min(size, sizeof(T)));
  return read;
}

/// Bytes named `reserved`: a value in them is a setting that this library cannot honour.
template <typename T>
void require_reserved(const T& reserved, const char* name) {
  static constexpr T kZero{};
  require(std::memcmp(&reserved, &kZero, sizeof(T)) == 0, Code::kInvalidArgument, name,
          " has a value in its reserved bytes; fill the struct with its init function first");
}

/// An output struct of the caller: checks its size and empties it, so that failures leave zeros.
template <typename T>
size_t clear_struct(T* out, const char* name) {
  require(out, Code::kInvalidArgument, name, " is NULL");
  const size_t size = out->struct_size;
  require_size<T>(size, name);
  write_fields(out, T{}, size);
  return size;
}

}  // namespace lethe::capi
