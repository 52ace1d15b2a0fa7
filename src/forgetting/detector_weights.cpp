#include "forgetting/detector_weights.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "forgetting/detection_losses.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr int64_t kUnusedClass = 12;  // datasets/__init__.py, algorithm.md 8.8

int64_t count(const std::vector<DetectionTargets>& targets) {
  int64_t objects = 0;
  for (const DetectionTargets& t : targets) objects += t.labels.size(0);
  return objects;
}

bool shows(const DetectionDataset& images, int64_t label) {
  const std::vector<int64_t> present = images.present_classes();
  return std::find(present.begin(), present.end(), label) != present.end();
}

/// Each set may keep half of the maps (config.h).
int64_t kept_bytes(const ForgetConfig& config) {
  return (config.fast & kFastPrefixCache) ? config.prefix_cache_bytes / 2 : 0;
}

}  // namespace

const at::Tensor& DetectorPart::target_loss() const {
  if (target_loss_.defined()) return target_loss_;
  if (empty()) return target_loss_ = at::zeros({});
  at::Tensor loss = retain_total(detection_terms(layers, input.targets));
  if (proposals) loss = loss + proposal_total(*proposals, input.targets);
  // Both were divided by the objects that are left.
  const int64_t left = std::max<int64_t>(1, count(input.targets));
  if (left != size()) loss = loss * (static_cast<double>(left) / static_cast<double>(size()));
  return target_loss_ = loss;
}

bool is_trained(const DeformableDetr&, const std::string& weight) {
  return !weight.starts_with("backbone.") && !weight.starts_with("class_embed.") &&
         !weight.starts_with("bbox_embed.");
}

double rate_factor(const DeformableDetr&, const std::string& weight) {
  const auto part_of = [&](const char* name) { return weight.find(name) != std::string::npos; };
  return part_of("sampling_offsets") || part_of("reference_points") ? 0.1 : 1;
}

DetectorPart detector_part(const DeformableDetr& model, const Weights& weights, DetectorInput input,
                           std::vector<int64_t> positions, const ForwardOptions& options) {
  DetectorOutput output = model.forward(weights, input.features, input.padding, options);
  DetectorPart part;
  part.objects = count(input.targets);
  part.input = std::move(input);
  part.layers = std::move(output.layers);
  part.proposals = std::move(output.proposals);
  part.positions = std::move(positions);
  return part;
}

std::vector<DetectionTargets> withheld(const std::vector<DetectionTargets>& objects, Form form) {
  std::vector<DetectionTargets> result;
  for (const DetectionTargets& t : objects) {
    if (form == Form::kReference) {
      result.push_back({at::full_like(t.labels, kUnusedClass), t.boxes});
    } else {
      result.push_back({t.labels.narrow(0, 0, 0), t.boxes.narrow(0, 0, 0)});
    }
  }
  return result;
}

void check_withheld(const ForgetConfig& config, int64_t classes, const DetectionDataset& forget,
                    const DetectionDataset& retain) {
  if (config.form != Form::kReference) return;
  require(classes > kUnusedClass, Code::kInvalidArgument,
          "form \"reference\" gives forget objects the unused class ", kUnusedClass,
          ", but the model has the classes 0 to ", classes - 1, "; use form \"corrected\"");
  require(!shows(forget, kUnusedClass) && !shows(retain, kUnusedClass), Code::kInvalidArgument,
          "form \"reference\" gives forget objects the unused class ", kUnusedClass,
          ", but the task's images show objects of it; use form \"corrected\"");
}

TrainingNetwork<DetectionDataset>::TrainingNetwork(const DetectorPreparation& preparation,
                                                   const DetectorObjective& objective,
                                                   at::Generator& dropout)
    : preparation_(preparation),
      objective_(objective),
      backbone_(preparation.task.base->detector().backbone(preparation.task.start)),
      forget_(preparation.samples.forget, preparation.task.base->detector(), backbone_,
              preparation.task.base->device(), kept_bytes(preparation.task.config)),
      retain_(preparation.samples.retain, preparation.task.base->detector(), backbone_,
              preparation.task.base->device(), kept_bytes(preparation.task.config)) {
  if (objective.relabels()) {
    check_withheld(preparation.task.config, preparation.task.base->model().classes(),
                   preparation.samples.forget, preparation.samples.retain);
  }
  const double given = preparation.task.config.dropout;
  options_.dropout = given < 0 ? preparation.task.base->detector().spec().dropout : given;
  options_.generator = &dropout;
}

void TrainingNetwork<DetectionDataset>::fill(DetectorPart& part, DetectorSamples& samples,
                                             std::vector<int64_t> positions, bool withhold) {
  if (positions.empty()) return;
  DetectorInput input = samples.at(positions);
  part = detector_part(preparation_.task.base->detector(), preparation_.weights, std::move(input),
                       std::move(positions), options_);
  if (withhold) part.input.targets = withheld(part.input.targets, preparation_.task.config.form);
}

DetectorTrainingStep TrainingNetwork<DetectionDataset>::forward(int64_t epoch,
                                                                StepPositions positions) {
  DetectorTrainingStep step;
  step.epoch = epoch;
  fill(step.forget, forget_, std::move(positions.forget), objective_.relabels());
  fill(step.retain, retain_, std::move(positions.retain), false);
  fill(step.next_retain, retain_, std::move(positions.next_retain), false);
  return step;
}

void TrainingNetwork<DetectionDataset>::report(Progress& progress,
                                               const DetectorTrainingStep& step) const {
  if (!step.forget.empty()) progress.loss_forget = step.forget.target_loss().item<double>();
  if (!step.retain.empty()) progress.loss_retain = step.retain.target_loss().item<double>();
}

}  // namespace lethe
