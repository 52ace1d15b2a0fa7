#include "forgetting/detector_samples.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "data/detection_batch.h"
#include "support/threads.h"

namespace lethe {
namespace {

int64_t bytes_of(const DetectorInput& input) {
  if (input.encoded) return static_cast<int64_t>(input.encoded->pyramid.values.nbytes());
  auto bytes = static_cast<int64_t>(input.padding.nbytes());
  for (const at::Tensor& map : input.features) bytes += static_cast<int64_t>(map.nbytes());
  return bytes;
}

bool is_there(const DetectorInput& input) { return input.encoded || !input.features.empty(); }

/// The tensors that `part` takes from each of the inputs, one after another.
template <typename Part>
at::Tensor joined(const std::vector<DetectorInput>& inputs, const Part& part) {
  std::vector<at::Tensor> parts;
  for (const DetectorInput& input : inputs) parts.push_back(part(input));
  return at::cat(parts);
}

/// Images of one size: their positions, padding and ratios are the same.
EncodedImages joined_pyramids(const std::vector<DetectorInput>& inputs) {
  EncodedImages batch = *inputs.front().encoded;
  Pyramid& pyramid = batch.pyramid;
  pyramid.values = joined(inputs, [](const DetectorInput& i) { return i.encoded->pyramid.values; });
  const int64_t count = pyramid.values.size(0);
  pyramid.positions = pyramid.positions.expand({count, -1, -1});
  pyramid.padding = pyramid.padding.expand({count, -1});
  pyramid.valid_ratios = pyramid.valid_ratios.expand({count, -1, -1});
  return batch;
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

void DetectorSamples::begin_after(int64_t layers, const Weights& weights) {
  encoder_layers_ = layers;
  weights_ = &weights;
}

void DetectorSamples::augment(at::Generator& chance) {
  chance_ = &chance;
  kept_.clear();
}

DetectionSample DetectorSamples::sample(int64_t position) const {
  const DetectionSample sample = dataset_.sample(position);
  if (!chance_) return resized_for(model_.spec(), sample);
  RandomStream stream(chance_->get<at::CPUGeneratorImpl>()->random64(), "augmentation");
  return augmented_for(model_.spec(), sample, stream);
}

DetectorInput DetectorSamples::compute(const std::vector<int64_t>& positions) const {
  const at::NoGradGuard no_grad;
  std::vector<DetectionSample> samples;
  for (const int64_t i : positions) samples.push_back(sample(i));
  DetectionBatch batch = batch_of(samples);
  for (DetectionTargets& targets : batch.targets) {
    targets = {targets.labels.to(device_), targets.boxes.to(device_)};
  }
  DetectorInput input{backbone_.features(batch.pixels.to(device_)), batch.padding.to(device_),
                      std::move(batch.targets)};
  if (encoder_layers_ > 0) {
    input.encoded = model_.encode(*weights_, input.features, input.padding, encoder_layers_);
    input.features.clear();
  }
  return input;
}

/// One copy for all kept images, which have one size.
void DetectorSamples::share_places(Pyramid& pyramid) {
  if (!places_.positions.defined()) {
    places_ = pyramid;
    places_.values = at::Tensor();
  }
  pyramid.positions = places_.positions;
  pyramid.padding = places_.padding;
  pyramid.valid_ratios = places_.valid_ratios;
}

DetectorInput DetectorSamples::at(const std::vector<int64_t>& positions) {
  if (kept_.empty()) return compute(positions);
  const auto count = static_cast<int64_t>(positions.size());
  std::vector<DetectorInput> inputs(positions.size());
  at::parallel_for(0, count, device_.is_cpu() ? 1 : count, [&](int64_t begin, int64_t end) {
    const ThreadBudget one(1);  // an image's maps are the same bits however many threads there are
    for (int64_t i = begin; i < end; ++i) {
      const DetectorInput& kept = kept_[positions[i]];
      inputs[i] = is_there(kept) ? kept : compute({positions[i]});
    }
  });
  DetectorInput batch;
  for (int64_t i = 0; i < count; ++i) {
    DetectorInput& kept = kept_[positions[i]];
    if (!is_there(kept) && kept_bytes_ < budget_) {
      if (inputs[i].encoded) share_places(inputs[i].encoded->pyramid);
      kept = inputs[i];
      kept_bytes_ += bytes_of(inputs[i]);
    }
    batch.targets.push_back(inputs[i].targets.front());
  }
  if (encoder_layers_ > 0) {
    batch.encoded = joined_pyramids(inputs);
    return batch;
  }
  for (size_t l = 0; l < inputs.front().features.size(); ++l) {
    batch.features.push_back(
        joined(inputs, [&](const DetectorInput& input) { return input.features[l]; }));
  }
  batch.padding = joined(inputs, [](const DetectorInput& input) { return input.padding; });
  return batch;
}

}  // namespace lethe
