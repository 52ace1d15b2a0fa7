#include <ATen/ATen.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "data/describe.h"
#include "data/sources.h"
#include "storage/file.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{2} << 30;
constexpr int64_t kMaxContentBytes = int64_t{2} << 30;
constexpr int64_t kDeflateRatio = 1032;  // no deflate stream expands further
constexpr int64_t kPendingBytes = 16;    // read by zlib already, not yet turned into content

/// The content of a file, plain or gzip, read from front to back.
class ContentReader {
 public:
  ContentReader(std::string_view file, std::string what) : rest_(file), what_(std::move(what)) {
    compressed_ = file.substr(0, 2) == kGzipMagic;
    if (compressed_) start_member();
  }
  ~ContentReader() {
    if (inflating_) inflateEnd(&stream_);
  }
  ContentReader(const ContentReader&) = delete;
  ContentReader& operator=(const ContentReader&) = delete;

  /// Number of bytes written to `out`: `size`, or fewer at the end of the content.
  int64_t read(uint8_t* out, int64_t size) {
    return compressed_ ? read_compressed(out, size) : read_plain(out, size);
  }

  /// No fewer bytes than read() can still deliver.
  int64_t at_most() const {
    const auto rest = static_cast<int64_t>(rest_.size());
    return compressed_ ? (rest + kPendingBytes) * kDeflateRatio : rest;
  }

 private:
  static constexpr std::string_view kGzipMagic = "\x1f\x8b";

  int64_t read_plain(uint8_t* out, int64_t size) {
    const int64_t count = std::min(size, static_cast<int64_t>(rest_.size()));
    std::memcpy(out, rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
  }

  int64_t read_compressed(uint8_t* out, int64_t size) {
    int64_t done = 0;
    while (done < size && inflating_) done += inflate_some(out + done, size - done);
    return done;
  }

  int64_t inflate_some(uint8_t* out, int64_t size) {
    // Both sizes stay below 2^32: the limits above are lower.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest_.data()));
    stream_.avail_in = static_cast<uInt>(rest_.size());
    stream_.next_out = out;
    stream_.avail_out = static_cast<uInt>(size);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    rest_.remove_prefix(rest_.size() - stream_.avail_in);
    require(status != Z_MEM_ERROR, Code::kOutOfMemory, what_, ": no memory to decompress it");
    require(status != Z_BUF_ERROR, Code::kCorrupt, what_,
            ": its gzip stream ends early; the file is truncated");
    require(status == Z_OK || status == Z_STREAM_END, Code::kCorrupt, what_,
            ": its gzip stream is damaged", stream_.msg ? str(" (", stream_.msg, ")") : "");
    const int64_t produced = size - stream_.avail_out;
    if (status == Z_STREAM_END) end_member();
    return produced;
  }

  void start_member() {
    stream_ = {};
    require(inflateInit2(&stream_, 16 + MAX_WBITS) == Z_OK, Code::kOutOfMemory, what_,
            ": no memory to decompress it");
    inflating_ = true;
  }

  /// A gzip file may be several members, one after the other; their contents are concatenated.
  void end_member() {
    inflateEnd(&stream_);
    inflating_ = false;
    if (rest_.empty()) return;
    require(rest_.substr(0, 2) == kGzipMagic, Code::kCorrupt, what_, ": ", rest_.size(),
            " bytes follow its gzip stream");
    start_member();
  }

  std::string_view rest_;
  std::string what_;
  bool compressed_ = false;
  bool inflating_ = false;
  z_stream stream_ = {};
};

int64_t big_endian(const uint8_t* bytes) {
  return int64_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

/// The dimensions that follow the magic number, their product within the limit.
std::vector<int64_t> read_dimensions(ContentReader& reader, int count, const std::string& what) {
  std::vector<int64_t> shape;
  int64_t total = 1;
  for (int d = 0; d < count; ++d) {
    std::array<uint8_t, 4> bytes;
    require(reader.read(bytes.data(), 4) == 4, Code::kCorrupt, what, ": ends inside dimension ",
            d + 1, " of ", count, "; the file is truncated");
    shape.push_back(big_endian(bytes.data()));
    require(shape.back() >= 1, Code::kCorrupt, what, ": dimension ", d + 1, " of ", count, " is 0");
    require(shape.back() <= kMaxContentBytes / total, Code::kLimitExceeded, what,
            ": its dimensions ", describe(shape), " make more than ", kMaxContentBytes,
            " bytes, the limit");
    total *= shape.back();
  }
  return shape;
}

/// An IDX file of bytes, checked to the last one.
at::Tensor read_bytes(const std::string& path, int64_t low_dimensions, int64_t high_dimensions) {
  const std::string what = base_name(path);
  const std::string file = read_file(path, kMaxFileBytes);
  ContentReader reader(file, what);

  std::array<uint8_t, 4> magic;
  const int64_t magic_bytes = reader.read(magic.data(), 4);
  require(magic_bytes == 4, Code::kCorrupt, what, ": has ", magic_bytes,
          " bytes, too few for an IDX file");
  require(magic[0] == 0 && magic[1] == 0, Code::kCorrupt, what,
          ": is not an IDX file; its magic number is ", big_endian(magic.data()));
  require(magic[2] == 0x08, Code::kUnsupported, what, ": holds elements of IDX type ",
          int{magic[2]}, ", only 8 (unsigned bytes) is read");
  require(magic[3] >= low_dimensions && magic[3] <= high_dimensions, Code::kCorrupt, what, ": has ",
          int{magic[3]}, " dimensions instead of ", low_dimensions,
          low_dimensions == high_dimensions ? "" : str(" or ", high_dimensions),
          "; are images and labels swapped?");

  const std::vector<int64_t> shape = read_dimensions(reader, magic[3], what);
  const int64_t declared = c10::multiply_integers(shape);
  require(declared <= reader.at_most(), Code::kCorrupt, what, ": declares ", declared,
          " bytes of data, the file can hold at most ", reader.at_most(),
          "; the file is truncated");
  at::Tensor data = at::empty(shape, at::kByte);
  const int64_t present = reader.read(data.mutable_data_ptr<uint8_t>(), declared);
  require(present == declared, Code::kCorrupt, what, ": declares ", declared,
          " bytes of data and holds ", present, "; the file is truncated");
  uint8_t extra;
  require(reader.read(&extra, 1) == 0, Code::kCorrupt, what, ": holds more than the ", declared,
          " bytes of data it declares");
  return data;
}

}  // namespace

Dataset read_idx(const std::string& images_path, const std::string& labels_path,
                 const Transform& transform, int64_t class_count) {
  at::Tensor images = read_bytes(images_path, 3, 4);
  const at::Tensor labels = read_bytes(labels_path, 1, 1);
  require(images.size(0) == labels.size(0), Code::kCorrupt, base_name(images_path), " holds ",
          images.size(0), " images but ", base_name(labels_path), " holds ", labels.size(0),
          " labels; they are not a pair");
  images = images.dim() == 3 ? images.unsqueeze(1) : images.permute({0, 3, 1, 2}).contiguous();
  if (class_count == 0) class_count = labels.max().item<int64_t>() + 1;
  return Dataset(images, labels.to(at::kLong), class_count, transform)
      .with_origin({{"kind", "idx"},
                    {"images", absolute_path(images_path)},
                    {"labels", absolute_path(labels_path)},
                    {"class_count", class_count},
                    {"transform", transform.to_json()}});
}

}  // namespace lethe
