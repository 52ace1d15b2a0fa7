// Verification as face systems use it: two images show the same person when the cosine of their
// embeddings lies above a threshold. It needs no head, so it shows what a model still knows of
// identities that its classifier no longer names.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

namespace lethe {

/// Which impostor pairs belong to a set of classes. Genuine pairs have both images of one class of
/// the set either way.
enum class Impostors {
  /// Both images of classes of the set: the set's own system, as if nobody else were enrolled. What
  /// thresholds and TAR are defined on unless said otherwise.
  kWithin,
  /// At least one image of a class of the set: its identities in a system with everybody else. For
  /// sets of one class, which have no impostors of their own.
  kAgainstAll,
};

/// The cosines of all pairs i < j of a set of classes, in no particular order.
struct PairScores {
  std::vector<double> genuine, impostor;
};

/// `embeddings`: floating point [N, D], finite; a zero row has the cosine 0 with every other.
/// `labels`: int64 [N], at least 0. Classes without a sample, and repeated ones, add nothing.
/// Computed in double in blocks of rows; memory is 8 bytes a pair (64 MB for N = 4,000).
/// Throws kInvalidArgument.
PairScores pair_cosines(const at::Tensor& embeddings, const at::Tensor& labels,
                        const std::vector<int64_t>& classes,
                        Impostors impostors = Impostors::kWithin);

/// The false accept rate at which TAR is reported unless said otherwise.
inline constexpr double kFalseAcceptRate = 1e-2;

/// How well pairs are verified. A pair is accepted when its cosine is strictly greater than the
/// threshold. After forgetting, the *forgotten* identities should verify no better than they do
/// with Retrain, the retained ones as before. A figure is absent when the pairs that it needs are
/// missing, never 0 or NaN. Source: the protocol of Huang et al. 2007 (LFW) over all pairs, with
/// the rates as in ISO/IEC 19795-1.
struct Verification {
  int64_t genuine = 0, impostor = 0;  ///< pairs
  /// Area under the ROC curve of genuine over impostor pairs (RankedScores::auc). 0 to 1; chance is
  /// 0.5; of the forgotten: lower is better.
  std::optional<double> auc;
  /// Equal error rate (RankedScores::equal_error_rate). 0 to 1; of the forgotten: higher is better.
  std::optional<double> equal_error_rate;
  /// The cosine above which pairs are accepted.
  std::optional<double> threshold;
  /// True accept rate: the share of genuine pairs accepted. 0 to 1; of the forgotten: lower is
  /// better.
  std::optional<double> tar;
  /// False accept rate: the share of impostor pairs accepted. 0 to 1; lower is better.
  std::optional<double> far;
};

/// At the threshold that these pairs' own impostors set: the lowest one that accepts at most a
/// share `far` of them (RankedScores::threshold_at_fpr; nothing is interpolated, so the FAR reached
/// may be lower, and with fewer than 1 / far impostors it is 0). Throws kInvalidArgument unless
/// 0 <= far <= 1.
Verification verify(PairScores pairs, double far = kFalseAcceptRate);

/// At a threshold from elsewhere. The question of forgetting: with the threshold that the retained
/// identities' impostors set, verify(pair_cosines(retained)).threshold, what is the TAR of the
/// forgotten ones? A system keeps its threshold, and forgotten identities whose embeddings collapse
/// into one point would look well separated only by a threshold of their own.
Verification verify_at(PairScores pairs, double threshold);

}  // namespace lethe
