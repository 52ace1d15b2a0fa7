// The one exception type inside Lethe. capi/ is the only room that turns it into a status code.
#pragma once

#include <cstdint>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>

namespace lethe {

/// What went wrong, as a caller must react to it. The values are those of `lethe_status` in
/// lethe.h and are never renumbered.
enum class Code : int32_t {
  kInvalidArgument = -1,
  kOutOfMemory = -2,
  kIo = -3,
  kNotFound = -4,
  kExists = -5,
  kUnsupported = -6,
  kCorrupt = -7,
  kLimitExceeded = -8,
  kBaseMismatch = -9,
  kState = -10,
  kCancelled = -11,
  kBusy = -12,
  kForked = -13,
  kDevice = -14,
  kNumeric = -15,
  kCallback = -16,
  kVersion = -17,
  kInternal = -18,
  kRejected = -19,
};

/// An error with a code and one sentence: what was wrong, with which value, and the remedy.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const { return code_; }

 private:
  Code code_;
};

/// The arguments written one after the other, as a stream would, whatever locale the host has set: a
/// thousands separator would change names that are looked up, and seeds made from them. Without
/// memory for all of it it throws: a stream left to itself would leave a part out.
template <typename... Args>
std::string str(const Args&... args) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out.exceptions(std::ios_base::badbit);
  (out << ... << args);
  return out.str();
}

/// Throws an Error whose message is the concatenated arguments.
template <typename... Args>
[[noreturn]] void fail(Code code, const Args&... args) {
  throw Error(code, lethe::str(args...));
}

/// Throws unless `condition` holds.
template <typename... Args>
void require(bool condition, Code code, const Args&... args) {
  if (!condition) [[unlikely]] fail(code, args...);
}

}  // namespace lethe
