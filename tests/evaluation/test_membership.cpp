// Ranking figures, membership attacks and their gap to a yardstick, on vectors worked by hand.
#include "evaluation/membership.h"

#include "evaluation/ranking.h"
#include "near.h"
#include "support/random.h"

namespace lethe::testing {
namespace {

using Scores = std::vector<double>;

double auc(Scores positives, Scores negatives) {
  return *RankedScores(std::move(positives), std::move(negatives)).auc();
}

double eer(Scores positives, Scores negatives) {
  return *RankedScores(std::move(positives), std::move(negatives)).equal_error_rate();
}

/// `count` numbers k / 64 with k in 0..63: many ties, exact in any arithmetic of this suite.
Scores draws(uint64_t seed, size_t count) {
  RandomStream random(seed, "draws");
  Scores result(count);
  for (double& x : result) x = static_cast<double>(random.below(64)) / 64;
  return result;
}

// ---------------------------------------------------------------------------------------- ranking

void auc_counts_won_pairs_and_half_of_ties(void**) {
  // 3 > 1, 2; 2 > 1 and = 2; 1 = 1 and < 2: 2 + 1.5 + 0.5 of 6 pairs.
  assert_true(auc({3, 2, 1}, {1, 2}) == 4.0 / 6);
  assert_true(auc({0.9, 0.8, 0.4}, {0.7, 0.1}) == 5.0 / 6);  // only 0.4 < 0.7 is lost
  assert_true(auc({2, 3}, {0, 1}) == 1);
  assert_true(auc({0, 1}, {2, 3}) == 0);
  assert_true(auc({5, 5, 5}, {5, 5}) == 0.5);
}

/// The definition itself, pair by pair.
void auc_is_that_of_all_pairs(void**) {
  const Scores p = draws(1, 137), q = draws(2, 91);
  double won = 0;
  for (double a : p) {
    for (double b : q) won += a > b ? 1 : a == b ? 0.5 : 0;
  }
  assert_true(auc(p, q) == won / (137 * 91));
}

void an_increasing_function_changes_no_figure(void**) {
  const Scores p = draws(3, 80), q = draws(4, 120);
  const auto mapped = [](Scores x) {
    for (double& v : x) v = std::exp(3 * v) - 7;
    return x;
  };
  const RankedScores plain(p, q), curved(mapped(p), mapped(q));
  assert_true(plain.auc() == curved.auc());
  assert_true(plain.equal_error_rate() == curved.equal_error_rate());
  for (double fpr : {0.0, 0.05, 0.3, 1.0}) {
    assert_true(plain.tpr_at_fpr(fpr) == curved.tpr_at_fpr(fpr));
  }
}

void order_and_direction(void**) {
  Scores p = draws(5, 60), q = draws(6, 40);
  const RankedScores plain(p, q);
  std::reverse(p.begin(), p.end());
  std::rotate(q.begin(), q.begin() + 13, q.end());
  const RankedScores moved(p, q), swapped(q, p);
  assert_true(plain.auc() == moved.auc());
  assert_true(plain.equal_error_rate() == moved.equal_error_rate());
  expect_close(*plain.auc() + *swapped.auc(), 1, 1e-12);
  expect_close(*plain.equal_error_rate() + *swapped.equal_error_rate(), 1, 1e-12);
}

void tpr_at_fpr_is_a_step_function(void**) {
  // Negatives from the top: 9, 8, 7, 7, 1. k = floor(5 fpr) of them may pass; the threshold is the
  // next one, and what equals it is refused.
  const RankedScores ranked({10, 8.5, 7.5, 7, 0}, {7, 9, 1, 8, 7});
  const struct {
    double fpr, threshold, tpr;
  } expected[] = {{0, 9, 0.2},   {0.19, 9, 0.2}, {0.2, 8, 0.4},
                  {0.4, 7, 0.6}, {0.6, 7, 0.6},  // the third and fourth are tied: both are refused
                  {0.8, 1, 0.8}, {0.99, 1, 0.8}, {1, -INFINITY, 1.0}};
  for (const auto& e : expected) {
    assert_true(*ranked.threshold_at_fpr(e.fpr) == e.threshold);
    assert_true(*ranked.tpr_at_fpr(e.fpr) == e.tpr);
  }
  // 0.29 * 100 is 28.999... in floating point; 29 / 100 <= 0.29 all the same.
  Scores hundred(100);
  for (size_t i = 0; i < 100; ++i) hundred[i] = static_cast<double>(i);
  assert_true(*RankedScores({}, hundred).threshold_at_fpr(0.29) == 70);
}

void rates_at_a_threshold_from_elsewhere(void**) {
  const RankedScores ranked({72, 70, 69, 71}, {70, 3, 71});
  assert_true(*ranked.tpr(70) == 0.5);  // strictly greater
  assert_true(*ranked.fpr(70) == 1.0 / 3);
  assert_true(*ranked.tpr(100) == 0 && *ranked.tpr(-100) == 1);
}

void equal_error_rate_is_where_the_curve_meets_the_line(void**) {
  assert_true(eer({3, 4}, {1, 2}) == 0);
  assert_true(eer({1, 2}, {3, 4}) == 1);
  assert_true(eer({1, 1}, {1, 1, 1}) == 0.5);
  // (FPR, TPR): (0, 0) (0, 1/2) (1/2, 1/2) (1/2, 1) (1, 1); TPR = 1 - FPR at (1/2, 1/2).
  assert_true(eer({0.9, 0.4}, {0.6, 0.1}) == 0.5);
  // (0, 0) (0, 1/3) (0, 2/3) (1/2, 2/3) ...: from FPR 0 to 1/2 at TPR 2/3, met at FPR 1/3.
  expect_close(eer({5, 4, 1}, {3, 0}), 1.0 / 3, 1e-15);
  // A tie is a slope: (0, 1/2), then 3 = 3 leads to (1/2, 1); 1/2 + x = 1 - x at x = 1/4.
  assert_true(eer({4, 3}, {3, 1}) == 0.25);
}

void figures_of_an_empty_group_are_absent(void**) {
  const RankedScores none({}, {}), positives({1}, {}), negatives({}, {1});
  for (const RankedScores* ranked : {&none, &positives, &negatives}) {
    assert_false(ranked->auc().has_value());
    assert_false(ranked->equal_error_rate().has_value());
    assert_false(ranked->tpr_at_fpr(0.1).has_value());
    assert_true(ranked->tpr(0).has_value() == (ranked == &positives));
    assert_true(ranked->fpr(0).has_value() == (ranked == &negatives));
  }
  assert_false(positives.threshold_at_fpr(0.1).has_value());
  assert_true(*negatives.threshold_at_fpr(0.1) == 1);
}

void ranking_names_bad_input(void**) {
  expect_error(Code::kInvalidArgument, "score 1 of the positives is nan", [] {
    RankedScores({0, NAN}, {1});
  });
  expect_error(Code::kInvalidArgument, "score 0 of the negatives is inf",
               [] { RankedScores({0}, {INFINITY}); });
  for (double fpr : {-0.1, 1.1, double(NAN)}) {
    expect_error(Code::kInvalidArgument, "false positive rate",
                 [&] { RankedScores({0}, {1}).threshold_at_fpr(fpr); });
  }
}

// ------------------------------------------------------------------------------------- statistics

at::Tensor labels_of(const std::vector<int64_t>& labels) { return at::tensor(labels, at::kLong); }

/// Scores whose softmax is these probabilities.
at::Tensor log_of(const std::vector<double>& p, int64_t classes) {
  return at::tensor(p, at::kDouble).log().view({-1, classes});
}

void statistics_of_three_classes(void**) {
  const at::Tensor scores = log_of({0.7, 0.2, 0.1, 0.7, 0.2, 0.1}, 3) + 5;  // softmax forgets the 5
  const at::Tensor labels = labels_of({0, 1});
  const Scores loss = loss_statistics(scores, labels);
  expect_close(loss[0], std::log(0.7), 1e-12);
  expect_close(loss[1], std::log(0.2), 1e-12);
  // 0.7 ln 0.7 + 0.2 ln 0.2 + 0.1 ln 0.1 = -0.249672 - 0.321888 - 0.230259
  const Scores entropy = entropy_statistics(scores, labels);
  expect_close(entropy[0], -0.801819, 1e-6);
  assert_true(entropy[1] == entropy[0]);
  // y = 0: 0.3 ln 0.7 + 0.2 ln 0.8 + 0.1 ln 0.9 = -0.107002 - 0.044629 - 0.010536
  // y = 1: 0.8 ln 0.2 + 0.7 ln 0.3 + 0.1 ln 0.9 = -1.287550 - 0.842781 - 0.010536
  const Scores modified = modified_entropy_statistics(scores, labels);
  expect_close(modified[0], -0.162167, 1e-6);
  expect_close(modified[1], -2.140867, 1e-6);
  const Scores phi = confidence_logits(scores, labels);
  expect_close(phi[0], std::log(0.7 / 0.3), 1e-12);
  expect_close(phi[1], std::log(0.2 / 0.8), 1e-12);
}

/// p = (1, 0, 0) to all digits of a double: the logarithms of the rounded numbers are infinite.
void statistics_at_zero_and_one(void**) {
  const at::Tensor scores = at::tensor({0.f, -2000.f, -2000.f}, at::kFloat).repeat({2, 1});
  const at::Tensor labels = labels_of({0, 1});
  const double others = -2000 + std::log(2.0);  // log of what is not p_0
  const Scores loss = loss_statistics(scores, labels);
  assert_true(loss[0] == 0 && loss[1] == -2000);
  assert_true(entropy_statistics(scores, labels)[0] == 0);
  // y = 1: (1 - 0) (-2000) + 1 log(1 - p_0) + 0
  const Scores modified = modified_entropy_statistics(scores, labels);
  assert_true(modified[0] == 0);
  expect_close(modified[1], -2000 + others, 1e-12);
  const Scores phi = confidence_logits(scores, labels);
  expect_close(phi[0], -others, 1e-12);
  expect_close(phi[1], -2000, 1e-12);
}

/// 1 - p_0 is e^-40, far below the 1e-16 at which 1 - p rounds to 0: samples keep their order.
void statistics_keep_what_rounding_to_one_would_lose(void**) {
  const at::Tensor scores = at::tensor({0., -40., 0., -41.}, at::kDouble).view({2, 2});
  const at::Tensor labels = labels_of({0, 0});
  const Scores loss = loss_statistics(scores, labels);
  expect_close(loss[0] / std::exp(-40), -1, 1e-12);
  assert_true(loss[1] > loss[0]);
  const Scores modified = modified_entropy_statistics(scores, labels);
  expect_close(modified[0] / std::exp(-80), -2, 1e-12);  // (1 - p) log p, once for each class
  assert_true(modified[1] > modified[0]);
  // p log p of both: -e^-40 and -40 e^-40.
  expect_close(entropy_statistics(scores, labels)[0] / std::exp(-40), -41, 1e-12);
  assert_true(confidence_logits(scores, labels) == Scores({40, 41}));
}

void statistics_of_equal_scores(void**) {
  const at::Tensor scores = at::full({1, 4}, 3.0);
  const at::Tensor labels = labels_of({2});
  expect_close(loss_statistics(scores, labels)[0], -std::log(4), 1e-12);
  expect_close(entropy_statistics(scores, labels)[0], -std::log(4), 1e-12);
  // (3/4) ln(1/4) + 3 (1/4) ln(3/4)
  expect_close(modified_entropy_statistics(scores, labels)[0],
               0.75 * std::log(0.25) + 0.75 * std::log(0.75), 1e-12);
  expect_close(confidence_logits(scores, labels)[0], -std::log(3), 1e-12);
}

// ---------------------------------------------------------------------------------------- attacks

/// Two classes with y = 0 and phi = the given number: scores (phi, 0).
at::Tensor with_phi(const std::vector<double>& phi) {
  const at::Tensor first = at::tensor(phi, at::kDouble);
  return at::stack({first, at::zeros_like(first)}, 1);
}

ScoredSamples samples(const std::vector<double>& phi,
                      const std::vector<std::vector<double>>& references = {}) {
  ScoredSamples result{with_phi(phi), at::zeros({static_cast<int64_t>(phi.size())}, at::kLong)};
  for (const auto& reference : references) result.references.push_back(with_phi(reference));
  return result;
}

void attacks_by_hand(void**) {
  // The loss falls with phi: members 3, 1, -2 over non-members 0, -1 win 2 + 2 + 0 of 6 pairs.
  // The entropy falls with |phi|: 3 > both, 1 > 0 and = -1, -2 > both: 2 + 1.5 + 2 of 6.
  const Membership result = membership(samples({3, 1, -2}), samples({0, -1}));
  assert_int_equal(result.members, 3);
  assert_int_equal(result.non_members, 2);
  expect_close(*result.loss.auc, 4.0 / 6, 1e-12);
  expect_close(*result.loss.advantage, 1.0 / 3, 1e-12);
  expect_close(*result.loss.tpr, 2.0 / 3, 1e-12);  // above the highest non-member
  expect_close(*result.entropy.auc, 5.5 / 6, 1e-12);
  // With two classes Mentr is -2 (1 - p_y) log p_y, which falls with p_y: the order of the loss.
  assert_true(result.modified_entropy.auc == result.loss.auc);
  assert_false(result.lira.auc.has_value());
}

void an_attack_the_wrong_way_round_is_an_attack(void**) {
  const Membership result = membership(samples({-5, -4, -6}), samples({1, 2}));
  assert_true(*result.loss.auc == 0 && *result.loss.advantage == 1 && *result.loss.tpr == 0);
}

void the_order_of_samples_does_not_matter(void**) {
  RandomStream random(8, "attack");
  at::Generator generator = random.generator();
  const auto drawn = [&](int64_t n) {
    return ScoredSamples{
        at::empty({n, 5}).normal_(0, 2, generator),
        at::arange(n).remainder(5),
        {at::empty({n, 5}).normal_(0, 2, generator), at::empty({n, 5}).normal_(0, 2, generator)}};
  };
  const ScoredSamples members = drawn(40), others = drawn(30);
  const at::Tensor order = at::tensor(random.permutation(40), at::kLong);
  ScoredSamples moved{members.scores.index_select(0, order), members.labels.index_select(0, order)};
  for (const at::Tensor& reference : members.references) {
    moved.references.push_back(reference.index_select(0, order));
  }
  const Membership a = membership(members, others), b = membership(moved, others);
  assert_true(a.loss.auc == b.loss.auc && a.entropy.auc == b.entropy.auc);
  assert_true(a.modified_entropy.auc == b.modified_entropy.auc);
  expect_close(*a.lira.auc, *b.lira.auc, 1e-12);
  for (const AttackResult* result : {&a.loss, &a.entropy, &a.modified_entropy, &a.lira}) {
    if (std::abs(*result->auc - 0.5) > 0.25) fail_msg("%g on noise", *result->auc);
  }
}

void lira_with_two_references(void**) {
  // Members: phi 5 and 1; references (1, 3) and (0, 2): mu 2 and 1, squares 2 (1) + 2 (1).
  // Non-members: phi 4, references (4, 6): mu 5, squares 2. sigma^2 = 6 / (3 samples (2 - 1)) = 2.
  const ScoredSamples members = samples({5, 1}, {{1, 0}, {3, 2}});
  const ScoredSamples others = samples({4}, {{4}, {6}});
  const auto [in, out] = lira_statistics(members, others);
  expect_close(in[0], 3 / std::sqrt(2), 1e-12);
  expect_close(in[1], 0, 1e-12);
  expect_close(out[0], -1 / std::sqrt(2), 1e-12);
  const Membership result = membership(members, others);
  assert_true(*result.lira.auc == 1);
  assert_true(*result.loss.auc == 0.5);  // 5 > 4 > 1: without references half the pairs
}

void lira_names_what_it_lacks(void**) {
  const auto expect = [](const char* part, const ScoredSamples& in, const ScoredSamples& out) {
    expect_error(Code::kInvalidArgument, part, [&] { membership(in, out); });
  };
  expect("1 reference models, it needs 2", samples({1}, {{1}}), samples({1}, {{2}}));
  expect("0 reference models", samples({1}), samples({1}, {{2}, {3}}));
  expect("the non-members 3", samples({1}, {{1}, {2}}), samples({1}, {{1}, {2}, {3}}));
  expect("agree on every sample", samples({1}, {{7}, {7}}), samples({1}, {{2}, {2}}));
  expect("[2, 2], those of the model are [1, 2]", samples({1}, {{1}, {2, 3}}),
         samples({1}, {{1}, {2}}));
}

void attacks_on_nobody_are_absent(void**) {
  const Membership no_members = membership(samples({}, {{}, {}}), samples({1}, {{1}, {2}}));
  const Membership no_others = membership(samples({1}), samples({}));
  const Membership nobody = membership(samples({}, {{}, {}}), samples({}, {{}, {}}));
  for (const Membership* result : {&no_members, &no_others, &nobody}) {
    for (const AttackResult* attack :
         {&result->loss, &result->entropy, &result->modified_entropy, &result->lira}) {
      assert_false(attack->auc || attack->advantage || attack->tpr);
    }
  }
  assert_int_equal(no_members.members, 0);
  assert_int_equal(no_members.non_members, 1);
}

void the_gap_has_a_sign_and_a_size(void**) {
  Membership forgot, retrain;
  forgot.loss.auc = 0.3;
  retrain.loss.auc = 0.55;
  forgot.entropy.auc = 0.5;
  const MembershipGap gap = membership_gap(forgot, retrain);
  expect_close(*gap.loss.difference, -0.25, 1e-12);
  expect_close(*gap.loss.distance, 0.25, 1e-12);
  assert_false(gap.entropy.difference || gap.entropy.distance);  // the yardstick has none
  assert_false(gap.lira.difference || gap.modified_entropy.distance);
}

void attacks_name_bad_input(void**) {
  const at::Tensor scores = at::zeros({2, 3});
  const auto expect = [](const char* part, const at::Tensor& s, const at::Tensor& l) {
    for (auto* statistics :
         {loss_statistics, entropy_statistics, modified_entropy_statistics, confidence_logits}) {
      expect_error(Code::kInvalidArgument, part, [&] { statistics(s, l); });
    }
  };
  expect("label of sample 1 is 3, allowed is 0 to 2", scores, labels_of({0, 3}));
  expect("label of sample 0 is -1", scores, labels_of({-1, 0}));
  expect("they must be Long [2]", scores, labels_of({0, 1, 2}));
  expect("they must be Long [2]", scores, at::zeros({2}));
  expect("2 or more classes", at::zeros({2, 1}), labels_of({0, 0}));
  expect("2 or more classes", at::zeros({2}), labels_of({0, 0}));
  at::Tensor broken = scores.clone();
  broken[1][2] = NAN;
  expect("sample 1 for class 2 is nan", broken, labels_of({0, 0}));
  broken[1][2] = -INFINITY;
  expect("sample 1 for class 2 is -inf", broken, labels_of({0, 0}));
  expect_error(Code::kInvalidArgument, "3 classes and the non-members for 2", [&] {
    membership({scores, labels_of({0, 0})}, {at::zeros({2, 2}), labels_of({0, 0})});
  });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(auc_counts_won_pairs_and_half_of_ties),
      cmocka_unit_test(auc_is_that_of_all_pairs),
      cmocka_unit_test(an_increasing_function_changes_no_figure),
      cmocka_unit_test(order_and_direction),
      cmocka_unit_test(tpr_at_fpr_is_a_step_function),
      cmocka_unit_test(rates_at_a_threshold_from_elsewhere),
      cmocka_unit_test(equal_error_rate_is_where_the_curve_meets_the_line),
      cmocka_unit_test(figures_of_an_empty_group_are_absent),
      cmocka_unit_test(ranking_names_bad_input),
      cmocka_unit_test(statistics_of_three_classes),
      cmocka_unit_test(statistics_at_zero_and_one),
      cmocka_unit_test(statistics_keep_what_rounding_to_one_would_lose),
      cmocka_unit_test(statistics_of_equal_scores),
      cmocka_unit_test(attacks_by_hand),
      cmocka_unit_test(an_attack_the_wrong_way_round_is_an_attack),
      cmocka_unit_test(the_order_of_samples_does_not_matter),
      cmocka_unit_test(lira_with_two_references),
      cmocka_unit_test(lira_names_what_it_lacks),
      cmocka_unit_test(attacks_on_nobody_are_absent),
      cmocka_unit_test(the_gap_has_a_sign_and_a_size),
      cmocka_unit_test(attacks_name_bad_input),
  };
  return cmocka_run_group_tests_name("membership", tests, nullptr, nullptr);
}
