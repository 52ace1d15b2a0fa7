// DER and DER++, dark experience replay (Buzzega et al. 2020): wrong labels for forget samples, the
// base's outputs for retain samples; DER++ adds the true labels of a second retain batch.
//
//   DER    L = CE(x_f, y~) + lambda D(x_r)
//   DER++  L = DER + lambda_replay CE(x_r', y)
//
// Form::kCorrected: D = mean over batch and classes of (z_s - z_t)^2, of scores, as published.
// Form::kReference: D = |E_s - E_t|_F^2, of embeddings, summed over the batch, as the paper's code.
//
// On a detector CE is its target loss (detector_weights.h) and D = sum over queries and classes of
// (z_s - z_t)^2, of logits: mean over the images, so that lambda does not depend on how many there
// are in a batch, Form::kReference: summed over them too, as the paper's detection code does with
// the four of a GPU.
#include <ATen/ATen.h>

#include "forgetting/teacher.h"
#include "forgetting/weight_training.h"

namespace lethe {
namespace {

at::Tensor distance(const Part& r, const Teacher& teacher, Form form) {
  return form == Form::kReference
             ? (r.embeddings - teacher.embeddings(r.positions)).square().sum()
             : (r.scores - teacher.scores(r.positions, r.targets)).square().mean();
}

at::Tensor distance(const DetectorPart& r, const DetectorTeacher& teacher, Form form) {
  const at::Tensor sum = (r.logits() - teacher.logits(r)).square().sum();
  return form == Form::kReference ? sum : sum / r.images();
}

template <typename Data>
class Der final : public ObjectiveOn<Data> {
 public:
  explicit Der(const PreparationOn<Data>& p)
      : config_(p.task.config),
        plus_(p.task.config.method == MethodKind::kDerPlusPlus),
        teacher_(p.task, p.samples.retain) {}

  bool takes_two_retain_batches() const override { return plus_; }

  at::Tensor loss(const TrainingStepOn<Data>& step) override {
    at::Tensor loss = step.forget.target_loss() +
                      config_.distillation_weight * distance(step.retain, teacher_, config_.form);
    if (plus_) loss = loss + config_.replay_weight * step.next_retain.target_loss();
    return loss;
  }

 private:
  const ForgetConfig& config_;
  bool plus_;
  TeacherOn<Data> teacher_;
};

const MethodOf<Der<Dataset>> kDer;
const MethodOf<Der<DetectionDataset>> kDetectorDer;

/// Published; the paper's code has 0.01 on embeddings, and 1e-3 on a detector's logits.
void der_defaults(ForgetConfig& config, HeadKind head) {
  weight_defaults(config, head);
  config.learning_rate = by_head(head, 1e-4, 1e-3, config.learning_rate);
  config.distillation_weight = by_head(head, 0.5, 0.5, 1e-3);
}

}  // namespace

MethodEntry der() {
  return {MethodKind::kDer, "der",        "wrong labels, the base's scores on retain samples", kDer,
          der_defaults,     &kDetectorDer};
}

MethodEntry der_plus_plus() {
  return {MethodKind::kDerPlusPlus,
          "der++",
          "der and the true labels of more retain samples",
          kDer,
          [](ForgetConfig& config, HeadKind head) {
            der_defaults(config, head);
            config.replay_weight = by_head(head, 0.5, 0.5, 0.1);
          },
          &kDetectorDer};
}

}  // namespace lethe
