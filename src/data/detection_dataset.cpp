#include "data/detection_dataset.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <exception>
#include <mutex>
#include <numeric>
#include <unordered_set>

#include "data/describe.h"
#include "data/selection.h"
#include "data/sources.h"
#include "storage/digest.h"
#include "storage/file.h"
#include "support/error.h"
#include "support/random.h"

namespace lethe {
namespace {

constexpr int64_t kMaxClasses = 1'000'000;
constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

void check_categories(const std::vector<DetectionCategory>& categories) {
  const auto count = static_cast<int64_t>(categories.size());
  require(count >= 1 && count <= kMaxClasses, Code::kInvalidArgument, "there are ", count,
          " categories, allowed is 1 to ", kMaxClasses);
  std::unordered_set<int64_t> ids;
  for (const DetectionCategory& category : categories) {
    require(ids.insert(category.id).second, Code::kInvalidArgument, "the category ", category.id,
            " is given twice");
    try {
      (void)Json(category.name).dump();
    } catch (const Json::exception&) {
      fail(Code::kInvalidArgument, "the name of category ", category.id, " is not valid UTF-8");
    }
  }
}

/// Fills in the size of pixels.
void check_image(DetectionImage& image) {
  ImageSize& size = image.size;
  require(image.path.empty() == image.pixels.defined(), Code::kInvalidArgument, "image ", image.id,
          " needs either a file or pixels");
  if (image.pixels.defined()) {
    require(image.pixels.dim() == 3 && image.pixels.size(0) == 3 && image.pixels.numel() > 0 &&
                image.pixels.scalar_type() == at::kByte && image.pixels.device().is_cpu(),
            Code::kInvalidArgument, "the pixels of image ", image.id,
            " must be uint8 [3,H,W] in CPU memory, not ", describe(image.pixels));
    image.pixels = image.pixels.contiguous();
    size = {image.pixels.size(1), image.pixels.size(2)};
  }
  require(size.height >= 1 && size.width >= 1, Code::kInvalidArgument, "image ", image.id,
          " has the size ", size.width, "x", size.height, "; both must be 1 or more");
}

/// What is hashed for an image: its file, or the size and bytes of its pixels.
Digest content_of(const DetectionImage& image) {
  if (!image.pixels.defined()) return sha256(read_file(image.path, kMaxFileBytes));
  Sha256 hash;
  hash.update(str("pixels ", image.size.height, "x", image.size.width, ":"));
  hash.update(image.pixels.const_data_ptr(), static_cast<size_t>(image.pixels.numel()));
  return hash.finish();
}

}  // namespace

void check_object(const DetectionObject& object, ImageSize size, int64_t classes, const char* what,
                  int64_t number) {
  const auto& [left, top, right, bottom] = object.box;
  require(object.label >= 0 && object.label < classes, Code::kInvalidArgument, what, " ", number,
          " has the label ", object.label, ", allowed is 0 to ", classes - 1);
  // Written so that NaN fails too.
  require(0 <= left && left < right && right <= static_cast<double>(size.width) &&  //
              0 <= top && top < bottom && bottom <= static_cast<double>(size.height),
          Code::kInvalidArgument, what, " ", number, " has the corners (", left, ", ", top, ", ",
          right, ", ", bottom, "); it must have an area and lie inside the image of ", size.width,
          "x", size.height);
  require(object.area >= 0 && std::isfinite(object.area), Code::kInvalidArgument, what, " ", number,
          " has the area ", object.area, "; it must be finite and not negative");
}

struct DetectionDataset::Digest {
  std::once_flag once;
  std::string text;
};

DetectionDataset::DetectionDataset(std::shared_ptr<const Source> source,
                                   std::vector<int64_t> indices, ObjectMask present)
    : source_(std::move(source)),
      indices_(std::move(indices)),
      present_(std::move(present)),
      digest_(std::make_shared<Digest>()) {}

DetectionDataset::DetectionDataset(std::vector<DetectionCategory> categories,
                                   std::vector<DetectionImage> images, int64_t left_out)
    : digest_(std::make_shared<Digest>()) {
  check_categories(categories);
  require(!images.empty(), Code::kInvalidArgument, "a detection data set needs at least one image");
  const auto classes = static_cast<int64_t>(categories.size());
  auto source = std::make_shared<Source>();
  std::unordered_set<int64_t> ids;
  for (DetectionImage& image : images) {
    require(ids.insert(image.id).second, Code::kInvalidArgument, "the image number ", image.id,
            " is given twice");
    check_image(image);
    for (const DetectionObject& object : image.objects) {
      check_object(object, image.size, classes, "an object in image", image.id);
    }
    source->first_object.push_back(source->object_count);
    source->object_count += static_cast<int64_t>(image.objects.size());
  }
  source->categories = std::move(categories);
  source->images = std::move(images);
  source->left_out = left_out;
  indices_.resize(source->images.size());
  std::iota(indices_.begin(), indices_.end(), int64_t{0});
  source_ = std::move(source);
}

DetectionDataset DetectionDataset::with_origin(Json origin) const {
  auto source = std::make_shared<Source>(*source_);  // shares the pixels
  source->origin = std::move(origin);
  return {std::move(source), indices_, present_};
}

int64_t DetectionDataset::label_of(int64_t category_id) const {
  const auto& all = categories();
  const auto found = std::find_if(all.begin(), all.end(), [&](const DetectionCategory& category) {
    return category.id == category_id;
  });
  require(found != all.end(), Code::kNotFound, "the category ", category_id,
          " is unknown; the data set has ", class_count(), " categories");
  return found - all.begin();
}

template <typename Body>
void DetectionDataset::for_each_object(int64_t i, const Body& body) const {
  int64_t number = source_->first_object[indices_[i]];
  for (const DetectionObject& object : image(i).objects) {
    if (!present_ || (*present_)[number]) body(number, object);
    ++number;
  }
}

void DetectionDataset::check_position(int64_t i) const {
  require(i >= 0 && i < size(), Code::kInvalidArgument, "position ", i,
          " lies outside a data set of ", size(), " images");
}

std::vector<DetectionObject> DetectionDataset::objects(int64_t i) const {
  check_position(i);
  std::vector<DetectionObject> result;
  for_each_object(i, [&](int64_t, const DetectionObject& object) { result.push_back(object); });
  return result;
}

DetectionSample DetectionDataset::sample(int64_t i) const {
  DetectionSample sample{{}, objects(i)};
  const DetectionImage& one = image(i);
  if (one.pixels.defined()) {
    sample.image = one.pixels;
    return sample;
  }
  const std::string name = base_name(one.path);
  const at::Tensor decoded = decode_image(read_file(one.path, kMaxFileBytes), name);
  require(decoded.size(1) == one.size.height && decoded.size(2) == one.size.width, Code::kCorrupt,
          name, " is ", decoded.size(2), "x", decoded.size(1), " but its annotations say ",
          one.size.width, "x", one.size.height);
  sample.image = decoded.expand({3, -1, -1}).contiguous();  // grey becomes RGB
  return sample;
}

std::vector<int64_t> DetectionDataset::histogram() const {
  std::vector<int64_t> counts(class_count(), 0);
  for (int64_t i = 0; i < size(); ++i) {
    for_each_object(i, [&](int64_t, const DetectionObject& object) {
      counts[object.label] += object.crowd ? 0 : 1;
    });
  }
  return counts;
}

std::vector<int64_t> DetectionDataset::present_classes() const { return present_in(histogram()); }

DetectionDataset DetectionDataset::take(const std::vector<int64_t>& positions) const {
  std::vector<int64_t> indices;
  indices.reserve(positions.size());
  for (const int64_t position : positions) {
    check_position(position);
    indices.push_back(indices_[position]);
  }
  return {source_, std::move(indices), present_};
}

DetectionDataset DetectionDataset::where(const std::vector<bool>& chosen, bool value) const {
  return {source_, indices_where(indices_, chosen, value), present_};
}

DetectionDataset DetectionDataset::keep_classes(const std::vector<int64_t>& labels) const {
  const std::vector<bool> wanted = class_flags(labels, class_count());
  std::vector<bool> chosen(size(), false), present(source_->object_count, false);
  for (int64_t i = 0; i < size(); ++i) {
    for_each_object(i, [&](int64_t number, const DetectionObject& object) {
      if (!wanted[object.label]) return;
      present[number] = true;
      if (!object.crowd) chosen[i] = true;
    });
  }
  DetectionDataset result = where(chosen);
  result.present_ = std::make_shared<const std::vector<bool>>(std::move(present));
  return result;
}

DetectionDataset DetectionDataset::ratio(double ratio, uint64_t seed) const {
  check_share("the data ratio", ratio);
  const auto count = static_cast<int64_t>(std::floor(ratio * static_cast<double>(size())));
  return where(draw_positions(count, size(), RandomStream(seed, "detection/data-ratio")));
}

DetectionDataset DetectionDataset::few_shot(int64_t count, uint64_t seed) const {
  require(count >= 1, Code::kInvalidArgument, "the number of images for each class is ", count,
          ", it must be 1 or more");
  const auto classes = static_cast<int64_t>(present_classes().size());
  return where(draw_positions(std::min(count, size()) * classes, size(),
                              RandomStream(seed, "detection/few-shot")));
}

std::pair<DetectionDataset, DetectionDataset> DetectionDataset::split(double fraction,
                                                                      uint64_t seed) const {
  check_share("the split fraction", fraction);
  const auto count = std::llround(fraction * static_cast<double>(size()));
  const std::vector<bool> second =
      draw_positions(count, size(), RandomStream(seed, "detection/split"));
  return {where(second, false), where(second, true)};
}

DetectionDataset DetectionDataset::drop_objects(double share, uint64_t seed) const {
  check_share("the share of dropped objects", share);
  std::vector<bool> present(source_->object_count, false), seen(source_->object_count, false);
  std::vector<int64_t> numbers;  // an image that was taken twice has its objects once
  for (int64_t i = 0; i < size(); ++i) {
    for_each_object(i, [&](int64_t number, const DetectionObject& object) {
      present[number] = true;
      if (!object.crowd && !seen[number]) numbers.push_back(number);
      seen[number] = true;
    });
  }
  const auto count = static_cast<int64_t>(numbers.size());
  const std::vector<bool> dropped =
      draw_positions(std::llround(share * static_cast<double>(count)), count,
                     RandomStream(seed, "detection/drop-objects"));
  for (int64_t k = 0; k < count; ++k) {
    if (dropped[k]) present[numbers[k]] = false;
  }
  return {source_, indices_, std::make_shared<const std::vector<bool>>(std::move(present))};
}

std::optional<std::vector<int64_t>> DetectionDataset::source_objects() const {
  if (!present_) return std::nullopt;
  std::vector<int64_t> objects;
  for (int64_t i = 0; i < source_->object_count; ++i) {
    if ((*present_)[i]) objects.push_back(i);
  }
  return objects;
}

DetectionDataset DetectionDataset::with_objects(const std::vector<int64_t>& objects) const {
  auto present = std::make_shared<std::vector<bool>>(source_->object_count, false);
  for (const int64_t i : objects) {
    require(i >= 0 && i < source_->object_count, Code::kInvalidArgument, "there is no object ", i,
            "; the source has ", source_->object_count);
    (*present)[i] = true;
  }
  return DetectionDataset(source_, indices_, std::move(present));
}

const std::string& DetectionDataset::content_digest() const {
  std::call_once(digest_->once, [this] { digest_->text = compute_digest(); });
  return digest_->text;
}

std::string DetectionDataset::compute_digest() const {
  static_assert(std::endian::native == std::endian::little, "numbers are hashed as they lie");
  // Of several files that cannot be read the first is named, whatever the timing.
  std::vector<lethe::Digest> contents(size());
  std::vector<std::exception_ptr> errors(size());
  at::parallel_for(0, size(), /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && !(i > begin && errors[i - 1]); ++i) {
      try {
        contents[i] = content_of(image(i));
      } catch (...) {
        errors[i] = std::current_exception();
      }
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }

  Sha256 hash;
  const auto number = [&](auto value) { hash.update(&value, sizeof value); };
  hash.update(str("lethe detection data set 1: ", size()));
  number(class_count());
  for (const DetectionCategory& category : categories()) {
    number(category.id);
    number(category.name.size());
    hash.update(category.name);
  }
  for (int64_t i = 0; i < size(); ++i) {
    number(image_id(i));
    hash.update(contents[i].data(), contents[i].size());
    const std::vector<DetectionObject> found = objects(i);
    number(found.size());
    for (const DetectionObject& object : found) {
      number(object.label);
      number(object.box);
      number(object.area);
      number(static_cast<uint8_t>(object.crowd));
    }
  }
  return hex(hash.finish());
}

Json DetectionDataset::info() const {
  Json names = Json::array();
  for (const DetectionCategory& category : categories()) {
    names.push_back({{"id", category.id}, {"name", category.name}});
  }
  return {{"size", size()},
          {"class_count", class_count()},
          {"categories", std::move(names)},
          {"histogram", histogram()},
          {"left_out", left_out()},
          {"content_digest", content_digest()}};
}

}  // namespace lethe
