#include "models/post_process.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "models/boxes.h"
#include "support/error.h"

namespace lethe {

std::vector<Detections> detections_of(const at::Tensor& logits, const at::Tensor& boxes,
                                      const std::vector<ImageSize>& sizes, int64_t most) {
  require(logits.dim() == 3 && boxes.dim() == 3 && boxes.size(0) == logits.size(0) &&
              boxes.size(1) == logits.size(1) && boxes.size(2) == 4,
          Code::kInvalidArgument, "the logits are ", logits.sizes(), " and the boxes ",
          boxes.sizes(), ", they must be [B, Q, C] and [B, Q, 4]");
  const int64_t images = logits.size(0), classes = logits.size(2);
  require(static_cast<int64_t>(sizes.size()) == images, Code::kInvalidArgument, "there are ",
          sizes.size(), " image sizes for ", images, " images");
  require(most >= 1, Code::kInvalidArgument, "at most ", most,
          " detections an image were asked for, it must be 1 or more");
  std::vector<double> scale;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto [height, width] = sizes[i];
    require(height >= 1 && width >= 1, Code::kInvalidArgument, "image ", i, " has ", height, " x ",
            width, " pixels (height x width), it must have at least 1 x 1");
    for (const int64_t side : {width, height, width, height}) {
      scale.push_back(static_cast<double>(side));
    }
  }

  // Sorted rather than at::topk: which of equal scores topk takes is not defined.
  const auto [sorted, order] =
      logits.detach().sigmoid().flatten(1).sort(/*stable=*/true, /*dim=*/1, /*descending=*/true);
  const int64_t count = std::min(most, sorted.size(1));
  const at::Tensor scores = sorted.narrow(1, 0, count), best = order.narrow(1, 0, count);
  const at::Tensor queries = best.floor_divide(classes).unsqueeze(2).expand({-1, -1, 4});
  const at::Tensor pixels = corners_of(boxes.detach()).gather(1, queries) *
                            at::tensor(scale, boxes.options()).view({images, 1, 4});
  const at::Tensor labels = best.remainder(classes);
  std::vector<Detections> found;
  for (int64_t i = 0; i < images; ++i) found.push_back({scores[i], labels[i], pixels[i]});
  return found;
}

}  // namespace lethe
