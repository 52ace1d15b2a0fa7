// Whole files: read within a limit, write so that a crash leaves the old file or the new one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lethe {

/// The bytes of a regular file. Throws kNotFound, kIo, or kLimitExceeded when it is larger than
/// `max_bytes`. Messages name the file's last path component only.
std::string read_file(const std::string& path, int64_t max_bytes);

/// Replaces `path` by the concatenated parts: temporary file in the same folder, fsync, rename,
/// fsync of the folder. On failure (kIo: folder missing or read-only, disk full) the old file is
/// untouched and no temporary file stays behind; only an fsync of the folder that fails comes after
/// the replacement. The file has the permissions that the process's umask leaves of `mode`.
void write_file_atomically(const std::string& path, const std::vector<std::string_view>& parts,
                           unsigned mode = 0666);

/// The names of what lies in a folder, in lexicographic order. Throws kNotFound, kIo.
std::vector<std::string> names_in(const std::string& folder);

/// The path from the root, so that it means the same in a process with another working folder. Its
/// ".." stay: after a symbolic link they lead elsewhere than the text says.
std::string absolute_path(const std::string& path);

/// The last component of a path: what error messages may show.
std::string base_name(const std::string& path);

}  // namespace lethe
