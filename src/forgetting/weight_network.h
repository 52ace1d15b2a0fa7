// What a run of weights (weight_training.h) needs to know of a kind of model: which weights it
// trains, and the forward pass of a step. This is a classifier's; detector_weights.h has the other.
#pragma once

#include "forgetting/weight_training.h"

namespace lethe {

/// Unless a method says otherwise.
bool is_trained(const Classifier& model, const std::string& weight);
/// What the learning rate is multiplied by.
inline double rate_factor(const Classifier&, const std::string&) { return 1; }

/// The network of one run, with what else changes from step to step because of it. References
/// outlive it. Not thread-safe.
template <typename Data>
class TrainingNetwork;

template <>
class TrainingNetwork<Dataset> {
 public:
  TrainingNetwork(const Preparation& preparation, const Objective& objective,
                  at::Generator& dropout);

  /// What the weights as they are say of these samples, with a graph.
  TrainingStep forward(int64_t epoch, StepPositions positions);
  /// Accuracies and losses of a step; those of a kind that it had no samples of stay.
  void report(Progress& progress, const TrainingStep& step) const;

  void save(TrainingState& state) const { state.put("wrong_labels", wrong_.stream()); }
  void restore(const TrainingState& state) { state.restore("wrong_labels", wrong_.stream()); }

 private:
  const Preparation& preparation_;
  const Objective& objective_;
  ForwardOptions options_;
  WrongLabels wrong_;
};

}  // namespace lethe
