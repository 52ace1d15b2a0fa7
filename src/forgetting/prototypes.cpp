#include "forgetting/prototypes.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "support/error.h"

namespace lethe {

at::Tensor class_prototypes(const Classifier& model, const Weights& weights,
                            const std::vector<const Dataset*>& sets, int64_t batch,
                            const std::function<bool()>& cancelled) {
  const at::NoGradGuard no_grad;
  const auto options = weights.begin()->second.options();
  const int64_t classes = model.spec().classes;
  at::Tensor sums = at::zeros({classes, model.spec().dim}, options.dtype(at::kDouble));
  at::Tensor counts = at::zeros({classes}, options.dtype(at::kDouble));
  for (const Dataset* set : sets) {
    for (int64_t begin = 0; begin < set->size(); begin += batch) {
      require(!cancelled || !cancelled(), Code::kCancelled,
              "cancelled while computing the class prototypes");
      const Batch part = set->batch(begin, std::min(begin + batch, set->size()));
      const at::Tensor labels = part.labels.to(options.device());
      const at::Tensor embeddings = model.embed(weights, part.images.to(options.device()));
      sums.index_add_(0, labels, embeddings.to(at::kDouble));
      counts.index_add_(0, labels, at::ones_like(labels, counts.options()));
    }
  }
  return (sums / counts.clamp_min(1).unsqueeze(1)).to(at::kFloat);
}

}  // namespace lethe
