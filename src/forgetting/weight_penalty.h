// L2, EWC and MAS: training on forget samples with wrong labels and retain samples together, held
// by a penalty on weights that move away from where earlier tasks left them (algorithm.md 7, 8.8).
//
//   L = CE over the batch + lambda sum_k sum_j Omega_kj (theta_j - theta*_kj)^2
//
// k runs over the starts of this and all earlier tasks of the method; the methods differ by Omega.
// On a detector CE is the target loss (detector_weights.h) of the whole batch.
#pragma once

#include "forgetting/detector_weights.h"
#include "forgetting/weight_training.h"

namespace lethe {

/// How much each weight matters, from the gradients of one batch after the other.
struct ImportanceRule {
  /// What is differentiated for a batch, from scores [B, C] with margin and true labels [B].
  at::Tensor (*loss)(const at::Tensor& scores, const at::Tensor& labels);
  /// What a batch of `size` samples with gradient g adds to the sum over batches.
  at::Tensor (*share)(const at::Tensor& gradient, int64_t size);
  /// What is differentiated of a detector; null: the rule is for classifiers alone.
  at::Tensor (*detector_loss)(const DetectorPart& part) = nullptr;
};

ImportanceRule fisher_information();  ///< of EWC
ImportanceRule output_sensitivity();  ///< of MAS

/// Omega of every trained weight: the sum of shares over the batches of `samples`, divided by their
/// number; without dropout.
Weights importance_of(const Preparation& preparation, const Dataset& samples,
                      const ImportanceRule& rule);
/// The size of a batch is the number of its images.
Weights importance_of(const DetectorPreparation& preparation, const DetectionDataset& samples,
                      const ImportanceRule& rule);

/// For every weight 1 where the absolute value of its importance is at least the median of all
/// weights' together, else 0. An even number of them has the upper of its two medians, so half are
/// ones; more where some are equal to it.
Weights salient(const Weights& importance);

/// sum_j omega_j (theta_j - anchor_j)^2 over the weights in `trained`; an empty `omega` stands for
/// ones.
at::Tensor moved_penalty(const TrainedWeights& trained, const Weights& omega,
                         const Weights& anchor);

/// The method of a rule; without one, Omega is 1.
template <typename Data>
class PenaltyMethodOn final : public WeightMethodOn<Data> {
 public:
  PenaltyMethodOn(const char* name, std::optional<ImportanceRule> rule)
      : name_(name), rule_(rule) {}

  std::unique_ptr<ObjectiveOn<Data>> objective(
      const PreparationOn<Data>& preparation) const override;

 private:
  const char* name_;
  std::optional<ImportanceRule> rule_;
};
using PenaltyMethod = PenaltyMethodOn<Dataset>;
using DetectorPenaltyMethod = PenaltyMethodOn<DetectionDataset>;

}  // namespace lethe
