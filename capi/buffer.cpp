// Text and bytes across the border, and the buffers of section 2 of lethe.h.
#include <cstring>
#include <new>

#include "guard.h"
#include "handles.h"
#include "text.h"

namespace lethe::capi {
namespace {

constexpr std::align_val_t kAlignment{64};

/// Length of the UTF-8 sequence at the start of `s`, 0 when it is not valid (RFC 3629: no overlong
/// forms, no surrogates, nothing above U+10FFFF).
size_t sequence_length(const unsigned char* s) {
  const auto tail = [s](size_t i) { return (s[i] & 0xc0) == 0x80; };
  if (s[0] < 0x80) return 1;
  if (s[0] >= 0xc2 && s[0] <= 0xdf) return tail(1) ? 2 : 0;
  if (s[0] >= 0xe0 && s[0] <= 0xef) {
    const bool overlong = s[0] == 0xe0 && s[1] < 0xa0;
    const bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    return tail(1) && !overlong && !surrogate && tail(2) ? 3 : 0;
  }
  if (s[0] >= 0xf0 && s[0] <= 0xf4) {
    const bool overlong = s[0] == 0xf0 && s[1] < 0x90;
    const bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return tail(1) && !overlong && !beyond && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string text(const char* given, const char* name) {
  require(given, Code::kInvalidArgument, name, " is NULL");
  // The NUL at the end is no continuation byte, so no sequence reaches beyond it.
  for (const char* p = given; *p;) {
    const size_t length = sequence_length(reinterpret_cast<const unsigned char*>(p));
    require(length > 0, Code::kInvalidArgument, name, " is not UTF-8: byte ", p - given, " is 0x",
            std::hex, static_cast<int>(static_cast<unsigned char>(*p)));
    p += length;
  }
  return given;
}

std::optional<std::string> optional_text(const char* given, const char* name) {
  if (!given) return std::nullopt;
  return text(given, name);
}

lethe_buffer* make_buffer(const void* data, size_t size) {
  auto* bytes = static_cast<char*>(::operator new(size + 1, kAlignment));
  if (size > 0) std::memcpy(bytes, data, size);
  bytes[size] = '\0';
  auto* buffer = new (std::nothrow) lethe_buffer;
  if (!buffer) {
    ::operator delete(bytes, kAlignment);
    throw std::bad_alloc();
  }
  buffer->data = bytes;
  buffer->size = size;
  return buffer;
}

lethe_buffer* make_buffer(std::string_view bytes) {
  return make_buffer(bytes.data(), bytes.size());
}

lethe_buffer* json_buffer(const Json& json) {
  // Names from files may be no UTF-8; what cannot be shown is replaced rather than refused.
  return make_buffer(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace lethe::capi

using namespace lethe;
using namespace lethe::capi;

const void* lethe_buffer_data(const lethe_buffer* buffer) {
  return buffer && buffer->intact() ? buffer->data : nullptr;
}

size_t lethe_buffer_size(const lethe_buffer* buffer) {
  return buffer && buffer->intact() ? buffer->size : 0;
}

lethe_status lethe_buffer_copy(const lethe_buffer* buffer, void* data, size_t size) {
  return guard([&] {
    const lethe_buffer& source = checked(buffer, "buffer");
    require(size <= source.size, Code::kInvalidArgument, "the buffer holds ", source.size,
            " bytes, fewer than the ", size, " asked for");
    require(data || size == 0, Code::kInvalidArgument, "data is NULL");
    if (size > 0) std::memcpy(data, source.data, size);
  });
}

void lethe_buffer_free(lethe_buffer* buffer) {
  if (!buffer || !buffer->intact()) return;
  ::operator delete(const_cast<void*>(buffer->data), kAlignment);
  destroy(buffer);
}
