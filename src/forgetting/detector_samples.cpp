#include "forgetting/detector_samples.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "data/detection_batch.h"
#include "support/threads.h"

namespace lethe {
namespace {

int64_t bytes_of(const DetectorInput& input) {
  auto bytes = static_cast<int64_t>(input.padding.nbytes());
  for (const at::Tensor& map : input.features) bytes += static_cast<int64_t>(map.nbytes());
  return bytes;
}

}  // namespace

bool one_image_size(const DetectionDataset& dataset) {
  const ImageSize first = dataset.image_size(0);
  for (int64_t i = 1; i < dataset.size(); ++i) {
    const ImageSize size = dataset.image_size(i);
    if (size.height != first.height || size.width != first.width) return false;
  }
  return true;
}

DetectorSamples::DetectorSamples(const DetectionDataset& dataset, const DeformableDetr& model,
                                 const ResNet& backbone, c10::Device device, int64_t budget)
    : dataset_(dataset), model_(model), backbone_(backbone), device_(device), budget_(budget) {
  if (budget > 0 && one_image_size(dataset)) kept_.resize(static_cast<size_t>(dataset.size()));
}

DetectorInput DetectorSamples::compute(const std::vector<int64_t>& positions) const {
  const at::NoGradGuard no_grad;
  std::vector<DetectionSample> samples;
  for (const int64_t i : positions)
    samples.push_back(resized_for(model_.spec(), dataset_.sample(i)));
  DetectionBatch batch = batch_of(samples);
  for (DetectionTargets& targets : batch.targets) {
    targets = {targets.labels.to(device_), targets.boxes.to(device_)};
  }
  return {backbone_.features(batch.pixels.to(device_)), batch.padding.to(device_),
          std::move(batch.targets)};
}

DetectorInput DetectorSamples::at(const std::vector<int64_t>& positions) {
  if (kept_.empty()) return compute(positions);
  const auto count = static_cast<int64_t>(positions.size());
  std::vector<DetectorInput> inputs(positions.size());
  at::parallel_for(0, count, device_.is_cpu() ? 1 : count, [&](int64_t begin, int64_t end) {
    const ThreadBudget one(1);  // an image's maps are the same bits however many threads there are
    for (int64_t i = begin; i < end; ++i) {
      const DetectorInput& kept = kept_[positions[i]];
      inputs[i] = kept.features.empty() ? compute({positions[i]}) : kept;
    }
  });
  DetectorInput batch;
  std::vector<std::vector<at::Tensor>> maps(inputs.front().features.size());
  std::vector<at::Tensor> padding;
  for (int64_t i = 0; i < count; ++i) {
    const DetectorInput& input = inputs[i];
    DetectorInput& kept = kept_[positions[i]];
    if (kept.features.empty() && kept_bytes_ < budget_) {
      kept = input;
      kept_bytes_ += bytes_of(input);
    }
    for (size_t l = 0; l < maps.size(); ++l) maps[l].push_back(input.features[l]);
    padding.push_back(input.padding);
    batch.targets.push_back(input.targets.front());
  }
  for (const std::vector<at::Tensor>& level : maps) batch.features.push_back(at::cat(level));
  batch.padding = at::cat(padding);
  return batch;
}

}  // namespace lethe
