// Verification by cosines, on embeddings in the plane whose angles are known.
#include "evaluation/verification.h"

#include <chrono>

#include "near.h"
#include "support/random.h"

namespace lethe::testing {
namespace {

at::Tensor labels_of(const std::vector<int64_t>& labels) { return at::tensor(labels, at::kLong); }

/// Embeddings at these angles, in degrees, of various lengths (a cosine knows no length).
at::Tensor at_angles(const std::vector<double>& degrees) {
  const at::Tensor angle = at::tensor(degrees, at::kDouble) * (M_PI / 180);
  const at::Tensor length = 1 + at::arange(angle.size(0)).to(at::kDouble);
  return (at::stack({angle.cos(), angle.sin()}, 1) * length.unsqueeze(1)).to(at::kFloat);
}

/// Two images each of three people:  class 0 at 0 and 10, class 1 at 40 and 60, class 2 at 75 and
/// 135 degrees. Sorted by angle, the fifteen pairs are
///   genuine   10 (0,0)  20 (1,1)  60 (2,2)
///   impostor  15 (60|75)  30 (10|40)  35 (40|75)  40 (0|40)  50 (10|60)  60 (0|60)
///             65 (10|75)  75 (0|75)  75 (60|135)  95 (40|135)  125 (10|135)  135 (0|135).
at::Tensor six() { return at_angles({0, 10, 40, 60, 75, 135}); }
at::Tensor people() { return labels_of({0, 0, 1, 1, 2, 2}); }

double cosine(double degrees) { return std::cos(degrees * M_PI / 180); }

std::vector<double> angles(std::vector<double> cosines) {
  for (double& c : cosines) c = std::round(std::acos(c) * 180 / M_PI * 1e3) / 1e3;
  std::sort(cosines.begin(), cosines.end());
  return cosines;
}

void pairs_of_six_embeddings(void**) {
  const PairScores all = pair_cosines(six(), people(), {0, 1, 2});
  assert_true(angles(all.genuine) == std::vector<double>({10, 20, 60}));
  assert_true(angles(all.impostor) ==
              std::vector<double>({15, 30, 35, 40, 50, 60, 65, 75, 75, 95, 125, 135}));
}

void a_set_has_impostors_within_or_against_all(void**) {
  const PairScores two = pair_cosines(six(), people(), {2, 1, 2});  // 2 twice is 2 once
  assert_true(angles(two.genuine) == std::vector<double>({20, 60}));
  assert_true(angles(two.impostor) == std::vector<double>({15, 35, 75, 95}));
  const PairScores one = pair_cosines(six(), people(), {1});
  assert_true(angles(one.genuine) == std::vector<double>({20}));
  assert_true(one.impostor.empty());
  const PairScores against = pair_cosines(six(), people(), {1}, Impostors::kAgainstAll);
  assert_true(angles(against.genuine) == std::vector<double>({20}));
  assert_true(angles(against.impostor) ==
              std::vector<double>({15, 30, 35, 40, 50, 60, 75, 95}));  // every pair with class 1
  // The pairs of {1} and {0, 2} together are those of everybody, once each.
  const PairScores rest = pair_cosines(six(), people(), {0, 2});
  assert_int_equal(rest.impostor.size() + against.impostor.size(), 12);
}

void figures_of_six_embeddings(void**) {
  // 12 impostors: at FAR 1e-2 none may pass, the threshold is the nearest, at 15 degrees. Of the
  // genuine pairs only the one at 10 degrees is nearer: TAR 1/3.
  const Verification strict = verify(pair_cosines(six(), people(), {0, 1, 2}));
  assert_int_equal(strict.genuine, 3);
  assert_int_equal(strict.impostor, 12);
  expect_close(*strict.threshold, cosine(15), 1e-6);
  expect_close(*strict.tar, 1.0 / 3, 1e-12);
  assert_true(*strict.far == 0);
  // FAR 0.1 of 12: k = 1, threshold 30 degrees; 10 and 20 pass, and so does the impostor at 15.
  const Verification loose = verify(pair_cosines(six(), people(), {0, 1, 2}), 0.1);
  expect_close(*loose.threshold, cosine(30), 1e-6);
  expect_close(*loose.tar, 2.0 / 3, 1e-12);
  expect_close(*loose.far, 1.0 / 12, 1e-12);
}

/// The same with 60 degrees replaced by 61, where rounding cannot decide a tie.
void area_and_equal_errors_of_six_embeddings(void**) {
  // Class 2 at 75 and 136: its genuine pair is at 61, its impostors move by one degree, and
  // (0|60) stays at 60. Pairs lost: 20 to 15; 61 to 15 30 35 40 50 60. AUC = (36 - 7) / 36.
  const Verification figures =
      verify(pair_cosines(at_angles({0, 10, 40, 60, 75, 136}), people(), {0, 1, 2}));
  expect_close(*figures.auc, 29.0 / 36, 1e-12);
  // TPR is 2/3 from FPR 1/12 (15 degrees) to 6/12: it meets 1 - FPR at FPR 1/3.
  expect_close(*figures.equal_error_rate, 1.0 / 3, 1e-12);
}

void forgotten_people_at_the_threshold_of_the_retained(void**) {
  // Retained 0 and 1: impostors at 30 40 50 60. FAR 0.25: k = 1, threshold 40 degrees.
  const Verification retained = verify(pair_cosines(six(), people(), {0, 1}), 0.25);
  expect_close(*retained.threshold, cosine(40), 1e-6);
  assert_true(*retained.tar == 1);
  // Class 2's pair is at 60 degrees: refused. Of its impostors 15 and 35 of 8 are accepted.
  const Verification forgotten =
      verify_at(pair_cosines(six(), people(), {2}, Impostors::kAgainstAll), *retained.threshold);
  assert_true(*forgotten.tar == 0);
  assert_true(*forgotten.far == 2.0 / 8);
  assert_true(forgotten.threshold == retained.threshold);
}

/// Embeddings that collapse into one direction: genuine pairs pass the retained threshold, and so
/// do all impostors; only the figures by a threshold of their own call it separation or chance.
void a_collapse_is_seen_at_the_explicit_threshold(void**) {
  const at::Tensor collapsed = at::tensor({0.f, 2.f, 0.f}, at::kFloat).repeat({6, 1});
  const Verification own = verify(pair_cosines(collapsed, people(), {0, 1, 2}));
  assert_true(*own.auc == 0.5 && *own.equal_error_rate == 0.5 && *own.tar == 0);
  const Verification at_theirs = verify_at(pair_cosines(collapsed, people(), {0, 1, 2}), 0.6);
  assert_true(*at_theirs.tar == 1 && *at_theirs.far == 1);
}

void missing_pairs_leave_figures_absent(void**) {
  const Verification one = verify(pair_cosines(six(), people(), {1}));
  assert_int_equal(one.genuine, 1);
  assert_int_equal(one.impostor, 0);
  assert_false(one.auc || one.equal_error_rate || one.threshold || one.tar || one.far);
  assert_true(*verify_at(pair_cosines(six(), people(), {1}), 0.5).tar == 1);
  // Two people with one image each: impostors and a threshold, but nobody to accept.
  const Verification single = verify(pair_cosines(at_angles({0, 60}), labels_of({3, 9}), {3, 9}));
  assert_int_equal(single.impostor, 1);
  expect_close(*single.threshold, 0.5, 1e-6);
  assert_false(single.auc || single.equal_error_rate || single.tar);
  for (const std::vector<int64_t>& nobody : {std::vector<int64_t>{}, {7, 8}}) {
    const Verification none = verify(pair_cosines(six(), people(), nobody));
    assert_int_equal(none.genuine + none.impostor, 0);
    assert_false(none.auc || none.threshold || none.tar);
  }
  const Verification empty = verify(pair_cosines(at::zeros({0, 4}), labels_of({}), {0}));
  assert_false(empty.auc || empty.threshold || empty.tar);
}

void a_zero_embedding_resembles_nobody(void**) {
  at::Tensor embeddings = six().clone();
  embeddings[0].zero_();
  const PairScores pairs = pair_cosines(embeddings, people(), {0});
  assert_true(pairs.genuine == std::vector<double>{0});
}

/// More rows than one block has, against the whole matrix at once.
void blocks_cover_every_pair_once(void**) {
  at::Generator generator = RandomStream(1, "faces").generator();
  const int64_t n = 700;
  const at::Tensor embeddings = at::empty({n, 6}).normal_(0, 1, generator);
  const at::Tensor labels = at::arange(n).mul(7).remainder(5);
  for (const auto kind : {Impostors::kWithin, Impostors::kAgainstAll}) {
    const at::Tensor unit =
        embeddings.to(at::kDouble) / embeddings.to(at::kDouble).norm(2, {1}, true);
    const at::Tensor in = labels.eq(1).logical_or(labels.eq(4));
    const at::Tensor wanted = kind == Impostors::kWithin ? in.unsqueeze(1).logical_and(in)
                                                         : in.unsqueeze(1).logical_or(in);
    const at::Tensor upper = at::ones({n, n}, at::kBool).triu(1).logical_and(wanted);
    const at::Tensor same = labels.unsqueeze(1).eq(labels);
    const at::Tensor all = unit.mm(unit.t());
    const PairScores pairs = pair_cosines(embeddings, labels, {4, 1}, kind);
    const auto expect = [&](const std::vector<double>& actual, const at::Tensor& mask) {
      const at::Tensor expected = std::get<0>(all.masked_select(mask).sort());
      expect_near(std::get<0>(at::tensor(actual, at::kDouble).sort()), expected, 1e-12);
    };
    expect(pairs.genuine, upper.logical_and(same).logical_and(in));
    expect(pairs.impostor, upper.logical_and(same.logical_not()));
  }
}

void the_order_of_images_does_not_matter(void**) {
  RandomStream random(2, "order");
  at::Generator generator = random.generator();
  const at::Tensor embeddings = at::empty({90, 8}).normal_(0, 1, generator);
  const at::Tensor labels = at::arange(90).remainder(6);
  const at::Tensor order = at::tensor(random.permutation(90), at::kLong);
  const Verification a = verify(pair_cosines(embeddings, labels, {0, 2, 5}), 0.1);
  const Verification b = verify(
      pair_cosines(embeddings.index_select(0, order), labels.index_select(0, order), {5, 0, 2}),
      0.1);
  expect_close(*a.auc, *b.auc, 1e-12);
  expect_close(*a.equal_error_rate, *b.equal_error_rate, 1e-12);
  expect_close(*a.tar, *b.tar, 1e-12);
  expect_close(*a.threshold, *b.threshold, 1e-12);
}

void four_thousand_faces_take_seconds(void**) {
  at::Generator generator = RandomStream(3, "many").generator();
  const at::Tensor embeddings = at::empty({4000, 128}).normal_(0, 1, generator);
  const at::Tensor labels = at::arange(4000).remainder(100);
  std::vector<int64_t> classes(100);
  for (int64_t c = 0; c < 100; ++c) classes[c] = c;
  const auto begin = std::chrono::steady_clock::now();
  const Verification result = verify(pair_cosines(embeddings, labels, classes));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  assert_int_equal(result.genuine, 100 * 40 * 39 / 2);
  assert_int_equal(result.impostor, 4000 * 3999 / 2 - 100 * 40 * 39 / 2);
  expect_close(*result.auc, 0.5, 0.01);  // noise: 78,000 genuine pairs, s.d. about 0.001
  expect_close(*result.tar, 0.01, 0.003);
  if (seconds > 60) fail_msg("%g s", seconds);
}

void verification_names_bad_input(void**) {
  const auto expect = [](const char* part, const at::Tensor& embeddings, const at::Tensor& labels) {
    expect_error(Code::kInvalidArgument, part, [&] { pair_cosines(embeddings, labels, {0}); });
  };
  expect("they must be Long [6]", six(), labels_of({0, 1}));
  expect("they must be Long [6]", six(), at::zeros({6}));
  expect("they must be floating point [N, D]", at::zeros({6}), people());
  expect("they must be floating point [N, D]", at::zeros({6, 2}, at::kLong), people());
  expect("label of embedding 2 is -1", six(), labels_of({0, 0, -1, 1, 2, 2}));
  at::Tensor broken = six().clone();
  broken[4][1] = NAN;
  expect("embedding 4 holds NaN", broken, people());
  expect_error(Code::kInvalidArgument, "false positive rate is 1.5", [] {
    verify({{1}, {0}}, 1.5);
  });
  expect_error(Code::kInvalidArgument, "threshold is NaN", [] { verify_at({{1}, {0}}, NAN); });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);
  const CMUnitTest tests[] = {
      cmocka_unit_test(pairs_of_six_embeddings),
      cmocka_unit_test(a_set_has_impostors_within_or_against_all),
      cmocka_unit_test(figures_of_six_embeddings),
      cmocka_unit_test(area_and_equal_errors_of_six_embeddings),
      cmocka_unit_test(forgotten_people_at_the_threshold_of_the_retained),
      cmocka_unit_test(a_collapse_is_seen_at_the_explicit_threshold),
      cmocka_unit_test(missing_pairs_leave_figures_absent),
      cmocka_unit_test(a_zero_embedding_resembles_nobody),
      cmocka_unit_test(blocks_cover_every_pair_once),
      cmocka_unit_test(the_order_of_images_does_not_matter),
      cmocka_unit_test(four_thousand_faces_take_seconds),
      cmocka_unit_test(verification_names_bad_input),
  };
  return cmocka_run_group_tests_name("verification", tests, nullptr, nullptr);
}
