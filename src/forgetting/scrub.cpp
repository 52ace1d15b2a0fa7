// SCRUB (Kurmanji et al. 2023) and SCRUB-S, its smoothed form: the student leaves the base on
// forget samples and stays with it on retain samples, in turns (algorithm.md 7, SCRUBtrain.py).
//
//   forget passes   L = -KD + p Dist
//   retain passes   L = gamma CE + a KD + p Dist
//   KD   = T^2 sum_i KL(softmax(z_t / T) || softmax(z_s / T)) / B, true labels
//   Dist = sum over tensors of |theta - theta_swa|_F, p = 0: SCRUB
//
// Ten epochs make a round: five of a forget and a retain pass, five of retain passes. theta_swa is
// the base until the end of the first round, then the student, then 0.9 theta_swa + 0.1 student a
// round. Adam with coupled weight decay; its rate falls to a tenth when 15 round + epoch in it
// exceeds 100.
//
// On a detector (algorithm.md 8.8) CE is its target loss (detector_weights.h) and KD is of the
// logits: distillation_sigmoid_kl(), Form::kReference T^2 KL / B of softmaxes along the queries,
// summed over the classes, as the paper's code has it. AdamW; the rate falls when 15 round + epoch
// exceeds 30, to a tenth, Form::kReference to a sixtieth: a tenth of 1e-4, a setting that training
// at 6e-4 did not use.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "forgetting/distillation.h"
#include "forgetting/teacher.h"
#include "forgetting/weight_training.h"

namespace lethe {
namespace {

constexpr int64_t kRound = 10, kForgetPasses = 5;

at::Tensor distillation(const Part& part, const Teacher& teacher, const ForgetConfig& config) {
  return distillation_kl(part.scores, teacher.scores(part.positions, part.targets),
                         config.temperature);
}

at::Tensor distillation(const DetectorPart& part, const DetectorTeacher& teacher,
                        const ForgetConfig& config) {
  const at::Tensor student = part.logits(), base = teacher.logits(part);
  if (config.form == Form::kCorrected) {
    return distillation_sigmoid_kl(student, base, config.temperature);
  }
  // Along the first axis after the batch; what is left, the classes, is averaged there.
  return distillation_kl(student, base, config.temperature) * student.size(2);
}

template <typename Data>
class Scrub final : public ObjectiveOn<Data> {
 public:
  explicit Scrub(const PreparationOn<Data>& p)
      : config_(p.task.config),
        teacher_forget_(p.task, p.samples.forget),
        teacher_retain_(p.task, p.samples.retain),
        trained_(p.trained) {
    for (const auto& [name, leaf] : trained_) {
      averaged_.push_back(p.task.base->weights().at(name).clone());
    }
  }

  std::vector<Visit> visits(int64_t epoch) const override {
    if (epoch % kRound < kForgetPasses) return {Visit::kForget, Visit::kRetain};
    return {Visit::kRetain};
  }
  bool relabels() const override { return false; }
  bool couples_weight_decay() const override { return !kDetector; }
  std::optional<double> learning_rate(int64_t epoch) const override {
    const int64_t count = 15 * (epoch / kRound) + epoch % kRound;
    const double fall = kDetector && config_.form == Form::kReference ? 1.0 / 60 : 0.1;
    return config_.learning_rate * (count > (kDetector ? 30 : 100) ? fall : 1);
  }

  at::Tensor loss(const TrainingStepOn<Data>& step) override {
    at::Tensor loss;
    if (!step.forget.empty()) {
      loss = -distillation(step.forget, teacher_forget_, config_);
    } else {
      loss = config_.replay_weight * step.retain.target_loss() +
             config_.distillation_weight * distillation(step.retain, teacher_retain_, config_);
    }
    if (config_.smoothing > 0) {
      for (size_t i = 0; i < trained_.size(); ++i) {
        loss = loss + config_.smoothing * (trained_[i].second - averaged_[i]).norm();
      }
    }
    return loss;
  }

  void end_of_epoch(int64_t epoch) override {
    if (epoch % kRound != kRound - 1) return;
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < trained_.size(); ++i) {
      averaged_[i].lerp_(trained_[i].second, rounds_ == 0 ? 1.0 : 0.1);
    }
    ++rounds_;
  }

  void save(TrainingState& state) const override {
    state.put("rounds", rounds_);
    for (size_t i = 0; i < trained_.size(); ++i) {
      state.put("average " + trained_[i].first, averaged_[i]);
    }
  }
  void restore(const TrainingState& state) override {
    rounds_ = state.integer("rounds");
    for (size_t i = 0; i < trained_.size(); ++i) {
      state.restore("average " + trained_[i].first, averaged_[i]);
    }
  }

 private:
  static constexpr bool kDetector = std::is_same_v<Data, DetectionDataset>;

  const ForgetConfig& config_;
  TeacherOn<Data> teacher_forget_, teacher_retain_;
  TrainedWeights trained_;
  std::vector<at::Tensor> averaged_;  ///< theta_swa
  int64_t rounds_ = 0;
};

const MethodOf<Scrub<Dataset>> kScrub;
const MethodOf<Scrub<DetectionDataset>> kDetectorScrub;

void scrub_defaults(ForgetConfig& config, HeadKind head) {
  weight_defaults(config, head);
  config.weight_decay = 5e-4;
  config.distillation_weight = 1e-3;
  config.replay_weight = by_head(head, 20, 0.99, 0.99);
  config.temperature = 2;
}

}  // namespace

MethodEntry scrub() {
  return {MethodKind::kScrub,
          "scrub",
          "away from the base on forget samples, with it on the others",
          kScrub,
          scrub_defaults,
          &kDetectorScrub};
}

MethodEntry scrub_s() {
  return {MethodKind::kScrubS, "scrub-s", "scrub, held to an average of its own weights", kScrub,
          [](ForgetConfig& config, HeadKind head) {
            scrub_defaults(config, head);
            config.smoothing = is_cosine(head) ? 0.1 : 0.05;
            if (!is_cosine(head)) config.replay_weight = 10;
          }};
}

}  // namespace lethe
