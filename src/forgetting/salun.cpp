// SalUn, saliency unlearning (Fan et al. 2024): wrong labels, but only the weights that the forget
// samples' loss depends on most may move.
//
//   L = CE(x_f, y~) + w_replay CE(x_r, y), gradients times m
//   m = 1 for the half of all weights with the largest |d CE(x_f, y) / d theta| (their eq. 3), as
//       salient() draws the line
//
// Weight decay would move the others too: it is off unless it is set.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "forgetting/weight_penalty.h"

namespace lethe {
namespace {

/// |d CE / d theta| over all forget samples, with their true labels.
const ImportanceRule kSaliency = {
    [](const at::Tensor& scores, const at::Tensor& labels) {
      return at::cross_entropy_loss(scores, labels, {}, at::Reduction::Sum);
    },
    [](const at::Tensor& gradient, int64_t) { return gradient.clone(); }};

class SalUn final : public Objective {
 public:
  explicit SalUn(const Preparation& p) : config_(p.task.config), trained_(p.trained) {
    const Weights masks = salient(importance_of(p, p.samples.forget, kSaliency));
    for (const auto& [name, leaf] : trained_) masks_.push_back(masks.at(name));
  }

  at::Tensor loss(const TrainingStep& step) override {
    return step.forget.cross_entropy() + config_.replay_weight * step.retain.cross_entropy();
  }

  void edit_gradients() override {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < trained_.size(); ++i) {
      at::Tensor& gradient = trained_[i].second.mutable_grad();
      if (gradient.defined()) gradient.mul_(masks_[i]);
    }
  }

 private:
  const ForgetConfig& config_;
  TrainedWeights trained_;
  std::vector<at::Tensor> masks_;
};

}  // namespace

MethodEntry salun() {
  static const MethodOf<SalUn> method;
  return {MethodKind::kSalUn, "salun",
          "wrong labels, only for the weights that matter most to them", method,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.weight_decay = 0;
          }};
}

}  // namespace lethe
