// project(): the same product whichever library computes it, for every layout that the rooms hand
// in.
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>

#include "kernels/project.h"
#include "near.h"
#include "support/random.h"

namespace lethe::testing {
namespace {

constexpr double kTolerance = 1e-5;

at::Tensor random(at::IntArrayRef shape) {
  static at::Generator generator = RandomStream(1, "project").generator();
  return at::empty(shape).normal_(0, 1, generator);
}

at::Tensor exact(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor y = at::matmul(x.to(at::kDouble), weight.to(at::kDouble).t());
  return bias.defined() ? y + bias.to(at::kDouble) : y;
}

void expect_both(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                 const std::string& what) {
  const at::NoGradGuard no_grad;
  const at::Tensor expected = exact(x, weight, bias);
  expect_near(project(x, weight, bias), expected, kTolerance, what);
  if (x.dim() != 2) return;
  const at::Tensor out = at::full({x.size(0), weight.size(0)}, NAN, x.options());
  project_into(out, x, weight, bias);
  expect_near(out, expected, kTolerance, what + ", into");
}

void every_layout(void**) {
  const at::Tensor w = random({24, 40}), b = random({24});
  expect_both(random({7, 40}), w, b, "rows");
  expect_both(random({7, 40}), w, {}, "no bias");
  expect_both(random({2, 5, 40}), w, b, "three dimensions");
  expect_both(random({7, 24}), w.t(), {}, "transposed weight");
  expect_both(random({40, 7}).t(), w, b, "transposed x");
  expect_both(random({3, 9, 40}).select(1, 0), w, b, "every ninth row");
  expect_both(random({7, 40}), random({72, 40}).slice(0, 24, 48), b, "part of a weight");
  expect_both(random({1, 40}), w, b, "one row");
}

void tiles_meet(void**) {  // 8 MiB are 8192 rows of 256
  for (const int64_t rows : {8191, 8192, 8193, 20000}) {
    expect_both(random({rows, 3}), random({256, 3}), random({256}), str(rows, " rows"));
  }
}

void no_rows(void**) {
  const at::NoGradGuard no_grad;
  const at::Tensor w = random({24, 40});
  assert_int_equal(project(at::empty({0, 40}), w).numel(), 0);
  project_into(at::empty({0, 24}), at::empty({0, 40}), w);
}

void without_one_dnn(void**) {
  const at::Tensor x = random({7, 40}), w = random({24, 40}), b = random({24});
  at::globalContext().setUserEnabledMkldnn(false);
  expect_both(x, w, b, "MKL");
  at::globalContext().setUserEnabledMkldnn(true);
  expect_both(x.to(at::kDouble), w.to(at::kDouble), b.to(at::kDouble), "double");
}

void autograd_sees_it(void**) {
  const at::Tensor x = random({7, 40}).requires_grad_(true);
  const at::Tensor w = random({24, 40}).requires_grad_(true), b = random({24});
  const at::Tensor upstream = random({7, 24});
  (project(x, w, b) * upstream).sum().backward();
  expect_near(x.grad(), at::matmul(upstream, w.detach()), kTolerance, "dx");
  expect_near(w.grad(), at::matmul(upstream.t(), x.detach()), kTolerance, "dW");
}

void two_runs_are_equal(void**) {
  const at::NoGradGuard no_grad;
  const at::Tensor x = random({333, 40}), w = random({24, 40}), b = random({24});
  assert_true(at::equal(project(x, w, b), project(x, w, b)));
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_layout),     cmocka_unit_test(tiles_meet),
      cmocka_unit_test(no_rows),          cmocka_unit_test(without_one_dnn),
      cmocka_unit_test(autograd_sees_it), cmocka_unit_test(two_runs_are_equal),
  };
  return cmocka_run_group_tests_name("project", tests, nullptr, nullptr);
}
