#include "forgetting/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace lethe {

AdamW::AdamW(std::vector<at::Tensor> parameters, std::vector<double> rates)
    : parameters_(std::move(parameters)), rates_(std::move(rates)) {
  for (const at::Tensor& p : parameters_) {
    first_moment_.push_back(at::zeros_like(p));
    second_moment_.push_back(at::zeros_like(p));
  }
}

void AdamW::step(double learning_rate, double weight_decay, bool coupled) {
  const at::NoGradGuard no_grad;
  constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEps = 1e-8;
  ++steps_;
  const double correction1 = 1 - std::pow(kBeta1, steps_);
  const double correction2 = 1 - std::pow(kBeta2, steps_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& p = parameters_[i];
    at::Tensor& g = p.mutable_grad();
    if (!g.defined()) continue;
    const double rate = rates_.empty() ? learning_rate : learning_rate * rates_[i];
    if (coupled) {
      g.add_(p, weight_decay);
    } else if (p.dim() > 1) {
      p.mul_(1 - rate * weight_decay);
    }
    first_moment_[i].lerp_(g, 1 - kBeta1);
    second_moment_[i].mul_(kBeta2).addcmul_(g, g, 1 - kBeta2);
    const at::Tensor root = (second_moment_[i] / correction2).sqrt_().add_(kEps);
    p.addcdiv_(first_moment_[i], root, -rate / correction1);
    g = at::Tensor();
  }
}

void clip_gradients(const std::vector<at::Tensor>& parameters, double limit) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> gradients, norms;
  for (const at::Tensor& p : parameters) {
    if (!p.grad().defined()) continue;
    gradients.push_back(p.grad());
    norms.push_back(at::norm(gradients.back()));
  }
  if (gradients.empty()) return;
  const double norm = at::norm(at::stack(norms)).item<double>();
  if (!(norm > limit)) return;
  for (at::Tensor& gradient : gradients) gradient.mul_(limit / norm);
}

}  // namespace lethe
