// The losses of GS-LoRA(++) against numbers computed by hand (algorithm.md 4, 11), in double
// precision.
#include "forgetting/losses.h"

#include "near.h"
#include "support/random.h"

namespace lethe::testing {
namespace {

at::Tensor labels(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

at::Tensor scalar(double value) { return at::full({}, value, at::kDouble); }

Head linear_head(const at::Tensor& weight, const at::Tensor& bias) {
  return Head(ModelSpec{}, weight, bias);
}

/// Scores are the embeddings themselves.
Head identity_head(int64_t classes) {
  return linear_head(at::eye(classes, at::kDouble), at::zeros({classes}, at::kDouble));
}

/// Two classes; a sample of class 0 whose cross entropy is `ce`.
std::vector<double> with_cross_entropy(double ce) { return {-std::log(std::expm1(ce)), 0}; }

ForgetConfig settings(double bound, double beta) {
  ForgetConfig config;
  config.forget_bound = bound;
  config.forget_weight = beta;
  return config;
}

// ---------------------------------------------------------------------------------- forgetting
// loss

void check_7_bounded_forget_loss(void**) {
  const auto loss = [](double ce) { return bounded_forget_loss(scalar(ce), 110).item<double>(); };
  expect_close(loss(0.5), 109.5, 1e-12);
  expect_close(loss(30), 80, 1e-12);
  expect_close(loss(109.9), 0.1, 1e-12);
  assert_true(loss(110) == 0 && loss(110.1) == 0 && loss(1e9) == 0);
  assert_true(std::isnan(loss(NAN)));  // a NaN is not quietly a reached bound
}

void trap_the_relu_is_on_the_batch_mean(void**) {
  const Head head = identity_head(2);
  at::Tensor e_f = matrix({with_cross_entropy(100), with_cross_entropy(130)}).requires_grad_(true);
  const at::Tensor e_r = matrix({{3, 0}});
  const auto run = [&](double bound) {
    return losses(head, nullptr, settings(bound, 0.2), e_f, labels({0, 0}), e_r, labels({0}));
  };
  LossTerms terms = run(110);
  expect_close(terms.ce_forget.item<double>(), 115, 1e-12);
  assert_true(terms.forget.item<double>() == 0);  // sample by sample it would be 5
  terms.trained.backward();
  assert_false(e_f.grad().any().item<bool>());  // exactly zero, for the sample at 100 too

  terms = run(120);
  expect_close(terms.forget.item<double>(), 5, 1e-12);
  terms.trained.backward();
  // -beta/B d(CE)/d(e) with d(CE)/d(e_y) = p_y - 1: the sample at 130 is pushed as well.
  expect_near(e_f.grad(), matrix({{0.1, -0.1}, {0.1, -0.1}}), 1e-12);
}

void the_margin_of_the_true_class_is_in_the_loss(void**) {
  ModelSpec spec;
  spec.head = HeadKind::kCosFace;
  spec.head_margin = 0.35;
  const Head head(spec, matrix({{1, 0}, {0, 2}, {-1, 1}}), {});
  const LossTerms terms = losses(head, nullptr, settings(105, 0.2), matrix({{3, 4}}), labels({1}),
                                 matrix({{3, 4}, {3, 4}}), labels({1, 0}));
  expect_close(terms.ce_forget.item<double>(), 9.60006773, 1e-9);
  // Under the margin class 0 wins (check 6), so class 1 counts as wrong; class 0 as wrong as well.
  expect_close(terms.hits_forget.item<double>(), 0);
  expect_close(terms.hits_retain.item<double>(), 0);
}

// ---------------------------------------------------------------------------------------
// prototypes

void check_8_prototype_distance(void**) {
  const Prototypes prototypes(matrix({{2, 0, 0}, {0, 1, 0}}));
  const at::Tensor first = matrix({{1, 0, -1}}), second = matrix({{.5, .5, 0}});
  const auto distance = [&](const at::Tensor& e, const std::vector<int64_t>& y) {
    return prototype_distance(prototypes, e, labels(y)).item<double>();
  };
  expect_close(distance(first, {1}), 0.43227814, 1e-8);
  expect_close(distance(second, {0}), 0.34570090, 1e-8);
  expect_close(distance(at::cat({first, second}), {1, 0}), 0.38898952, 1e-8);
  assert_true(std::abs(distance(first, {0}) - 0.43227814) > 0.01);  // the direction p -> q matters
}

void distance_is_zero_at_the_prototype_up_to_a_constant(void**) {
  const at::Tensor p = matrix({{2, -1, 0.5}, {0, 1, 7}});
  const Prototypes prototypes(p);
  for (double shift : {0.0, 3.0, -40.0}) {
    const at::Tensor e = p + shift;
    expect_close(prototype_distance(prototypes, e, labels({0, 1})).item<double>(), 0, 1e-12);
  }
  assert_true(prototype_distance(prototypes, p, labels({1, 0})).item<double>() > 0.1);
}

void prototypes_saturate_without_nan(void**) {
  const Prototypes prototypes(matrix({{1000, 0, -1000}}));  // softmax with exact zeros
  at::Tensor e = matrix({{-1000, 0, 1000}}).requires_grad_(true);
  const at::Tensor distance = prototype_distance(prototypes, e, labels({0}));
  expect_close(distance.item<double>(), 2000, 1e-9);
  distance.backward();
  assert_true(at::isfinite(e.grad()).all().item<bool>());
}

/// Early in a task embeddings nearly are their prototypes; float32 must still see how far they are.
void small_distances_keep_their_digits(void**) {
  at::Generator generator = RandomStream(1, "near").generator();
  const at::Tensor p = at::empty({1, 512}).normal_(0, 1, generator);
  const at::Tensor e = p + at::empty({1, 512}).normal_(0, 1e-2, generator);
  const auto distance = [&](at::ScalarType type) {
    return prototype_distance(Prototypes(p.to(type)), e.to(type), labels({0})).item<double>();
  };
  assert_true(distance(at::kDouble) < 1e-4);
  expect_close(distance(at::kFloat) / distance(at::kDouble), 1, 0.02);
}

void prototype_terms_push_and_pull(void**) {
  const Prototypes prototypes(matrix({{2, 0, 0}, {0, 1, 0}}));
  at::Tensor e_f = matrix({{1, 0, -1}}).requires_grad_(true);
  at::Tensor e_r = matrix({{.5, .5, 0}}).requires_grad_(true);
  ForgetConfig config = settings(1, 0);  // the cross entropy of e_f lies above this bound
  config.prototype_forget_weight = 0.01;
  config.prototype_retain_weight = 0.5;
  config.prototype_bound = 18;
  const Head head = identity_head(3);
  const auto run = [&] {
    return losses(head, &prototypes, config, e_f, labels({1}), e_r, labels({0}));
  };
  LossTerms terms = run();
  expect_close(terms.prototype_forget.item<double>(), 0.43227814, 1e-8);
  expect_close(terms.prototype_retain.item<double>(), 0.34570090, 1e-8);
  expect_close(terms.prototype.item<double>(), 0.01 * (18 - 0.43227814) + 0.5 * 0.34570090, 1e-8);
  expect_close(terms.trained.item<double>(),
               terms.ce_retain.item<double>() + terms.prototype.item<double>(), 1e-12);
  terms.trained.backward();
  // d D / d e = softmax(e) - softmax(P_y), pushed with -w_f.
  const at::Tensor p1 = at::softmax(matrix({{0, 1, 0}}), 1);
  expect_near(e_f.grad(), -0.01 * (at::softmax(e_f.detach(), 1) - p1), 1e-9);

  config.prototype_bound = 0.4;  // beyond its own bound: no push left
  e_f.mutable_grad() = at::Tensor();
  terms = run();
  expect_close(terms.prototype.item<double>(), 0.5 * 0.34570090, 1e-8);
  terms.trained.backward();
  assert_false(e_f.grad().any().item<bool>());
}

void gs_lora_has_no_prototype_terms(void**) {
  const LossTerms terms = losses(identity_head(2), nullptr, settings(15, 0.2), matrix({{1, 0}}),
                                 labels({0}), matrix({{0, 1}}), labels({1}));
  assert_false(terms.prototype.defined());
  assert_false(terms.prototype_forget.defined() || terms.prototype_retain.defined());
  expect_close(terms.hits_forget.item<double>(), 1);
  expect_close(terms.hits_retain.item<double>(), 1);
}

// --------------------------------------------------------------------------------------------
// total

/// CE_r .7, CE_f 12.5 and D_f .38898952 at once: a head of biases alone fixes the first two,
/// whatever the embeddings are.
void check_9_total(void**) {
  const double p_f = std::exp(-12.5), p_r = std::exp(-0.7);
  const at::Tensor bias = matrix({{p_f, p_f, p_r, 1 - 2 * p_f - p_r}})[0].log();
  const Head head = linear_head(at::zeros({4, 3}, at::kDouble), bias);
  const Prototypes prototypes(matrix({{2, 0, 0}, {0, 1, 0}, {0, 0, 0}, {0, 0, 0}}));
  ForgetConfig config = settings(105, 0.2);
  config.prototype_forget_weight = 0.01;
  config.prototype_retain_weight = 0;
  config.prototype_bound = 18;
  const LossTerms terms = losses(head, &prototypes, config, matrix({{1, 0, -1}, {.5, .5, 0}}),
                                 labels({1, 0}), matrix({{4, 5, 6}}), labels({2}));
  expect_close(terms.ce_retain.item<double>(), 0.7, 1e-12);
  expect_close(terms.ce_forget.item<double>(), 12.5, 1e-12);
  expect_close(terms.prototype_forget.item<double>(), 0.38898952, 1e-8);
  expect_close(terms.prototype.item<double>(), 0.17611010, 1e-7);
  expect_close(terms.trained.item<double>() + 1e-4 * 3.7414003, 19.37648425, 1e-9);
}

/// Bounds and weights are settings of the head and method, not constants of the code.
void trap_defaults_belong_to_the_head(void**) {
  const auto bound = [](HeadKind head) {
    return ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, head).forget_bound;
  };
  assert_true(bound(HeadKind::kCosFace) == 105 && bound(HeadKind::kArcFace) == 105);
  assert_true(bound(HeadKind::kLinear) == 15);
  // The largest CosFace cross entropy, 64 * 2.35, lies beyond 105: the bound can be reached.
  ModelSpec spec;
  spec.head = HeadKind::kCosFace;
  spec.head_margin = 0.35;
  const Head head(spec, matrix({{1, 0}, {-1, 0}}), {});
  const at::Tensor y = labels({1});
  const double worst = at::cross_entropy_loss(head.scores(matrix({{1, 0}}), y), y).item<double>();
  expect_close(worst, 150.4, 1e-9);
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(check_7_bounded_forget_loss),
      cmocka_unit_test(trap_the_relu_is_on_the_batch_mean),
      cmocka_unit_test(the_margin_of_the_true_class_is_in_the_loss),
      cmocka_unit_test(check_8_prototype_distance),
      cmocka_unit_test(distance_is_zero_at_the_prototype_up_to_a_constant),
      cmocka_unit_test(prototypes_saturate_without_nan),
      cmocka_unit_test(small_distances_keep_their_digits),
      cmocka_unit_test(prototype_terms_push_and_pull),
      cmocka_unit_test(gs_lora_has_no_prototype_terms),
      cmocka_unit_test(check_9_total),
      cmocka_unit_test(trap_defaults_belong_to_the_head),
  };
  return cmocka_run_group_tests_name("losses", tests, nullptr, nullptr);
}
