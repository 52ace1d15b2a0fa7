// Elastic weight consolidation (Kirkpatrick et al. 2017): a weight matters by the squared gradient
// of the cross entropy, the diagonal of the Fisher information as batches estimate it.
//
//   Omega = sum over batches of (d CE / d theta)^2 B / #batches
//
// Of a detector: CE is its target loss (detector_weights.h), B a batch's images.
#include <ATen/ATen.h>

#include "forgetting/weight_penalty.h"

namespace lethe {

ImportanceRule fisher_information() {
  return {[](const at::Tensor& scores, const at::Tensor& labels) {
            return at::cross_entropy_loss(scores, labels);
          },
          [](const at::Tensor& gradient, int64_t size) {
            return gradient.square() * static_cast<double>(size);
          },
          [](const DetectorPart& part) { return part.target_loss(); }};
}

MethodEntry ewc() {
  static const PenaltyMethod method("ewc", fisher_information());
  static const DetectorPenaltyMethod detector("ewc", fisher_information());
  return {MethodKind::kEwc,
          "ewc",
          "wrong labels, held by the Fisher information of the weights",
          method,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.penalty_weight = by_head(head, 3, 10, 10);
          },
          &detector};
}

}  // namespace lethe
