#include "engine/gate.h"

#include <iomanip>

#include "support/error.h"

namespace lethe {
namespace {

/// A percentage with up to two decimals.
std::string percent(double value) {
  return str(std::setprecision(value >= 100 ? 5 : 4), value, " %");
}

/// The setting that drives groups to zero, with its value.
std::string sparsity_setting(const ForgetConfig& c) {
  return c.sparsity == Sparsity::kProximal ? str("proximal_weight (", c.proximal_weight, ")")
                                           : str("structure_weight (", c.structure_weight, ")");
}

/// Groups that sparsity pushed to zero end many orders below a group that has only begun to move.
constexpr double kCollapsed = 1e-6;

std::string nothing_kept(const GateFigures& f, const ForgetConfig& c) {
  if (f.largest_effect > kCollapsed) {
    return str("no group of ", f.groups_total, " grew beyond zero_threshold ", c.zero_threshold,
               " in ", f.steps, " steps (the largest effect is ", f.largest_effect,
               "), so nothing is forgotten (", f.name, "_f ", percent(f.acc_f),
               "): give more steps, raise learning_rate or lower ", sparsity_setting(c));
  }
  return str("every group of ", f.groups_total, " collapsed to zero, so nothing is forgotten (",
             f.name, "_f ", percent(f.acc_f), "): lower ", sparsity_setting(c),
             " or raise forget_weight (", c.forget_weight, ")");
}

std::string why_not_forgotten(const GateFigures& f, const ForgetConfig& c) {
  const int64_t dropped = f.groups_total - f.groups_kept;
  if (f.groups_total == 0) {
    return str("after ", f.steps, " steps: give more (epochs, max_steps), raise learning_rate (",
               c.learning_rate,
               ") or lower what holds the weights (penalty_weight, distillation_weight, "
               "replay_weight)");
  }
  if (f.training_acc_f <= c.gate_max_acc_f) {
    if (dropped > 0) {
      return str("training came down to ", percent(f.training_acc_f), ", but ", dropped, " of ",
                 f.groups_total, " groups were dropped as zero: lower zero_threshold (",
                 c.zero_threshold, ") or ", sparsity_setting(c));
    }
    return str("training came down to ", percent(f.training_acc_f),
               ", but other samples of the classes are still recognised: use more samples "
               "(data_ratio, few_shot)");
  }
  if (2 * dropped > f.groups_total) {
    return str(dropped, " of ", f.groups_total, " groups collapsed to zero: lower ",
               sparsity_setting(c));
  }
  if (f.bound_reached) {
    return str(
        "the forget loss reached its bound although the classes are still recognised: raise "
        "forget_bound (",
        c.forget_bound, ")");
  }
  return str("the forget loss still fell at the last of ", f.steps,
             " steps: give more steps (max_steps or epochs) or raise forget_weight (",
             c.forget_weight, ")");
}

}  // namespace

std::string judge(const GateFigures& f, const ForgetConfig& c) {
  if (f.groups_total == 0 && !f.weights_changed)
    return "the task changed no weight: give more steps";
  if (f.groups_total > 0 && f.groups_kept == 0) return nothing_kept(f, c);
  std::string text;
  if (c.gate_max_acc_f >= 0 && !(f.acc_f <= c.gate_max_acc_f)) {
    text = str(f.name, "_f is ", percent(f.acc_f), ", the gate allows ", percent(c.gate_max_acc_f),
               ": ", why_not_forgotten(f, c));
  }
  if (c.gate_max_acc_r_drop >= 0 && !(f.acc_r >= f.acc_r_base - c.gate_max_acc_r_drop)) {
    text += str(text.empty() ? "" : "; ", f.name, "_r fell from the base's ", percent(f.acc_r_base),
                " to ", percent(f.acc_r), ", the gate allows ", c.gate_max_acc_r_drop,
                " points: the task forgot too much; lower ",
                f.groups_total > 0 ? str("forget_weight (", c.forget_weight, "), ") : "",
                "learning_rate (", c.learning_rate,
                ") or the number of steps, or use more retain samples");
  }
  return text;
}

}  // namespace lethe
