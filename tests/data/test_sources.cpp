// IDX pairs and image folders, written by the tests, and Fashion-MNIST where it is installed.
#include <ATen/ATen.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "data/fixtures.h"
#include "data/sources.h"
#include "test.h"

namespace {

using namespace lethe;
using namespace lethe::testing;
using namespace std::string_literals;

using Values = std::vector<int64_t>;

Transform transform(const char* json) { return Transform::from_json(Json::parse(json)); }

at::Tensor pixels(const Dataset& data) {
  return data.batch(0, data.size()).images.mul(255).round().to(at::kLong);
}

// ------------------------------------------------------------------------------------- IDX

const std::string kImages = idx({3, 2, 2}, bytes_of({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255}));
const std::string kLabels = idx({3}, bytes_of({2, 0, 1}));

/// Reads a pair of files with these contents.
Dataset read_pair(const std::string& images, const std::string& labels, int64_t class_count = 0,
                  const Transform& steps = {}) {
  const TemporaryFolder folder;
  write_text(folder / "images", images);
  write_text(folder / "labels", labels);
  return read_idx(folder / "images", folder / "labels", steps, class_count);
}

void idx_is_read_plain_and_compressed(void**) {
  const Dataset plain = read_pair(kImages, kLabels);
  assert_int_equal(plain.size(), 3);
  assert_int_equal(plain.class_count(), 3);
  assert_true(plain.image_shape() == Values({1, 2, 2}));
  assert_true(
      at::equal(pixels(plain),
                at::tensor({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255}, at::kLong).view({3, 1, 2, 2})));
  assert_int_equal(plain.label(0), 2);
  assert_int_equal(plain.label(2), 1);

  const std::string& digest = plain.content_digest();
  assert_string_equal(read_pair(gzip(kImages), gzip(kLabels)).content_digest().c_str(),
                      digest.c_str());
  // Several gzip members, even empty ones, are one content.
  const std::string members =
      gzip(kImages.substr(0, 9)) + gzip("") + gzip(kImages.substr(9)) + gzip("");
  assert_string_equal(read_pair(members, kLabels).content_digest().c_str(), digest.c_str());

  assert_int_equal(read_pair(kImages, kLabels, 10).class_count(), 10);
  assert_true(
      read_pair(kImages, kLabels, 0, transform(R"({"pad": 1, "channels": 3})")).image_shape() ==
      Values({3, 4, 4}));
}

void idx_of_colour_images(void**) {
  const Dataset data = read_pair(idx({1, 1, 2, 3}, bytes_of({1, 2, 3, 4, 5, 6})), idx({1}, "\0"s));
  assert_true(data.image_shape() == Values({3, 1, 2}));
  assert_true(at::equal(pixels(data).view({6}), at::tensor({1, 4, 2, 5, 3, 6}, at::kLong)));
}

void idx_refuses_damaged_files(void**) {
  const auto expect = [](Code code, const char* part, const std::string& images,
                         const std::string& labels = kLabels, int64_t classes = 0) {
    expect_error(code, part, [&] { read_pair(images, labels, classes); });
    expect_error(code, part, [&] { read_pair(gzip(images), labels, classes); });
  };
  expect(Code::kCorrupt, "not an IDX file", "\x01" + kImages.substr(1));
  expect(Code::kUnsupported, "type 13", idx({3, 2, 2}, std::string(48, '\0'), 13));
  expect(Code::kCorrupt, "swapped", kLabels, kImages);
  expect(Code::kCorrupt, "5 dimensions", idx({1, 1, 1, 1, 1}, "x"));
  expect(Code::kCorrupt, "dimension 1 of 3 is 0", idx({0, 2, 2}, ""));
  expect(Code::kCorrupt, "dimension 3 of 3 is 0", idx({3, 2, 0}, ""));
  expect(Code::kCorrupt, "more than the 12 bytes", kImages + "x");
  expect(Code::kCorrupt, "2 images but labels holds 3", idx({2, 2, 2}, std::string(8, '\0')));
  expect(Code::kCorrupt, "3 images but labels holds 1", kImages, idx({1}, "\0"s));
  expect(Code::kInvalidArgument, "label 0 is 2, allowed is 0 to 1", kImages, kLabels, 2);
  expect(Code::kInvalidArgument, "classes is -1", kImages, kLabels, -1);
  // Products that overflow 32 or 64 bits.
  expect(Code::kLimitExceeded, "2147483648", idx({0x10000, 0x10000, 1}, ""));
  expect(Code::kLimitExceeded, "2147483648", idx({0xffffffff, 0xffffffff, 0xffffffff}, ""));
  expect(Code::kLimitExceeded, "2147483648", idx({0x80000000, 0x80000000, 4, 1}, ""));
  // A small file that declares much is refused before memory is taken for it.
  expect(Code::kCorrupt, "can hold at most", idx({1000, 1000, 1000}, "x"));
}

void idx_expansion_stops_at_the_declared_size(void**) {
  const std::string bomb = gzip(kImages + std::string(100 << 20, '\0'));
  assert_true(bomb.size() < 200'000);
  expect_error(Code::kCorrupt, "more than the 12 bytes", [&] { read_pair(bomb, kLabels); });
}

void idx_refuses_every_truncation(void**) {
  for (const std::string& whole : {kImages, gzip(kImages)}) {
    for (size_t size = 0; size < whole.size(); ++size) {
      expect_error(Code::kCorrupt, "images", [&] { read_pair(whole.substr(0, size), kLabels); });
    }
  }
}

void idx_gzip_damage_never_goes_unseen(void**) {
  const std::string whole = gzip(kImages);
  const std::string digest = read_pair(whole, kLabels).content_digest();
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    try {  // the header holds a time and a system that mean nothing to the content
      assert_string_equal(read_pair(damaged, kLabels).content_digest().c_str(), digest.c_str());
      assert_true(at >= 3 && at < 10);
    } catch (const Error& error) {
      // Damage may turn the element type or a dimension into a legal one before it is found out.
      assert_true(error.code() == Code::kCorrupt || error.code() == Code::kUnsupported ||
                  error.code() == Code::kLimitExceeded);
    }
  }
  expect_error(Code::kCorrupt, "3 bytes follow", [&] { read_pair(whole + "abc", kLabels); });
}

void idx_names_missing_files(void**) {
  const TemporaryFolder folder;
  write_text(folder / "images", kImages);
  expect_error(Code::kNotFound, "labels",
               [&] { read_idx(folder / "images", folder / "labels", {}); });
  expect_error(Code::kNotFound, "nothing", [&] { read_idx("/nothing", folder / "images", {}); });
}

void fashion_mnist_is_read_whole(void**) {
  const std::string folder = "/usr/share/datasets/fashion-mnist/";
  if (!std::filesystem::exists(folder)) {
    print_message("skipped: the Debian package dataset-fashion-mnist is not installed\n");
    skip();
  }
  const Dataset train = read_idx(folder + "train-images-idx3-ubyte.gz",
                                 folder + "train-labels-idx1-ubyte.gz", {}, 10);
  const Dataset test =
      read_idx(folder + "t10k-images-idx3-ubyte.gz", folder + "t10k-labels-idx1-ubyte.gz", {});
  assert_int_equal(train.size(), 60000);
  assert_int_equal(test.size(), 10000);
  assert_int_equal(test.class_count(), 10);
  assert_true(train.image_shape() == Values({1, 28, 28}));
  assert_true(train.histogram() == Values(10, 6000));
  assert_true(test.histogram() == Values(10, 1000));
  const Values first = {9, 0, 0, 3, 0, 2};  // an ankle boot, two T-shirts, a dress, ...
  for (size_t i = 0; i < first.size(); ++i) assert_int_equal(train.label(i), first[i]);
  // The published mean and deviation of the training pixels.
  const at::Tensor all = train.batch(0, train.size()).images;
  expect_close(all.mean().item<double>(), 0.2860, 1e-4);
  expect_close(all.std().item<double>(), 0.3530, 1e-4);
}

// ---------------------------------------------------------------------------- image folder

/// A folder of class folders.
class Photos : public TemporaryFolder {
 public:
  Photos& add(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories(std::filesystem::path(*this / name).parent_path());
    write_text(*this / name, bytes);
    return *this;
  }
  Dataset read(const char* json = "{}") const { return read_image_folder(path(), transform(json)); }
};

/// A grey image of one value.
std::string grey(int value, int width = 2, int height = 2) {
  return "P5 " + std::to_string(width) + " " + std::to_string(height) + " 255\n" +
         std::string(static_cast<size_t>(width) * height, static_cast<char>(value));
}

void folders_number_classes_in_order(void**) {
  Photos photos;
  photos.add("zebra/a.pgm", grey(50)).add("Ape/2.pgm", grey(20)).add("Ape/10.PGM", grey(10));
  photos.add("cat/x.png", png(2, 2, bytes_of({30, 30, 30, 30}), {.color_type = 0}));
  photos.add("cat/y.Jpeg", jpeg(2, 2, 1, bytes_of({40, 40, 40, 40})));
  photos.add("cat/notes.txt", "ignored").add("cat/.hidden.pgm", "ignored");
  photos.add("cat/deeper/z.pgm", "ignored").add(".git/a.pgm", "ignored").add("top.pgm", "ignored");
  const Dataset data = photos.read();
  assert_true(data.class_names() == std::vector<std::string>({"Ape", "cat", "zebra"}));
  assert_int_equal(data.class_count(), 3);
  assert_true(data.histogram() == Values({2, 2, 1}));
  const at::Tensor values = pixels(data).flatten(1).select(1, 0);
  assert_true(at::equal(values, at::tensor({10, 20, 30, 40, 50}, at::kLong)));
  for (int64_t i = 0; i < 5; ++i) assert_int_equal(data.label(i), i < 2 ? 0 : i < 4 ? 1 : 2);
}

void folders_apply_geometry_once(void**) {
  Photos photos;
  photos.add("a/1.pgm", grey(60, 8, 4)).add("a/2.pgm", grey(90, 4, 12));
  photos.add("b/3.ppm", "P6 4 4 255\n" + std::string(48, '\x28'));
  const Dataset data = photos.read(R"({"resize": 4, "center_crop": 4, "pad": 1, "channels": 3})");
  assert_true(data.image_shape() == Values({3, 6, 6}));
  const at::Tensor inner = pixels(data).slice(2, 1, 5).slice(3, 1, 5).flatten(1);
  assert_true(at::equal(inner.amin(1), at::tensor({60, 90, 40}, at::kLong)));
  assert_true(at::equal(inner.amax(1), at::tensor({60, 90, 40}, at::kLong)));
}

void folder_and_arrays_have_one_digest(void**) {
  Photos photos;
  photos.add("a/1.pgm", grey(60)).add("b/2.pgm", grey(90));
  const Dataset arrays(at::tensor({60, 90}, at::kByte).view({2, 1, 1, 1}).expand({2, 1, 2, 2}),
                       at::tensor({0, 1}, at::kLong), 2, transform(R"({"pad": 1})"));
  assert_string_equal(photos.read(R"({"pad": 1})").content_digest().c_str(),
                      arrays.content_digest().c_str());
}

void folders_refuse_images_of_several_sizes(void**) {
  Photos photos;
  photos.add("a/1.pgm", grey(1)).add("a/2.pgm", grey(1)).add("b/3.pgm", grey(1, 3, 2));
  photos.add("b/4.ppm", "P6 2 2 255\n" + std::string(12, 'x'));
  expect_error(Code::kInvalidArgument, "\"b/3.pgm\" is [1, 2, 3]", [&] { photos.read(); });
  expect_error(Code::kInvalidArgument, "\"a/1.pgm\" is [1, 2, 2]", [&] { photos.read(); });
  expect_error(Code::kInvalidArgument, "\"resize\"", [&] { photos.read(); });
  expect_error(Code::kInvalidArgument, "\"b/4.ppm\" is [3, 2, 2]",
               [&] { photos.read(R"({"center_crop": 2})"); });
  assert_int_equal(photos.read(R"({"center_crop": 2, "channels": 1})").size(), 4);
  expect_error(Code::kInvalidArgument, "\"a/1.pgm\": transform: \"center_crop\" 3",
               [&] { photos.read(R"({"center_crop": 3})"); });
}

void folders_name_the_first_bad_image(void**) {
  Photos photos;
  for (int i = 0; i < 200; ++i) photos.add("a/" + std::to_string(1000 + i) + ".pgm", grey(1));
  photos.add("a/1050.pgm", "P5 2 2 255\nabc").add("a/1051.pgm", "GIF89a");
  photos.add("a/1150.pgm", "").add("a/1199.pgm", grey(1, 5, 5));
  for (int i = 0; i < 10; ++i) {
    expect_error(Code::kCorrupt, "a/1050.pgm", [&] { photos.read(); });
  }
  photos.add("a/1050.pgm", grey(1));
  expect_error(Code::kUnsupported, "a/1051.pgm", [&] { photos.read(); });
  photos.add("a/1000.pgm", "");
  expect_error(Code::kCorrupt, "\"a/1000.pgm\" is empty", [&] { photos.read(); });
}

void folders_without_images_are_refused(void**) {
  Photos photos;
  expect_error(Code::kNotFound, "no sub-folder", [&] { photos.read(); });
  photos.add("top.pgm", grey(1));
  expect_error(Code::kNotFound, "no sub-folder", [&] { photos.read(); });
  photos.add("a/1.pgm", grey(1)).add("b/readme.txt", "x");
  expect_error(Code::kNotFound, "class folder \"b\"", [&] { photos.read(); });
  expect_error(Code::kNotFound, "nowhere", [&] { read_image_folder(photos / "nowhere", {}); });
  expect_error(Code::kInvalidArgument, "not a folder",
               [&] { read_image_folder(photos / "top.pgm", {}); });
  Photos odd;
  odd.add("\xff\xfe/1.pgm", grey(1));
  expect_error(Code::kInvalidArgument, "UTF-8", [&] { odd.read(); });
  // A name in another encoding is shown all the same, in UTF-8.
  odd.add("a/\xff\xfe.pgm", "P5 2 2 255\nabc");
  expect_error(Code::kCorrupt, "\"a/\xef\xbf\xbd\xef\xbf\xbd.pgm\"", [&] { odd.read(); });
  Photos empty;
  empty.add("\xff/readme.txt", "x");
  expect_error(Code::kNotFound, "class folder \"\xef\xbf\xbd\"", [&] { empty.read(); });
  // The last component alone is shown.
  try {
    read_image_folder(photos / "nowhere", {});
  } catch (const Error& error) {
    assert_true(std::string(error.what()).find('/') == std::string::npos);
  }
}

void unreadable_folders_are_io_errors(void**) {
  constexpr uid_t kNobody = 65534;  // the superuser may read every folder
  const uid_t user = geteuid();
  if (user == 0 && seteuid(kNobody) != 0) {
    print_message("skipped: the superuser may read every folder and cannot change its user\n");
    skip();
  }
  Photos photos;
  photos.add("a/1.pgm", grey(1));
  chmod((photos / "a").c_str(), 0);
  expect_error(Code::kIo, "the folder \"a\"", [&] { photos.read(); });
  chmod((photos / "a").c_str(), 0700);
  assert_int_equal(seteuid(user), 0);
}

}  // namespace

