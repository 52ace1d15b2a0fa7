// JPEG, PNG and PNM images made here, whole and damaged.
#include <ATen/ATen.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "data/fixtures.h"
#include "data/sources.h"
#include "test.h"

namespace {

using namespace lethe;
using namespace lethe::testing;

using Values = std::vector<int64_t>;

void expect_image(const std::string& file, const Values& expected, at::IntArrayRef shape,
                  int64_t tolerance = 0) {
  const at::Tensor image = decode_image(file, "image");
  assert_true(image.scalar_type() == at::kByte);
  assert_true(image.is_contiguous());
  assert_true(image.sizes() == shape);
  const at::Tensor flat = image.view({-1});
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto value = flat[i].item<int64_t>();
    if (std::abs(value - expected[i]) > tolerance) {
      fail_msg("sample %zu is %ld, not %ld", i, static_cast<long>(value),
               static_cast<long>(expected[i]));
    }
  }
}

/// `count` pixels of a horizontal ramp, samples side by side.
std::string ramp(int width, int height, int channels) {
  std::string samples;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) samples += static_cast<char>(x * 8 + y * 4 + c * 20);
    }
  }
  return samples;
}

Values ramp_planes(int width, int height, int channels) {
  Values values;
  for (int c = 0; c < channels; ++c) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) values.push_back(x * 8 + y * 4 + c * 20);
    }
  }
  return values;
}

void png_of_every_kind(void**) {
  expect_image(png(2, 1, bytes_of({1, 2, 3, 4, 5, 6})), {1, 4, 2, 5, 3, 6}, {3, 1, 2});
  expect_image(png(1, 2, bytes_of({9, 200}), {.color_type = PNG_COLOR_TYPE_GRAY}), {9, 200},
               {1, 2, 1});
  // One bit a pixel: 1 0 1 1.
  expect_image(png(4, 1, bytes_of({0xB0}), {.color_type = PNG_COLOR_TYPE_GRAY, .bits = 1}),
               {255, 0, 255, 255}, {1, 1, 4});
  // 16 bits: 0x0100 / 257 = 0.996, rounded; 0xFFFF.
  expect_image(
      png(2, 1, bytes_of({1, 0, 255, 255}), {.color_type = PNG_COLOR_TYPE_GRAY, .bits = 16}),
      {1, 255}, {1, 1, 2});
  const PngForm palette = {
      .color_type = PNG_COLOR_TYPE_PALETTE, .bits = 4, .palette = {{10, 20, 30}, {40, 50, 60}}};
  expect_image(png(2, 1, bytes_of({0x10}), palette), {40, 10, 50, 20, 60, 30}, {3, 1, 2});
  expect_image(png(20, 9, ramp(20, 9, 3), {.interlaced = true}), ramp_planes(20, 9, 3), {3, 9, 20});
}

void png_transparency_is_composited_on_black(void**) {
  // 100 * 128 / 255 = 50.2
  expect_image(png(2, 1, bytes_of({100, 200, 50, 128, 9, 9, 9, 0}),
                   {.color_type = PNG_COLOR_TYPE_RGB_ALPHA}),
               {50, 0, 100, 0, 25, 0}, {3, 1, 2});
  expect_image(png(2, 1, bytes_of({100, 255, 100, 128}), {.color_type = PNG_COLOR_TYPE_GRAY_ALPHA}),
               {100, 50}, {1, 1, 2});
  const PngForm palette = {.color_type = PNG_COLOR_TYPE_PALETTE,
                           .palette = {{10, 20, 30}, {40, 50, 60}},
                           .palette_alpha = {0}};
  expect_image(png(2, 1, bytes_of({0, 1}), palette), {0, 40, 0, 50, 0, 60}, {3, 1, 2});
  expect_image(
      png(2, 1, bytes_of({7, 8}), {.color_type = PNG_COLOR_TYPE_GRAY, .transparent_grey = 7}),
      {0, 8}, {1, 1, 2});
}

