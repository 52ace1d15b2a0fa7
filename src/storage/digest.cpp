#include "storage/digest.h"

#include <ATen/ATen.h>
#include <sodium.h>

#include <new>

#include "support/error.h"
#include "support/json.h"

namespace lethe {
namespace {

crypto_hash_sha256_state* sodium_state(unsigned char* bytes) {
  return std::launder(reinterpret_cast<crypto_hash_sha256_state*>(bytes));
}

constexpr std::array<uint32_t, 256> make_crc32c_table() {
  constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, bits reversed
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ kPolynomial : crc >> 1;
    table[byte] = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrc32cTable = make_crc32c_table();

}  // namespace

Sha256::Sha256() {
  static_assert(sizeof(crypto_hash_sha256_state) <= sizeof state_);
  static_assert(alignof(crypto_hash_sha256_state) <= 8);
  crypto_hash_sha256_init(new (state_) crypto_hash_sha256_state);
}

Sha256& Sha256::update(const void* data, size_t size) {
  crypto_hash_sha256_update(sodium_state(state_), static_cast<const unsigned char*>(data), size);
  return *this;
}

Digest Sha256::finish() {
  Digest digest;
  crypto_hash_sha256_final(sodium_state(state_), digest.data());
  return digest;
}

Digest sha256(const void* data, size_t size) { return Sha256().update(data, size).finish(); }

Digest sha256(const at::Tensor& tensor) {
  require(tensor.defined() && tensor.device().is_cpu() && tensor.layout() == at::kStrided,
          Code::kInvalidArgument, "only a dense tensor on the CPU can be digested; copy it there");
  const at::Tensor rows = tensor.contiguous();
  return sha256(rows.const_data_ptr(), rows.nbytes());
}

std::string hex(const Digest& digest) {
  char text[2 * sizeof(Digest) + 1];
  return sodium_bin2hex(text, sizeof text, digest.data(), digest.size());
}

Digest digest_from_hex(std::string_view text, std::string_view what) {
  require(text.size() == 2 * sizeof(Digest) &&
              text.find_first_not_of("0123456789abcdef") == std::string_view::npos,
          Code::kCorrupt, what, " must be 64 lower-case hexadecimal digits, not ", in_quotes(text));
  Digest digest;
  sodium_hex2bin(digest.data(), digest.size(), text.data(), text.size(), nullptr, nullptr, nullptr);
  return digest;
}

uint32_t crc32c(const void* data, size_t size, uint32_t crc) {
  crc = ~crc;
  for (const auto* byte = static_cast<const uint8_t*>(data); size > 0; --size, ++byte) {
    crc = kCrc32cTable[(crc ^ *byte) & 0xff] ^ crc >> 8;
  }
  return ~crc;
}

}  // namespace lethe
