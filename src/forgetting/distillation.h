// Losses that hold a network's outputs to those of a teacher (algorithm.md 7, 8.8). z_s, z_t:
// scores [B, C] of student and teacher.
#pragma once

#include <ATen/core/Tensor.h>

namespace lethe {

/// T^2 sum_i KL(softmax(z_t / T) || softmax(z_s / T)) / B (Hinton et al. 2015).
at::Tensor distillation_kl(const at::Tensor& student, const at::Tensor& teacher,
                           double temperature);

/// - sum_c q_t log q_s, mean over the batch, with q = p^(1/T) brought to a sum of 1, p =
/// softmax(z): the "old task" loss of Learning without Forgetting (Li & Hoiem 2016, eq. 2).
at::Tensor distillation_cross_entropy(const at::Tensor& student, const at::Tensor& teacher,
                                      double temperature);

/// Of outputs that are a probability of their own each, as a detector's logits [B, Q, C]: T^2 sum
/// KL(sigmoid(z_t / T) || sigmoid(z_s / T)) / B, of distributions over yes and no.
at::Tensor distillation_sigmoid_kl(const at::Tensor& student, const at::Tensor& teacher,
                                   double temperature);

}  // namespace lethe
