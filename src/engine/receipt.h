// Signed evidence of what was done: one line of canonical JSON a receipt, each naming the digest of
// the line before it. Ed25519 (libsodium) and SHA-256.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "support/json.h"

namespace lethe {

using PublicKey = std::array<uint8_t, 32>;

/// The key that signs an engine's receipts.
class SigningKey {
 public:
  using Seed = std::array<uint8_t, 32>;
  explicit SigningKey(const Seed& seed);
  ~SigningKey();  ///< wipes it from memory
  SigningKey(const SigningKey&) = delete;
  SigningKey& operator=(const SigningKey&) = delete;

  /// A seed that nobody else has.
  static Seed new_seed();

  const PublicKey& public_key() const { return public_key_; }
  std::array<uint8_t, 64> sign(std::string_view text) const;

 private:
  PublicKey public_key_;
  std::array<uint8_t, 64> secret_key_;
};

/// The line of a receipt: {"key", "receipt": {..., "number", "previous"}, "signature"}, keys
/// sorted, no spaces, no end of line. The signature is over the text of the value of "receipt".
std::string sign_receipt(Json receipt, int64_t number, const std::string& previous,
                         const SigningKey& key);

/// What a look at a chain finds.
struct ChainFindings {
  int64_t good = 0;  ///< receipts before the first break
  struct Break {
    int64_t line;            ///< 1 is the first
    std::string request_id;  ///< "" when it cannot be told
    std::string reason;
  };
  std::optional<Break> first_break;
};

/// Checks lines, oldest first, each ended by '\n': their form, signatures, numbers and links.
/// `key`: what all must be signed with; absent: each with the key it names.
ChainFindings verify_receipts(std::string_view lines, const std::optional<PublicKey>& key);

}  // namespace lethe
