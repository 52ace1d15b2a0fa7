// How well one number separates positives from negatives: what membership attacks and face
// verification have in common. A higher score says "positive".
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace lethe {

/// The scores of two groups, sorted once. All figures depend on the order of the scores alone: a
/// strictly increasing function of all of them changes nothing but the thresholds. Figures are
/// absent when either group is empty.
///
/// A threshold t accepts the scores that are strictly greater than t. The true positive rate TPR(t)
/// and the false positive rate FPR(t) are the accepted shares of the positives and the negatives.
class RankedScores {
 public:
  /// Throws kInvalidArgument when a score is NaN or infinite. O(n log n).
  RankedScores(std::vector<double> positives, std::vector<double> negatives);

  /// Area under the ROC curve. Formula: the share of the m n pairs of a positive p and a negative q
  /// with p > q, pairs with p = q counted half (Mann-Whitney U / (m n)). Range: 0 to 1; 0.5 is
  /// chance, 1 is full separation, 0 is full separation the wrong way round. Counted in integers,
  /// so the only rounding is that of the last division. Source: Hanley & McNeil 1982.
  std::optional<double> auc() const;

  /// TPR(t) and FPR(t), 0 to 1, at any t, e.g. one that was chosen on other scores. Absent without
  /// positives or negatives respectively.
  std::optional<double> tpr(double threshold) const;
  std::optional<double> fpr(double threshold) const;

  /// The lowest threshold whose FPR is at most `fpr`: with k the largest integer with k / n <= fpr,
  /// the (k+1)-th highest negative; minus infinity when k = n. Nothing is interpolated, and tied
  /// negatives are all refused where accepting them all would exceed k. Absent when there are no
  /// negatives. Throws kInvalidArgument unless 0 <= fpr <= 1.
  std::optional<double> threshold_at_fpr(double fpr) const;

  /// True positive rate at a false positive rate. Formula: TPR(threshold_at_fpr(fpr)), the highest
  /// TPR of all thresholds with FPR(t) <= fpr. Range: 0 to 1; at chance about `fpr`. With fewer
  /// than 1 / fpr negatives it is the share of positives above the highest negative. Source: the
  /// step function of Fawcett 2006.
  std::optional<double> tpr_at_fpr(double fpr) const;

  /// Equal error rate. Formula: the FPR at which the ROC curve, its operating points joined by
  /// straight lines, meets TPR = 1 - FPR; there the two kinds of error are equally frequent. Range:
  /// 0 (full separation) to 1; 0.5 is chance. Source: Fawcett 2006, with the curve whose area auc()
  /// is.
  std::optional<double> equal_error_rate() const;

  int64_t positives() const { return static_cast<int64_t>(positives_.size()); }
  int64_t negatives() const { return static_cast<int64_t>(negatives_.size()); }

 private:
  std::vector<double> positives_, negatives_;  ///< ascending
};

}  // namespace lethe
