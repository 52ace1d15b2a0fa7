// What a reader accepts from a file, checked before anything is allocated (abi.md, section 3.4).
#pragma once

#include <cstdint>

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

/// Whether `raw` bytes are an acceptable content for a file of `stored` bytes.
inline bool within_expansion(uint64_t raw, uint64_t stored, const Limits& limits) {
  return raw <= 1 << 20 || (raw - 1) / static_cast<uint64_t>(limits.expansion) < stored;
}

}  // namespace lethe
