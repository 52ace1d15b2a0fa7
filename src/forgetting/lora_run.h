// The training of one task's LoRA matrices, whatever the model: optimiser, schedule, structure,
// averaged weights, checkpoints, groups that are zero (algorithm.md 5.5, (f) and (g)).
#pragma once

#include <functional>

#include "data/loader.h"
#include "forgetting/structure_search.h"
#include "forgetting/task.h"

namespace lethe {

/// What one step's losses are worth; those that do not exist are NaN.
struct StepFigures {
  double trained;  ///< L without alpha L_structure
  double forget, retain, prototype = NAN;
  double hits_forget = NAN, hits_retain = NAN;  ///< shares of right answers, 0 to 1
};

/// What a run trains, and how it gets its losses. All references outlive the run.
struct LoraTraining {
  const ForgetConfig& config;
  const Weights& start;  ///< the frozen weights beneath
  LoraParameters& lora;  ///< initialised; trained in place
  Loader& forget_order;
  Loader& retain_order;
  at::Generator& dropout;
  /// Losses of these samples at the present values; lora.gradients() become those of
  /// StepFigures::trained.
  std::function<StepFigures(const std::vector<int64_t>& forget, const std::vector<int64_t>& retain)>
      losses;
  /// Figures on the training samples in percent, for structure_search.
  std::function<SparsestSearch::Figures()> accuracies;
};

/// Trains `training.lora` and fills `result`'s groups, figures and bound_reached: epochs over the
/// retain samples, the forget samples cycled beside them (section 5.3). What has no effect is
/// really zero from here on. Throws kNumeric, kCancelled, kCorrupt.
void run_lora(const LoraTraining& training, ForgetResult& result, const Observer& observer,
              const Checkpoints& checkpoints);

}  // namespace lethe
