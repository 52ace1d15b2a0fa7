// What golden_check prints: a line for each thing compared, and whether all lie within tolerance.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "storage/safetensors.h"
#include "support/error.h"

namespace lethe {

inline constexpr double kForward = 1e-4;     // relative to the largest value
inline constexpr double kLoss = 1e-4;        // relative
inline constexpr double kDivergence = 1e-7;  // a KL divergence is the small difference of float32
                                             // logarithms of order 1: rounding, absolute
inline constexpr double kGradient = 1e-3;    // relative to the largest value
inline constexpr double kParameter = 2e-3;   // absolute
inline constexpr double kMove = 1e-2;        // of parameters: relative to the largest move

inline double largest_difference(const at::Tensor& actual, const at::Tensor& expected) {
  require(actual.sizes() == expected.sizes(), Code::kInvalidArgument, "the shapes ", actual.sizes(),
          " and ", expected.sizes(), " differ");
  return (actual - expected).abs().max().item<double>();
}

/// What parameters may be off by, absolute: kParameter, or kMove of the largest move from `start`
/// among the recorded "after_step_N.NAME", whichever is less. An optimizer that leaves parameters
/// where they are is beyond it, however small the steps.
inline double parameter_tolerance(const Weights& recorded, const Weights& start) {
  double move = 0;
  for (const auto& [name, value] : recorded) {
    if (!name.starts_with("after_step_")) continue;
    const auto before = start.find(name.substr(name.find('.') + 1));
    if (before != start.end()) move = std::max(move, largest_difference(value, before->second));
  }
  return std::min(kParameter, kMove * move);
}

class Comparison {
 public:
  void line(const std::string& name, double deviation, double tolerance, const char* kind) {
    const bool good = deviation <= tolerance;  // false for NaN
    bad_ += !good;
    std::printf("%-70s %9.2e %s (tolerance %.0e)%s\n", name.c_str(), deviation, kind, tolerance,
                good ? "" : "  BEYOND");
    ++lines_;
  }
  void relative(const std::string& name, const at::Tensor& actual, const at::Tensor& expected,
                double tolerance) {
    const double largest = std::max(1e-12, expected.abs().max().item<double>());
    line(name, largest_difference(actual, expected) / largest, tolerance, "relative");
  }
  void absolute(const std::string& name, const at::Tensor& actual, const at::Tensor& expected,
                double tolerance) {
    line(name, largest_difference(actual, expected), tolerance, "absolute");
  }
  /// `floor`: what float32 cannot resolve of this value, absolute.
  void scalar(const std::string& name, double actual, double expected, double floor = 0) {
    const double size = std::max(1e-12, std::abs(expected));
    line(name, std::abs(actual - expected) / size, kLoss + floor / size, "relative");
  }
  int finish() const {
    std::printf("%d compared, %d beyond tolerance\n", lines_, bad_);
    return bad_ == 0 && lines_ > 0 ? 0 : 1;
  }

 private:
  int lines_ = 0, bad_ = 0;
};

/// Compares the library with a folder of a detector; 0 or 1 (beyond tolerance).
int check_detector(const std::string& folder);

}  // namespace lethe
