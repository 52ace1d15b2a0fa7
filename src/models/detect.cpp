#include "models/detect.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace lethe {

std::vector<Detections> detect(const DeformableDetr& model, const ResNet& backbone,
                               const Weights& weights, const ImageBatch& images,
                               const std::vector<ImageSize>& sizes, int64_t most) {
  const at::NoGradGuard no_grad;
  const at::Device device = weights.begin()->second.device();
  const DetectorOutput output = model.forward(weights, backbone.features(images.pixels.to(device)),
                                              images.padding.to(device));
  return detections_of(output.last().logits, output.last().boxes, sizes, most);
}

}  // namespace lethe