void jpeg_of_every_kind(void**) {
  expect_image(jpeg(16, 8, 1, ramp(16, 8, 1)), ramp_planes(16, 8, 1), {1, 8, 16}, 2);
  expect_image(jpeg(16, 8, 3, ramp(16, 8, 3)), ramp_planes(16, 8, 3), {3, 8, 16}, 4);
  expect_image(jpeg(17, 9, 3, ramp(17, 9, 3), true), ramp_planes(17, 9, 3), {3, 9, 17}, 4);
  const std::string four(16 * 8 * 4, '\x40');
  expect_error(Code::kUnsupported, "4 components",
               [&] { decode_image(jpeg(16, 8, 4, four), "image"); });
}

void pnm_of_every_kind(void**) {
  expect_image("P5 3 1 255\n" + bytes_of({0, 128, 255}), {0, 128, 255}, {1, 1, 3});
  expect_image("P6\n# made by hand\n1 #width\n2\n255\n" + bytes_of({1, 2, 3, 4, 5, 6}),
               {1, 4, 2, 5, 3, 6}, {3, 2, 1});
  expect_image("P5 3 1 15\n" + bytes_of({0, 7, 15}), {0, 119, 255}, {1, 1, 3});
  expect_image("P5 2 1 65535\n" + bytes_of({255, 255, 128, 0}), {255, 128}, {1, 1, 2});
  // White space may follow, and the first pixel may look like it.
  expect_image("P5 2 1 255\n" + bytes_of({32, 10}) + "\n", {32, 10}, {1, 1, 2});
}

void pnm_refuses_bad_headers(void**) {
  const std::vector<std::pair<std::string, const char*>> cases = {
      {"P5", "no width"},
      {"P5 #", "no width"},
      {"P5 3", "no height"},
      {"P5 3 1", "no maximum"},
      {"P5 3 1 255", "white space"},
      {"P5 3 1 255x", "white space"},
      {"P5 -3 1 255\n", "no width"},
      {"P5 0 1 255\n", "width 0"},
      {"P5 3 0 255\n", "height 0"},
      {"P5 3 1 0\n", "maximum 0"},
      {"P5 3 1 65536\n", "maximum 65536"},
      {"P5 99999999999999999999999 1 255\n", "width 99999999999999999999"},
      {"P5 3 1 255\nab", "3 bytes of pixels and 2"},
      {"P6 1 1 255\nab", "3 bytes of pixels and 2"},
      {"P5 1 1 256\na", "2 bytes of pixels and 1"},
      {"P5 1 1 255\nabc", "2 bytes follow"},
      {"P5 1 1 9\n\x0a", "above the maximum"},
  };
  for (const auto& [file, part] : cases) {
    expect_error(Code::kCorrupt, part, [&file = file] { decode_image(file, "image"); });
  }
  expect_error(Code::kLimitExceeded, "67108864",
               [] { decode_image("P5 8193 8192 255\nx", "image"); });
}

void other_formats_are_refused(void**) {
  expect_error(Code::kCorrupt, "photo.png is empty", [] { decode_image("", "photo.png"); });
  for (const char* file : {"GIF89a", "P2 1 1 255 7", "BM", "\xff", "P", "P7", "hello"}) {
    expect_error(Code::kUnsupported, "photo.png", [&] { decode_image(file, "photo.png"); });
  }
}

void huge_images_are_refused_before_memory_is_taken(void**) {
  std::string file = png(1, 1, bytes_of({1, 2, 3}));
  const auto resized = [&file](uint32_t width, uint32_t height) {
    std::string header = "IHDR" + big_endian(width) + big_endian(height) + file.substr(24, 5);
    const auto sum = crc32(0, reinterpret_cast<const Bytef*>(header.data()), header.size());
    return file.substr(0, 12) + header + big_endian(sum) + file.substr(33);
  };
  expect_image(resized(1, 1), {1, 2, 3}, {3, 1, 1});
  expect_error(Code::kLimitExceeded, "10000x10000",
               [&] { decode_image(resized(10000, 10000), "image"); });
  expect_error(Code::kCorrupt, "PNG", [&] { decode_image(resized(0x7fffffff, 1), "image"); });
  expect_error(Code::kCorrupt, "PNG", [&] { decode_image(resized(0, 1), "image"); });

  std::string photo = jpeg(8, 8, 1, ramp(8, 8, 1));
  const size_t frame = photo.find("\xff\xc0");
  photo.replace(frame + 5, 4, bytes_of({255, 220, 255, 220}));  // 65500 x 65500
  expect_error(Code::kLimitExceeded, "65500x65500", [&] { decode_image(photo, "image"); });
}

