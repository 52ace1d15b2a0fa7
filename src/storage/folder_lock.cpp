#include "storage/folder_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <set>
#include <system_error>

#include "support/error.h"

namespace lethe {
namespace {

// A lock of fcntl() excludes other processes only, and closing any descriptor of its file lets it
// go. So this process remembers the files that it has locked and opens none of them twice.
std::mutex held_mutex;
std::set<std::pair<dev_t, ino_t>>& held() {
  static auto* files = new std::set<std::pair<dev_t, ino_t>>;  // outlives whoever still unlocks
  return *files;
}

std::string lock_file(const std::string& folder) { return folder + "/lock"; }

std::optional<std::pair<dev_t, ino_t>> identity(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return std::pair(info.st_dev, info.st_ino);
}

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

[[noreturn]] void fail_busy(pid_t holder) {
  fail(Code::kBusy, "the folder is in use by process ", holder,
       holder == ::getpid() ? ", this one; close its engine first"
                            : "; wait until it ends, or name another folder");
}

}  // namespace

FolderLock::FolderLock(const std::string& folder) {
  const std::string path = lock_file(folder);
  const std::lock_guard guard(held_mutex);
  if (const auto file = identity(path); file && held().contains(*file)) fail_busy(::getpid());
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  require(fd_ >= 0, Code::kIo, "cannot lock the folder: ", std::generic_category().message(errno),
          "; check its permissions");
  try {
    struct flock lock = whole_file();
    if (::fcntl(fd_, F_SETLK, &lock) != 0) {
      const int error = errno;
      require(error == EACCES || error == EAGAIN, Code::kIo,
              "cannot lock the folder: ", std::generic_category().message(error),
              "; its file system must support locks");
      lock = whole_file();
      const bool known = ::fcntl(fd_, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
      fail_busy(known ? lock.l_pid : 0);
    }
    struct stat info;
    require(::fstat(fd_, &info) == 0, Code::kIo,
            "cannot lock the folder: ", std::generic_category().message(errno));
    file_ = {info.st_dev, info.st_ino};
    held().insert(file_);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

FolderLock::~FolderLock() {
  const std::lock_guard guard(held_mutex);
  held().erase(file_);
  ::close(fd_);
}

std::optional<pid_t> FolderLock::holder(const std::string& folder) {
  const std::string path = lock_file(folder);
  const std::lock_guard guard(held_mutex);
  if (const auto file = identity(path); file && held().contains(*file)) return ::getpid();
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  struct flock lock = whole_file();
  const bool locked = ::fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(fd);
  return locked ? std::optional(lock.l_pid) : std::nullopt;
}

}  // namespace lethe
