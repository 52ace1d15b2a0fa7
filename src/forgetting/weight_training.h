// The run that all methods share that train the weights themselves (algorithm.md 7): a trainable
// copy of the weights, the order of the samples, one forward pass a step, AdamW, checkpoints, the
// change that is left. A method says which samples a step sees and what loss it makes of the
// outputs.
//
// Only the forward pass and Part know that a sample has one label: a model whose samples have
// several objects brings its own.
#pragma once

#include <map>
#include <memory>

#include "forgetting/adamw.h"
#include "forgetting/method.h"
#include "forgetting/samples.h"

namespace lethe {

/// One kind of samples in a step, and what the network in training says of them. Without samples
/// all tensors are undefined.
struct Part {
  at::Tensor labels;               ///< true ones [b]
  at::Tensor targets;              ///< those that the scores' margin and the loss refer to [b]
  at::Tensor embeddings;           ///< [b, D]
  at::Tensor scores;               ///< [b, C], with the head's margin at `targets`
  at::Tensor middle;               ///< tokens after Objective::middle() blocks [b, N, D]
  std::vector<int64_t> positions;  ///< in the drawn set: what teacher outputs are found by

  bool empty() const { return !scores.defined(); }
  int64_t size() const { return empty() ? 0 : scores.size(0); }
  /// Mean cross entropy of `scores` with `targets`, computed by the first call; a zero without
  /// samples.
  const at::Tensor& cross_entropy() const;

 private:
  mutable at::Tensor cross_entropy_;
};

/// One optimizer step.
struct TrainingStep {
  int64_t epoch = 0;
  Part forget, retain;
  Part next_retain;  ///< a second batch, for methods that take two
};

/// Which samples the steps of a stretch of an epoch see.
enum class Visit {
  kForget,  ///< each forget sample once
  kRetain,  ///< each retain sample once
  kBoth,    ///< each forget sample once, beside as many steps of retain batches, cycled
  kUnion    ///< each sample once, both kinds mixed in a batch
};

/// What a method may look at before its first step.
struct Preparation {
  const ForgetTask& task;
  const TaskSamples& samples;
  const Weights& weights;  ///< the network in training; trained tensors are leaves
  std::vector<std::pair<std::string, at::Tensor>> trained;  ///< those leaves, in name order
};

/// A method's side of one run.
class Objective {
 public:
  virtual ~Objective() = default;
  /// Of epoch `epoch`, in order.
  virtual std::vector<Visit> visits(int64_t epoch) const { return {Visit::kBoth}; }
  /// Whether forget samples are trained towards WrongLabels, not towards their own.
  virtual bool relabels() const { return true; }
  virtual bool takes_two_retain_batches() const { return false; }
  /// After how many blocks Part::middle is taken; 0: never.
  virtual int64_t middle() const { return 0; }

  /// The loss of a step, a scalar.
  virtual at::Tensor loss(const TrainingStep& step) = 0;
  /// Between the gradients and the optimizer's step.
  virtual void edit_gradients() {}
  virtual void end_of_epoch(int64_t epoch) {}

  /// Of an epoch, where it is not the cosine of the settings.
  virtual std::optional<double> learning_rate(int64_t epoch) const { return std::nullopt; }
  /// Whether weight decay is added to the gradient (Adam), not applied beside it (AdamW).
  virtual bool couples_weight_decay() const { return false; }

  /// What changes from step to step beyond weights, optimizer and order.
  virtual void save(TrainingState& state) const {}
  virtual void restore(const TrainingState& state) {}
  /// ForgetResult::importance.
  virtual Weights importance() const { return {}; }
};

/// A method that trains weights.
class WeightMethod : public Method {
 public:
  ForgetResult run(const ForgetTask& task, const Observer& observer,
                   const Checkpoints& checkpoints) const final;

  /// The losses of one run; refers to what `preparation` refers to.
  virtual std::unique_ptr<Objective> objective(const Preparation& preparation) const = 0;

 protected:
  /// Whether a weight is trained: all but the head.
  virtual bool trains(const Classifier& model, const std::string& weight) const;
  /// What training starts from: the weights that earlier tasks left.
  virtual Weights start(const ForgetTask& task) const { return task.start; }
};

/// One whose run is an O made of its Preparation.
template <typename O>
class MethodOf : public WeightMethod {
 public:
  std::unique_ptr<Objective> objective(const Preparation& preparation) const override {
    return std::make_unique<O>(preparation);
  }
};

/// What all weight methods change of GS-LoRA++'s settings: no prototypes, AdamW at 1e-4.
void weight_defaults(ForgetConfig& config, HeadKind head);
/// Whether the head's scores are cosines times a scale of about 64: the paper's face settings
/// apply.
inline bool is_cosine(HeadKind head) { return head != HeadKind::kLinear; }

}  // namespace lethe
