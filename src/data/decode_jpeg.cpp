#include <cstddef>
#include <cstdio>
// libjpeg's header needs the two above.
#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>

#include "data/decode.h"

namespace lethe {
namespace {

constexpr int kMaxScans = 500;  // each costs a pass over the image, a few bytes can ask for one

/// libjpeg reports through these callbacks, which leave it by longjmp: it must not be unwound by an
/// exception. So the functions that call it hold no object with a destructor.
struct Session {
  jpeg_decompress_struct decoder = {};
  jpeg_error_mgr errors = {};
  jpeg_progress_mgr progress = {};
  jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = "";
  bool too_many_scans = false;

  ~Session() { jpeg_destroy_decompress(&decoder); }
};

Session* session_of(j_common_ptr decoder) { return static_cast<Session*>(decoder->client_data); }

extern "C" {

[[noreturn]] static void lethe_jpeg_error(j_common_ptr decoder) {
  Session* session = session_of(decoder);
  decoder->err->format_message(decoder, session->message);
  longjmp(session->escape, 1);
}

/// Warnings that mean lost pixels are errors; the others, and traces, are dropped.
static void lethe_jpeg_message(j_common_ptr decoder, int level) {
  if (level >= 0) return;
  switch (decoder->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
      lethe_jpeg_error(decoder);
    default:
      break;
  }
}

static void lethe_jpeg_progress(j_common_ptr decoder) {
  if (reinterpret_cast<j_decompress_ptr>(decoder)->input_scan_number <= kMaxScans) return;
  session_of(decoder)->too_many_scans = true;
  longjmp(session_of(decoder)->escape, 1);
}

}  // extern "C"

bool read_header(Session& session, const unsigned char* data, size_t size) {
  session.decoder.err = jpeg_std_error(&session.errors);
  session.errors.error_exit = lethe_jpeg_error;
  session.errors.emit_message = lethe_jpeg_message;
  session.decoder.client_data = &session;
  if (setjmp(session.escape)) return false;
  jpeg_create_decompress(&session.decoder);
  session.progress.progress_monitor = lethe_jpeg_progress;
  session.decoder.progress = &session.progress;
  jpeg_mem_src(&session.decoder, data, size);
  jpeg_read_header(&session.decoder, TRUE);
  return true;
}

bool read_pixels(Session& session, uint8_t* samples, size_t row_bytes) {
  jpeg_decompress_struct& decoder = session.decoder;
  if (setjmp(session.escape)) return false;
  jpeg_start_decompress(&decoder);
  while (decoder.output_scanline < decoder.output_height) {
    JSAMPROW row = samples + decoder.output_scanline * row_bytes;
    jpeg_read_scanlines(&decoder, &row, 1);
  }
  jpeg_finish_decompress(&decoder);
  return true;
}

void check(bool success, const Session& session, const std::string& what) {
  require(!session.too_many_scans, Code::kLimitExceeded, what, " has more than ", kMaxScans,
          " progressive scans, the limit");
  require(success, Code::kCorrupt, what, " cannot be decoded as JPEG: ", session.message);
}

}  // namespace

DecodedImage decode_jpeg(std::string_view bytes, const std::string& what) {
  Session session;
  check(read_header(session, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()),
        session, what);
  const J_COLOR_SPACE space = session.decoder.jpeg_color_space;
  require(space == JCS_GRAYSCALE || space == JCS_YCbCr || space == JCS_RGB, Code::kUnsupported,
          what, " is a JPEG of ", session.decoder.num_components,
          " components that is neither grey nor RGB; convert it to one of these");

  DecodedImage image;
  image.height = session.decoder.image_height;
  image.width = session.decoder.image_width;
  image.channels = space == JCS_GRAYSCALE ? 1 : 3;
  check_image_size(image.height, image.width, what);
  session.decoder.out_color_space = space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  image.samples.resize(image.height * image.width * image.channels);
  check(read_pixels(session, image.samples.data(), image.width * image.channels), session, what);
  return image;
}

}  // namespace lethe
