// Membership inference: can it be told from a model's scores which samples it was trained on and
// asked to forget? Members are the samples that were to be forgotten, non-members are held-out
// samples of the same classes. All scores are the head's plain ones, without a margin.
//
// After forgetting, what an attack can tell should be nothing: forgotten samples that stand out as
// *less* like members than held-out ones give the deletion away as well. So the attacks are read
// both ways. An attack by one threshold sees only a shift: a model that puts forgotten samples at
// both ends passes.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <utility>
#include <vector>

namespace lethe {

/// What a model, and reference models, say of some samples.
struct ScoredSamples {
  at::Tensor scores;  ///< [N, C], finite, C >= 2; p = softmax of a row, y its label
  at::Tensor labels;  ///< int64 [N], each in [0, C)
  /// The scores of the same samples, [N, C], by models that were trained on none of them, members
  /// and non-members alike. None, or two or more.
  std::vector<at::Tensor> references = {};
};

// The statistics of the attacks, one number a sample; the higher, the more like a member. They are
// computed from log p and log(1 - p), never from a rounded 1 - p, and are finite for finite scores.
// All throw kInvalidArgument: shapes that do not agree, a label out of range, a score not finite.

/// Loss threshold: log p_y, the negative cross entropy. At most 0. Source: Yeom et al. 2018 (a
/// sample is a member if its loss is small).
std::vector<double> loss_statistics(const at::Tensor& scores, const at::Tensor& labels);

/// Prediction entropy: sum_i p_i log p_i, the negative entropy; the label is not used.
/// -log C to 0. Source: Shokri et al. 2017, Salem et al. 2019 (a member's prediction is more
/// certain).
std::vector<double> entropy_statistics(const at::Tensor& scores, const at::Tensor& labels);

/// Modified entropy: the negative of Mentr = -(1 - p_y) log p_y - sum_{i != y} p_i log(1 - p_i),
/// which is small for certain *and right* predictions. At most 0. Source: Song & Mittal 2021.
/// The authors' program clips p at 1e-30; here nothing is clipped.
std::vector<double> modified_entropy_statistics(const at::Tensor& scores, const at::Tensor& labels);

/// Logit-scaled confidence: phi = log(p_y / (1 - p_y)) = s_y - log sum_{i != y} exp(s_i). Any real
/// number. Alone it ranks as the loss does; LiRA compares it between models. Source: Carlini et al.
/// 2022.
std::vector<double> confidence_logits(const at::Tensor& scores, const at::Tensor& labels);

/// Offline LiRA: z = (phi - mu) / sigma, with mu the sample's mean phi over its K >= 2 reference
/// models and sigma^2 = sum over all samples and models of (phi_k - mu)^2 / (N (K - 1)), pooled
/// over members and non-members. Any real number; the paper's 1 - Pr[Z > phi] is its normal
/// distribution function and so has the same order, and the one sigma changes no order either.
/// Source: Carlini et al. 2022 (with few models they too take one variance for all samples).
/// Returns those of the members and of the non-members. kInvalidArgument also: fewer than two
/// references, unlike numbers of them, references that agree on every sample (sigma = 0).
std::pair<std::vector<double>, std::vector<double>> lira_statistics(
    const ScoredSamples& members, const ScoredSamples& non_members);

/// The false positive rate of AttackResult::tpr.
inline constexpr double kMembershipFpr = 1e-2;

/// What one attack achieves. All absent without members, without non-members, or for LiRA without
/// reference models.
struct AttackResult {
  /// AUC of members over non-members. 0 to 1; best after forgetting: 0.5, or what Retrain has. By
  /// chance alone it has a standard deviation of sqrt((m + n + 1) / (12 m n)) about 0.5.
  std::optional<double> auc;
  /// abs(2 auc - 1), the advantage of the attack in whichever direction it is good. 0 to 1; lower
  /// is better. Source: Somers' D of the scores, read both ways.
  std::optional<double> advantage;
  /// The share of members found at a false positive rate of kMembershipFpr (convention:
  /// RankedScores::tpr_at_fpr). 0 to 1; best after forgetting: kMembershipFpr. Source: Carlini et
  /// al. 2022.
  std::optional<double> tpr;
};

struct Membership {
  int64_t members = 0, non_members = 0;
  AttackResult loss, entropy, modified_entropy, lira;
};

/// All attacks. LiRA runs when either side has references. Throws as the statistics do.
Membership membership(const ScoredSamples& members, const ScoredSamples& non_members);

/// An AUC beside the yardstick's; absent when either is.
struct AucGap {
  /// auc - auc of the yardstick, -1 to 1. Below 0: the forgotten samples look less like members
  /// than they do to a model that never saw them. Best: 0.
  std::optional<double> difference;
  std::optional<double> distance;  ///< abs(difference), 0 to 1; lower is better
};

struct MembershipGap {
  AucGap loss, entropy, modified_entropy, lira;
};

/// How far a model that forgot is from one that never learnt (Retrain), attack by attack, both
/// attacked on the same samples. Source: the gap to Retrain of Jia et al. 2023.
MembershipGap membership_gap(const Membership& forgot, const Membership& yardstick);

}  // namespace lethe
