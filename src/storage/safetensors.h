// The safetensors format: an 8-byte header length, a JSON header, raw little-endian tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "storage/limits.h"

namespace lethe {

/// Tensors by name, in name order. The tensors of a model, a checkpoint, a batch of golden numbers.
using Weights = std::map<std::string, at::Tensor>;

using Metadata = std::map<std::string, std::string>;

struct SafetensorsFile {
  Weights tensors;    ///< CPU, contiguous, owning, in the file's own dtype
  Metadata metadata;  ///< "__metadata__"
};

/// Parses a whole file in memory. Refuses (kCorrupt) a truncated header, duplicate names, unknown
/// dtypes, shapes whose byte count differs from the offsets, gaps, overlaps, trailing bytes and
/// truth values other than 0 and 1; kLimitExceeded beyond `limits`. `what` names the file in
/// messages.
SafetensorsFile parse_safetensors(std::string_view bytes, std::string_view what,
                                  const Limits& limits = {});

/// read_file() and parse_safetensors().
SafetensorsFile read_safetensors(const std::string& path, const Limits& limits = {});

/// A whole file in memory; equal input gives equal bytes. The data of wide elements comes first and
/// then that of earlier names, as in files of the official writer, so every tensor is aligned.
/// Tensors must be dense and lie on the CPU; non-contiguous ones are copied. kInvalidArgument for a
/// tensor or name that the format cannot hold, kLimitExceeded for what the reader would refuse.
std::string serialize_safetensors(const Weights& tensors, const Metadata& metadata = {},
                                  const Limits& limits = {});

/// serialize and write_file_atomically(), without a second copy in memory.
void write_safetensors(const std::string& path, const Weights& tensors,
                       const Metadata& metadata = {}, const Limits& limits = {});

/// The safetensors name of a dtype ("F32", "F16", "BF16", "I64", ...); throws kUnsupported.
std::string_view dtype_name(at::ScalarType type);
/// Its inverse; throws kCorrupt for an unknown name. `where` says in the message who has it.
at::ScalarType dtype_from_name(std::string_view name, std::string_view where = "a tensor");

// The parts of the format, for files that keep header and tensors apart.

struct SafetensorsEntry {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  int64_t begin, end;  ///< bytes, from the end of the header
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in data order: the first begins at 0, no gaps
  Metadata metadata;
  int64_t header_bytes;  ///< length prefix included: where the data begins
  int64_t data_bytes;    ///< where the data ends, from the end of the header
};

/// Parses the header at the start of `bytes` with every check that needs no data.
SafetensorsHeader parse_safetensors_header(std::string_view bytes, std::string_view what,
                                           const Limits& limits = {});

/// The header (length prefix included, padded to 8 bytes) of a file of these tensors.
std::string safetensors_header(const Weights& tensors, const Metadata& metadata = {},
                               const Limits& limits = {});

/// The raw byte count of a tensor. kLimitExceeded beyond `limits`, kCorrupt for a negative or
/// overflowing shape; `name` names the tensor.
int64_t checked_tensor_bytes(const std::vector<int64_t>& shape, at::ScalarType dtype,
                             std::string_view name, const Limits& limits);

/// kCorrupt unless every element of a boolean tensor is a 0 or 1 byte, as LibTorch relies on.
void check_booleans(const at::Tensor& tensor, std::string_view name);

}  // namespace lethe
