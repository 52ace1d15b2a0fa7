#include "data/detection_records.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <system_error>

#include "support/error.h"
#include "support/json.h"

namespace lethe {

std::string image_path(const std::string& folder, const std::string& name,
                       const std::string& what) {
  const std::filesystem::path relative(name);
  const bool climbs = std::find(relative.begin(), relative.end(), "..") != relative.end();
  require(!name.empty() && relative.is_relative() && !climbs, Code::kCorrupt, what,
          " has the file name ", in_quotes(name), ", which does not lie inside the image folder");
  std::string path = folder + "/" + name;
  std::error_code error;
  require(std::filesystem::is_regular_file(path, error), Code::kNotFound, what,
          " names the image file ", in_quotes(name), ", which is not in the image folder");
  return path;
}

ImageSize checked_size(double height, double width, const std::string& what) {
  constexpr double kMaxSide = 1'000'000;
  const auto good = [](double side) {
    return side >= 1 && side <= kMaxSide && side == std::floor(side);
  };
  require(good(height) && good(width), Code::kCorrupt, what, " has the size ", width, "x", height,
          "; both must be whole numbers from 1 to ", static_cast<int64_t>(kMaxSide));
  return {static_cast<int64_t>(height), static_cast<int64_t>(width)};
}

std::optional<BoxCorners> box_inside(const BoxCorners& box, ImageSize size,
                                     const std::string& what) {
  const auto width = static_cast<double>(size.width), height = static_cast<double>(size.height);
  const auto text = [&] {
    return str("the box (", box.left, ", ", box.top, ") to (", box.right, ", ", box.bottom, ")");
  };
  require(std::isfinite(box.left) && std::isfinite(box.top) && std::isfinite(box.right) &&
              std::isfinite(box.bottom),
          Code::kCorrupt, what, " has ", text(), "; every number must be finite");
  require(box.width() >= 0 && box.height() >= 0, Code::kCorrupt, what, " has ", text(),
          ", whose size ", box.width(), "x", box.height(), " is negative");
  if (box.width() == 0 || box.height() == 0) return std::nullopt;
  require(box.left < width && box.top < height && box.right > 0 && box.bottom > 0, Code::kCorrupt,
          what, " has ", text(), ", which lies outside its image of ", size.width, "x",
          size.height);
  return BoxCorners{std::max(box.left, 0.0), std::max(box.top, 0.0), std::min(box.right, width),
                    std::min(box.bottom, height)};
}

}  // namespace lethe
