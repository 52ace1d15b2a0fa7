// Image and IDX files made by the tests, byte for byte.
#pragma once

#include <cstddef>
#include <cstdio>
// libjpeg's header needs the two above.
#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace lethe::testing {

inline void write_text(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// "\1\2\3" from {1, 2, 3}.
inline std::string bytes_of(const std::vector<int>& values) {
  return {values.begin(), values.end()};
}

inline std::string big_endian(uint32_t value) {
  return bytes_of({static_cast<int>(value >> 24), static_cast<int>(value >> 16 & 255),
                   static_cast<int>(value >> 8 & 255), static_cast<int>(value & 255)});
}

inline std::string idx(const std::vector<uint32_t>& shape, const std::string& data,
                       int element_type = 8) {
  std::string file = bytes_of({0, 0, element_type, static_cast<int>(shape.size())});
  for (const uint32_t extent : shape) file += big_endian(extent);
  return file + data;
}

inline std::string gzip(const std::string& content) {
  z_stream stream = {};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY) != Z_OK) abort();
  std::string out(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) abort();
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct PngForm {
  int color_type = PNG_COLOR_TYPE_RGB;
  int bits = 8;
  bool interlaced = false;
  std::vector<png_color> palette = {};
  std::vector<png_byte> palette_alpha = {};
  int transparent_grey = -1;
};

/// `packed` holds the rows as they lie in the file (16-bit samples big-endian, small ones packed).
inline std::string png(int width, int height, const std::string& packed, const PngForm& form = {}) {
  std::string out;
  png_structp file = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(file);
  png_set_write_fn(
      file, &out,
      [](png_structp f, png_bytep data, size_t size) {
        static_cast<std::string*>(png_get_io_ptr(f))->append(reinterpret_cast<char*>(data), size);
      },
      nullptr);
  png_set_IHDR(file, info, width, height, form.bits, form.color_type,
               form.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (!form.palette.empty()) {
    png_set_PLTE(file, info, form.palette.data(), static_cast<int>(form.palette.size()));
  }
  png_color_16 transparent = {};
  transparent.gray = static_cast<png_uint_16>(form.transparent_grey);
  if (!form.palette_alpha.empty() || form.transparent_grey >= 0) {
    png_set_tRNS(file, info, form.palette_alpha.data(), static_cast<int>(form.palette_alpha.size()),
                 &transparent);
  }
  png_write_info(file, info);
  const size_t row_bytes = packed.size() / height;
  std::vector<png_bytep> rows;
  for (int y = 0; y < height; ++y) {
    rows.push_back(reinterpret_cast<png_bytep>(const_cast<char*>(packed.data())) + y * row_bytes);
  }
  png_write_image(file, rows.data());
  png_write_end(file, info);
  png_destroy_write_struct(&file, &info);
  return out;
}

/// `samples`: rows of grey (1), RGB (3) or CMYK (4 channels) pixels.
inline std::string jpeg(int width, int height, int channels, const std::string& samples,
                        bool progressive = false) {
  jpeg_compress_struct encoder;
  jpeg_error_mgr errors;
  encoder.err = jpeg_std_error(&errors);
  jpeg_create_compress(&encoder);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&encoder, &memory, &size);
  encoder.image_width = width;
  encoder.image_height = height;
  encoder.input_components = channels;
  encoder.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, 100, TRUE);
  if (progressive) jpeg_simple_progression(&encoder);
  jpeg_start_compress(&encoder, TRUE);
  for (int y = 0; y < height; ++y) {
    JSAMPROW row = reinterpret_cast<JSAMPROW>(const_cast<char*>(samples.data())) +
                   static_cast<size_t>(y) * width * channels;
    jpeg_write_scanlines(&encoder, &row, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  const std::string out(reinterpret_cast<char*>(memory), size);
  free(memory);
  return out;
}

}  // namespace lethe::testing
