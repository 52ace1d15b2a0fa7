// L2, EWC and MAS: training on forget samples with wrong labels and retain samples together, held
// by a penalty on weights that move away from where earlier tasks left them (algorithm.md 7).
//
//   L = CE over the batch + lambda sum_k sum_j Omega_kj (theta_j - theta*_kj)^2
//
// k runs over the starts of this and all earlier tasks of the method; the methods differ by Omega.
#pragma once

#include "forgetting/weight_training.h"

namespace lethe {

/// How much each weight matters, from the gradients of one batch after the other.
struct ImportanceRule {
  /// What is differentiated for a batch, from scores [B, C] with margin and true labels [B].
  at::Tensor (*loss)(const at::Tensor& scores, const at::Tensor& labels);
  /// What a batch of `size` samples with gradient g adds to the sum over batches.
  at::Tensor (*share)(const at::Tensor& gradient, int64_t size);
};

ImportanceRule fisher_information();  ///< of EWC
ImportanceRule output_sensitivity();  ///< of MAS

/// Omega of every trained weight: the sum of shares over the batches of `samples`, divided by their
/// number; without dropout.
Weights importance_of(const Preparation& preparation, const Dataset& samples,
                      const ImportanceRule& rule);

/// sum_j omega_j (theta_j - anchor_j)^2 over the weights in `trained`; an empty `omega` stands for
/// ones.
at::Tensor moved_penalty(const std::vector<std::pair<std::string, at::Tensor>>& trained,
                         const Weights& omega, const Weights& anchor);

/// The method of a rule; without one, Omega is 1.
class PenaltyMethod final : public WeightMethod {
 public:
  PenaltyMethod(const char* name, std::optional<ImportanceRule> rule) : name_(name), rule_(rule) {}

  std::unique_ptr<Objective> objective(const Preparation& preparation) const override;

 private:
  const char* name_;
  std::optional<ImportanceRule> rule_;
};

}  // namespace lethe
