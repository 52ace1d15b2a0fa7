#include "models/classifier.h"

#include <ATen/ATen.h>

#include "support/error.h"

namespace lethe {

at::Tensor Classifier::embed(const Weights& weights, const at::Tensor& images,
                             const ForwardOptions& options) const {
  return encode(tokens(weights, images), transformer(weights), options);
}

int64_t Classifier::block_by_prefix(const std::string& weight, const std::string& blocks,
                                    const std::string& norm, const std::string& head) const {
  if (weight.starts_with(head)) return spec_.depth + 1;
  if (weight.starts_with(norm)) return spec_.depth;
  if (!weight.starts_with(blocks)) return -1;
  return std::stoll(weight.substr(blocks.size()));
}

void Classifier::check_images(at::IntArrayRef shape) const {
  const bool fits = shape.size() == 4 && shape[1] == spec_.channels &&
                    shape[2] == spec_.image_size && shape[3] == spec_.image_size;
  require(fits, Code::kInvalidArgument, "images have shape ", shape, ", the model takes [N, ",
          spec_.channels, ", ", spec_.image_size, ", ", spec_.image_size,
          "]; resize, crop, pad or change channels with the data set's transform");
}

}  // namespace lethe
