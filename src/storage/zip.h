// Reading a zip archive in memory whose entries are stored without compression, as PyTorch's are.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace lethe {

/// The entries by name, as views into `archive`. kCorrupt for a damaged directory, an entry outside
/// the archive or a name that appears twice; kUnsupported for compressed or encrypted entries, for
/// archives in several parts and for those that need zip64 (4 GiB or 65,535 entries). The CRC-32 of
/// the entries is not checked: PyTorch neither checks it nor always writes it.
std::map<std::string, std::string_view> read_stored_zip(std::string_view archive,
                                                        std::string_view what);

}  // namespace lethe
