// How near two tensors are, for suites that compare computations written in different ways.
#pragma once

#include <ATen/ATen.h>

#include "support/threads.h"
#include "test.h"

namespace lethe::testing {

/// A matrix by its rows, float64.
inline at::Tensor matrix(const std::vector<std::vector<double>>& values) {
  std::vector<at::Tensor> list;
  for (const auto& row : values) list.push_back(at::tensor(row, at::kDouble));
  return at::stack(list);
}

/// Largest difference over the largest magnitude of `expected`; infinite for unlike shapes or NaN.
inline double deviation(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.sizes() != expected.sizes()) return INFINITY;
  const at::Tensor a = actual.to(at::kDouble), e = expected.to(at::kDouble);
  const double largest = std::max(1e-30, e.abs().max().item<double>());
  const double worst = (a - e).abs().max().item<double>() / largest;
  return std::isnan(worst) ? INFINITY : worst;
}

/// Fails unless deviation() is at most `tolerance`; `what` names the case.
inline void expect_near(const at::Tensor& actual, const at::Tensor& expected, double tolerance,
                        const std::string& what = "") {
  const double worst = deviation(actual, expected);
  if (worst > tolerance) {
    fail_msg("%s: deviation %.3g of the largest value, allowed is %.3g", what.c_str(), worst,
             tolerance);
  }
}

}  // namespace lethe::testing
