// FDR, regularisation in function space (Benjamin et al. 2019): wrong labels for forget samples,
// the scores of retain samples held to the base's.
//
//   L = CE(x_f, y~) + lambda mean_i |z_s(x_r,i) - z_t(x_r,i)|_2
//
// On a detector CE is its target loss (detector_weights.h), and i runs over the queries of all
// images, whose logits are compared class by class. Form::kReference: i runs over the classes of
// all images, as the paper's code takes the norm along the queries.
#include <ATen/ATen.h>

#include "forgetting/teacher.h"
#include "forgetting/weight_training.h"

namespace lethe {
namespace {

at::Tensor distance(const Part& r, const Teacher& teacher, Form) {
  return (r.scores - teacher.scores(r.positions, r.targets)).norm(2, {1}).mean();
}

at::Tensor distance(const DetectorPart& r, const DetectorTeacher& teacher, Form form) {
  const int64_t axis = form == Form::kReference ? 1 : 2;
  return (r.logits() - teacher.logits(r)).norm(2, {axis}).mean();
}

template <typename Data>
class Fdr final : public ObjectiveOn<Data> {
 public:
  explicit Fdr(const PreparationOn<Data>& p)
      : config_(p.task.config), teacher_(p.task, p.samples.retain) {}

  at::Tensor loss(const TrainingStepOn<Data>& step) override {
    return step.forget.target_loss() +
           config_.distillation_weight * distance(step.retain, teacher_, config_.form);
  }

 private:
  const ForgetConfig& config_;
  TeacherOn<Data> teacher_;
};

}  // namespace

MethodEntry fdr() {
  static const MethodOf<Fdr<Dataset>> method;
  static const MethodOf<Fdr<DetectionDataset>> detector;
  return {MethodKind::kFdr,
          "fdr",
          "wrong labels, the distance from the base's scores",
          method,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.learning_rate = by_head(head, 1e-3, 1e-3, config.learning_rate);
            if (head == HeadKind::kLinear) config.min_learning_rate = 1e-8;
            config.distillation_weight = by_head(head, 40, 50, 5);
          },
          &detector};
}

}  // namespace lethe
