#include "evaluation/detected_objects.h"

#include <ATen/ATen.h>

#include "support/error.h"

namespace lethe {

std::vector<DetectedObject> detected_objects(const Detections& found, int64_t image,
                                             const std::set<int64_t>& categories) {
  const int64_t count = found.labels.numel();
  require(found.scores.sizes() == at::IntArrayRef({count}) &&
              found.labels.sizes() == at::IntArrayRef({count}) &&
              found.boxes.sizes() == at::IntArrayRef({count, 4}),
          Code::kInvalidArgument, "the scores are ", found.scores.sizes(), ", the labels ",
          found.labels.sizes(), " and the boxes ", found.boxes.sizes(),
          ", they must be [n], [n] and [n, 4]");
  const at::Tensor scores = found.scores.to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor labels = found.labels.to(at::kCPU, at::kLong).contiguous();
  const at::Tensor boxes = found.boxes.to(at::kCPU, at::kDouble).contiguous();
  const auto* label = labels.const_data_ptr<int64_t>();
  const auto* score = scores.const_data_ptr<double>();
  const auto* corner = boxes.const_data_ptr<double>();
  std::vector<DetectedObject> result;
  for (int64_t k = 0; k < count; ++k, corner += 4) {
    if (categories.count(label[k]) == 0) continue;
    const PixelBox box{corner[0], corner[1], corner[2] - corner[0], corner[3] - corner[1]};
    result.push_back({image, label[k], score[k], box});
  }
  return result;
}

}  // namespace lethe
