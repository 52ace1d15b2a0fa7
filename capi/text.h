// Text and bytes across the border.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lethe/lethe.h"
#include "support/json.h"

namespace lethe::capi {

/// A caller's text: not NULL, valid UTF-8. `name` is the parameter's.
std::string text(const char* given, const char* name);

/// Nothing for NULL.
std::optional<std::string> optional_text(const char* given, const char* name);

/// A buffer with a copy of these bytes and a NUL after them.
lethe_buffer* make_buffer(const void* data, size_t size);
lethe_buffer* make_buffer(std::string_view bytes);
lethe_buffer* json_buffer(const Json& json);

}  // namespace lethe::capi
