#include "adapters/lora_leaves.h"

#include <ATen/ATen.h>

namespace lethe {

Weights LoraLeaves::merge(Weights weights) {
  leaves_.clear();
  for (size_t i = 0; i < lora_.sites().size(); ++i) {
    const AdapterSite& site = lora_.sites()[i];
    const at::Tensor a = lora_.a(i).detach().requires_grad_(true);
    const at::Tensor b = lora_.b(i).detach().requires_grad_(true);
    at::Tensor& w = weights.at(site.weight);
    const at::Tensor rows = w.narrow(0, site.row, site.out);
    w = site.replace_rows(w, at::addmm(rows, b, a, 1, lora_.scale()));
    leaves_.insert(leaves_.end(), {a, b});
  }
  return weights;
}

void LoraLeaves::collect() {
  const auto take = [](at::Tensor& leaf, const at::Tensor& gradient) {
    if (!leaf.grad().defined()) return;
    gradient.add_(leaf.grad());
    leaf.mutable_grad().reset();
  };
  for (size_t i = 0; i < lora_.sites().size(); ++i) {
    take(leaves_[2 * i], lora_.grad_a(i));
    take(leaves_[2 * i + 1], lora_.grad_b(i));
  }
}

}  // namespace lethe
