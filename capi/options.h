// Options that several sections of lethe.h share.
#pragma once

#include <string_view>

#include "lethe/lethe.h"
#include "storage/limits.h"

namespace lethe::capi {

/// A caller's limits (NULL: the defaults), checked.
Limits read_limits(const lethe_limits* limits);

/// A caller's export options (NULL: the defaults), checked.
lethe_export_options read_export_options(const lethe_export_options* options);

/// A file's content in the caller's memory: not NULL, within the limit for files.
std::string_view bytes_in_memory(const uint8_t* data, size_t size, const Limits& limits);

/// A caller's number of compute threads: 0 (all processors) to 256. More would only wait for each
/// other, and OpenMP ends the process when the system has no more threads.
int checked_threads(int32_t threads);

}  // namespace lethe::capi
