// FDR, regularisation in function space (Benjamin et al. 2019): wrong labels for forget samples,
// the scores of retain samples held to the base's.
//
//   L = CE(x_f, y~) + lambda mean_i |z_s(x_r,i) - z_t(x_r,i)|_2
#include <ATen/ATen.h>

#include "forgetting/teacher.h"
#include "forgetting/weight_training.h"

namespace lethe {
namespace {

class Fdr final : public Objective {
 public:
  explicit Fdr(const Preparation& p) : config_(p.task.config), teacher_(p.task, p.samples.retain) {}

  at::Tensor loss(const TrainingStep& step) override {
    const Part& r = step.retain;
    const at::Tensor teacher = teacher_.scores(r.positions, r.targets);
    return step.forget.cross_entropy() +
           config_.distillation_weight * (r.scores - teacher).norm(2, {1}).mean();
  }

 private:
  const ForgetConfig& config_;
  Teacher teacher_;
};

}  // namespace

MethodEntry fdr() {
  static const MethodOf<Fdr> method;
  return {MethodKind::kFdr, "fdr", "wrong labels, the distance from the base's scores", method,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.learning_rate = 1e-3;
            if (!is_cosine(head)) config.min_learning_rate = 1e-8;
            config.distillation_weight = is_cosine(head) ? 50 : 40;
          }};
}

}  // namespace lethe
