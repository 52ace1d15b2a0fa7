// A detector that runs in milliseconds, and maps for it.
#pragma once

#include <ATen/CPUGeneratorImpl.h>

#include "models/deformable_detr.h"
#include "models/tiny_models.h"

namespace lethe::testing {

inline const Json kTiny = {{"arch", "deformable_detr"},
                           {"backbone", "features"},
                           {"feature_channels", {5, 6, 7}},
                           {"feature_levels", 4},
                           {"classes", 3},
                           {"dim", 32},
                           {"heads", 4},
                           {"encoder_layers", 2},
                           {"decoder_layers", 2},
                           {"ffn_dim", 24},
                           {"points", 2},
                           {"queries", 9},
                           {"dropout", 0}};

inline DeformableDetr detector(const Json& json) {
  return DeformableDetr(DetectorSpec::from_json(json));
}

/// The same with a ResNet of a few channels in front.
inline Json with_backbone(const char* name, Json changes = Json::object()) {
  Json json = with(kTiny, {{"backbone", name}, {"backbone_width", 8}});
  json.erase("feature_channels");
  return with(json, changes);
}

/// Random weights with something everywhere: heads and offsets begin at zero otherwise.
inline Weights lively_weights(const DeformableDetr& model) {
  at::Generator generator = RandomStream(7, "weights").generator();
  Weights weights = model.random_weights(RandomStream(1, "base"));
  for (auto& [name, tensor] : weights) {
    tensor.add_(at::empty_like(tensor).uniform_(-0.05, 0.05, generator));
  }
  return weights;
}

/// Two images on one canvas, as maps at strides 4, 8, 16.
struct Batch {
  std::vector<at::Tensor> features;
  at::Tensor padding;
};

/// The canvas is `times` 32 x 48, and the second image `times` 24 x 28 of it.
inline Batch batch_of(const std::vector<int64_t>& channels, int64_t times = 1) {
  at::Generator generator = RandomStream(3, "maps").generator();
  Batch batch{{}, at::zeros({2, 32 * times, 48 * times}, at::kBool)};
  for (size_t l = 0; l < channels.size(); ++l) {
    const int64_t stride = 4 << l;
    batch.features.push_back(at::empty({2, channels[l], 32 * times / stride, 48 * times / stride})
                                 .normal_(0, 1, generator));
  }
  batch.padding[1].slice(0, 24 * times).fill_(true);
  batch.padding[1].slice(1, 28 * times).fill_(true);
  return batch;
}

}  // namespace lethe::testing
