// DER and DER++, dark experience replay (Buzzega et al. 2020): wrong labels for forget samples, the
// base's outputs for retain samples; DER++ adds the true labels of a second retain batch.
//
//   DER    L = CE(x_f, y~) + lambda D(x_r)
//   DER++  L = DER + lambda_replay CE(x_r', y)
//
// Form::kCorrected: D = mean over batch and classes of (z_s - z_t)^2, of scores, as published.
// Form::kReference: D = |E_s - E_t|_F^2, of embeddings, summed over the batch, as the paper's code.
#include <ATen/ATen.h>

#include "forgetting/teacher.h"
#include "forgetting/weight_training.h"

namespace lethe {
namespace {

class Der final : public Objective {
 public:
  explicit Der(const Preparation& p)
      : config_(p.task.config),
        plus_(p.task.config.method == MethodKind::kDerPlusPlus),
        teacher_(p.task, p.samples.retain) {}

  bool takes_two_retain_batches() const override { return plus_; }

  at::Tensor loss(const TrainingStep& step) override {
    const Part& r = step.retain;
    const at::Tensor distance =
        config_.form == Form::kReference
            ? (r.embeddings - teacher_.embeddings(r.positions)).square().sum()
            : (r.scores - teacher_.scores(r.positions, r.targets)).square().mean();
    at::Tensor loss = step.forget.cross_entropy() + config_.distillation_weight * distance;
    if (plus_) loss = loss + config_.replay_weight * step.next_retain.cross_entropy();
    return loss;
  }

 private:
  const ForgetConfig& config_;
  bool plus_;
  Teacher teacher_;
};

const MethodOf<Der> kDer;

}  // namespace

MethodEntry der() {
  return {MethodKind::kDer, "der", "wrong labels, the base's scores on retain samples", kDer,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.learning_rate = is_cosine(head) ? 1e-3 : 1e-4;
            config.distillation_weight = 0.5;  // published; the paper's code has 0.01 on embeddings
          }};
}

MethodEntry der_plus_plus() {
  return {MethodKind::kDerPlusPlus, "der++", "der and the true labels of more retain samples", kDer,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.learning_rate = is_cosine(head) ? 1e-3 : 1e-4;
            config.distillation_weight = 0.5;
            config.replay_weight = 0.5;
          }};
}

}  // namespace lethe
