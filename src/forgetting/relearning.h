// Relearning: how soon the forgotten classes return when somebody trains on a few of their samples.
// A model that merely hides them recovers in a handful of steps; one that never learnt them (the
// yardstick, Retrain) takes as long as few-shot learning takes. Steps measure distance as well as
// knowledge: intact features behind a head that was pushed far away return late, which the linear
// probe (evaluation/probe.h) shows.
#pragma once

#include <functional>
#include <vector>

#include "data/dataset.h"
#include "models/classifier.h"

namespace lethe {

struct RelearningOptions {
  int64_t shots = 4;  ///< samples of each forgotten class, >= 1; all where it has fewer
  /// Samples a step of the forgotten classes, >= 1, and as many of the retained ones.
  int64_t batch = 24;
  double learning_rate = 1e-4;  ///< constant, > 0
  double weight_decay = 0.05;   ///< >= 0; section 5.1
  int64_t check_every = 5;      ///< steps between checks, >= 1
  int64_t max_steps = 500;      ///< the cap, >= 0; checked there too
  double fraction = 0.5;        ///< of the base's accuracy, in (0, 1]
  bool margin = false;  ///< whether accuracies apply the head's margin, as base_accuracy did
  int64_t seed = 1337;
  std::function<bool()> cancelled = {};  ///< asked every step and batch; true throws kCancelled
};

/// One check: the accuracy on the held-out samples after so many steps, in percent.
struct RelearningPoint {
  int64_t step;
  double accuracy;
};

struct RelearningResult {
  /// Relearning time. Formula: the number of optimizer steps at the first check at which the
  /// accuracy on the held-out samples is at least fraction * base_accuracy; at the cap when it
  /// never is. Range: 0 (never gone) to max_steps, in multiples of check_every. Higher is better
  /// after forgetting, and no more than Retrain's can be asked for. Source: Golatkar et al. 2020
  /// and Tarun et al. 2023 ("relearn time", "anamnesis"), with steps as the unit and the base's
  /// accuracy as the mark.
  int64_t steps = 0;
  bool reached = false;
  std::vector<RelearningPoint> curve;  ///< from step 0 to `steps`, every check
};

/// Fine-tunes *all* weights, the head too, by AdamW on the cross entropy of the head's training
/// scores (with its margin), without dropout. Each step takes a batch of `shots` samples a class of
/// `forget`, in shuffled epochs whose last batch may be smaller, and exactly as many random samples
/// of `retain`; the loss is the mean over both together.
///
/// `start`: the weights after forgetting, float32 with all adapters merged in; they stay as they
/// are. `forget`, `retain`: training samples of the forgotten and of the retained classes.
/// `held_out`: samples of the forgotten classes that no training saw. `base_accuracy`: of the model
/// before forgetting on `held_out`, in percent, in (0, 100].
/// Repeats bit for bit with its seed on the CPU with the same number of threads.
/// Throws kInvalidArgument (also when a set is empty), kNumeric with the step, kCancelled.
RelearningResult relearn(const Classifier& model, const Weights& start, const Dataset& forget,
                         const Dataset& retain, const Dataset& held_out, double base_accuracy,
                         const RelearningOptions& options = {});

}  // namespace lethe
