// The calls of this process that change files, counted, and one or more of them made to go wrong.
//
// Included by one source file of a program that exports its symbols: its own definitions then come
// before those of the C library, for SQLite's calls too.
#pragma once

#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>

namespace lethe::testing {

enum class Fault { kNone, kKill, kIoError, kDiskFull };

/// kKill: at call `at`, half of it done when it writes. kIoError: call `at` alone fails with EIO.
/// kDiskFull: from call `at` on, whatever needs space fails with ENOSPC.
struct FaultPlan {
  std::atomic<Fault> fault{Fault::kNone};
  std::atomic<int64_t> at{0};
  std::atomic<int64_t> calls{0};  ///< so far
};
inline FaultPlan fault_plan;

/// Whether a call is to fail, with errno set. `half` does half of it.
template <typename Half>
bool goes_wrong(bool needs_space, const Half& half) {
  const int64_t call = ++fault_plan.calls;
  switch (fault_plan.fault) {
    case Fault::kNone:
      return false;
    case Fault::kKill:
      if (call != fault_plan.at) return false;
      half();
      ::kill(::getpid(), SIGKILL);
      return true;
    case Fault::kIoError:
      errno = EIO;
      return call == fault_plan.at;
    case Fault::kDiskFull:
      errno = ENOSPC;
      return needs_space && call >= fault_plan.at;
  }
  return false;
}

template <typename F>
F* next(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

/// Not counted and never wrong.
inline ssize_t real_write(int fd, const void* data, size_t size) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  return real(fd, data, size);
}

inline ssize_t write_at(int fd, const void* data, size_t size, int64_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, int64_t)>("pwrite64");
  if (goes_wrong(true, [&] { (void)!real(fd, data, size / 2, offset); })) return -1;
  return real(fd, data, size, offset);
}

}  // namespace lethe::testing

// They have the library's names for the linker only: its headers give some of these names to
// others.
#define LETHE_INTERPOSE(symbol, result, name, ...)     \
  extern "C" result name(__VA_ARGS__) __asm__(symbol); \
  extern "C" result name(__VA_ARGS__)

LETHE_INTERPOSE("write", ssize_t, traced_write, int fd, const void* data, size_t size) {
  using namespace lethe::testing;
  if (goes_wrong(true, [&] { (void)!real_write(fd, data, size / 2); })) return -1;
  return real_write(fd, data, size);
}

LETHE_INTERPOSE("pwrite", ssize_t, traced_pwrite, int fd, const void* data, size_t size,
                int64_t offset) {
  return lethe::testing::write_at(fd, data, size, offset);
}

LETHE_INTERPOSE("pwrite64", ssize_t, traced_pwrite64, int fd, const void* data, size_t size,
                int64_t offset) {
  return lethe::testing::write_at(fd, data, size, offset);
}

#define LETHE_FILE_CALL(symbol, name, needs_space, parameters, arguments)        \
  extern "C" int name parameters __asm__(symbol);                                \
  extern "C" int name parameters {                                               \
    static auto* const real = lethe::testing::next<int parameters>(symbol);      \
    return lethe::testing::goes_wrong(needs_space, [] {}) ? -1 : real arguments; \
  }
LETHE_FILE_CALL("fsync", traced_fsync, true, (int fd), (fd))
LETHE_FILE_CALL("fdatasync", traced_fdatasync, true, (int fd), (fd))
LETHE_FILE_CALL("rename", traced_rename, false, (const char* from, const char* to), (from, to))
LETHE_FILE_CALL("unlink", traced_unlink, false, (const char* path), (path))
LETHE_FILE_CALL("remove", traced_remove, false, (const char* path), (path))
LETHE_FILE_CALL("ftruncate", traced_ftruncate, false, (int fd, int64_t size), (fd, size))
LETHE_FILE_CALL("ftruncate64", traced_ftruncate64, false, (int fd, int64_t size), (fd, size))
LETHE_FILE_CALL("mkdir", traced_mkdir, true, (const char* path, mode_t mode), (path, mode))
#undef LETHE_FILE_CALL
#undef LETHE_INTERPOSE
