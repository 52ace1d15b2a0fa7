// The byte layout of an adapter file, format 1.0. Numbers are little-endian; n tensors, m bytes of
// manifest.
//
//   offset   bytes  field
//   0            4  0x184D2A5A, a skippable zstd frame
//   4            4  96 + m
//   8            8  "LETHEADP"                                   the fixed header begins
//   16           2  format major, 1                              another: kVersion
//   18           2  format minor, 0                              any
//   20           4  required features, none known                an unknown bit: kVersion
//   24           4  optional features, none known                unknown bits are ignored
//   28           4  n
//   32           8  m
//   40           8  raw bytes of all tensors
//   48           8  offset of the index frame
//   56          32  fingerprint of the base model
//   88           4  CRC32C of the manifest
//   92           8  reserved, zero
//   100          4  CRC32C of bytes 8 to 99                      the fixed header ends
//   104          m  manifest, a JSON object in UTF-8
//   104 + m         zstd frame: the safetensors length prefix and header
//                   n zstd frames: one tensor each, in the order of its data in the safetensors
//                   file
//   index        4  0x184D2A5B, a skippable zstd frame
//   +4           4  64 (n + 1) + 40
//   +8              n + 1 entries of 64 bytes, one for each zstd frame in file order:
//                     8  offset in the file
//                     8  stored (compressed) bytes
//                     8  raw bytes
//                     4  CRC32C of the stored bytes
//                     4  reserved, zero
//                    32  SHA-256 of the raw bytes
//                32  SHA-256 of the whole file up to here
//                 8  "LETHEEND", the end of the file
//
// Every zstd frame carries its content size and checksum, uses no dictionary, and its window is at
// most 2^23 bytes. Frames follow each other without gaps. What a later minor version puts into the
// reserved bytes it announces by a feature bit; a major version may change all but bytes 0 to 19.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/digest.h"
#include "storage/limits.h"

namespace lethe {

struct AdapterFixedHeader {
  uint32_t tensor_count;
  uint64_t manifest_bytes;
  uint64_t tensor_bytes;  ///< raw, of all tensors
  uint64_t index_offset;
  Digest base_fingerprint;
  uint32_t manifest_crc;
};

struct AdapterIndexEntry {
  uint64_t offset;
  uint64_t stored_bytes;
  uint64_t raw_bytes;
  uint32_t stored_crc;
  Digest raw_digest;
};

/// Bytes 0 up to the first zstd frame. The size and CRC of the manifest are taken from `manifest`
/// itself. The length of the result does not depend on `header`, so it can be encoded again when
/// the frames are made and `index_offset` is known.
std::string encode_adapter_head(AdapterFixedHeader header, std::string_view manifest);

/// The index frame with all but the file digest and the end magic.
std::string encode_adapter_index(const std::vector<AdapterIndexEntry>& entries);

/// The file digest over `bytes_before` and the end magic: the last bytes of the file.
std::string encode_adapter_tail(std::string_view bytes_before);

/// The parts of a file that decide where everything else lies.
struct AdapterLayout {
  AdapterFixedHeader header;
  std::string_view manifest;
  std::vector<AdapterIndexEntry> index;  ///< n + 1 entries that tile the file up to the index
};

/// Checks, in this order, the fixed header (CRC, version), the limits, the CRC of the manifest, the
/// index, the digest of the file and the CRC of every frame. Afterwards each frame of the index
/// lies inside `bytes` and its raw size is within the limits. kCorrupt, kVersion or kLimitExceeded.
AdapterLayout check_adapter_layout(std::string_view bytes, std::string_view what,
                                   const Limits& limits);

}  // namespace lethe
