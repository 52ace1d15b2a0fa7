// The quality gate of a forget task: whether it forgot, whether it kept, and why not.
#pragma once

#include <string>

#include "forgetting/config.h"

namespace lethe {

/// Figures in percent, of the model with the task's adapter.
struct GateFigures {
  std::string name = "Acc";  ///< what the sentence calls them: "Acc", of detectors "AP"
  double acc_f, acc_r;
  double acc_r_base;  ///< of the base on the same classes
  int64_t groups_kept, groups_total;
  double largest_effect;  ///< of all groups, relative (see GroupEffect)
  double training_acc_f;  ///< running mean over the forget batches; NaN when unknown
  bool bound_reached;     ///< the forget loss was 0 at some step
  int64_t steps;
  bool weights_changed;  ///< by methods without groups
};

/// "" when the task passes:
///   at least one group kept (methods without groups: a weight changed), Acc_f <= gate_max_acc_f,
///   Acc_r >= Acc_r(base) - gate_max_acc_r_drop
/// (a negative limit is off). Otherwise one sentence with the figures, the likely cause and the
/// remedy: every group collapsed to zero (alpha too large) or never left it, groups dropped that
/// were needed, the bound reached early (BND too small), too few steps, over-forgetting.
std::string judge(const GateFigures& figures, const ForgetConfig& config);

}  // namespace lethe
