#include "evaluation/membership.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "evaluation/ranking.h"
#include "support/error.h"

namespace lethe {
namespace {

/// log p_i and log(1 - p_i) of one row. Only the largest p can be near 1, and its 1 - p is the sum
/// of the others; for all others p <= 1/2 and log1p loses nothing.
struct LogProbabilities {
  std::vector<double> p, not_p;

  void set(const double* scores, int64_t classes) {
    p.resize(classes);
    not_p.resize(classes);
    const int64_t top = std::max_element(scores, scores + classes) - scores;
    double second = -INFINITY, sum = 0;
    for (int64_t i = 0; i < classes; ++i) {
      if (i != top) second = std::max(second, scores[i]);
    }
    for (int64_t i = 0; i < classes; ++i) {
      if (i != top) sum += std::exp(scores[i] - second);
    }
    const double others = second - scores[top] + std::log(sum);  // log((1 - p_top) / p_top)
    const double log_top = -std::log1p(std::exp(others));
    for (int64_t i = 0; i < classes; ++i) {
      p[i] = scores[i] - scores[top] + log_top;
      not_p[i] = i == top ? others + log_top : std::log1p(-std::exp(p[i]));
    }
  }
};

/// statistic(log probabilities, label) of every row.
template <typename Statistic>
std::vector<double> of_rows(const at::Tensor& scores, const at::Tensor& labels,
                            const Statistic& statistic) {
  require(scores.dim() == 2 && scores.size(1) >= 2 && scores.is_floating_point(),
          Code::kInvalidArgument, "the class scores are ", scores.scalar_type(), " ",
          scores.sizes(), ", they must be floating point [N, C] with 2 or more classes");
  require(
      labels.dim() == 1 && labels.scalar_type() == at::kLong && labels.size(0) == scores.size(0),
      Code::kInvalidArgument, "the labels are ", labels.scalar_type(), " ", labels.sizes(),
      ", for class scores ", scores.sizes(), " they must be Long [", scores.size(0), "]");
  const at::Tensor rows = scores.detach().to(at::kCPU, at::kDouble).contiguous();
  const at::Tensor classes = labels.cpu().contiguous();
  const int64_t n = rows.size(0), c = rows.size(1);
  LogProbabilities row;
  std::vector<double> result(n);
  for (int64_t i = 0; i < n; ++i) {
    const double* begin = rows.const_data_ptr<double>() + i * c;
    const int64_t label = classes.const_data_ptr<int64_t>()[i];
    require(label >= 0 && label < c, Code::kInvalidArgument, "the label of sample ", i, " is ",
            label, ", allowed is 0 to ", c - 1);
    for (int64_t j = 0; j < c; ++j) {
      require(std::isfinite(begin[j]), Code::kInvalidArgument, "the score of sample ", i,
              " for class ", j, " is ", begin[j], "; only finite scores can be attacked");
    }
    row.set(begin, c);
    result[i] = statistic(row, label);
  }
  return result;
}

using Statistics = std::vector<double> (*)(const at::Tensor&, const at::Tensor&);

AttackResult attack(std::vector<double> members, std::vector<double> non_members) {
  const RankedScores ranked(std::move(members), std::move(non_members));
  AttackResult result;
  result.auc = ranked.auc();
  if (!result.auc) return result;
  result.advantage = std::abs(2 * *result.auc - 1);
  result.tpr = ranked.tpr_at_fpr(kMembershipFpr);
  return result;
}

/// phi - mu of every sample; adds the squares of phi_k - mu to `squares`.
std::vector<double> deviations(const ScoredSamples& samples, double& squares) {
  std::vector<double> phi = confidence_logits(samples.scores, samples.labels);
  std::vector<std::vector<double>> references;
  for (const at::Tensor& scores : samples.references) {
    require(scores.sizes() == samples.scores.sizes(), Code::kInvalidArgument,
            "a reference model's scores are ", scores.sizes(), ", those of the model are ",
            samples.scores.sizes(), "; both must be of the same samples");
    references.push_back(confidence_logits(scores, samples.labels));
  }
  for (size_t i = 0; i < phi.size(); ++i) {
    double mean = 0;
    for (const auto& reference : references) mean += reference[i];
    mean /= static_cast<double>(references.size());
    for (const auto& reference : references) squares += std::pow(reference[i] - mean, 2);
    phi[i] -= mean;
  }
  return phi;
}

AucGap gap(const AttackResult& forgot, const AttackResult& yardstick) {
  if (!forgot.auc || !yardstick.auc) return {};
  const double difference = *forgot.auc - *yardstick.auc;
  return {difference, std::abs(difference)};
}

}  // namespace

std::vector<double> loss_statistics(const at::Tensor& scores, const at::Tensor& labels) {
  return of_rows(scores, labels, [](const LogProbabilities& log, int64_t y) { return log.p[y]; });
}

std::vector<double> entropy_statistics(const at::Tensor& scores, const at::Tensor& labels) {
  return of_rows(scores, labels, [](const LogProbabilities& log, int64_t) {
    double sum = 0;
    for (double p : log.p) sum += std::exp(p) * p;
    return sum;
  });
}

std::vector<double> modified_entropy_statistics(const at::Tensor& scores,
                                                const at::Tensor& labels) {
  return of_rows(scores, labels, [](const LogProbabilities& log, int64_t y) {
    double sum = std::exp(log.not_p[y]) * log.p[y];
    for (int64_t i = 0; i < static_cast<int64_t>(log.p.size()); ++i) {
      if (i != y) sum += std::exp(log.p[i]) * log.not_p[i];
    }
    return sum;
  });
}

std::vector<double> confidence_logits(const at::Tensor& scores, const at::Tensor& labels) {
  return of_rows(scores, labels,
                 [](const LogProbabilities& log, int64_t y) { return log.p[y] - log.not_p[y]; });
}

std::pair<std::vector<double>, std::vector<double>> lira_statistics(
    const ScoredSamples& members, const ScoredSamples& non_members) {
  const size_t models = members.references.size();
  require(models >= 2, Code::kInvalidArgument, "LiRA has ", models,
          " reference models, it needs 2 or more to estimate a variance");
  require(non_members.references.size() == models, Code::kInvalidArgument, "the members have ",
          models, " reference models and the non-members ", non_members.references.size(),
          "; both must be scored by the same models");
  double squares = 0;
  std::vector<double> in = deviations(members, squares), out = deviations(non_members, squares);
  if (in.empty() && out.empty()) return {};
  require(squares > 0, Code::kInvalidArgument, "the ", models,
          " reference models agree on every sample; train them with different seeds or samples");
  const auto degrees = static_cast<double>((in.size() + out.size()) * (models - 1));
  const double sigma = std::sqrt(squares / degrees);
  for (double& z : in) z /= sigma;
  for (double& z : out) z /= sigma;
  return {std::move(in), std::move(out)};
}

Membership membership(const ScoredSamples& members, const ScoredSamples& non_members) {
  const auto by = [&](Statistics statistics) {
    return attack(statistics(members.scores, members.labels),
                  statistics(non_members.scores, non_members.labels));
  };
  Membership result;
  result.loss = by(loss_statistics);
  result.entropy = by(entropy_statistics);
  result.modified_entropy = by(modified_entropy_statistics);
  result.members = members.scores.size(0);
  result.non_members = non_members.scores.size(0);
  require(members.scores.size(1) == non_members.scores.size(1), Code::kInvalidArgument,
          "the members are scored for ", members.scores.size(1),
          " classes and the non-members for ", non_members.scores.size(1),
          "; both must come from the same model");
  if (!members.references.empty() || !non_members.references.empty()) {
    auto [in, out] = lira_statistics(members, non_members);
    result.lira = attack(std::move(in), std::move(out));
  }
  return result;
}

MembershipGap membership_gap(const Membership& forgot, const Membership& yardstick) {
  return {gap(forgot.loss, yardstick.loss), gap(forgot.entropy, yardstick.entropy),
          gap(forgot.modified_entropy, yardstick.modified_entropy),
          gap(forgot.lira, yardstick.lira)};
}

}  // namespace lethe
