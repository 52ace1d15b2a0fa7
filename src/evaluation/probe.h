// A linear probe: how much of a class is still in the features, whatever the head makes of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "evaluation/accuracy.h"

namespace lethe {

struct ProbeOptions {
  /// Weight of the L2 penalty, > 0. It makes the solution unique.
  double l2 = 1e-3;
  /// Training ends at a gradient whose largest entry is at most this, > 0, or after that many
  /// steps of L-BFGS.
  double tolerance = 1e-5;
  int64_t max_iterations = 500;
  std::function<bool()> cancelled = {};  ///< asked before every iteration; true throws kCancelled
};

struct ProbeResult {
  /// Linear probe accuracy. Formula: right answers of every class on the test embeddings;
  /// accuracy.percent(forgotten) is the share of the forgotten classes that a fresh head still
  /// recovers. Range: 0 to 100 %; chance is 100 / classes. Lower is better after forgetting, but
  /// not below Retrain's: features tell apart classes that they were never trained on, so only what
  /// exceeds Retrain's figure was left behind. Source: Alain & Bengio 2017; as a measure of
  /// forgetting e.g. Golatkar et al. 2020.
  ClassAccuracy accuracy;
  int64_t iterations = 0;
  bool converged = false;  ///< the tolerance was reached
};

/// Multinomial logistic regression on frozen embeddings of *all* classes: the minimum over W, b of
///   mean_i CE(W x_i + b, y_i) + l2 / 2 |W|^2,
/// where x is an embedding with every feature shifted and scaled to mean 0 and variance 1 over the
/// training embeddings (a constant feature is 0). Full batch, in double, from W = b = 0, so it
/// repeats bit for bit on the same number of threads, and as the minimum is unique its answers do
/// not depend on the order of the samples. Classes without a training sample are never predicted.
///
/// `train`, `test`: floating point [N, D], finite, train not empty; labels int64 [N], each in
/// [0, classes). Throws kInvalidArgument, kCancelled.
ProbeResult linear_probe(const at::Tensor& train, const at::Tensor& train_labels,
                         const at::Tensor& test, const at::Tensor& test_labels, int64_t classes,
                         const ProbeOptions& options = {});

}  // namespace lethe
