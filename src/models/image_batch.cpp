#include "models/image_batch.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "support/error.h"

namespace lethe {

ImageBatch ImageBatch::of(const std::vector<at::Tensor>& images) {
  require(!images.empty(), Code::kInvalidArgument, "a batch needs at least one image");
  int64_t height = 0, width = 0;
  for (const at::Tensor& image : images) {
    require(image.dim() == 3 && image.size(0) == 3 && image.numel() > 0, Code::kInvalidArgument,
            "an image has shape ", image.sizes(), "; a detector takes [3, height, width]");
    height = std::max(height, image.size(1));
    width = std::max(width, image.size(2));
  }
  const auto count = static_cast<int64_t>(images.size());
  ImageBatch batch{at::zeros({count, 3, height, width}),
                   at::ones({count, height, width}, at::kBool)};
  for (int64_t i = 0; i < count; ++i) {
    const at::Tensor& image = images[i];
    batch.pixels[i].narrow(1, 0, image.size(1)).narrow(2, 0, image.size(2)).copy_(image);
    batch.padding[i].narrow(0, 0, image.size(1)).narrow(1, 0, image.size(2)).fill_(false);
  }
  return batch;
}

}  // namespace lethe
