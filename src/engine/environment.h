// What a task ran with, for manifests and reports.
#pragma once

#include <string>

#include "support/json.h"

namespace lethe {

/// This library's version, such as "0.1.0".
const char* library_version();

/// {"lethe", "libtorch", "zstd", "cpu" (instruction set LibTorch uses), "threads"}.
Json describe_environment(int threads);

}  // namespace lethe
