#include "engine/receipt.h"

#include <sodium.h>

#include <algorithm>

#include "storage/digest.h"
#include "storage/limits.h"
#include "support/error.h"

namespace lethe {
namespace {

void start_sodium() { require(sodium_init() >= 0, Code::kInternal, "libsodium cannot start"); }

template <size_t n>
std::string hex_of(const std::array<uint8_t, n>& bytes) {
  std::string text(2 * n + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), bytes.data(), n);
  text.pop_back();
  return text;
}

template <size_t n>
std::array<uint8_t, n> bytes_of(const Json& value, const char* name) {
  require(value.is_string(), Code::kCorrupt, "it has no \"", name, "\"");
  const auto& text = value.get_ref<const std::string&>();
  std::array<uint8_t, n> bytes{};
  size_t size = 0;
  const bool read =
      text.size() == 2 * n &&
      sodium_hex2bin(bytes.data(), n, text.data(), text.size(), nullptr, &size, nullptr) == 0;
  require(read && size == n, Code::kCorrupt, "its \"", name, "\" is not ", 2 * n,
          " hexadecimal digits");
  return bytes;
}

/// Throws an Error whose message says what is wrong with the line.
void check_line(std::string_view line, const Json& json, int64_t number,
                const std::string& previous, const std::optional<PublicKey>& key) {
  require(json.is_object() && json.size() == 3 && json.contains("receipt"), Code::kCorrupt,
          "it is not an object of \"key\", \"receipt\" and \"signature\"");
  require(json.at("receipt").is_object(), Code::kCorrupt, "its \"receipt\" is not an object");
  const Json& receipt = json.at("receipt");
  const auto signer = bytes_of<32>(json.value("key", Json()), "key");
  const auto signature = bytes_of<64>(json.value("signature", Json()), "signature");
  require(json.dump() == line, Code::kCorrupt, "it is not in canonical form");
  require(!key || *key == signer, Code::kCorrupt, "it is signed with another key, ",
          hex_of(signer).substr(0, 12));
  const std::string text = receipt.dump();
  require(crypto_sign_verify_detached(signature.data(),
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      text.size(), signer.data()) == 0,
          Code::kCorrupt, "its signature does not fit its content");
  require(receipt.value("number", Json()) == Json(number), Code::kCorrupt, "its number is ",
          receipt.value("number", Json()).dump(), ", the chain is at ", number,
          "; a receipt is missing or out of place");
  require(receipt.value("previous", Json()) == Json(previous), Code::kCorrupt,
          "it does not follow the receipt before it");
}

}  // namespace

SigningKey::SigningKey(const Seed& seed) {
  start_sodium();
  crypto_sign_seed_keypair(public_key_.data(), secret_key_.data(), seed.data());
}

SigningKey::~SigningKey() { sodium_memzero(secret_key_.data(), secret_key_.size()); }

SigningKey::Seed SigningKey::new_seed() {
  start_sodium();
  Seed seed;
  randombytes_buf(seed.data(), seed.size());
  return seed;
}

std::array<uint8_t, 64> SigningKey::sign(std::string_view text) const {
  std::array<uint8_t, 64> signature;
  crypto_sign_detached(signature.data(), nullptr,
                       reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                       secret_key_.data());
  return signature;
}

std::string sign_receipt(Json receipt, int64_t number, const std::string& previous,
                         const SigningKey& key) {
  receipt["number"] = number;
  receipt["previous"] = previous;
  const std::string text = receipt.dump();
  const Json line = {{"key", hex_of(key.public_key())},
                     {"receipt", std::move(receipt)},
                     {"signature", hex_of(key.sign(text))}};
  return line.dump();
}

ChainFindings verify_receipts(std::string_view lines, const std::optional<PublicKey>& key) {
  start_sodium();
  ChainFindings findings;
  std::string previous = hex(Digest{});
  for (int64_t number = 1; !lines.empty(); ++number) {
    const size_t end = lines.find('\n');
    std::string request_id;
    try {
      require(end != std::string_view::npos, Code::kCorrupt, "it is cut off");
      const std::string_view line = lines.substr(0, end);
      // Of a task with many classes it is long; and the text is in memory already.
      const Json json = parse_json(line, "the receipt", own_limits().json);
      if (json.is_object() && json.contains("receipt") && json["receipt"].is_object()) {
        const Json& id = json["receipt"].value("request_id", Json());
        if (id.is_string()) request_id = id;
      }
      check_line(line, json, number, previous, key);
      previous = hex(sha256(line));
    } catch (const Error& error) {
      findings.first_break = {number, request_id, error.what()};
      return findings;
    }
    ++findings.good;
    lines.remove_prefix(end + 1);
  }
  return findings;
}

}  // namespace lethe
