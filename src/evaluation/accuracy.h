// Accuracies and the harmonic mean (algorithm.md, section 6). All in percent.
//
// What a report calls Acc_* is ClassAccuracy::percent() of a set of classes (engine/forget_job.h
// names them all). By arXiv 2501.09705:
//   Acc_f   classes that the task forgets         after it, lower is better; 0 at best
//   Acc_o   classes that earlier tasks forgot     lower is better
//   Acc_r   all classes that no task forgot       higher is better; the base's is the measure
//   Acc_m   those of them without replay samples  higher is better
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "data/dataset.h"
#include "models/classifier.h"

namespace lethe {

/// Right answers of every class on one data set.
struct ClassAccuracy {
  std::vector<int64_t> correct, total;  ///< length: classes of the model

  /// 100 correct / total, 0 to 100, over all samples of these classes together (not the mean of
  /// their accuracies); nothing when they have no sample.
  std::optional<double> percent(const std::vector<int64_t>& classes) const;
  std::optional<double> percent() const;  ///< over all classes
};

struct EvaluationOptions {
  int64_t batch = 250;
  bool margin = false;  ///< apply the head's margin at the true class, as the paper's tables do
  ForwardOptions forward;
  std::function<bool()> cancelled;  ///< asked between batches; true throws kCancelled
};

ClassAccuracy class_accuracy(const Classifier& model, const Weights& weights,
                             const Dataset& dataset, const EvaluationOptions& options = {});

/// Scores of every sample, float32 [size, classes] on the CPU.
at::Tensor dataset_scores(const Classifier& model, const Weights& weights, const Dataset& dataset,
                          const EvaluationOptions& options = {});

/// Embeddings of every sample, float32 [size, dim] on the CPU.
at::Tensor dataset_embeddings(const Classifier& model, const Weights& weights,
                              const Dataset& dataset, const EvaluationOptions& options = {});

/// H = 2 Acc_r Drop / (Acc_r + Drop), Drop = Acc_f(before) - Acc_f(after); 0 when Drop <= 0. From 0
/// to 100; higher is better. `acc_f_before` is the base's in the paper's tables, the one at the
/// task's start in the running figure of its code (algorithm.md 6.2); reports have both, h and
/// h_start.
double h_mean(double acc_r, double acc_f_before, double acc_f);

}  // namespace lethe
