#include <png.h>
#include <setjmp.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "data/decode.h"

namespace lethe {
namespace {

/// libpng reports through these callbacks, which leave it by longjmp: it must not be unwound by an
/// exception. So the functions that call it hold no object with a destructor.
struct Session {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::string_view rest;
  char message[160] = "";

  ~Session() { png_destroy_read_struct(&png, &info, nullptr); }
};

extern "C" {

[[noreturn]] static void lethe_png_error(png_structp png, png_const_charp message) {
  auto* session = static_cast<Session*>(png_get_error_ptr(png));
  std::snprintf(session->message, sizeof session->message, "%s", message);
  png_longjmp(png, 1);
}

static void lethe_png_warning(png_structp, png_const_charp) {}

static void lethe_png_read(png_structp png, png_bytep out, size_t size) {
  auto* session = static_cast<Session*>(png_get_io_ptr(png));
  if (session->rest.size() < size) png_error(png, "the file is truncated");
  std::memcpy(out, session->rest.data(), size);
  session->rest.remove_prefix(size);
}

}  // extern "C"

/// Reads up to the pixels and asks for 8-bit grey or RGB, with alpha where there is transparency.
bool read_header(Session& session) {
  if (setjmp(png_jmpbuf(session.png))) return false;
  png_set_read_fn(session.png, &session, lethe_png_read);
  png_read_info(session.png, session.info);
  png_set_expand(session.png);
  png_set_scale_16(session.png);
  png_set_interlace_handling(session.png);
  png_read_update_info(session.png, session.info);
  return true;
}

bool read_pixels(Session& session, png_bytepp rows) {
  if (setjmp(png_jmpbuf(session.png))) return false;
  png_read_image(session.png, rows);
  png_read_end(session.png, nullptr);
  return true;
}

void check(bool success, const Session& session, const std::string& what) {
  require(success, Code::kCorrupt, what, " cannot be decoded as PNG: ", session.message);
}

}  // namespace

DecodedImage decode_png(std::string_view bytes, const std::string& what) {
  Session session;
  session.rest = bytes;
  session.png =
      png_create_read_struct(PNG_LIBPNG_VER_STRING, &session, lethe_png_error, lethe_png_warning);
  if (session.png) session.info = png_create_info_struct(session.png);
  require(session.info != nullptr, Code::kOutOfMemory, what, ": no memory to decode it");
  check(read_header(session), session, what);

  DecodedImage image;
  image.height = png_get_image_height(session.png, session.info);
  image.width = png_get_image_width(session.png, session.info);
  image.channels = png_get_channels(session.png, session.info);
  check_image_size(image.height, image.width, what);
  image.samples.resize(image.height * image.width * image.channels);
  std::vector<png_bytep> rows(image.height);
  for (int64_t y = 0; y < image.height; ++y) {
    rows[y] = image.samples.data() + y * image.width * image.channels;
  }
  check(read_pixels(session, rows.data()), session, what);
  return image;
}

}  // namespace lethe
