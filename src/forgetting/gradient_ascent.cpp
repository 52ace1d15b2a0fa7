// Gradient ascent (Graves et al. 2021; Thudi et al. 2022): the forget samples' cross entropy grows;
// nothing holds the rest, so few epochs at a small rate.
//
//   L = -CE(x_f, y)
#include "forgetting/weight_training.h"

namespace lethe {
namespace {

class Ascent final : public Objective {
 public:
  explicit Ascent(const Preparation&) {}

  std::vector<Visit> visits(int64_t) const override { return {Visit::kForget}; }
  bool relabels() const override { return false; }
  at::Tensor loss(const TrainingStep& step) override { return -step.forget.cross_entropy(); }
};

}  // namespace

MethodEntry gradient_ascent() {
  static const MethodOf<Ascent> method;
  return {MethodKind::kGradientAscent, "gradient-ascent",
          "the forget samples' cross entropy grows, nothing holds the rest", method,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.epochs = 5;
            config.learning_rate = 1e-5;
            config.min_learning_rate = 1e-6;
          }};
}

}  // namespace lethe
