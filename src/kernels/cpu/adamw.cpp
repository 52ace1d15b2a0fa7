#include "kernels/cpu/adamw.h"

#include <cmath>

namespace lethe {

void adamw_update(float* p, const float* g, float* m, float* v, int64_t count,
                  const AdamWStep& step) {
  constexpr float kRest1 = 0.1f, kBeta2 = 0.999f, kRest2 = 0.001f, kEps = 1e-8f;  // 1 - beta
  const float keep = 1 - step.learning_rate * step.weight_decay;
  const float rate = step.learning_rate / step.correction1;
  const float root_correction = std::sqrt(step.correction2);
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float gradient = g[i] + step.pull * p[i];
    m[i] += kRest1 * (gradient - m[i]);
    v[i] = kBeta2 * v[i] + kRest2 * gradient * gradient;
    p[i] = p[i] * keep - rate * m[i] / (std::sqrt(v[i]) / root_correction + kEps);
  }
}

double sum_of_squares(const float* p, int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(p[i]) * p[i];
  return sum;
}

}  // namespace lethe
