// Learning without Forgetting (Li & Hoiem 2016): wrong labels for forget samples, the base's
// outputs and the true labels for retain samples.
//
//   L = CE(x_f, y~) + lambda_kd KD(x_r) + lambda_replay CE(x_r, y)
//
// Form::kReference: KD is 0 with zero gradient, as the paper's code takes the logarithm of negative
// numbers and sets what is not a number to zero (algorithm.md 10.3).
#include <ATen/ATen.h>

#include "forgetting/distillation.h"
#include "forgetting/teacher.h"
#include "forgetting/weight_training.h"

namespace lethe {
namespace {

class Lwf final : public Objective {
 public:
  explicit Lwf(const Preparation& p) : config_(p.task.config) {
    if (config_.form == Form::kCorrected) teacher_.emplace(p.task, p.samples.retain);
  }

  at::Tensor loss(const TrainingStep& step) override {
    const Part& r = step.retain;
    at::Tensor loss = step.forget.cross_entropy() + config_.replay_weight * r.cross_entropy();
    if (!teacher_) return loss;
    const at::Tensor teacher = teacher_->scores(r.positions, r.targets);
    return loss + config_.distillation_weight *
                      distillation_cross_entropy(r.scores, teacher, config_.temperature);
  }

 private:
  const ForgetConfig& config_;
  std::optional<Teacher> teacher_;
};

}  // namespace

MethodEntry lwf() {
  static const MethodOf<Lwf> method;
  return {MethodKind::kLwf, "lwf", "wrong labels, the base's tempered outputs on retain samples",
          method, [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.distillation_weight = 0.5;
            config.replay_weight = 10;
            config.temperature = 2;
          }};
}

}  // namespace lethe
