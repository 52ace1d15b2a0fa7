#include "forgetting/detector_pretrain.h"

#include <ATen/ATen.h>

#include "data/detection_batch.h"
#include "data/detection_transform.h"
#include "forgetting/detection_losses.h"
#include "forgetting/pretrain_run.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr double kClip = 0.1;  // algorithm.md 8.6

/// Statistics of the backbone's frozen normalisations.
bool is_trained(const std::string& name) {
  return !name.ends_with(".running_mean") && !name.ends_with(".running_var");
}

/// The images at these positions, augmented, mirrored or as the model looks at them.
DetectionBatch training_batch(const DetectionDataset& train, const std::vector<int64_t>& positions,
                              const DetectorSpec& spec, const PretrainConfig& config,
                              RandomStream& random) {
  std::vector<DetectionSample> samples;
  for (const int64_t i : positions) {
    DetectionSample sample = train.sample(i);
    if (config.augment) {
      samples.push_back(augmented_for(spec, sample, random));
      continue;
    }
    if (config.flip && random.below(2) == 1) sample = flip_horizontally(sample);
    samples.push_back(resized_for(spec, sample));
  }
  return batch_of(samples);
}

}  // namespace

void check_detector_pretraining(const DeformableDetr& model, const PretrainConfig& config) {
  config.validate();
  const std::pair<const char*, double> meaningless[] = {
      {"shift", config.shift},
      {"erase", config.erase},
      {"label_smoothing", config.label_smoothing}};
  for (const auto& [field, value] : meaningless) {
    require(value == 0, Code::kInvalidArgument, "pre-training settings: \"", field, "\" is ", value,
            "; a detector has no such augmentation, it must be 0");
  }
  require(model.spec().has_backbone(), Code::kUnsupported,
          "a detector whose \"backbone\" is \"features\" cannot be pre-trained from images; choose "
          "a ResNet");
}

Weights pretrain_detector(const DeformableDetr& model, const Weights& start,
                          const DetectionDataset& train, const PretrainConfig& config,
                          const Observer& observer, const Checkpoints& checkpoints) {
  check_detector_pretraining(model, config);
  require(train.size() >= 1, Code::kInvalidArgument,
          "the training set has no image, pre-training needs at least 1");
  require(train.class_count() <= model.classes(), Code::kInvalidArgument, "the training set has ",
          train.class_count(), " categories, the model has ", model.classes(),
          " classes; give its spec at least as many");
  PretrainRun run(start, is_trained, train.size(), config);
  const at::Device device = start.begin()->second.device();
  ForwardOptions forward;
  forward.dropout = config.dropout < 0 ? model.spec().dropout : config.dropout;
  forward.generator = &run.dropout;
  const auto loss_of = [&](PretrainRun& run) {
    const DetectionBatch batch =
        training_batch(train, run.order.next(), model.spec(), config, run.augmentation);
    // Folded anew in every step: gains and convolutions have changed.
    const ResNet backbone = model.backbone(run.weights);
    const DetectorOutput output = model.forward(
        run.weights, backbone.features(batch.pixels.to(device)), batch.padding.to(device), forward);
    const at::Tensor loss = retain_total(detection_terms(output.layers, batch.targets));
    return output.proposals ? loss + proposal_total(*output.proposals, batch.targets) : loss;
  };
  return take_pretrain_steps(run, config, kClip, loss_of, observer, checkpoints);
}

}  // namespace lethe
