// The adapter checkpoint container, format 1 (".lethe"; abi.md, section 3):
//
//   skippable zstd frame   fixed 96-byte header + manifest (UTF-8 JSON)
//   zstd frame             safetensors length + header
//   zstd frame x n         one per tensor, in safetensors order
//   skippable zstd frame   index: per frame offset, sizes, CRC32C, SHA-256; file digest; end magic
//
// A plain zstd reader skips the Lethe frames, so `zstd -d` gives an ordinary safetensors file.
// This file knows bytes and limits, not methods: what the manifest means is adapters/'s business.
#pragma once

#include <string>
#include <string_view>

#include "storage/digest.h"
#include "storage/limits.h"
#include "storage/safetensors.h"

namespace lethe {

inline constexpr int kDefaultLevel = 3;  ///< of compression

struct AdapterFile {
  Json manifest;            ///< an object; the writer adds nothing to it
  Digest base_fingerprint;  ///< of the base model it belongs to; also in the fixed header
  Weights tensors;          ///< float32 (or float16/bfloat16) on the CPU
};

/// The whole container in memory, read back once before it is returned. Equal input and level (1 to
/// 22) give equal bytes within one build. kLimitExceeded for what the reader would refuse, kNumeric
/// for NaN and infinite values, kInvalidArgument for other types, devices and manifests.
std::string serialize_adapter_file(const AdapterFile& file, int level = kDefaultLevel,
                                   const Limits& limits = {});

/// Checks in this order: fixed header CRC and version, limits, manifest CRC, file digest, index,
/// structure, tensors with their digests. Throws kCorrupt, kLimitExceeded or kVersion; nothing is
/// returned before the last check. Non-finite tensor values are kCorrupt.
AdapterFile parse_adapter_file(std::string_view bytes, std::string_view what,
                               const Limits& limits = {});

/// parse_adapter_file(read_file(path)).
AdapterFile read_adapter_file(const std::string& path, const Limits& limits = {});

/// Serialises, writes atomically, then reads the file back and compares it before returning.
void write_adapter_file(const std::string& path, const AdapterFile& file, int level = kDefaultLevel,
                        const Limits& limits = {});

}  // namespace lethe