void jpegs_of_endless_scans_are_refused(void**) {
  const std::string photo = jpeg(8, 8, 1, ramp(8, 8, 1), true);
  const size_t begin = photo.find("\xff\xda");
  size_t end = begin + 2;  // of the scan: the next 0xff that is not a data byte
  while (photo[end] != '\xff' || photo[end + 1] == '\0') ++end;
  const std::string scan = photo.substr(begin, end - begin);
  const auto with_scans = [&](int more) {
    std::string repeated = photo.substr(0, end);
    for (int i = 0; i < more; ++i) repeated += scan;
    return repeated + photo.substr(end);
  };
  assert_true(decode_image(with_scans(300), "image").equal(decode_image(photo, "image")));
  expect_error(Code::kLimitExceeded, "500", [&] { decode_image(with_scans(600), "image"); });
}

std::vector<std::string> samples_of_each_format() {
  return {
      png(9, 5, ramp(9, 5, 3)),
      png(9, 5, ramp(9, 5, 1), {.color_type = PNG_COLOR_TYPE_GRAY, .interlaced = true}),
      jpeg(16, 16, 3, ramp(16, 16, 3)),
      jpeg(16, 16, 1, ramp(16, 16, 1), true),
      "P6 3 2 255\n" + ramp(3, 2, 3),
      "P5 3 2 300\n" + std::string(12, '\0'),
  };
}

void every_truncation_is_an_error(void**) {
  for (const std::string& file : samples_of_each_format()) {
    for (size_t size = 4; size < file.size(); ++size) {
      expect_error(Code::kCorrupt, "cut", [&] { decode_image(file.substr(0, size), "cut"); });
    }
  }
}

void no_damaged_byte_does_harm(void**) {
  int refused = 0;
  for (const std::string& file : samples_of_each_format()) {
    for (size_t at = 0; at < file.size(); ++at) {
      for (const int flip : {1, 0x80, 0xff}) {
        std::string damaged = file;
        damaged[at] = static_cast<char>(damaged[at] ^ flip);
        try {
          assert_true(decode_image(damaged, "damaged").numel() > 0);
        } catch (const Error&) {
          ++refused;
        }
      }
    }
  }
  assert_true(refused > 500);
}

void png_checksums_are_checked(void**) {
  const std::string file = png(9, 5, ramp(9, 5, 3));
  const size_t data = file.find("IDAT");
  for (size_t at = data; at < file.size(); ++at) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    expect_error(Code::kCorrupt, "PNG", [&] { decode_image(damaged, "damaged"); });
  }
}

void nothing_is_printed(void**) {
  const TemporaryFolder folder;
  const int old_out = dup(1), old_err = dup(2);
  const int file = open((folder / "printed").c_str(), O_CREAT | O_WRONLY, 0600);
  dup2(file, 1);
  dup2(file, 2);
  for (const std::string& image : samples_of_each_format()) {
    for (size_t at = 0; at < image.size(); ++at) {
      std::string damaged = image;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
      try {
        decode_image(damaged, "damaged");
      } catch (const Error&) {
      }
    }
  }
  std::fflush(stdout);
  std::fflush(stderr);
  dup2(old_out, 1);
  dup2(old_err, 2);
  for (const int descriptor : {file, old_out, old_err}) close(descriptor);
  assert_int_equal(std::filesystem::file_size(folder / "printed"), 0);
}

}  // namespace

int main() {
  const CMUnitTest decode[] = {
      cmocka_unit_test(png_of_every_kind),
      cmocka_unit_test(png_transparency_is_composited_on_black),
      cmocka_unit_test(jpeg_of_every_kind),
      cmocka_unit_test(pnm_of_every_kind),
      cmocka_unit_test(pnm_refuses_bad_headers),
      cmocka_unit_test(other_formats_are_refused),
      cmocka_unit_test(huge_images_are_refused_before_memory_is_taken),
      cmocka_unit_test(jpegs_of_endless_scans_are_refused),
      cmocka_unit_test(every_truncation_is_an_error),
      cmocka_unit_test(no_damaged_byte_does_harm),
      cmocka_unit_test(png_checksums_are_checked),
      cmocka_unit_test(nothing_is_printed),
  };
  return cmocka_run_group_tests_name("data: decode", decode, nullptr, nullptr);
}