int main() {
  const CMUnitTest idx_files[] = {
      cmocka_unit_test(idx_is_read_plain_and_compressed),
      cmocka_unit_test(idx_of_colour_images),
      cmocka_unit_test(idx_refuses_damaged_files),
      cmocka_unit_test(idx_expansion_stops_at_the_declared_size),
      cmocka_unit_test(idx_refuses_every_truncation),
      cmocka_unit_test(idx_gzip_damage_never_goes_unseen),
      cmocka_unit_test(idx_names_missing_files),
      cmocka_unit_test(fashion_mnist_is_read_whole),
  };
  const CMUnitTest folders[] = {
      cmocka_unit_test(folders_number_classes_in_order),
      cmocka_unit_test(folders_apply_geometry_once),
      cmocka_unit_test(folder_and_arrays_have_one_digest),
      cmocka_unit_test(folders_refuse_images_of_several_sizes),
      cmocka_unit_test(folders_name_the_first_bad_image),
      cmocka_unit_test(folders_without_images_are_refused),
      cmocka_unit_test(unreadable_folders_are_io_errors),
  };
  return cmocka_run_group_tests_name("data: IDX", idx_files, nullptr, nullptr) +
         cmocka_run_group_tests_name("data: image folder", folders, nullptr, nullptr);
}
