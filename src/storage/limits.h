// What a reader accepts from a file, checked before anything is allocated (abi.md, section 3.4).
#pragma once

#include <cstdint>
#include <limits>

#include "support/json.h"

namespace lethe {

/// All values are positive.
struct Limits {
  int64_t file_bytes = int64_t{2} << 30;
  int64_t header_bytes = 16 << 20;  ///< manifest, safetensors header and pickle, each
  int64_t tensors = 16'384;
  int64_t total_bytes = int64_t{4} << 30;   ///< raw tensor bytes of the whole file
  int64_t tensor_bytes = int64_t{1} << 30;  ///< raw bytes of one tensor
  int64_t dimensions = 8;
  int64_t dimension_size = INT32_MAX;
  int64_t expansion = 1000;  ///< raw : file bytes, applied above 1 MiB raw
  int window_log = 23;       ///< largest zstd window, 2^23 bytes
  JsonLimits json;           ///< its max_bytes gives way to header_bytes
};

/// For files and texts that this library wrote itself, which were as large as memory allowed. Only
/// what bounds recursion, and what the writer goes by too, stays.
inline Limits own_limits() {
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max() / 2;
  Limits limits;
  limits.file_bytes = limits.header_bytes = limits.tensors = kNone;
  limits.total_bytes = limits.tensor_bytes = limits.dimension_size = limits.expansion = kNone;
  limits.json.max_bytes = limits.json.max_keys = limits.json.max_string_bytes = kNone;
  return limits;
}

/// Whether `raw` bytes are an acceptable content for a file of `stored` bytes.
inline bool within_expansion(uint64_t raw, uint64_t stored, const Limits& limits) {
  return raw <= 1 << 20 || (raw - 1) / static_cast<uint64_t>(limits.expansion) < stored;
}

}  // namespace lethe
