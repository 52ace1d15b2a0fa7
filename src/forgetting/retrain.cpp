// Retrain, the yardstick: a new network that has seen the task's retain samples only.
//
//   L = CE(x_r, y), all weights, head too
//
// Form::kReference, model "vit": attention and norms begin with the base's weights, as the paper's
// code does for ImageNet-100; only FFNs and head begin at random (algorithm.md 7).
#include "forgetting/weight_training.h"
#include "support/error.h"

namespace lethe {
namespace {

class Replay final : public Objective {
 public:
  explicit Replay(const Preparation&) {}

  std::vector<Visit> visits(int64_t) const override { return {Visit::kRetain}; }
  bool relabels() const override { return false; }
  at::Tensor loss(const TrainingStep& step) override { return step.retain.cross_entropy(); }
};

class RetrainMethod final : public MethodOf<Replay> {
  bool trains(const Classifier&, const std::string&) const override { return true; }

  Weights start(const ForgetTask& task) const override {
    const Classifier& model = task.base->classifier();
    Weights weights = model.random_weights(RandomStream(static_cast<uint64_t>(task.config.seed),
                                                        str("task ", task.index, " retrain")));
    const bool keep = task.config.form == Form::kReference && model.spec().arch == "vit";
    for (auto& [name, tensor] : weights) {
      const bool ffn = name.find(".mlp.") != std::string::npos;
      const bool head = model.block_of(name) > model.spec().depth;
      tensor =
          keep && !ffn && !head ? task.base->weights().at(name) : tensor.to(task.base->device());
    }
    return weights;
  }
};

}  // namespace

MethodEntry retrain() {
  static const RetrainMethod method;
  return {MethodKind::kRetrain, "retrain", "a new network from the retain samples alone", method,
          [](ForgetConfig& config, HeadKind head) {
            weight_defaults(config, head);
            config.learning_rate = 3e-4;
            config.warmup_epochs = 5;
          }};
}

/// The same loss from the weights at hand: what forgetting comes of its own when nobody reminds.
MethodEntry fine_tune() {
  static const MethodOf<Replay> method;
  return {MethodKind::kFineTune, "fine-tune", "further training on the retain samples", method,
          weight_defaults};
}

}  // namespace lethe
