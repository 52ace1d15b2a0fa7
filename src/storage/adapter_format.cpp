#include "storage/adapter_format.h"

#include "storage/bytes.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr uint32_t kHeadMagic = 0x184D2A5A;
constexpr uint32_t kIndexMagic = 0x184D2A5B;
constexpr std::string_view kFormatMagic = "LETHEADP";
constexpr std::string_view kEndMagic = "LETHEEND";
constexpr uint16_t kMajor = 1;
constexpr uint16_t kMinor = 0;
constexpr uint32_t kKnownRequiredFeatures = 0;
constexpr size_t kFrameHeaderBytes = 8;  // of a skippable frame: magic and size
constexpr size_t kFixedHeaderBytes = 96;
constexpr size_t kManifestOffset = kFrameHeaderBytes + kFixedHeaderBytes;
constexpr size_t kEntryBytes = 64;
constexpr size_t kTailBytes = sizeof(Digest) + kEndMagic.size();

uint32_t crc32c(std::string_view bytes) { return lethe::crc32c(bytes.data(), bytes.size()); }

void append_digest(std::string& out, const Digest& digest) {
  out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
}

Digest take_digest(ByteReader& reader) {
  Digest digest;
  std::memcpy(digest.data(), reader.take(digest.size()).data(), digest.size());
  return digest;
}

void append_frame_header(std::string& out, uint32_t magic, uint64_t payload) {
  require(payload <= UINT32_MAX, Code::kLimitExceeded, "the adapter's manifest or index would be ",
          payload, " bytes, a frame holds at most ", UINT32_MAX);
  append_number(out, magic);
  append_number(out, static_cast<uint32_t>(payload));
}

/// The size in the header of the skippable frame that `reader` stands at.
uint64_t take_frame_header(ByteReader& reader, uint32_t magic, std::string_view what) {
  require(reader.number<uint32_t>() == magic, Code::kCorrupt, what,
          " is not an adapter file of Lethe or is damaged: a frame does not begin where it should");
  return reader.number<uint32_t>();
}

AdapterFixedHeader read_fixed_header(std::string_view bytes, std::string_view what) {
  ByteReader reader(bytes, what);
  const uint64_t payload = take_frame_header(reader, kHeadMagic, what);
  const std::string_view fixed = ByteReader(reader).take(kFixedHeaderBytes);
  require(reader.take(kFormatMagic.size()) == kFormatMagic, Code::kCorrupt, what,
          " is not an adapter file of Lethe");
  const size_t covered = kFixedHeaderBytes - sizeof(uint32_t);
  require(load_number<uint32_t>(fixed.data() + covered) == crc32c(fixed.substr(0, covered)),
          Code::kCorrupt, what, " is damaged: the checksum of its header does not match");

  const auto major = reader.number<uint16_t>();
  const auto minor = reader.number<uint16_t>();
  require(major == kMajor, Code::kVersion, what, " has format ", major, ".", minor,
          ", this version of Lethe reads format ", kMajor, "; use a newer version");
  const auto required = reader.number<uint32_t>();
  require((required & ~kKnownRequiredFeatures) == 0, Code::kVersion, what, " needs features (bits ",
          required & ~kKnownRequiredFeatures,
          ") that this version of Lethe does not have; use a newer version");
  reader.take(sizeof(uint32_t));  // optional features

  AdapterFixedHeader header;
  header.tensor_count = reader.number<uint32_t>();
  header.manifest_bytes = reader.number<uint64_t>();
  header.tensor_bytes = reader.number<uint64_t>();
  header.index_offset = reader.number<uint64_t>();
  header.base_fingerprint = take_digest(reader);
  header.manifest_crc = reader.number<uint32_t>();
  require(reader.number<uint64_t>() == 0, Code::kCorrupt, what,
          " has reserved header bytes that are not zero");
  require(payload >= kFixedHeaderBytes && header.manifest_bytes == payload - kFixedHeaderBytes,
          Code::kCorrupt, what, " is damaged: its header declares a manifest of ",
          header.manifest_bytes, " bytes, the frame has ", payload);
  return header;
}

void check_limit(uint64_t value, int64_t limit, std::string_view what, std::string_view of) {
  require(value <= static_cast<uint64_t>(limit), Code::kLimitExceeded, what, " declares ", value,
          " ", of, ", the limit is ", limit);
}

/// The index without its frame header, up to the end of the file. kCorrupt unless the file ends as
/// it should and its digest matches.
std::string_view checked_index(std::string_view bytes, const AdapterFixedHeader& header,
                               std::string_view what) {
  ByteReader reader(bytes.substr(header.index_offset), what);
  const size_t frames = size_t{header.tensor_count} + 1;
  const uint64_t payload = take_frame_header(reader, kIndexMagic, what);
  require(payload == frames * kEntryBytes + kTailBytes && payload == reader.rest().size(),
          Code::kCorrupt, what, " is truncated or damaged: its index is ", reader.rest().size(),
          " bytes, ", frames, " frames need ", frames * kEntryBytes + kTailBytes);

  const size_t digest_offset = bytes.size() - kTailBytes;
  ByteReader tail(bytes.substr(digest_offset), what);
  require(take_digest(tail) == sha256(bytes.substr(0, digest_offset)), Code::kCorrupt, what,
          " is damaged: the digest of the file does not match");
  require(tail.rest() == kEndMagic, Code::kCorrupt, what,
          " is damaged: it does not end with its end mark");
  return reader.rest();
}

