#include "data/detection_transform.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "data/describe.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr int64_t kMaxSide = 16'384;

void check_sample(const DetectionSample& sample) {
  const at::Tensor& image = sample.image;
  require(
      image.defined() && image.dim() == 3 && image.numel() > 0 && image.scalar_type() == at::kByte,
      Code::kInvalidArgument, "a detection sample's image must be uint8 [C,H,W], not ",
      describe(image));
}

void check_sizes(int64_t shorter, int64_t longest) {
  require(longest >= 1 && longest <= kMaxSide, Code::kInvalidArgument,
          "the limit of the longer side is ", longest, ", allowed is 1 to ", kMaxSide);
  require(shorter >= 1 && shorter <= longest, Code::kInvalidArgument, "the shorter side is ",
          shorter, ", allowed is 1 to ", longest, ", the limit of the longer side");
}

DetectionSample resize_to(const DetectionSample& sample, int64_t height, int64_t width) {
  const double y = static_cast<double>(height) / static_cast<double>(sample.image.size(1));
  const double x = static_cast<double>(width) / static_cast<double>(sample.image.size(2));
  DetectionSample result;
  result.image = at::_upsample_bilinear2d_aa(sample.image.unsqueeze(0).to(at::kFloat),
                                             {height, width}, /*align_corners=*/false)
                     .squeeze(0)
                     .round_()
                     .clamp_(0, 255)
                     .to(at::kByte);
  for (DetectionObject object : sample.objects) {
    const auto [left, top, right, bottom] = object.box;
    // A product may round to beyond the border that its box touched.
    object.box = {left * x, top * y, std::min(right * x, static_cast<double>(width)),
                  std::min(bottom * y, static_cast<double>(height))};
    object.area *= x * y;
    result.objects.push_back(object);
  }
  return result;
}

/// One of several values.
int64_t choose(const std::vector<int64_t>& values, RandomStream& stream) {
  return values[stream.below(values.size())];
}

/// low to high, both included.
int64_t between(int64_t low, int64_t high, RandomStream& stream) {
  return low + static_cast<int64_t>(stream.below(static_cast<uint64_t>(high - low) + 1));
}

}  // namespace

DetectionSample resize_shorter(const DetectionSample& sample, int64_t shorter, int64_t longest) {
  check_sample(sample);
  check_sizes(shorter, longest);
  const int64_t height = sample.image.size(1), width = sample.image.size(2);
  const int64_t low = std::min(height, width), high = std::max(height, width);
  if (high * shorter > longest * low) {
    const double fitting = static_cast<double>(longest * low) / static_cast<double>(high);
    shorter = std::max<int64_t>(1, std::llrint(fitting));  // halves to even, as Python rounds
  }
  if (shorter == low) return sample;
  // Only of images so long that their shorter side was raised to 1 the limit cuts something off.
  const int64_t longer = std::min(shorter * high / low, kMaxSide);
  return height < width ? resize_to(sample, shorter, longer) : resize_to(sample, longer, shorter);
}

DetectionSample flip_horizontally(const DetectionSample& sample) {
  check_sample(sample);
  const auto width = static_cast<double>(sample.image.size(2));
  DetectionSample result{sample.image.flip(2), sample.objects};
  for (DetectionObject& object : result.objects) {
    const auto [left, top, right, bottom] = object.box;
    object.box = {width - right, top, width - left, bottom};
  }
  return result;
}

DetectionSample crop(const DetectionSample& sample, int64_t top, int64_t left, int64_t height,
                     int64_t width) {
  check_sample(sample);
  const int64_t rows = sample.image.size(1), columns = sample.image.size(2);
  require(top >= 0 && left >= 0 && height >= 1 && width >= 1 && height <= rows - top &&
              width <= columns - left,
          Code::kInvalidArgument, "a part of ", width, "x", height, " pixels at (", left, ", ", top,
          ") does not lie inside an image of ", columns, "x", rows);
  DetectionSample result{sample.image.narrow(1, top, height).narrow(2, left, width).contiguous(),
                         {}};
  const auto x = [&](double value) {
    return std::clamp(value - static_cast<double>(left), 0.0, static_cast<double>(width));
  };
  const auto y = [&](double value) {
    return std::clamp(value - static_cast<double>(top), 0.0, static_cast<double>(height));
  };
  for (DetectionObject object : sample.objects) {
    const BoxCorners& box = object.box;
    object.box = {x(box.left), y(box.top), x(box.right), y(box.bottom)};
    if (object.box.width() <= 0 || object.box.height() <= 0) continue;
    object.area = object.box.width() * object.box.height();
    result.objects.push_back(object);
  }
  return result;
}

DetectionAugmentation DetectionAugmentation::scaled_to(int64_t shorter, int64_t longest) {
  check_sizes(shorter, kMaxSide);
  const auto scaled = [&](int64_t pixels) {
    return std::max<int64_t>(1, (pixels * shorter + 400) / 800);
  };
  DetectionAugmentation scaled_values;
  for (int64_t& size : scaled_values.sizes) size = scaled(size);
  for (int64_t& size : scaled_values.sizes_before_crop) size = scaled(size);
  scaled_values.crop_least = scaled(scaled_values.crop_least);
  scaled_values.crop_most = scaled(scaled_values.crop_most);
  scaled_values.longest = std::max(longest, scaled_values.sizes.back());
  return scaled_values;
}

void DetectionAugmentation::validate() const {
  require(!sizes.empty(), Code::kInvalidArgument, "an augmentation needs at least one size");
  for (const int64_t size : sizes) check_sizes(size, longest);
  for (const int64_t size : sizes_before_crop) check_sizes(size, kMaxSide);
  require(1 <= crop_least && crop_least <= crop_most && crop_most <= kMaxSide,
          Code::kInvalidArgument, "the sides of a random part are ", crop_least, " to ", crop_most,
          " pixels; allowed is 1 to ", kMaxSide, ", the smaller one first");
}

DetectionSample DetectionAugmentation::apply(const DetectionSample& sample,
                                             RandomStream& stream) const {
  validate();
  check_sample(sample);
  DetectionSample result = flip && stream.below(2) == 1 ? flip_horizontally(sample) : sample;
  if (!sizes_before_crop.empty() && stream.below(2) == 1) {
    result = resize_shorter(result, choose(sizes_before_crop, stream), kMaxSide);
    const int64_t rows = result.image.size(1), columns = result.image.size(2);
    const auto side = [&](int64_t extent) {
      return between(std::min(crop_least, extent), std::min(crop_most, extent), stream);
    };
    const int64_t width = side(columns), height = side(rows);
    const int64_t top = between(0, rows - height, stream);
    const int64_t left = between(0, columns - width, stream);
    result = crop(result, top, left, height, width);
  }
  return resize_shorter(result, choose(sizes, stream), longest);
}

}  // namespace lethe
