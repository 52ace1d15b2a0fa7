#include "data/detection_batch.h"

#include <ATen/ATen.h>

#include <utility>

#include "data/describe.h"
#include "data/detection_transform.h"
#include "support/error.h"

namespace lethe {

DetectionTargets targets_of(const std::vector<DetectionObject>& objects, int64_t height,
                            int64_t width) {
  std::vector<int64_t> labels;
  std::vector<float> boxes;
  const auto w = static_cast<double>(width), h = static_cast<double>(height);
  for (const DetectionObject& object : objects) {
    if (object.crowd) continue;
    const BoxCorners& box = object.box;
    labels.push_back(object.label);
    for (const double share : {(box.left + box.right) / 2 / w, (box.top + box.bottom) / 2 / h,
                               box.width() / w, box.height() / h}) {
      boxes.push_back(static_cast<float>(share));
    }
  }
  return {at::tensor(labels, at::kLong), at::tensor(boxes, at::kFloat).view({-1, 4})};
}

DetectionSample resized_for(const DetectorSpec& spec, const DetectionSample& sample) {
  if (spec.shorter_side == 0) return sample;
  return resize_shorter(sample, spec.shorter_side, spec.longest_side);
}

DetectionSample augmented_for(const DetectorSpec& spec, const DetectionSample& sample,
                              RandomStream& stream) {
  const int64_t height = sample.image.size(1), width = sample.image.size(2);
  const bool as_it_is = spec.shorter_side == 0;
  const auto augmentation =
      DetectionAugmentation::scaled_to(as_it_is ? std::min(height, width) : spec.shorter_side,
                                       as_it_is ? std::max(height, width) : spec.longest_side);
  return augmentation.apply(sample, stream);
}

DetectionBatch batch_of(const std::vector<DetectionSample>& samples, const Transform& values) {
  require(!samples.empty(), Code::kInvalidArgument, "a batch needs at least one image");
  require(!values.has_geometry(), Code::kInvalidArgument,
          "a batch of detection samples takes \"mean\" and \"std\" only; use "
          "detection_transform.h to resize or crop");
  values.validate();
  std::vector<at::Tensor> images;
  std::vector<DetectionTargets> targets;
  for (const DetectionSample& sample : samples) {
    const at::Tensor& image = sample.image;
    require(image.defined() && image.dim() == 3 && image.size(0) == 3 && image.numel() > 0 &&
                image.scalar_type() == at::kByte,
            Code::kInvalidArgument, "a detection sample's image must be uint8 [3,H,W], not ",
            describe(image));
    images.push_back(values.apply_values(image.unsqueeze(0)).squeeze(0));
    targets.push_back(targets_of(sample.objects, image.size(1), image.size(2)));
  }
  return {ImageBatch::of(images), std::move(targets)};
}

}  // namespace lethe
