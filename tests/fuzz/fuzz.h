// A fuzz target: one function that reads bytes as one format. Readers may refuse them with an
// Error; anything else that leaves a target (another exception, a crash, too much memory) is a
// finding.
//
// Each target is compiled twice: with libFuzzer (run.sh), and into the suite fuzz_regressions,
// which runs every file of corpus/ and crashes/ through it.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "storage/limits.h"
#include "support/error.h"

/// FUZZ_TARGET(name) { ... bytes ... }
#define FUZZ_TARGET(name)                                       \
  static void read_##name(std::string_view bytes);              \
  int fuzz_##name(const uint8_t* data, size_t size) {           \
    try {                                                       \
      read_##name({reinterpret_cast<const char*>(data), size}); \
    } catch (const lethe::Error&) {                             \
    }                                                           \
    return 0;                                                   \
  }                                                             \
  LETHE_FUZZ_ENTRY(name)                                        \
  static void read_##name(std::string_view bytes)

#ifdef LETHE_LIBFUZZER
#define LETHE_FUZZ_ENTRY(name)                                              \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    return fuzz_##name(data, size);                                         \
  }
#else
#define LETHE_FUZZ_ENTRY(name)
#endif

namespace lethe::testing {

/// Small, so that inputs explore rather than allocate.
inline Limits fuzz_limits() {
  Limits limits;
  limits.file_bytes = limits.total_bytes = limits.tensor_bytes = 1 << 20;
  limits.header_bytes = 64 << 10;
  limits.tensors = 64;
  limits.json.max_bytes = 64 << 10;
  return limits;
}

/// Bytes under a path, for readers of files.
class FileInMemory {
 public:
  explicit FileInMemory(std::string_view bytes) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::write(fd_, bytes.data(), bytes.size()) < 0) std::abort();
  }
  ~FileInMemory() { ::close(fd_); }
  FileInMemory(const FileInMemory&) = delete;
  FileInMemory& operator=(const FileInMemory&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace lethe::testing
