// Memory aware synapses (Aljundi et al. 2018): a weight matters by how much it moves the outputs.
//
//   Omega = sum over batches of |d mean(scores^2) / d theta| / #batches
//
// Of a detector: scores are the logits of the last decoder layer.
#include <ATen/ATen.h>

#include "forgetting/weight_penalty.h"

namespace lethe {

ImportanceRule output_sensitivity() {
  return {[](const at::Tensor& scores, const at::Tensor&) { return scores.square().mean(); },
          [](const at::Tensor& gradient, int64_t) { return gradient.abs(); },
          [](const DetectorPart& part) { return part.logits().square().mean(); }};
}

MethodEntry mas() {
  static const PenaltyMethod method("mas", output_sensitivity());
  static const DetectorPenaltyMethod detector("mas", output_sensitivity());
  return {MethodKind::kMas,
          "mas",
          "wrong labels, held by how much weights move the outputs",
          method,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.penalty_weight = by_head(head, 0.002, 0.005, 0.1);
          },
          &detector};
}

}  // namespace lethe
