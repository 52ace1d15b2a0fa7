#include "storage/zip.h"

#include <algorithm>

#include "storage/bytes.h"
#include "support/error.h"
#include "support/json.h"

namespace lethe {
namespace {

// Signatures and fixed sizes of the three records (APPNOTE.TXT 4.3.7, 4.3.12, 4.3.16).
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr size_t kLocalBytes = 30;
constexpr size_t kCentralBytes = 46;
constexpr size_t kEndBytes = 22;
constexpr size_t kLongestComment = 65'535;

struct Directory {
  size_t entries;
  uint32_t offset;
  uint32_t size;
};

Directory read_end_record(std::string_view record, std::string_view what) {
  ByteReader reader(record, what);
  reader.take(sizeof kEndSignature);
  const auto disk = reader.number<uint16_t>();
  const auto directory_disk = reader.number<uint16_t>();
  const auto entries_here = reader.number<uint16_t>();
  const auto entries = reader.number<uint16_t>();
  const auto size = reader.number<uint32_t>();
  const auto offset = reader.number<uint32_t>();
  require(disk == 0 && directory_disk == 0 && entries_here == entries, Code::kUnsupported, what,
          " is one part of a split zip archive; join the parts first");
  require(entries != UINT16_MAX && size != UINT32_MAX && offset != UINT32_MAX, Code::kUnsupported,
          what, " is a zip64 archive (4 GiB or 65,535 entries); save it as safetensors");
  return {entries, offset, size};
}

/// The end record lies at the very end, before a comment of unknown length.
Directory find_directory(std::string_view archive, std::string_view what) {
  const size_t furthest = kEndBytes + std::min(kLongestComment, archive.size());
  for (size_t back = kEndBytes; back <= std::min(furthest, archive.size()); ++back) {
    const std::string_view record = archive.substr(archive.size() - back);
    if (load_number<uint32_t>(record.data()) != kEndSignature) continue;
    if (load_number<uint16_t>(record.data() + kEndBytes - 2) != back - kEndBytes) continue;
    const Directory directory = read_end_record(record, what);
    require(uint64_t{directory.offset} + directory.size <= archive.size() - back, Code::kCorrupt,
            what, " is damaged: its zip directory lies outside the file");
    return directory;
  }
  fail(Code::kCorrupt, what, " is truncated or not a zip archive: it has no end record");
}

/// The bytes of an entry: after its local header, before the directory.
std::string_view entry_bytes(std::string_view before_directory, uint32_t local_offset,
                             uint32_t size, std::string_view what) {
  require(local_offset <= before_directory.size(), Code::kCorrupt, what,
          " lies outside the archive");
  ByteReader reader(before_directory.substr(local_offset), what);
  require(reader.number<uint32_t>() == kLocalSignature, Code::kCorrupt, what,
          " has no local header");
  reader.take(kLocalBytes - sizeof kLocalSignature - 2 * sizeof(uint16_t));
  const auto name_bytes = reader.number<uint16_t>();
  const auto extra_bytes = reader.number<uint16_t>();
  reader.take(size_t{name_bytes} + extra_bytes);
  return reader.take(size);
}

}  // namespace

std::map<std::string, std::string_view> read_stored_zip(std::string_view archive,
                                                        std::string_view what) {
  const Directory directory = find_directory(archive, what);
  ByteReader reader(archive.substr(directory.offset, directory.size), what);
  std::map<std::string, std::string_view> entries;
  for (size_t i = 0; i < directory.entries; ++i) {
    const char* record = reader.take(kCentralBytes).data();
    require(load_number<uint32_t>(record) == kCentralSignature, Code::kCorrupt, what,
            " is damaged: entry ", i, " of its zip directory has no signature");
    const auto flags = load_number<uint16_t>(record + 8);
    const auto method = load_number<uint16_t>(record + 10);
    const auto stored_size = load_number<uint32_t>(record + 20);
    const auto size = load_number<uint32_t>(record + 24);
    const auto name_bytes = load_number<uint16_t>(record + 28);
    const auto extra_bytes = load_number<uint16_t>(record + 30);
    const auto comment_bytes = load_number<uint16_t>(record + 32);
    const auto local_offset = load_number<uint32_t>(record + 42);
    const std::string name(reader.take(name_bytes));
    reader.take(size_t{extra_bytes} + comment_bytes);

    const std::string where = str(what, ": zip entry ", in_quotes(name));
    const bool encrypted = flags & 1;
    require(method == 0 && !encrypted, Code::kUnsupported, where,
            " is compressed or encrypted; PyTorch stores entries as they are");
    require(size == stored_size, Code::kCorrupt, where, " declares two sizes");
    const std::string_view bytes =
        entry_bytes(archive.substr(0, directory.offset), local_offset, size, where);
    require(entries.emplace(name, bytes).second, Code::kCorrupt, where, " appears twice");
  }
  return entries;
}

}  // namespace lethe
