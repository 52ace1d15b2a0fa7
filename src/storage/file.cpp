#include "storage/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <random>
#include <system_error>
#include <utility>

#include "support/error.h"
#include "support/json.h"

namespace lethe {
namespace {

constexpr size_t kLargestTransfer = size_t{1} << 30;  // Linux moves at most 2 GiB at once

/// What an errno value means to the caller of a write, with the remedy.
std::string write_failure(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "the disk is full; free some space or choose another folder";
    case EFBIG:
      return "it would be larger than this process or file system allows";
    case EROFS:
      return "the file system is read-only; choose another folder";
    case EACCES:
    case EPERM:
      return "permission denied; choose a folder that this process may write to";
    case ENOENT:
    case ENOTDIR:
      return "its folder does not exist; create it first";
    case EISDIR:
      return "a folder has this name; choose another name";
    default:
      return std::generic_category().message(error);
  }
}

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  bool close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

/// Removes a file at the end of the scope unless it was renamed before.
class RemovedUnlessRenamed {
 public:
  explicit RemovedUnlessRenamed(std::string path) : path_(std::move(path)) {}
  ~RemovedUnlessRenamed() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  RemovedUnlessRenamed(const RemovedUnlessRenamed&) = delete;
  RemovedUnlessRenamed& operator=(const RemovedUnlessRenamed&) = delete;

  bool rename(const std::string& path) {
    if (::rename(path_.c_str(), path.c_str()) != 0) return false;
    path_.clear();
    return true;
  }

 private:
  std::string path_;
};

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// Creates a file in `folder` under a name that no other file has and stores that in `path`.
/// mkstemp would make it private to its owner; here the umask decides, as for any new file.
int create_temporary(const std::string& folder, unsigned mode, std::string* path) {
  std::random_device random;
  for (;;) {
    *path = folder + "/.lethe-" + std::to_string(random()) + "-" + std::to_string(random());
    const int fd = ::open(path->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
}

/// False with errno set when not every byte could be written.
bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), std::min(bytes.size(), kLargestTransfer));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

bool sync_folder(const std::string& folder) {
  const Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return errno == EACCES;         // a folder one may write to but not list
  return ::fsync(fd.get()) == 0 || errno == EINVAL;  // not every file system can sync a folder
}

}  // namespace

std::string absolute_path(const std::string& path) {
  return std::filesystem::absolute(path).string();
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Not with <filesystem>: its iterator ends the process when there is no memory for it.
std::vector<std::string> names_in(const std::string& folder) {
  const auto check = [&](bool done) {
    if (done) return;
    const Code code = errno == ENOMEM                       ? Code::kOutOfMemory
                      : errno == ENOENT || errno == ENOTDIR ? Code::kNotFound
                                                            : Code::kIo;
    fail(code, "the folder ", in_quotes(base_name(folder)),
         " cannot be read: ", std::generic_category().message(errno));
  };
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(folder.c_str()), ::closedir);
  check(entries != nullptr);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;  // the end is told from a failure by it alone
    const dirent* entry = ::readdir(entries.get());
    if (!entry) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  check(errno == 0);
  std::sort(names.begin(), names.end());
  return names;
}

std::string read_file(const std::string& path, int64_t max_bytes) {
  const std::string name = in_quotes(base_name(path));
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) {
    const int error = errno;
    require(error != ENOENT && error != ENOTDIR, Code::kNotFound, "the file ", name,
            " does not exist; check its path");
    fail(Code::kIo, "cannot open ", name, ": ", std::generic_category().message(error));
  }
  struct stat info;
  require(::fstat(fd.get(), &info) == 0, Code::kIo, "cannot read ", name, ": ",
          std::generic_category().message(errno));
  require(S_ISREG(info.st_mode), Code::kIo, "cannot read ", name,
          ": it is a folder or a device, not a file");
  require(info.st_size <= max_bytes, Code::kLimitExceeded, name, " is ", info.st_size,
          " bytes, the limit is ", max_bytes);

  std::string bytes(static_cast<size_t>(info.st_size), '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got =
        ::read(fd.get(), bytes.data() + done, std::min(bytes.size() - done, kLargestTransfer));
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, Code::kIo, "cannot read ", name, ": ",
            std::generic_category().message(errno));
    require(got > 0, Code::kIo, name, " became shorter while it was read; read it again");
    done += static_cast<size_t>(got);
  }
  return bytes;
}

void write_file_atomically(const std::string& path, const std::vector<std::string_view>& parts,
                           unsigned mode) {
  const std::string name = in_quotes(base_name(path));
  const std::string folder = folder_of(path);
  require(!base_name(path).empty(), Code::kInvalidArgument,
          "the path to write to names no file; add a file name");
  const auto check = [&name](bool done) {
    if (!done) fail(Code::kIo, "cannot write ", name, ": ", write_failure(errno));
  };

  std::string temporary_path;
  Descriptor fd(create_temporary(folder, mode, &temporary_path));
  check(fd.is_open());
  RemovedUnlessRenamed temporary(temporary_path);
  for (const std::string_view part : parts) check(write_all(fd.get(), part));
  check(::fsync(fd.get()) == 0);
  check(fd.close());
  check(temporary.rename(path));
  check(sync_folder(folder));
}

}  // namespace lethe
