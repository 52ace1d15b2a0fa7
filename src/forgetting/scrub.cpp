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
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "forgetting/distillation.h"
#include "forgetting/teacher.h"
#include "forgetting/weight_training.h"

namespace lethe {
namespace {

constexpr int64_t kRound = 10, kForgetPasses = 5;

class Scrub final : public Objective {
 public:
  explicit Scrub(const Preparation& p)
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
  bool couples_weight_decay() const override { return true; }
  std::optional<double> learning_rate(int64_t epoch) const override {
    const int64_t count = 15 * (epoch / kRound) + epoch % kRound;
    return config_.learning_rate * (count > 100 ? 0.1 : 1);
  }

  at::Tensor loss(const TrainingStep& step) override {
    at::Tensor loss;
    if (!step.forget.empty()) {
      loss = -distance(step.forget, teacher_forget_);
    } else {
      loss = config_.replay_weight * step.retain.cross_entropy() +
             config_.distillation_weight * distance(step.retain, teacher_retain_);
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
  at::Tensor distance(const Part& part, const Teacher& teacher) const {
    return distillation_kl(part.scores, teacher.scores(part.positions, part.targets),
                           config_.temperature);
  }

  const ForgetConfig& config_;
  Teacher teacher_forget_, teacher_retain_;
  std::vector<std::pair<std::string, at::Tensor>> trained_;
  std::vector<at::Tensor> averaged_;  ///< theta_swa
  int64_t rounds_ = 0;
};

const MethodOf<Scrub> kScrub;

void scrub_defaults(ForgetConfig& config, HeadKind head) {
  weight_defaults(config, head);
  config.weight_decay = 5e-4;
  config.distillation_weight = 1e-3;
  config.replay_weight = is_cosine(head) ? 0.99 : 20;
  config.temperature = 2;
}

}  // namespace

MethodEntry scrub() {
  return {MethodKind::kScrub, "scrub",
          "away from the base on forget samples, with it on the others", kScrub, scrub_defaults};
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
