// Little-endian numbers in byte strings: bounds-checked reading, appending.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "support/error.h"

namespace lethe {

static_assert(std::endian::native == std::endian::little,
              "every format here is little-endian and is copied as it lies in memory");

/// The number at `from`, which need not be aligned.
template <typename T>
T load_number(const char* from) {
  static_assert(std::is_arithmetic_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void append_number(std::string& out, T value) {
  static_assert(std::is_arithmetic_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Takes bytes and numbers from the front of a byte string; kCorrupt where it ends too early.
/// `bytes` and `what`, which names them in messages, must outlive the reader.
class ByteReader {
 public:
  ByteReader(std::string_view bytes, std::string_view what) : rest_(bytes), what_(what) {}

  std::string_view take(uint64_t size) {
    require(size <= rest_.size(), Code::kCorrupt, what_, " is truncated: ", size,
            " bytes are needed where ", rest_.size(), " are left");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  template <typename T>
  T number() {
    return load_number<T>(take(sizeof(T)).data());
  }

  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  std::string_view what_;
};

}  // namespace lethe
