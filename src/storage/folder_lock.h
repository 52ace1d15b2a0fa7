// One owner of a folder at a time, across processes and within one.
#pragma once

#include <sys/types.h>
#include <optional>
#include <string>
#include <utility>

namespace lethe {

/// Holds the folder for as long as it lives; the system lets go when the process dies, however it
/// dies, and a forked child does not hold it. The lock is on a file "lock" in the folder, which
/// stays.
class FolderLock {
 public:
  /// Throws kBusy naming the holder's process id, or kIo.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// The process that holds the folder at this moment; nothing when nobody does.
  static std::optional<pid_t> holder(const std::string& folder);

 private:
  std::pair<dev_t, ino_t> file_;
  int fd_;
};

}  // namespace lethe
