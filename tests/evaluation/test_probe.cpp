// The linear probe: against a minimum known by hand, and on features that hold everything, nothing
// or a half.
#include "evaluation/probe.h"

#include <chrono>
#include <numeric>

#include "near.h"
#include "support/random.h"

namespace lethe::testing {
namespace {

at::Tensor labels_of(const std::vector<int64_t>& labels) { return at::tensor(labels, at::kLong); }

at::Tensor column(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble).unsqueeze(1);
}

/// `n` rows of noise around the class's mean; labels in turn. The means are `spread` apart or so.
struct Blobs {
  at::Tensor rows, labels;
  Blobs(int64_t n, int64_t classes, int64_t dim, double spread, uint64_t seed) {
    at::Generator means = RandomStream(0, "means").generator();
    at::Generator noise = RandomStream(seed, "noise").generator();
    labels = at::arange(n).remainder(classes);
    rows = at::empty({n, dim}).normal_(0, 1, noise);
    rows.add_(at::empty({classes, dim}).normal_(0, spread, means).index_select(0, labels));
  }
};

ProbeResult probe(const Blobs& train, const Blobs& test, int64_t classes,
                  const ProbeOptions& options = {}) {
  return linear_probe(train.rows, train.labels, test.rows, test.labels, classes, options);
}

/// The border between two classes on a line, found by asking on both sides of it. Training: x = -1
/// four times for class 0; x = 1 once for class 0 and once for class 1. l2 = 0.1.
///
/// Mean -1/3, variance 1 - 1/9 = 8/9: the two places are z = -0.707107 and 1.414214, 2.121320
/// apart. By symmetry w_1 = -w_0 = w / 2, and the penalty is l2 / 2 * 2 (w / 2)^2. With s and u the
/// probabilities of class 1 at the two places, the gradients vanish where
///   in b:  4 s + 2 u = 1,  so s = (1 - 2 u) / 4;
///   in w:  (4 (-0.707107) s + 2 (1.414214) u - 1.414214) / 6 + l2 w / 2 = 0,  which with s is
///          w = 0.707107 (1 - 2 u) / l2;
///   and    w = (logit(u) - logit(s)) / 2.121320  by the meaning of s and u.
/// At u = 0.410195 the two are 1.270036 and 1.270039 (at 0.41: 1.272792 and 1.268589). The border
/// is where the logit is 0: z = 1.414214 - logit(u) / w = 1.414214 + 0.363159 / 1.270038
/// = 1.700157, x = 0.942809 z - 1/3 = 1.26959.
void the_border_is_where_the_minimum_puts_it(void**) {
  ProbeOptions options;
  options.l2 = 0.1;
  options.tolerance = 1e-9;
  const at::Tensor train = column({-1, -1, 1, -1, -1, 1});
  const at::Tensor labels = labels_of({0, 0, 1, 0, 0, 0});
  const auto right_of = [&](double x) {
    const ProbeResult result = linear_probe(train, labels, column({x}), labels_of({1}), 2, options);
    assert_true(result.converged);
    return result.accuracy.correct[1] == 1;
  };
  assert_true(right_of(1.2700));
  assert_false(right_of(1.2692));
}

void separable_classes_are_all_right(void**) {
  const Blobs train(300, 6, 12, 8, 1), test(120, 6, 12, 8, 2);
  const ProbeResult result = probe(train, test, 6);
  assert_true(result.converged);
  assert_true(result.accuracy.correct == std::vector<int64_t>(6, 20));
  assert_true(result.accuracy.total == std::vector<int64_t>(6, 20));
  assert_true(*result.accuracy.percent({1, 4}) == 100);
}

/// 2,000 answers at a chance of 1 in 10: s.d. 0.67 percentage points.
void noise_gives_chance(void**) {
  const Blobs train(2000, 10, 16, 0, 1), test(2000, 10, 16, 0, 2);
  const ProbeResult result = probe(train, test, 10);
  assert_true(result.converged);
  expect_close(*result.accuracy.percent() / 10, 1, 0.3);
}

/// Classes 0 to 3 stay apart; 4 and 5 were moved to one place. Their probe is at chance of the two.
void what_was_merged_is_guessed(void**) {
  const auto merged = [](Blobs blobs) {
    const at::Tensor second = blobs.labels.ge(4).unsqueeze(1);
    at::Generator noise = RandomStream(blobs.rows.size(0), "merged").generator();
    blobs.rows = at::where(second, at::empty_like(blobs.rows).normal_(0, 1, noise), blobs.rows);
    return blobs;
  };
  const Blobs train = merged(Blobs(1200, 6, 12, 8, 3)), test = merged(Blobs(1800, 6, 12, 8, 4));
  const ProbeResult result = probe(train, test, 6);
  if (*result.accuracy.percent({0, 1, 2, 3}) < 99) fail_msg("what was left alone is lost");
  expect_close(*result.accuracy.percent({4, 5}), 50, 0.2);  // 600 answers: s.d. 2
}

void features_are_standardised(void**) {
  const Blobs train(200, 4, 6, 0.7, 1), test(400, 4, 6, 0.7, 2);
  const ProbeResult plain = probe(train, test, 4);
  const at::Tensor scale = at::tensor({1e-6, 1e5, 1., 3., 1e3, 2e-2}, at::kDouble);
  const auto moved = [&](const Blobs& b) { return b.rows.to(at::kDouble) * scale + 1e2 * scale; };
  const ProbeResult scaled = linear_probe(moved(train), train.labels, moved(test), test.labels, 4);
  assert_true(plain.accuracy.correct == scaled.accuracy.correct);
  // Features that never changed in training say nothing, whatever the test has there: one whose
  // variance is 0, one (0.1) whose variance is only rounding.
  const auto padded = [](const Blobs& b, const at::Tensor& more) {
    return at::cat({b.rows.to(at::kDouble), more.expand({b.rows.size(0), 2})}, 1);
  };
  const at::Tensor constant = at::tensor({0.5, 0.1}, at::kDouble);
  const ProbeResult same = linear_probe(padded(train, constant), train.labels,
                                        padded(test, constant + 3), test.labels, 4);
  assert_true(plain.accuracy.correct == same.accuracy.correct);
}

void it_repeats_and_knows_no_order(void**) {
  const Blobs train(300, 5, 8, 0.6, 1), test(500, 5, 8, 0.6, 2);
  const ProbeResult first = probe(train, test, 5), again = probe(train, test, 5);
  assert_true(first.accuracy.correct == again.accuracy.correct);
  assert_int_equal(first.iterations, again.iterations);
  const at::Tensor order = at::tensor(RandomStream(3, "order").permutation(300), at::kLong);
  const ProbeResult moved =
      linear_probe(train.rows.index_select(0, order), train.labels.index_select(0, order),
                   test.rows, test.labels, 5);
  assert_true(first.accuracy.correct == moved.accuracy.correct);
}

void a_class_never_seen_is_never_predicted(void**) {
  // Classes 1 and 4 of 6 are trained; 0 is only asked for.
  const ProbeResult result = linear_probe(column({-1, -2, 1, 2}), labels_of({1, 1, 4, 4}),
                                          column({-3, 3, 0.1, -9}), labels_of({1, 4, 4, 0}), 6);
  assert_true(result.accuracy.correct == std::vector<int64_t>({0, 1, 0, 0, 2, 0}));
  assert_true(result.accuracy.total == std::vector<int64_t>({1, 1, 0, 0, 2, 0}));
  assert_false(result.accuracy.percent({2, 3}).has_value());
  // One class alone is always right about itself.
  const ProbeResult one =
      linear_probe(column({1, 2}), labels_of({2, 2}), column({5}), labels_of({2}), 3);
  assert_true(one.converged && one.accuracy.correct[2] == 1);
  const ProbeResult untested =
      linear_probe(column({1, 2}), labels_of({0, 1}), at::zeros({0, 1}), labels_of({}), 2);
  assert_false(untested.accuracy.percent().has_value());
}

void it_stops_at_its_limits(void**) {
  const Blobs train(300, 5, 8, 0.6, 1), test(50, 5, 8, 0.6, 2);
  ProbeOptions options;
  options.max_iterations = 3;
  const ProbeResult result = probe(train, test, 5, options);
  assert_int_equal(result.iterations, 3);
  assert_false(result.converged);
  int64_t asked = 0;
  options.cancelled = [&] { return ++asked == 2; };
  expect_error(Code::kCancelled, "iteration 2", [&] { probe(train, test, 5, options); });
}

void a_hundred_classes_take_seconds(void**) {
  const Blobs train(10000, 100, 128, 0.5, 1), test(2000, 100, 128, 0.5, 2);
  const auto begin = std::chrono::steady_clock::now();
  const ProbeResult result = probe(train, test, 100);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  assert_true(result.converged);
  if (*result.accuracy.percent() < 95) fail_msg("%g %%", *result.accuracy.percent());
  if (seconds > 120) fail_msg("%g s", seconds);
}

void the_probe_names_bad_input(void**) {
  const at::Tensor x = at::zeros({3, 2});
  const at::Tensor y = labels_of({0, 1, 2});
  const auto expect = [&](const char* part, const at::Tensor& train, const at::Tensor& labels,
                          const at::Tensor& test, const at::Tensor& answers) {
    expect_error(Code::kInvalidArgument, part,
                 [&] { linear_probe(train, labels, test, answers, 3); });
  };
  expect("training labels are Long [2]", x, labels_of({0, 1}), x, y);
  expect("test labels are Float [3]", x, y, x, at::zeros({3}));
  expect("test embeddings are Float [3]", x, y, at::zeros({3}), y);
  expect("training embeddings are Long [3, 2]", x.to(at::kLong), y, x, y);
  expect("training embedding 1 is 3, allowed is 0 to 2", x, labels_of({0, 3, 1}), x, y);
  expect("test embedding 2 is -1", x, y, x, labels_of({0, 1, -1}));
  expect("no training embeddings", at::zeros({0, 2}), labels_of({}), x, y);
  expect("2 features and the test embeddings 4", x, y, at::zeros({3, 4}), y);
  at::Tensor broken = x.clone();
  broken[2][0] = NAN;
  expect("training embedding 2 holds NaN", broken, y, x, y);
  expect("test embedding 2 holds NaN", x, y, broken, y);
  ProbeOptions options;
  options.l2 = 0;
  expect_error(Code::kInvalidArgument, "l2 is 0", [&] { linear_probe(x, y, x, y, 3, options); });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_border_is_where_the_minimum_puts_it),
      cmocka_unit_test(separable_classes_are_all_right),
      cmocka_unit_test(noise_gives_chance),
      cmocka_unit_test(what_was_merged_is_guessed),
      cmocka_unit_test(features_are_standardised),
      cmocka_unit_test(it_repeats_and_knows_no_order),
      cmocka_unit_test(a_class_never_seen_is_never_predicted),
      cmocka_unit_test(it_stops_at_its_limits),
      cmocka_unit_test(a_hundred_classes_take_seconds),
      cmocka_unit_test(the_probe_names_bad_input),
  };
  return cmocka_run_group_tests_name("probe", tests, nullptr, nullptr);
}
