// The decoders behind decode_image, one a format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/error.h"

namespace lethe {

/// Rows from top to bottom, samples of a pixel side by side: grey, grey + alpha, RGB or RGBA.
struct DecodedImage {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;  ///< 1 to 4
  std::vector<uint8_t> samples;
};

/// Called with the size a header declares, before memory is taken for it. Throws kCorrupt or
/// kLimitExceeded.
inline void check_image_size(int64_t height, int64_t width, const std::string& what) {
  constexpr int64_t kMaxSide = 1'000'000;
  constexpr int64_t kMaxPixels = 1 << 26;
  require(height >= 1 && width >= 1, Code::kCorrupt, what, " has no pixels: its size is ", height,
          "x", width);
  require(height <= kMaxSide && width <= kMaxSide && height * width <= kMaxPixels,
          Code::kLimitExceeded, what, " has ", height, "x", width, " pixels, the limit is ",
          kMaxPixels);
}

// Each throws as decode_image does.
DecodedImage decode_jpeg(std::string_view bytes, const std::string& what);
DecodedImage decode_png(std::string_view bytes, const std::string& what);
DecodedImage decode_pnm(std::string_view bytes, const std::string& what);

}  // namespace lethe
