// What a task ran with and when, for manifests and reports.
#pragma once

#include <string>

#include "support/json.h"

namespace lethe {

/// This library's version, such as "0.1.0".
const char* library_version();

/// UTC, milliseconds since 1970, by the system's clock.
int64_t system_now_ms();
/// Such a time as ISO 8601: "2025-01-31T12:00:00Z".
std::string utc_text(int64_t ms);

/// {"lethe", "libtorch", "zstd", "cpu" (instruction set LibTorch uses), "threads"}.
Json describe_environment(int threads);

}  // namespace lethe
