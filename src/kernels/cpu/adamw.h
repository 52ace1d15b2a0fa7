// One AdamW update over contiguous arrays. Torch-free: raw pointers and a length.
#pragma once

#include <cstdint>

namespace lethe {

struct AdamWStep {
  float learning_rate, weight_decay;
  float correction1, correction2;  ///< 1 - beta^t
  float pull = 0;  ///< added to the gradient as pull * p: the group lasso's alpha / |theta_g|
};

/// Betas 0.9 and 0.999, eps 1e-8. p, g, m, v: `count` floats each; p, m and v are updated.
void adamw_update(float* p, const float* g, float* m, float* v, int64_t count,
                  const AdamWStep& step);

/// Sum of squares in double, so that a group's norm does not depend on its length.
double sum_of_squares(const float* p, int64_t count);

}  // namespace lethe
