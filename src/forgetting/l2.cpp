// L2: every weight matters alike (Omega = 1).
#include "forgetting/weight_penalty.h"

namespace lethe {

MethodEntry l2() {
  static const PenaltyMethod method("l2", std::nullopt);
  static const DetectorPenaltyMethod detector("l2", std::nullopt);
  return {MethodKind::kL2,
          "l2",
          "wrong labels, held by the squared distance of all weights",
          method,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.penalty_weight = by_head(head, 0.05, 0.1, 0.01);
          },
          &detector};
}

}  // namespace lethe
