#include "storage/zstd_frame.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <memory>

#include "storage/bytes.h"
#include "support/error.h"

namespace lethe {
namespace {

/// The window that a decoder would need (RFC 8878, 3.1.1.1.2). zstd itself applies its window limit
/// only where it decodes piece by piece.
uint64_t window_bytes(std::string_view frame, uint64_t content_bytes) {
  const auto descriptor = static_cast<uint8_t>(frame[4]);
  const bool single_segment = descriptor & 0x20;
  if (single_segment) return content_bytes;
  const auto window = static_cast<uint8_t>(frame[5]);
  const uint64_t base = uint64_t{1} << (10 + (window >> 3));
  return base + base / 8 * (window & 7);
}

void check_frame_header(std::string_view frame, size_t size, std::string_view what,
                        int window_log) {
  require(frame.size() >= 6 && load_number<uint32_t>(frame.data()) == ZSTD_MAGICNUMBER,
          Code::kCorrupt, what, " is not a zstd frame");
  const auto descriptor = static_cast<uint8_t>(frame[4]);
  const bool has_checksum = descriptor & 0x04;
  const bool has_dictionary = descriptor & 0x03;
  require(has_checksum && !has_dictionary, Code::kCorrupt, what,
          " is a zstd frame without a checksum or with a dictionary");
  require(ZSTD_getFrameContentSize(frame.data(), frame.size()) == size, Code::kCorrupt, what,
          " does not declare the ", size, " bytes that its index does");
  require(window_bytes(frame, size) <= uint64_t{1} << window_log, Code::kLimitExceeded, what,
          " needs a zstd window of ", window_bytes(frame, size), " bytes, the limit is 2^",
          window_log);
  require(ZSTD_findFrameCompressedSize(frame.data(), frame.size()) == frame.size(), Code::kCorrupt,
          what, " is damaged or is followed by other bytes");
}

/// The code of a failed call; `otherwise` when it is not memory that zstd lacks.
Code code_of(size_t result, Code otherwise) {
  return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation ? Code::kOutOfMemory : otherwise;
}

}  // namespace

std::string compress_frame(std::string_view raw, int level, int window_log) {
  require(level >= kLowestZstdLevel && level <= kHighestZstdLevel, Code::kInvalidArgument,
          "the compression level is ", level, ", allowed is ", kLowestZstdLevel, " to ",
          kHighestZstdLevel);
  const auto check = [](size_t result) {
    require(!ZSTD_isError(result), code_of(result, Code::kInternal),
            "zstd: ", ZSTD_getErrorName(result));
    return result;
  };
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                   ZSTD_freeCCtx);
  require(context != nullptr, Code::kOutOfMemory, "no memory is left to compress an adapter");
  check(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level));
  check(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, window_log));
  check(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_contentSizeFlag, 1));
  check(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1));

  std::string frame(ZSTD_compressBound(raw.size()), '\0');
  frame.resize(
      check(ZSTD_compress2(context.get(), frame.data(), frame.size(), raw.data(), raw.size())));
  return frame;
}

void decompress_frame(std::string_view frame, void* raw, size_t size, std::string_view what,
                      int window_log) {
  check_frame_header(frame, size, what, window_log);
  const size_t result = ZSTD_decompress(raw, size, frame.data(), frame.size());
  require(!ZSTD_isError(result), code_of(result, Code::kCorrupt), what,
          " cannot be decompressed: ", ZSTD_getErrorName(result));
  require(result == size, Code::kCorrupt, what, " decompresses to ", result, " bytes instead of ",
          size);
}

}  // namespace lethe
