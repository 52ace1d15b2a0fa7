#include "forgetting/sample_prefixes.h"

#include <ATen/ATen.h>

namespace lethe {

SamplePrefixes::SamplePrefixes(const Dataset& dataset, const LoraStep& step, at::Device device,
                               int64_t budget)
    : dataset_(dataset), step_(step), device_(device) {
  constexpr int64_t kBatch = 100;
  if (budget <= 0) return;
  for (int64_t begin = 0; begin < dataset.size(); begin += kBatch) {
    const Batch batch = dataset.batch(begin, std::min(begin + kBatch, dataset.size()));
    const at::Tensor prefix = step.prefix(batch.images.to(device));
    if (begin == 0) {
      const int64_t sample_bytes = prefix[0].numel() * static_cast<int64_t>(sizeof(float));
      if (sample_bytes * dataset.size() > budget) return;
      prefixes_ = at::empty({dataset.size(), prefix.size(1), prefix.size(2)}, prefix.options());
      labels_ = at::empty({dataset.size()}, batch.labels.options().device(device));
    }
    prefixes_.narrow(0, begin, prefix.size(0)).copy_(prefix);
    labels_.narrow(0, begin, prefix.size(0)).copy_(batch.labels);
  }
}

std::pair<at::Tensor, at::Tensor> SamplePrefixes::at(const std::vector<int64_t>& positions) const {
  if (prefixes_.defined()) {
    const at::Tensor index =
        at::tensor(at::ArrayRef<int64_t>(positions), at::kLong).to(device_);
    return {prefixes_.index_select(0, index), labels_.index_select(0, index)};
  }
  const Batch batch = dataset_.batch(positions);
  return {step_.prefix(batch.images.to(device_)), batch.labels.to(device_)};
}

int64_t SamplePrefixes::bytes() const {
  return prefixes_.defined() ? prefixes_.numel() * static_cast<int64_t>(sizeof(float)) : 0;
}

}  // namespace lethe
