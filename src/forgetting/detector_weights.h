// What a run of weights (weight_training.h) is on an object detector (algorithm.md 8.8).
//
// Trained is all between the backbone and the heads: projections of the maps, encoder, decoder,
// queries. Classifier and box heads stay, as in the published detection code and as the head of a
// classifier does. That code moves the last three stages of the backbone too, at a thirtieth of the
// others' rate (2e-5); here the backbone is frozen, as GS-LoRA's is, so that its maps can be kept
// between steps and serve the teacher as well. Projections that aim, sampling_offsets and
// reference_points, have a tenth of the rate, as in the published code and in Zhu et al. 2021.
//
// The target loss is L_retain of detection_losses.h, 2 focal + 5 l1 + 2 giou, and the same of what
// a two-stage model proposes. What forget objects are trained towards, instead of wrong labels:
//   Form::kCorrected  nothing: they count as background, in images whose number of objects (what
//                     losses are divided by) stays what it was
//   Form::kReference  class 12, as in the paper's code, where labels are COCO's category ids and 12
//                     is none (CocoLabels::kId): another way to say "nothing that counts" that
//                     needs an unused class
#pragma once

#include <optional>

#include "forgetting/detector_samples.h"
#include "forgetting/weight_network.h"

namespace lethe {

/// Of a detector.
template <>
struct PartOn<DetectionDataset> {
  DetectorInput input;                ///< maps, padding, and the objects that the loss refers to
  int64_t objects = 0;                ///< that the images show, whatever the loss refers to
  std::vector<DetectorLayer> layers;  ///< the last decoder layer, or all of them
  std::optional<DetectorLayer> proposals;  ///< of a two-stage model
  std::vector<int64_t> positions;

  bool empty() const { return layers.empty(); }
  int64_t images() const { return static_cast<int64_t>(input.targets.size()); }
  /// `objects`, at least 1: losses of parts weighted by it add up to the loss of one batch.
  int64_t size() const { return empty() ? 0 : std::max<int64_t>(1, objects); }
  const at::Tensor& logits() const { return layers.back().logits; }  ///< [B, Q, C]
  /// Summed over the decoder layers, divided by size().
  const at::Tensor& target_loss() const;

 private:
  mutable at::Tensor target_loss_;
};
using DetectorPart = PartOn<DetectionDataset>;
using DetectorTrainingStep = TrainingStepOn<DetectionDataset>;
using DetectorPreparation = PreparationOn<DetectionDataset>;
using DetectorObjective = ObjectiveOn<DetectionDataset>;
using DetectorWeightMethod = WeightMethodOn<DetectionDataset>;

bool is_trained(const DeformableDetr& model, const std::string& weight);
double rate_factor(const DeformableDetr& model, const std::string& weight);

/// These images with their objects as the loss is to see them, and what `weights` say of them.
DetectorPart detector_part(const DeformableDetr& model, const Weights& weights, DetectorInput input,
                           std::vector<int64_t> positions, const ForwardOptions& options = {});

/// Objects of forget images as training withholds them (the top of this file).
std::vector<DetectionTargets> withheld(const std::vector<DetectionTargets>& objects, Form form);
/// Throws kInvalidArgument where Form::kReference has no unused class 12: the model has fewer
/// classes, or the images show it.
void check_withheld(const ForgetConfig& config, int64_t classes, const DetectionDataset& forget,
                    const DetectionDataset& retain);

template <>
class TrainingNetwork<DetectionDataset> {
 public:
  TrainingNetwork(const DetectorPreparation& preparation, const DetectorObjective& objective,
                  at::Generator& dropout);

  /// Part by part: their canvases may differ.
  DetectorTrainingStep forward(int64_t epoch, StepPositions positions);
  /// Losses; there is no accuracy of a batch.
  void report(Progress& progress, const DetectorTrainingStep& step) const;

  void save(TrainingState&) const {}
  void restore(const TrainingState&) {}

 private:
  void fill(DetectorPart& part, DetectorSamples& samples, std::vector<int64_t> positions,
            bool withhold);

  const DetectorPreparation& preparation_;
  const DetectorObjective& objective_;
  ResNet backbone_;
  DetectorSamples forget_, retain_;
  ForwardOptions options_;
};

}  // namespace lethe
