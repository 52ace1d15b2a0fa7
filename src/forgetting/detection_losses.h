// The losses of forgetting categories of an object detector (algorithm.md 8.4, 8.5):
//
//   L        = L_retain + beta L_forget + alpha L_structure + L_prototype
//   L_retain = 2 focal + 5 l1 + 2 giou                          of the retained batch
//   L_forget = max(0, BND - 2 focal) + 5 l1 + 2 giou            of the forget batch
//   L_prototype = w_f max(0, BND_pro - D(forget batch)) + w_r D(retained batch)
//
// Only the names of the forgotten are unlearned: their boxes are still pulled towards the objects.
// A two-stage model's proposals name nothing. L_retain has proposal_total() of the retained batch
// besides; those of the forget batch are left alone.
// L_structure is the optimizer's (forgetting/losses.h). Weights: forgetting/matching.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "forgetting/config.h"
#include "forgetting/losses.h"
#include "forgetting/matching.h"
#include "models/detection.h"

namespace lethe {

struct DetectionSettings {
  DetectionWeights cost;  ///< of the matching
  DetectionWeights loss;
};

/// The focal loss of every logit by itself, of the logits' shape; `wanted` bool of that shape: the
/// class is the object's. With p the probability given to what is true,
///   -alpha_t (1 - p)^gamma log p,   alpha_t = alpha where wanted, 1 - alpha elsewhere.
/// Exact for logits of any size. Source: Lin et al. 2017.
at::Tensor sigmoid_focal_loss(const at::Tensor& logits, const at::Tensor& wanted, double alpha,
                              double gamma);

/// The terms of one batch, unweighted. n: its objects, matched or not, at least 1.
struct DetectionTerms {
  /// Each [L], of every decoder layer given, each matched on its own.
  at::Tensor focal;  ///< the focal loss of all queries and classes, summed, / n
  at::Tensor l1;     ///< |box - object|_1 over (cx, cy, w, h) of all pairs, summed, / n
  at::Tensor giou;   ///< 1 - GIoU of all pairs, summed, / n
  /// D: prototype_distance() of the embeddings of all matched queries of the last layer from their
  /// objects' classes, a scalar; 0 without a pair. Undefined without prototypes.
  at::Tensor prototype;
  std::vector<Matching> matchings;  ///< of image i in layer l: number l I + i
};

/// `layers`: the last decoder layer, or several, ending with it: auxiliary losses. All of the same
/// B images, in the order of `targets`. Computed in at least float32. Errors are those of match().
DetectionTerms detection_terms(const std::vector<DetectorLayer>& layers,
                               const std::vector<DetectionTargets>& targets,
                               const Prototypes* prototypes = nullptr,
                               const DetectionSettings& settings = {});

/// L_retain, summed over the layers.
at::Tensor retain_total(const DetectionTerms& terms, const DetectionWeights& weights = {});
/// L_retain of what the encoder of a two-stage model proposes (DetectorOutput::proposals): whatever
/// an object is, it counts as class 0, the one that the best proposals are chosen by. Errors are
/// those of match(). Source: Zhu et al. 2021 (Deformable DETR), the loss of "enc_outputs".
at::Tensor proposal_total(const DetectorLayer& proposals,
                          const std::vector<DetectionTargets>& targets,
                          const DetectionSettings& settings = {});
/// L_forget, summed over the layers; the bound holds for each layer's focal loss by itself. Beyond
/// it no gradient of that focal loss is left.
at::Tensor forget_total(const DetectionTerms& terms, double bound,
                        const DetectionWeights& weights = {});

/// One side of a step.
struct DetectionSide {
  std::vector<DetectorLayer> layers;
  std::vector<DetectionTargets> targets;
  std::optional<DetectorLayer> proposals = std::nullopt;  ///< of a two-stage model
};

/// What one step trains. Scalars; undefined prototype terms are absent.
struct DetectionLosses {
  DetectionTerms forget, retain;
  at::Tensor forget_total, retain_total;  ///< L_forget, L_retain
  at::Tensor prototype;                   ///< L_prototype
  at::Tensor trained;                     ///< L without alpha L_structure
};

/// From `config`: forget_bound, forget_weight and the prototype_* weights and bound. `prototypes`:
/// of the pre-trained classifier's weight [C, D] of the last layer, row c for class c; null for
/// GS-LoRA.
DetectionLosses detection_losses(const DetectionSide& forget, const DetectionSide& retain,
                                 const ForgetConfig& config, const Prototypes* prototypes = nullptr,
                                 const DetectionSettings& settings = {});

}  // namespace lethe
