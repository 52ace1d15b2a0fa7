#include "adapters/group_sparsity.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/adamw.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr double kNormFloor =
    1e-12;  // the root has no derivative at 0; there the term pulls nothing

double norm_of(const at::Tensor& flat, const LoraGroup& group) {
  if (flat.is_cpu()) {
    return std::sqrt(
        sum_of_squares(flat.const_data_ptr<float>() + group.begin, group.end - group.begin));
  }
  return flat.narrow(0, group.begin, group.end - group.begin).norm().item<double>();
}

/// What the group lasso's gradient is a multiple of theta_g by: alpha / |theta_g|.
double pull_of(const at::Tensor& values, const LoraGroup& group, double structure_weight) {
  if (structure_weight <= 0) return 0;
  return structure_weight / std::max(norm_of(values, group), kNormFloor);
}

/// adamw_update() in tensor operations, for devices other than the CPU.
void adamw_update(at::Tensor p, const at::Tensor& g, at::Tensor m, at::Tensor v,
                  const AdamWStep& step) {
  const at::Tensor gradient = g + p * step.pull;
  m.lerp_(gradient, 0.1);
  v.mul_(0.999).addcmul_(gradient, gradient, 0.001);
  p.mul_(1 - step.learning_rate * step.weight_decay);
  p.addcdiv_(m, (v / step.correction2).sqrt_().add_(1e-8), -step.learning_rate / step.correction1);
}

}  // namespace

std::vector<double> group_norms(const LoraParameters& lora) {
  std::vector<double> norms;
  for (const LoraGroup& group : lora.groups()) norms.push_back(norm_of(lora.values(), group));
  return norms;
}

double gradient_norm(const LoraParameters& lora, double structure_weight) {
  at::Tensor whole = lora.gradients().clone();
  for (const LoraGroup& group : lora.groups()) {
    const int64_t count = group.end - group.begin;
    const double pull = pull_of(lora.values(), group, structure_weight);
    whole.narrow(0, group.begin, count).add_(lora.values().narrow(0, group.begin, count), pull);
  }
  return whole.norm().item<double>();
}

GroupSparseAdamW::GroupSparseAdamW(LoraParameters& lora)
    : lora_(lora),
      first_moment_(at::zeros_like(lora.values())),
      second_moment_(at::zeros_like(lora.values())),
      dead_(lora.groups().size(), false) {}

void GroupSparseAdamW::step(const Step& settings) {
  ++steps_;
  AdamWStep step{static_cast<float>(settings.learning_rate),
                 static_cast<float>(settings.weight_decay),
                 static_cast<float>(1 - std::pow(0.9, steps_)),
                 static_cast<float>(1 - std::pow(0.999, steps_))};
  at::Tensor& values = lora_.values();
  double scale = 1;
  if (settings.clip > 0) {
    const double norm = gradient_norm(lora_, settings.structure_weight);
    scale = std::min(1.0, settings.clip / (norm + 1e-6));
    lora_.gradients().mul_(scale);
  }
  for (size_t i = 0; i < lora_.groups().size(); ++i) {
    if (dead_[i]) continue;  // a dead matrix still has a gradient while its counterpart lives
    const LoraGroup& group = lora_.groups()[i];
    const int64_t count = group.end - group.begin;
    step.pull = static_cast<float>(scale * pull_of(values, group, settings.structure_weight));
    const auto part = [&](at::Tensor& flat) { return flat.narrow(0, group.begin, count); };
    if (values.is_cpu()) {
      adamw_update(values.mutable_data_ptr<float>() + group.begin,
                   lora_.gradients().const_data_ptr<float>() + group.begin,
                   first_moment_.mutable_data_ptr<float>() + group.begin,
                   second_moment_.mutable_data_ptr<float>() + group.begin, count, step);
    } else {
      adamw_update(part(values), part(lora_.gradients()), part(first_moment_), part(second_moment_),
                   step);
    }
    const bool shrinks =
        settings.proximal_group < 0 || settings.proximal_group == static_cast<int64_t>(i);
    if (settings.proximal_weight <= 0 || !shrinks) continue;

    const double norm = norm_of(values, group);
    const double shrink = settings.learning_rate * settings.proximal_weight;
    dead_[i] = norm <= shrink;
    if (dead_[i]) {
      part(values).zero_();
      part(first_moment_).zero_();  // or its momentum would bring the group back
      part(second_moment_).zero_();
    } else {
      part(values).mul_(1 - shrink / norm);
    }
  }
}

GroupSparseAdamW::State GroupSparseAdamW::state() const {
  return {first_moment_.clone(), second_moment_.clone(), dead_, steps_};
}

void GroupSparseAdamW::restore(const State& state) {
  const auto fits = [&](const at::Tensor& moment) {
    return moment.sizes() == first_moment_.sizes() && moment.scalar_type() == at::kFloat;
  };
  require(fits(state.first_moment) && fits(state.second_moment) &&
              state.dead.size() == dead_.size() && state.steps >= 0,
          Code::kCorrupt, "the saved optimizer is one of ", state.dead.size(), " groups and ",
          state.first_moment.numel(), " values, not of ", dead_.size(), " and ",
          first_moment_.numel());
  first_moment_.copy_(state.first_moment);
  second_moment_.copy_(state.second_moment);
  dead_ = state.dead;
  steps_ = state.steps;
}

int64_t GroupSparseAdamW::dead_groups() const {
  return std::count(dead_.begin(), dead_.end(), true);
}

std::vector<GroupEffect> group_effects(const LoraParameters& lora, const Weights& weights) {
  const std::vector<double> norms = group_norms(lora);
  std::vector<GroupEffect> effects;
  for (size_t i = 0; i < norms.size(); ++i) {
    double change = 0, frozen = 0;
    for (size_t site : lora.groups()[i].sites) {
      const at::Tensor a = lora.a(site).to(at::kDouble), b = lora.b(site).to(at::kDouble);
      // |B A|_F^2 = tr((A A^T)(B^T B)), the sum over an r x r product.
      const double squares = (a.mm(a.t()) * b.t().mm(b)).sum().item<double>();
      change += lora.scale() * lora.scale() * std::max(0.0, squares);
      const at::Tensor w = lora.sites()[site].rows(weights);
      frozen += std::pow(w.norm().item<double>(), 2);
    }
    const double effect = std::sqrt(change);
    effects.push_back({norms[i], effect, frozen > 0 ? effect / std::sqrt(frozen) : effect});
  }
  return effects;
}

}  // namespace lethe
