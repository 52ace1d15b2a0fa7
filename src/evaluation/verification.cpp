#include "evaluation/verification.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "evaluation/ranking.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr int64_t kBlock = 256;  ///< rows whose cosines are held at once

/// L2-normalised rows in double on the CPU.
at::Tensor normalised(const at::Tensor& embeddings, const at::Tensor& labels) {
  require(embeddings.dim() == 2 && embeddings.is_floating_point(), Code::kInvalidArgument,
          "the embeddings are ", embeddings.scalar_type(), " ", embeddings.sizes(),
          ", they must be floating point [N, D]");
  const int64_t n = embeddings.size(0);
  require(labels.dim() == 1 && labels.scalar_type() == at::kLong && labels.size(0) == n,
          Code::kInvalidArgument, "the labels are ", labels.scalar_type(), " ", labels.sizes(),
          ", for embeddings ", embeddings.sizes(), " they must be Long [", n, "]");
  const at::Tensor rows = embeddings.detach().to(at::kCPU, at::kDouble);
  const at::Tensor broken = at::isfinite(rows).all(1).logical_not().nonzero();
  if (broken.size(0) > 0) {
    fail(Code::kInvalidArgument, "embedding ", broken[0].item<int64_t>(),
         " holds NaN or infinity; only finite embeddings have a cosine");
  }
  return rows / rows.norm(2, {1}, true).clamp_min(1e-12);
}

Verification verified(const RankedScores& ranked, std::optional<double> threshold) {
  Verification result;
  result.genuine = ranked.positives();
  result.impostor = ranked.negatives();
  result.auc = ranked.auc();
  result.equal_error_rate = ranked.equal_error_rate();
  result.threshold = threshold;
  if (!threshold) return result;
  result.tar = ranked.tpr(*threshold);
  result.far = ranked.fpr(*threshold);
  return result;
}

}  // namespace

PairScores pair_cosines(const at::Tensor& embeddings, const at::Tensor& labels,
                        const std::vector<int64_t>& classes, Impostors impostors) {
  at::Tensor rows = normalised(embeddings, labels);
  const at::Tensor cpu = labels.cpu().contiguous();
  const std::unordered_set<int64_t> set(classes.begin(), classes.end());
  // First the samples of the set, then, if they are needed, all others.
  std::vector<int64_t> kept, others, label;
  for (int64_t i = 0; i < cpu.size(0); ++i) {
    const int64_t y = cpu.const_data_ptr<int64_t>()[i];
    require(y >= 0, Code::kInvalidArgument, "the label of embedding ", i, " is ", y,
            ", it must be 0 or more");
    (set.count(y) ? kept : others).push_back(i);
  }
  const auto inside = static_cast<int64_t>(kept.size());
  if (impostors == Impostors::kAgainstAll) kept.insert(kept.end(), others.begin(), others.end());
  for (int64_t i : kept) label.push_back(cpu.const_data_ptr<int64_t>()[i]);
  rows = rows.index_select(0, at::tensor(kept, at::kLong));

  const auto all = static_cast<int64_t>(kept.size());
  PairScores result;
  result.impostor.reserve(inside * (inside - 1) / 2 + inside * (all - inside));
  for (int64_t begin = 0; begin < inside; begin += kBlock) {
    const int64_t count = std::min(kBlock, inside - begin);
    const at::Tensor cosines =
        rows.narrow(0, begin, count).mm(rows.narrow(0, begin, all - begin).t());
    const auto* cosine = cosines.const_data_ptr<double>();
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = i + 1; j < all - begin; ++j) {
        (label[begin + i] == label[begin + j] ? result.genuine : result.impostor)
            .push_back(cosine[i * (all - begin) + j]);
      }
    }
  }
  return result;
}

Verification verify(PairScores pairs, double far) {
  const RankedScores ranked(std::move(pairs.genuine), std::move(pairs.impostor));
  return verified(ranked, ranked.threshold_at_fpr(far));
}

Verification verify_at(PairScores pairs, double threshold) {
  require(!std::isnan(threshold), Code::kInvalidArgument,
          "the threshold is NaN, it must be a cosine");
  return verified({std::move(pairs.genuine), std::move(pairs.impostor)}, threshold);
}

}  // namespace lethe
