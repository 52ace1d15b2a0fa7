#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <exception>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <system_error>
#include <vector>

#include "data/describe.h"
#include "data/sources.h"
#include "storage/file.h"
#include "support/error.h"
#include "support/json.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

struct ImageFile {
  std::string path;
  std::string name;  ///< class folder / file, in quotes: what messages show
  int64_t label;
};

bool is_image_name(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  constexpr std::array<std::string_view, 5> kEndings = {".jpg", ".jpeg", ".png", ".ppm", ".pgm"};
  return std::any_of(kEndings.begin(), kEndings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

/// Names of the visible entries that are folders or else regular files, in lexicographic order.
std::vector<std::string> entries(const std::string& path, bool folders) {
  std::vector<std::string> names = names_in(path);
  std::erase_if(names, [&](const std::string& name) {
    const fs::path entry = path + "/" + name;
    std::error_code vanished;
    return name[0] == '.' ||
           !(folders ? fs::is_directory(entry, vanished) : fs::is_regular_file(entry, vanished));
  });
  return names;
}

std::vector<ImageFile> list_images(const std::string& path,
                                   const std::vector<std::string>& classes) {
  std::vector<ImageFile> files;
  for (size_t c = 0; c < classes.size(); ++c) {
    const std::string folder = path + "/" + classes[c];
    const size_t before = files.size();
    for (const std::string& name : entries(folder, /*folders=*/false)) {
      if (!is_image_name(name)) continue;
      files.push_back(
          {folder + "/" + name, in_quotes(classes[c] + "/" + name), static_cast<int64_t>(c)});
    }
    require(files.size() > before, Code::kNotFound, "the class folder ", in_quotes(classes[c]),
            " holds no .jpg, .jpeg, .png, .ppm or .pgm file; add images or remove the folder");
  }
  return files;
}

at::Tensor read_image(const ImageFile& file, const Transform& transform) {
  const at::Tensor image = decode_image(read_file(file.path, kMaxFileBytes), file.name);
  try {
    return transform.apply_geometry(image);
  } catch (const Error& error) {
    fail(error.code(), file.name, ": ", error.what());
  }
}

/// Runs body(i) for i in [begin, end) on several threads. Of the errors thrown, the one of the
/// smallest i leaves, so that the message does not depend on timing.
template <typename Body>
void for_each_in_parallel(int64_t begin, int64_t end, const Body& body) {
  std::mutex mutex;
  std::exception_ptr first;
  std::atomic<int64_t> first_at{end};
  at::parallel_for(begin, end, /*grain_size=*/1, [&](int64_t low, int64_t high) {
    for (int64_t i = low; i < high && i < first_at; ++i) {
      try {
        body(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (i < first_at) {
          first_at = i;
          first = std::current_exception();
        }
      }
    }
  });
  if (first) std::rethrow_exception(first);
}

}  // namespace

Dataset read_image_folder(const std::string& path, const Transform& transform) {
  transform.validate();
  const std::string root = in_quotes(base_name(path));
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  require(fs::exists(status), Code::kNotFound, "the folder ", root, " does not exist");
  require(fs::is_directory(status), Code::kInvalidArgument, root,
          " is not a folder; give one with a sub-folder for each class");
  const std::vector<std::string> classes = entries(path, /*folders=*/true);
  require(!classes.empty(), Code::kNotFound, "the folder ", root,
          " has no sub-folder; put the images of each class into one");
  const std::vector<ImageFile> files = list_images(path, classes);

  const at::Tensor model = read_image(files[0], transform);
  const auto count = static_cast<int64_t>(files.size());
  at::Tensor images = at::empty({count, model.size(0), model.size(1), model.size(2)}, at::kByte);
  at::Tensor labels = at::empty({count}, at::kLong);
  for_each_in_parallel(0, count, [&](int64_t i) {
    const at::Tensor image = i == 0 ? model : read_image(files[i], transform);
    require(image.sizes() == model.sizes(), Code::kInvalidArgument, files[i].name, " is ",
            describe(image.sizes()), " (channels, height, width) but ", files[0].name, " is ",
            describe(model.sizes()),
            "; add \"resize\" and \"center_crop\", or \"channels\", to the transform");
    images[i].copy_(image);
    labels.mutable_data_ptr<int64_t>()[i] = files[i].label;
  });
  return Dataset::prepared(images, labels, static_cast<int64_t>(classes.size()), transform, classes)
      .with_origin({{"kind", "image_folder"},
                    {"path", absolute_path(path)},
                    {"transform", transform.to_json()}});
}

}  // namespace lethe
