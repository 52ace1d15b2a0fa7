// Checksums and digests: SHA-256 (libsodium) for identity, CRC32C for accidents.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace at {
class Tensor;
}

namespace lethe {

using Digest = std::array<uint8_t, 32>;

/// Incremental SHA-256.
class Sha256 {
 public:
  Sha256();
  Sha256& update(const void* data, size_t size);
  Sha256& update(std::string_view text) { return update(text.data(), text.size()); }
  /// The digest of everything so far. The object must not be used afterwards.
  Digest finish();

 private:
  alignas(8) unsigned char state_[128];
};

Digest sha256(const void* data, size_t size);
inline Digest sha256(std::string_view text) { return sha256(text.data(), text.size()); }

/// Digest of a tensor's elements in row-major little-endian order. The tensor lies on the CPU.
Digest sha256(const at::Tensor& tensor);

/// 64 lower-case hexadecimal digits.
std::string hex(const Digest& digest);
/// The inverse of hex(). Throws kCorrupt; `what` names the value in the message.
Digest digest_from_hex(std::string_view text, std::string_view what);

/// CRC32C (Castagnoli), as leveldb and iSCSI use it. `crc` continues an earlier call.
uint32_t crc32c(const void* data, size_t size, uint32_t crc = 0);

}  // namespace lethe
