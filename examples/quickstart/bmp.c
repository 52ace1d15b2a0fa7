/* An image as a data URI: a BMP in base64, which every browser shows. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

enum { FILE_HEAD = 14, INFO_HEAD = 40, PALETTE = 4 * 256 };

static void put(unsigned char* at, size_t value, int size) { /* little-endian */
  for (int i = 0; i < size; ++i) at[i] = (unsigned char)(value >> (8 * i));
}

static void write_base64(FILE* out, const unsigned char* data, size_t size) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < size; i += 3) {
    size_t rest = size - i;
    uint32_t three = (uint32_t)data[i] << 16 | (rest > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                     (rest > 2 ? data[i + 2] : 0);
    fputc(digits[three >> 18], out);
    fputc(digits[three >> 12 & 63], out);
    fputc(rest > 1 ? digits[three >> 6 & 63] : '=', out);
    fputc(rest > 2 ? digits[three & 63] : '=', out);
  }
}

/* A row of the image, in the order of the file: grey, or blue, green, red. */
static void write_row(unsigned char* to, const unsigned char* planes, size_t row, size_t width,
                      size_t plane, int channels) {
  for (size_t x = 0; x < width; ++x)
    for (int c = 0; c < channels; ++c)
      to[x * (size_t)channels + (size_t)c] =
          planes[(size_t)(channels - 1 - c) * plane + row * width + x];
}

void bmp_uri(FILE* html, const unsigned char* planes, size_t width, size_t height, int channels) {
  size_t head = FILE_HEAD + INFO_HEAD + (channels == 1 ? PALETTE : 0);
  size_t stride = (width * (size_t)channels + 3) / 4 * 4, size = head + stride * height;
  unsigned char* file = allocate(size);
  memset(file, 0, size);
  memcpy(file, "BM", 2);
  put(file + 2, size, 4);
  put(file + 10, head, 4);
  unsigned char* info = file + FILE_HEAD;
  put(info, INFO_HEAD, 4);
  put(info + 4, width, 4);
  put(info + 8, height, 4);
  put(info + 12, 1, 2);                    /* planes */
  put(info + 14, 8 * (size_t)channels, 2); /* bits of a pixel */
  if (channels == 1)
    for (int grey = 0; grey < 256; ++grey) memset(info + INFO_HEAD + (ptrdiff_t)4 * grey, grey, 3);
  for (size_t y = 0; y < height; ++y) /* the lowest row comes first */
    write_row(file + head + (height - 1 - y) * stride, planes, y, width, width * height, channels);
  fputs("data:image/bmp;base64,", html);
  write_base64(html, file, size);
  free(file);
}
