#include "evaluation/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/error.h"

namespace lethe {
namespace {

std::vector<double> sorted(std::vector<double> scores, const char* group) {
  for (size_t i = 0; i < scores.size(); ++i) {
    require(std::isfinite(scores[i]), Code::kInvalidArgument, "score ", i, " of the ", group,
            " is ", scores[i], "; only finite scores can be ranked");
  }
  std::sort(scores.begin(), scores.end());
  return scores;
}

/// The largest k with k / n <= share, in the arithmetic of the division.
int64_t allowed(double share, int64_t n) {
  const auto count = static_cast<double>(n);
  auto k = static_cast<int64_t>(share * count);
  while (k < n && static_cast<double>(k + 1) / count <= share) ++k;
  while (k > 0 && static_cast<double>(k) / count > share) --k;
  return k;
}

/// The share of ascending `scores` that are greater than the threshold.
std::optional<double> share_above(const std::vector<double>& scores, double threshold) {
  if (scores.empty()) return std::nullopt;
  const auto refused = std::upper_bound(scores.begin(), scores.end(), threshold) - scores.begin();
  const auto count = static_cast<double>(scores.size());
  return (count - static_cast<double>(refused)) / count;
}

}  // namespace

RankedScores::RankedScores(std::vector<double> positives, std::vector<double> negatives)
    : positives_(sorted(std::move(positives), "positives")),
      negatives_(sorted(std::move(negatives), "negatives")) {}

std::optional<double> RankedScores::auc() const {
  if (positives_.empty() || negatives_.empty()) return std::nullopt;
  int64_t twice_won = 0;  // a won pair counts 2, a tie 1
  auto below = negatives_.begin(), not_above = below;
  for (double p : positives_) {
    while (below != negatives_.end() && *below < p) ++below;
    while (not_above != negatives_.end() && *not_above <= p) ++not_above;
    twice_won += (below - negatives_.begin()) + (not_above - negatives_.begin());
  }
  return static_cast<double>(twice_won) / static_cast<double>(2 * positives() * negatives());
}

std::optional<double> RankedScores::tpr(double threshold) const {
  return share_above(positives_, threshold);
}

std::optional<double> RankedScores::fpr(double threshold) const {
  return share_above(negatives_, threshold);
}

std::optional<double> RankedScores::threshold_at_fpr(double fpr) const {
  require(fpr >= 0 && fpr <= 1, Code::kInvalidArgument, "the false positive rate is ", fpr,
          ", allowed is 0 to 1");
  if (negatives_.empty()) return std::nullopt;
  const int64_t k = allowed(fpr, negatives());
  return k == negatives() ? -std::numeric_limits<double>::infinity()
                          : negatives_[negatives_.size() - 1 - static_cast<size_t>(k)];
}

std::optional<double> RankedScores::tpr_at_fpr(double fpr) const {
  const std::optional<double> threshold = threshold_at_fpr(fpr);
  return threshold ? tpr(*threshold) : std::nullopt;
}

std::optional<double> RankedScores::equal_error_rate() const {
  if (positives_.empty() || negatives_.empty()) return std::nullopt;
  const int64_t m = positives(), n = negatives();
  // From the highest threshold down: p positives and q negatives are accepted. p n + q m - m n is
  // m n (TPR + FPR - 1), which grows from -m n to m n and is zero where the curve meets the line.
  int64_t p = 0, q = 0, height = -m * n;
  while (true) {
    const double next = std::max(p < m ? positives_[m - 1 - p] : -INFINITY,
                                 q < n ? negatives_[n - 1 - q] : -INFINITY);
    const int64_t q_before = q, height_before = height;
    while (p < m && positives_[m - 1 - p] == next) ++p;
    while (q < n && negatives_[n - 1 - q] == next) ++q;
    height = p * n + q * m - m * n;
    if (height < 0) continue;
    const double part =
        static_cast<double>(-height_before) / static_cast<double>(height - height_before);
    return (static_cast<double>(q_before) + part * static_cast<double>(q - q_before)) /
           static_cast<double>(n);
  }
}

}  // namespace lethe
