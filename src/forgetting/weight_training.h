// The run that all methods share that train the weights themselves (algorithm.md 7, 8.8): a
// trainable copy of the weights, the order of the samples, one step of the network, AdamW,
// checkpoints, the change that is left. A method says which samples a step sees and what loss it
// makes of the outputs.
//
// All but what a network says of samples is alike for classifiers and detectors: `Data` is Dataset
// or DetectionDataset, as in task.h. Outputs are a PartOn, the forward pass is a TrainingNetwork
// (weight_network.h); those of detectors are in detector_weights.h.
#pragma once

#include <map>
#include <memory>
#include <type_traits>

#include "forgetting/adamw.h"
#include "forgetting/method.h"
#include "forgetting/samples.h"

namespace lethe {

/// The weights in training, leaves that require gradients, in name order.
using TrainedWeights = std::vector<std::pair<std::string, at::Tensor>>;

template <typename Data>
using ModelOf = std::conditional_t<std::is_same_v<Data, Dataset>, Classifier, DeformableDetr>;

/// One kind of samples in a step, and what the network in training says of them. Whatever the
/// model:
///   empty()        there are no samples, and all tensors are undefined
///   size()         how much they count beside others in one loss: samples, or objects
///   target_loss()  the loss of the labels that they are trained towards, computed by the first
///                  call; a zero without samples
///   positions      in the drawn set: what teacher outputs are found by
template <typename Data>
struct PartOn;

/// Of a classifier.
template <>
struct PartOn<Dataset> {
  at::Tensor labels;      ///< true ones [b]
  at::Tensor targets;     ///< those that the scores' margin and the loss refer to [b]
  at::Tensor embeddings;  ///< [b, D]
  at::Tensor scores;      ///< [b, C], with the head's margin at `targets`
  at::Tensor middle;      ///< tokens after Objective::middle() blocks [b, N, D]
  std::vector<int64_t> positions;

  bool empty() const { return !scores.defined(); }
  int64_t size() const { return empty() ? 0 : scores.size(0); }
  /// Mean cross entropy of `scores` with `targets`.
  const at::Tensor& cross_entropy() const;
  const at::Tensor& target_loss() const { return cross_entropy(); }

 private:
  mutable at::Tensor cross_entropy_;
};
using Part = PartOn<Dataset>;

/// One optimizer step.
template <typename Data>
struct TrainingStepOn {
  int64_t epoch = 0;
  PartOn<Data> forget, retain;
  PartOn<Data> next_retain;  ///< a second batch, for methods that take two
};
using TrainingStep = TrainingStepOn<Dataset>;

/// Positions of a step's samples in the drawn sets.
struct StepPositions {
  std::vector<int64_t> forget, retain, next_retain;
};

/// Which samples the steps of a stretch of an epoch see.
enum class Visit {
  kForget,  ///< each forget sample once
  kRetain,  ///< each retain sample once
  kBoth,    ///< each forget sample once, beside as many steps of retain batches, cycled
  kUnion    ///< each sample once, both kinds mixed in a batch
};

/// What a method may look at before its first step.
template <typename Data>
struct PreparationOn {
  const TaskOn<Data>& task;
  const TaskSamplesOf<Data>& samples;
  const Weights& weights;  ///< the network in training; trained tensors are leaves
  TrainedWeights trained;
};
using Preparation = PreparationOn<Dataset>;

/// A method's side of one run.
template <typename Data>
class ObjectiveOn {
 public:
  using Samples = Data;

  virtual ~ObjectiveOn() = default;
  /// Of epoch `epoch`, in order.
  virtual std::vector<Visit> visits(int64_t epoch) const { return {Visit::kBoth}; }
  /// Whether forget samples are trained towards WrongLabels, or a detector's as withheld() says,
  /// not towards their own.
  virtual bool relabels() const { return true; }
  virtual bool takes_two_retain_batches() const { return false; }
  /// Of classifiers: after how many blocks Part::middle is taken; 0: never.
  virtual int64_t middle() const { return 0; }

  /// The loss of a step, a scalar.
  virtual at::Tensor loss(const TrainingStepOn<Data>& step) = 0;
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
using Objective = ObjectiveOn<Dataset>;

/// A method that trains weights.
template <typename Data>
class WeightMethodOn : public MethodOn<Data> {
 public:
  ForgetResult run(const TaskOn<Data>& task, const Observer& observer,
                   const Checkpoints& checkpoints) const final;

  /// The losses of one run; refers to what `preparation` refers to.
  virtual std::unique_ptr<ObjectiveOn<Data>> objective(
      const PreparationOn<Data>& preparation) const = 0;

 protected:
  /// Whether a weight is trained: all but the heads, and of a detector the backbone.
  virtual bool trains(const ModelOf<Data>& model, const std::string& weight) const;
  /// What training starts from: the weights that earlier tasks left.
  virtual Weights start(const TaskOn<Data>& task) const { return task.start; }
};
using WeightMethod = WeightMethodOn<Dataset>;

/// One whose run is an O made of its Preparation.
template <typename O>
class MethodOf : public WeightMethodOn<typename O::Samples> {
 public:
  std::unique_ptr<ObjectiveOn<typename O::Samples>> objective(
      const PreparationOn<typename O::Samples>& preparation) const override {
    return std::make_unique<O>(preparation);
  }
};

/// What all weight methods change of GS-LoRA++'s settings: no prototypes, AdamW at 1e-4, on
/// detectors at 6e-4 (algorithm.md 8.8).
void weight_defaults(ForgetConfig& config, HeadKind head);
/// Whether the head's scores are cosines times a scale of about 64: the paper's face settings
/// apply.
inline bool is_cosine(HeadKind head) {
  return head == HeadKind::kCosFace || head == HeadKind::kArcFace;
}
/// A default that differs by head.
inline double by_head(HeadKind head, double linear, double cosine, double detection) {
  return head == HeadKind::kDetection ? detection : is_cosine(head) ? cosine : linear;
}

}  // namespace lethe
