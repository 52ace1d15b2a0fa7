// LIRF, learning with recoverable forgetting (Ye et al. 2022): only the lower half of the blocks is
// trained, against the frozen upper half of the base (algorithm.md 7, LIRFtrain.py).
//
//   L = (1 - a) CE(x_f, y~) - 300 AT(x_f) + w_kd a T^2 KL(z_t / T || z_s / T) + w_replay CE(x_r, y)
//   AT = mean of (at(student) - at(base))^2 of the tokens between the halves, see token_attention()
//
// KL is over the columns of classes that stay: Form::kCorrected takes those of the retained
// classes, Form::kReference the columns from p on, p classes being forgotten, whichever these are.
// The deposit network of the method is not trained by the paper's code and adds but a constant: it
// is left out.
//
// What is trained are patches, positions, class token and blocks of the lower half: 9,652,736
// numbers of the paper's face model, 50.39 %. The paper's 9,704,960, 50.66 % (algorithm.md 11.1),
// also count the norm (1,024) and head (51,200) of the network that its code makes for that half,
// which the upper half stands in for: no loss depends on them.
#include <ATen/ATen.h>

#include "forgetting/distillation.h"
#include "forgetting/teacher.h"
#include "forgetting/weight_training.h"

namespace lethe {
namespace {

constexpr double kAlpha = 0.1, kAttentionWeight = 300;

int64_t lower_half(const Classifier& model) { return std::max<int64_t>(1, model.spec().depth / 2); }

at::Tensor kept_columns(const Preparation& p) {
  const int64_t classes = p.task.base->classifier().spec().classes;
  const auto forgotten = static_cast<int64_t>(p.task.classes.size());
  if (p.task.config.form == Form::kReference) return at::arange(forgotten, classes, at::kLong);
  return at::tensor(p.samples.retain.present_classes(), at::kLong);
}

class Lirf final : public Objective {
 public:
  explicit Lirf(const Preparation& p)
      : config_(p.task.config),
        middle_(lower_half(p.task.base->classifier())),
        columns_(kept_columns(p).to(p.task.base->device())),
        teacher_(p.task, p.samples.forget),
        teacher_attention_(teacher_attention(p.task, p.samples.forget, middle_)) {}

  int64_t middle() const override { return middle_; }

  at::Tensor loss(const TrainingStep& step) override {
    const Part& f = step.forget;
    const at::Tensor attention =
        (token_attention(f.middle) - rows(teacher_attention_, f.positions)).square().mean();
    const at::Tensor teacher = teacher_.scores(f.positions, f.targets);
    const at::Tensor kept =
        kAlpha * distillation_kl(f.scores.index_select(1, columns_),
                                 teacher.index_select(1, columns_), config_.temperature);
    return (1 - kAlpha) * f.cross_entropy() - kAttentionWeight * attention +
           config_.distillation_weight * kept + config_.replay_weight * step.retain.cross_entropy();
  }

 private:
  const ForgetConfig& config_;
  int64_t middle_;
  at::Tensor columns_;
  Teacher teacher_;
  at::Tensor teacher_attention_;
};

class LirfMethod final : public MethodOf<Lirf> {
  bool trains(const Classifier& model, const std::string& weight) const override {
    return model.block_of(weight) < lower_half(model);
  }
};

}  // namespace

MethodEntry lirf() {
  static const LirfMethod method;
  return {MethodKind::kLirf, "lirf", "the lower half leaves the base's attention on forget samples",
          method, [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.distillation_weight = 10;
            config.replay_weight = 5;
            config.temperature = 10;
          }};
}

}  // namespace lethe
