#include <algorithm>

#include "data/decode.h"

namespace lethe {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The header's numbers, between white space and comments that run to the end of their line.
class HeaderReader {
 public:
  HeaderReader(std::string_view rest, const std::string& what) : rest_(rest), what_(what) {}

  int64_t number(const char* name, int64_t high) {
    skip_space();
    int64_t value = 0;
    size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      value = std::min(value * 10 + (rest_[digits] - '0'), high + 1);
    }
    require(digits > 0, Code::kCorrupt, what_, ": its PNM header has no ", name);
    require(value >= 1 && value <= high, Code::kCorrupt, what_, ": its PNM header has the ", name,
            " ", std::string(rest_.substr(0, std::min<size_t>(digits, 20))), ", allowed is 1 to ",
            high);
    rest_.remove_prefix(digits);
    return value;
  }

  /// What follows the single white space at the header's end.
  std::string_view pixels() {
    require(!rest_.empty() && is_space(rest_[0]), Code::kCorrupt, what_,
            ": its PNM header does not end in white space");
    return rest_.substr(1);
  }

 private:
  void skip_space() {
    while (!rest_.empty() && (is_space(rest_[0]) || rest_[0] == '#')) {
      const size_t end = rest_[0] == '#' ? std::min(rest_.find('\n'), rest_.size()) : 1;
      rest_.remove_prefix(end);
    }
  }

  std::string_view rest_;
  const std::string& what_;
};

}  // namespace

DecodedImage decode_pnm(std::string_view bytes, const std::string& what) {
  HeaderReader header(bytes.substr(2), what);
  DecodedImage image;
  image.channels = bytes[1] == '5' ? 1 : 3;
  image.width = header.number("width", INT32_MAX);
  image.height = header.number("height", INT32_MAX);
  const int64_t maximum = header.number("maximum", 65'535);
  check_image_size(image.height, image.width, what);

  const std::string_view data = header.pixels();
  const int64_t sample_bytes = maximum > 255 ? 2 : 1;
  const int64_t count = image.height * image.width * image.channels;
  require(static_cast<int64_t>(data.size()) >= count * sample_bytes, Code::kCorrupt, what,
          ": its header declares ", count * sample_bytes, " bytes of pixels and ", data.size(),
          " are there; the file is truncated");
  const std::string_view extra = data.substr(count * sample_bytes);
  require(std::all_of(extra.begin(), extra.end(), is_space), Code::kCorrupt, what, ": ",
          extra.size(), " bytes follow its pixels");

  image.samples.reserve(count);
  const auto* sample = reinterpret_cast<const uint8_t*>(data.data());
  for (int64_t i = 0; i < count; ++i, sample += sample_bytes) {
    const int64_t value = sample_bytes == 2 ? sample[0] << 8 | sample[1] : sample[0];
    require(value <= maximum, Code::kCorrupt, what, ": a sample is ", value,
            ", above the maximum of ", maximum, " in its header");
    image.samples.push_back(static_cast<uint8_t>((value * 255 + maximum / 2) / maximum));
  }
  return image;
}

}  // namespace lethe
