// One zstd frame for one block of bytes whose size is known on both sides (RFC 8878).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lethe {

/// The levels that compress_frame() takes.
constexpr int kLowestZstdLevel = 1;
constexpr int kHighestZstdLevel = 22;

/// A frame with content size and checksum, without a dictionary, whose window is at most
/// 2^window_log bytes. Equal input gives equal bytes within one build of zstd.
std::string compress_frame(std::string_view raw, int level, int window_log);

/// Fills exactly `size` bytes at `raw` from a frame as compress_frame() makes it. kCorrupt for any
/// other frame, bytes after the frame, a content of another size, a checksum that does not match;
/// kLimitExceeded for a larger window. `what` names the frame in messages.
void decompress_frame(std::string_view frame, void* raw, size_t size, std::string_view what,
                      int window_log);

}  // namespace lethe
