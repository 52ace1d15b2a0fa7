#include "data/decode.h"

#include <ATen/ATen.h>

#include "data/sources.h"

namespace lethe {
namespace {

DecodedImage decode(std::string_view bytes, const std::string& what) {
  if (bytes.starts_with("\xff\xd8")) return decode_jpeg(bytes, what);
  if (bytes.starts_with("\x89PNG")) return decode_png(bytes, what);
  if (bytes.starts_with("P5") || bytes.starts_with("P6")) return decode_pnm(bytes, what);
  require(!bytes.empty(), Code::kCorrupt, what, " is empty");
  fail(Code::kUnsupported, what,
       " is not a JPEG, PNG or binary PNM (P5, P6) image; convert it to one of these");
}

/// [C, H, W] without alpha: colour * alpha is the image over black.
at::Tensor planes(const DecodedImage& image) {
  const bool alpha = image.channels % 2 == 0;
  const int64_t colours = alpha ? image.channels - 1 : image.channels;
  const int64_t pixels = image.height * image.width;
  at::Tensor result = at::empty({colours, image.height, image.width}, at::kByte);
  auto* out = result.mutable_data_ptr<uint8_t>();
  for (int64_t c = 0; c < colours; ++c) {
    const uint8_t* pixel = image.samples.data();
    for (int64_t p = 0; p < pixels; ++p, pixel += image.channels) {
      *out++ = alpha ? static_cast<uint8_t>((pixel[c] * pixel[colours] + 127) / 255) : pixel[c];
    }
  }
  return result;
}

}  // namespace

at::Tensor decode_image(const std::string& bytes, const std::string& what) {
  return planes(decode(bytes, what));
}

}  // namespace lethe
