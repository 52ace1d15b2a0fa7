#include "data/transform.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "data/describe.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr int64_t kMaxSide = 16'384;
constexpr int64_t kMaxPad = 1'024;
constexpr int64_t kChunkPixels = 16
                                 << 20;  // whole sets at once would need several times the memory
constexpr double kMinStd = 1e-6;
constexpr double kMaxValue = 1e6;

void check_size(const char* name, int64_t value, int64_t high) {
  require(value >= 0 && value <= high, Code::kInvalidArgument, "transform: \"", name, "\" is ",
          value, ", allowed is 0 to ", high);
}

void check_values(const char* name, const std::vector<double>& values, double low) {
  for (const double value : values) {
    require(value >= low && value <= kMaxValue, Code::kInvalidArgument, "transform: \"", name,
            "\" holds ", value, ", allowed is ", low, " to ", kMaxValue);
  }
}

/// torchvision's Resize(size): the shorter side becomes `size`, the longer keeps the aspect,
/// floored.
at::Tensor resize_shorter_side(const at::Tensor& images, int64_t size) {
  const int64_t height = images.size(2), width = images.size(3);
  const int64_t shorter = std::min(height, width), longer = std::max(height, width);
  if (shorter == size) return images;
  const int64_t long_size = size * longer / shorter;
  require(long_size <= kMaxSide, Code::kInvalidArgument, "transform: \"resize\" ", size,
          " makes an image of ", height, "x", width, " ", long_size, " pixels long, the limit is ",
          kMaxSide, "; use a smaller \"resize\"");
  const int64_t out_height = height <= width ? size : long_size;
  const int64_t out_width = height <= width ? long_size : size;

  return at::_upsample_bilinear2d_aa(images.to(at::kFloat), {out_height, out_width},
                                     /*align_corners=*/false)
      .round_()
      .clamp_(0, 255)
      .to(at::kByte);
}

/// round((extent - crop) / 2) with halves to even, as Python's round() in torchvision.
int64_t crop_offset(int64_t extent, int64_t crop) {
  const int64_t half = (extent - crop) / 2;
  return (extent - crop) % 2 == 1 && half % 2 == 1 ? half + 1 : half;
}

at::Tensor crop_center(const at::Tensor& images, int64_t side) {
  const int64_t height = images.size(2), width = images.size(3);
  require(height >= side && width >= side, Code::kInvalidArgument, "transform: \"center_crop\" ",
          side, " is larger than the image of ", height, "x", width,
          "; use a smaller one or \"resize\" first");
  return images.narrow(2, crop_offset(height, side), side)
      .narrow(3, crop_offset(width, side), side);
}

/// ITU-R 601 luma in 16-bit fixed point, the arithmetic of Pillow's convert("L").
at::Tensor luma(const at::Tensor& images) {
  const at::Tensor wide = images.to(at::kInt);
  return (wide.select(1, 0) * 19595 + wide.select(1, 1) * 38470 + wide.select(1, 2) * 7471 + 0x8000)
      .bitwise_right_shift(16)
      .to(at::kByte)
      .unsqueeze(1);
}

at::Tensor convert_channels(const at::Tensor& images, int64_t channels) {
  const int64_t present = images.size(1);
  if (present == channels) return images;
  require(present == 1 || present == 3, Code::kInvalidArgument, "transform: \"channels\" ",
          channels, " cannot be made from images of ", present, " channels, only from 1 or 3");
  return channels == 1 ? luma(images) : images.expand({-1, channels, -1, -1});
}

/// `values` as [1, 1 or C, 1, 1], ready to be broadcast.
at::Tensor per_channel(const char* name, const std::vector<double>& values,
                       const at::Tensor& images) {
  const auto count = static_cast<int64_t>(values.size());
  require(count == 1 || count == images.size(1), Code::kInvalidArgument, "transform: \"", name,
          "\" has ", count, " values for images of ", images.size(1),
          " channels; give one value or one per channel");
  return at::tensor(values, at::kFloat).to(images.device()).view({1, count, 1, 1});
}

at::Tensor geometry(const Transform& steps, at::Tensor images) {
  if (steps.resize) images = resize_shorter_side(images, steps.resize);
  if (steps.center_crop) images = crop_center(images, steps.center_crop);
  if (steps.pad) {
    images = at::constant_pad_nd(images, {steps.pad, steps.pad, steps.pad, steps.pad}, 0);
  }
  if (steps.channels) images = convert_channels(images, steps.channels);
  return images;
}

}  // namespace

Transform Transform::from_json(const Json& json) {
  JsonFields fields(json, "transform");
  Transform transform;
  transform.resize = fields.integer("resize", 0, 0, kMaxSide);
  transform.center_crop = fields.integer("center_crop", 0, 0, kMaxSide);
  transform.pad = fields.integer("pad", 0, 0, kMaxPad);
  transform.channels = fields.integer("channels", 0, 0, 3);
  transform.mean = fields.numbers("mean", {});
  transform.std = fields.numbers("std", {});
  fields.finish();
  transform.validate();
  return transform;
}

Json Transform::to_json() const {
  Json json = Json::object();
  if (resize) json["resize"] = resize;
  if (center_crop) json["center_crop"] = center_crop;
  if (pad) json["pad"] = pad;
  if (channels) json["channels"] = channels;
  if (!mean.empty()) json["mean"] = mean;
  if (!std.empty()) json["std"] = std;
  return json;
}

void Transform::validate() const {
  check_size("resize", resize, kMaxSide);
  check_size("center_crop", center_crop, kMaxSide);
  check_size("pad", pad, kMaxPad);
  require(channels == 0 || channels == 1 || channels == 3, Code::kInvalidArgument,
          "transform: \"channels\" is ", channels, ", allowed are 1 (grey) and 3 (RGB)");
  check_values("mean", mean, -kMaxValue);
  check_values("std", std, kMinStd);
}

at::Tensor Transform::apply_geometry(const at::Tensor& images) const {
  require(images.scalar_type() == at::kByte && (images.dim() == 3 || images.dim() == 4) &&
              images.numel() > 0,
          Code::kInvalidArgument, "geometry steps need uint8 images [C,H,W] or [N,C,H,W], not ",
          describe(images));
  if (!has_geometry()) return images;
  if (images.dim() == 3) return apply_geometry(images.unsqueeze(0)).squeeze(0);

  const int64_t count = images.size(0);
  const int64_t step = std::max<int64_t>(1, kChunkPixels * count / images.numel());
  at::Tensor result;
  for (int64_t begin = 0; begin < count; begin += step) {
    const at::Tensor part = geometry(*this, images.narrow(0, begin, std::min(step, count - begin)));
    if (begin == 0) {
      std::vector<int64_t> shape = part.sizes().vec();
      shape[0] = count;
      result = at::empty(shape, images.options());
    }
    result.narrow(0, begin, part.size(0)).copy_(part);
  }
  return result;
}

at::Tensor Transform::apply_values(const at::Tensor& images) const {
  at::Tensor values = images.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  if (images.scalar_type() == at::kByte) values.div_(255);
  if (!mean.empty()) values.sub_(per_channel("mean", mean, images));
  if (!std.empty()) values.div_(per_channel("std", std, images));
  return values;
}

}  // namespace lethe
