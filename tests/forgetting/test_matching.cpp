// Matching queries with objects, against the cheapest of all ways to do so.
#include "forgetting/matching.h"

#include <limits>
#include <numeric>

#include "forgetting/objects.h"
#include "models/boxes.h"
#include "near.h"
#include "support/random.h"

namespace lethe::testing {
namespace {

struct Case {
  at::Tensor logits, boxes;
  std::vector<DetectionTargets> targets;
};

at::Tensor random_boxes(at::IntArrayRef shape, at::Generator& generator) {
  return at::empty(shape, at::kDouble).uniform_(0.2, 0.8, generator) *
         at::tensor({1., 1., .5, .5}, at::kDouble);
}

Case made(const char* name, int64_t queries, int64_t classes, const std::vector<int64_t>& counts) {
  at::Generator generator = RandomStream(1, name).generator();
  const auto images = static_cast<int64_t>(counts.size());
  Case c{at::empty({images, queries, classes}, at::kDouble).normal_(0, 2, generator),
         random_boxes({images, queries, 4}, generator),
         {}};
  for (const int64_t n : counts) {
    c.targets.push_back({at::empty({n}, at::kLong).random_(0, classes, generator),
                         random_boxes({n, 4}, generator)});
  }
  return c;
}

/// The cost of one pair, number by number.
double cost(const Case& c, int64_t image, int64_t query, int64_t object,
            const DetectionWeights& w = {}) {
  const DetectionTargets& t = c.targets[image];
  const double x = c.logits[image][query][t.labels[object].item<int64_t>()].item<double>();
  const double p = 1 / (1 + std::exp(-x));
  const double pos = -w.alpha * std::pow(1 - p, w.gamma) * std::log(p + 1e-8);
  const double neg = -(1 - w.alpha) * std::pow(p, w.gamma) * std::log(1 - p + 1e-8);
  double l1 = 0;
  for (int64_t k = 0; k < 4; ++k) {
    l1 += std::abs((c.boxes[image][query][k] - t.boxes[object][k]).item<double>());
  }
  const double giou =
      aligned_giou(corners_of(c.boxes[image][query]), corners_of(t.boxes[object])).item<double>();
  return w.label * (pos - neg) + w.l1 * l1 - w.giou * giou;
}

double total(const Case& c, int64_t image, const Matching& m, const DetectionWeights& w = {}) {
  double sum = 0;
  for (size_t k = 0; k < m.queries.size(); ++k) {
    sum += cost(c, image, m.queries[k], m.targets[k], w);
  }
  return sum;
}

void a_matching_by_hand(void**) {
  // The first query lies on the second object, the second nearly on the first, the third is apart.
  const Case c{at::zeros({1, 3, 2}, at::kDouble),
               matrix({{.7, .7, .2, .2}, {.3, .31, .2, .2}, {.5, .1, .1, .1}}).unsqueeze(0),
               {objects({0, 1}, {{.3, .3, .2, .2}, {.7, .7, .2, .2}})}};
  const std::vector<Matching> m = match(c.logits, c.boxes, c.targets);
  assert_int_equal(m.size(), 1);
  assert_true(m[0].queries == std::vector<int64_t>({0, 1}));
  assert_true(m[0].targets == std::vector<int64_t>({1, 0}));
  // Logit 0: pos - neg = -.25 .25 log(.5) + .75 .25 log(.5) = .125 log(.5). Equal boxes: 0 and -1.
  expect_close(cost(c, 0, 0, 1), 2 * .125 * std::log(.5) - 2, 1e-7);
}

void labels_decide_between_equal_boxes(void**) {
  at::Tensor logits = at::full({1, 2, 3}, -3., at::kDouble);
  logits[0][0][2] = 3;
  logits[0][1][1] = 3;
  const at::Tensor boxes = at::full({1, 2, 4}, .5, at::kDouble);
  const std::vector<DetectionTargets> targets{
      objects({1, 2}, {{.5, .5, .5, .5}, {.5, .5, .5, .5}})};
  assert_true(match(logits, boxes, targets)[0].targets == std::vector<int64_t>({1, 0}));
  const DetectionWeights none{.label = 0};
  assert_true(match(logits, boxes, targets, none)[0].targets == std::vector<int64_t>({0, 1}));
}

void no_other_matching_is_cheaper(void**) {
  const DetectionWeights other{.label = 1, .l1 = 3, .giou = 4, .alpha = 0.4, .gamma = 1.5};
  for (const DetectionWeights& weights : {DetectionWeights{}, other}) {
    const Case c = made("small", 5, 4, {3, 1, 5, 2});
    const std::vector<Matching> all = match(c.logits, c.boxes, c.targets, weights);
    for (int64_t image = 0; image < 4; ++image) {
      const int64_t n = c.targets[image].labels.size(0);
      assert_int_equal(all[image].queries.size(), n);
      std::vector<int64_t> order(5);
      std::iota(order.begin(), order.end(), int64_t{0});
      double best = INFINITY;
      do {
        double sum = 0;
        for (int64_t k = 0; k < n; ++k) sum += cost(c, image, order[k], k, weights);
        best = std::min(best, sum);
      } while (std::next_permutation(order.begin(), order.end()));
      expect_close(total(c, image, all[image], weights), best, 1e-9);
    }
  }
}

void images_do_not_touch_each_other(void**) {
  const Case c = made("batch", 40, 6, {7, 0, 12, 1, 30});
  const std::vector<Matching> all = match(c.logits, c.boxes, c.targets);
  assert_int_equal(all.size(), 5);
  assert_true(all[1].queries.empty());
  for (int64_t i = 0; i < 5; ++i) {
    const std::vector<Matching> one =
        match(c.logits.narrow(0, i, 1), c.boxes.narrow(0, i, 1), {c.targets[i]});
    assert_true(all[i].queries == one[0].queries && all[i].targets == one[0].targets);
  }
}

void layers_are_matched_on_their_own(void**) {
  const Case first = made("first", 20, 5, {3, 8}), second = made("second", 20, 5, {3, 8});
  const std::vector<Matching> both = match(at::cat({first.logits, second.logits}),
                                           at::cat({first.boxes, second.boxes}), first.targets);
  assert_int_equal(both.size(), 4);
  const std::vector<Matching> a = match(first.logits, first.boxes, first.targets);
  const std::vector<Matching> b = match(second.logits, second.boxes, first.targets);
  for (size_t i = 0; i < 2; ++i) {
    assert_true(both[i].queries == a[i].queries && both[i].targets == a[i].targets);
    assert_true(both[2 + i].queries == b[i].queries && both[2 + i].targets == b[i].targets);
  }
}

void threads_change_nothing(void**) {
  const Case c = made("threads", 50, 5, {20, 3, 9, 31, 0, 17, 2, 40});
  const std::vector<Matching> one = match(c.logits, c.boxes, c.targets);
  const ThreadBudget four(4);
  const std::vector<Matching> many = match(c.logits, c.boxes, c.targets);
  for (size_t i = 0; i < one.size(); ++i) {
    assert_true(one[i].queries == many[i].queries && one[i].targets == many[i].targets);
  }
}

void more_objects_than_queries(void**) {
  const Case c = made("crowded", 3, 4, {6});
  const std::vector<Matching> m = match(c.logits, c.boxes, c.targets);
  assert_true(m[0].queries == std::vector<int64_t>({0, 1, 2}));
  double best = INFINITY;
  for (int64_t a = 0; a < 6; ++a) {
    for (int64_t b = 0; b < 6; ++b) {
      for (int64_t d = 0; d < 6; ++d) {
        if (a == b || b == d || a == d) continue;
        best = std::min(best, cost(c, 0, 0, a) + cost(c, 0, 1, b) + cost(c, 0, 2, d));
      }
    }
  }
  expect_close(total(c, 0, m[0]), best, 1e-9);
}

void nothing_to_match(void**) {
  const at::Tensor logits = at::zeros({2, 3, 4}), boxes = at::zeros({2, 3, 4});
  for (const Matching& m : match(logits, boxes, {no_objects(), no_objects()})) {
    assert_true(m.queries.empty() && m.targets.empty());
  }
  assert_true(match(at::zeros({0, 3, 4}), at::zeros({0, 3, 4}), {}).empty());
  const std::vector<Matching> no_queries =
      match(at::zeros({1, 0, 4}), at::zeros({1, 0, 4}), {objects({1}, {{.5, .5, .1, .1}})});
  assert_true(no_queries[0].queries.empty());
}

void half_precision_is_computed_in_float(void**) {
  const Case c = made("half", 12, 4, {5});
  const at::Tensor logits = c.logits.to(at::kBFloat16), boxes = c.boxes.to(at::kBFloat16);
  const std::vector<Matching> a = match(logits, boxes, c.targets);
  const std::vector<Matching> b = match(logits.to(at::kFloat), boxes.to(at::kFloat), c.targets);
  assert_true(a[0].queries == b[0].queries && a[0].targets == b[0].targets);
}

void saturated_logits_have_a_cost(void**) {
  const at::Tensor logits = at::tensor({-500., 500.}, at::kDouble).to(at::kFloat).view({1, 2, 1});
  const std::vector<Matching> m =
      match(logits, at::full({1, 2, 4}, .5), {objects({0}, {{.5, .5, .5, .5}})});
  assert_true(m[0].queries == std::vector<int64_t>({1}));
}

void matching_names_bad_input(void**) {
  const at::Tensor logits = at::zeros({1, 3, 4}), boxes = at::full({1, 3, 4}, .5);
  const std::vector<DetectionTargets> one{objects({1}, {{.5, .5, .5, .5}})};
  const auto expect = [&](Code code, const char* part, const at::Tensor& x, const at::Tensor& b,
                          const std::vector<DetectionTargets>& t) {
    expect_error(code, part, [&] { match(x, b, t); });
  };
  const Code bad = Code::kInvalidArgument;
  expect(bad, "must be floating point [B, Q, C] and [B, Q, 4]", logits[0], boxes, one);
  expect(bad, "must be floating point [B, Q, C] and [B, Q, 4]", logits, at::zeros({1, 2, 4}), one);
  expect(bad, "must be floating point", logits.to(at::kLong), boxes, one);
  expect(bad, "outputs of 1 images and targets of 0", logits, boxes, {});
  expect(bad, "outputs of 1 images and targets of 2", logits, boxes, {one[0], one[0]});
  expect(bad, "targets of image 0 must be", logits, boxes, {{one[0].labels, one[0].boxes[0]}});
  expect(bad, "targets of image 0 must be", logits, boxes, {{at::zeros({1}), one[0].boxes}});
  expect(bad, "targets of image 0 must be", logits, boxes, {{}});
  expect(bad, "object 0 of image 0 has the label 4, allowed is 0 to 3", logits, boxes,
         {objects({4}, {{.5, .5, .5, .5}})});
  expect(bad, "has the label -1", logits, boxes, {objects({-1}, {{.5, .5, .5, .5}})});
  at::Tensor broken = logits.clone();
  broken[0][2][1] = NAN;
  expect(Code::kNumeric, "cost of query 2 and object 0 of image 0 is NaN", broken, boxes, one);
  broken = boxes.clone();
  broken[0][1][2] = INFINITY;
  expect(Code::kNumeric, "cost of query 1 and object 0 of image 0", logits, broken, one);
  broken = logits.clone();
  broken[0][2][3] = NAN;  // of a class that no object has: no cost of it
  assert_int_equal(match(broken, boxes, one)[0].queries.size(), 1);
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_matching_by_hand),
      cmocka_unit_test(labels_decide_between_equal_boxes),
      cmocka_unit_test(no_other_matching_is_cheaper),
      cmocka_unit_test(images_do_not_touch_each_other),
      cmocka_unit_test(layers_are_matched_on_their_own),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(more_objects_than_queries),
      cmocka_unit_test(nothing_to_match),
      cmocka_unit_test(half_precision_is_computed_in_float),
      cmocka_unit_test(saturated_logits_have_a_cost),
      cmocka_unit_test(matching_names_bad_input),
  };
  return cmocka_run_group_tests_name("matching", tests, nullptr, nullptr);
}