/// Entries that tile the file between manifest and index, with raw sizes within the limits.
std::vector<AdapterIndexEntry> read_entries(std::string_view bytes, std::string_view index_bytes,
                                            const AdapterFixedHeader& header, std::string_view what,
                                            const Limits& limits) {
  ByteReader reader(index_bytes, what);
  std::vector<AdapterIndexEntry> index;
  uint64_t position = kManifestOffset + header.manifest_bytes;
  uint64_t bytes_left = header.tensor_bytes;
  for (size_t i = 0; i <= header.tensor_count; ++i) {
    AdapterIndexEntry entry;
    entry.offset = reader.number<uint64_t>();
    entry.stored_bytes = reader.number<uint64_t>();
    entry.raw_bytes = reader.number<uint64_t>();
    entry.stored_crc = reader.number<uint32_t>();
    const auto reserved = reader.number<uint32_t>();
    entry.raw_digest = take_digest(reader);
    require(entry.offset == position && entry.stored_bytes <= header.index_offset - position &&
                reserved == 0,
            Code::kCorrupt, what, " is damaged: frame ", i,
            " of its index is not where it should be");
    if (i == 0) {
      check_limit(entry.raw_bytes, limits.header_bytes, what, "bytes of safetensors header");
    } else {
      check_limit(entry.raw_bytes, limits.tensor_bytes, what, "bytes for one tensor");
      require(entry.raw_bytes <= bytes_left, Code::kCorrupt, what,
              " is damaged: its index declares more than the ", header.tensor_bytes,
              " bytes of tensors of its header");
      bytes_left -= entry.raw_bytes;
    }
    require(crc32c(bytes.substr(entry.offset, entry.stored_bytes)) == entry.stored_crc,
            Code::kCorrupt, what, " is damaged: the checksum of frame ", i, " does not match");
    position += entry.stored_bytes;
    index.push_back(entry);
  }
  require(position == header.index_offset, Code::kCorrupt, what,
          " is damaged: bytes between the last frame and the index belong to nothing");
  require(bytes_left == 0, Code::kCorrupt, what, " is damaged: its index declares less than the ",
          header.tensor_bytes, " bytes of tensors of its header");
  const uint64_t raw = index[0].raw_bytes + header.tensor_bytes;
  require(within_expansion(raw, bytes.size(), limits), Code::kLimitExceeded, what, " expands from ",
          bytes.size(), " to ", raw, " bytes, the limit is ", limits.expansion, " : 1");
  return index;
}

}  // namespace

std::string encode_adapter_head(AdapterFixedHeader header, std::string_view manifest) {
  std::string fixed(kFormatMagic);
  append_number(fixed, kMajor);
  append_number(fixed, kMinor);
  append_number(fixed, uint32_t{0});  // required features
  append_number(fixed, uint32_t{0});  // optional features
  append_number(fixed, header.tensor_count);
  append_number(fixed, uint64_t{manifest.size()});
  append_number(fixed, header.tensor_bytes);
  append_number(fixed, header.index_offset);
  append_digest(fixed, header.base_fingerprint);
  append_number(fixed, crc32c(manifest));
  append_number(fixed, uint64_t{0});  // reserved
  append_number(fixed, crc32c(fixed));

  std::string head;
  append_frame_header(head, kHeadMagic, fixed.size() + manifest.size());
  head += fixed;
  head += manifest;
  return head;
}

std::string encode_adapter_index(const std::vector<AdapterIndexEntry>& entries) {
  std::string index;
  append_frame_header(index, kIndexMagic, entries.size() * kEntryBytes + kTailBytes);
  for (const AdapterIndexEntry& entry : entries) {
    append_number(index, entry.offset);
    append_number(index, entry.stored_bytes);
    append_number(index, entry.raw_bytes);
    append_number(index, entry.stored_crc);
    append_number(index, uint32_t{0});  // reserved
    append_digest(index, entry.raw_digest);
  }
  return index;
}

std::string encode_adapter_tail(std::string_view bytes_before) {
  std::string tail;
  append_digest(tail, sha256(bytes_before));
  return tail.append(kEndMagic);
}

AdapterLayout check_adapter_layout(std::string_view bytes, std::string_view what,
                                   const Limits& limits) {
  AdapterLayout layout;
  layout.header = read_fixed_header(bytes, what);
  const AdapterFixedHeader& header = layout.header;
  check_limit(bytes.size(), limits.file_bytes, what, "bytes");
  check_limit(header.manifest_bytes, limits.header_bytes, what, "bytes of manifest");
  check_limit(header.tensor_count, limits.tensors, what, "tensors");
  check_limit(header.tensor_bytes, limits.total_bytes, what, "bytes of tensors");
  require(header.index_offset <= bytes.size() &&
              kManifestOffset + header.manifest_bytes <= header.index_offset,
          Code::kCorrupt, what, " is truncated or damaged: its index should begin at byte ",
          header.index_offset, " of ", bytes.size());

  layout.manifest = bytes.substr(kManifestOffset, header.manifest_bytes);
  require(crc32c(layout.manifest) == header.manifest_crc, Code::kCorrupt, what,
          " is damaged: the checksum of its manifest does not match");
  const std::string_view index = checked_index(bytes, header, what);
  layout.index = read_entries(bytes, index, header, what, limits);
  return layout;
}

}  // namespace lethe
