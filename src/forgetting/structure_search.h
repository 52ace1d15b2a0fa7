// The sparsest adapter that still does its task: alpha found instead of given.
//
// A fixed alpha is too small for some tasks and forgets nothing with others (data.md). So after the
// training with the alpha of the settings, the search goes on from what it reached (warm start),
// stage after stage: the weakest group's alpha grows until the group is zero, a proximal step at a
// time, while the other groups, which keep training, take over. A stage whose end meets the mark is
// kept; otherwise everything is as it was before it, and the group stays. Eight stages of a tenth of
// the training's steps: with what the measuring takes, at most the training's time again.
#pragma once

#include <functional>

#include "adapters/group_sparsity.h"
#include "forgetting/config.h"
#include "forgetting/training_state.h"

namespace lethe {

/// Not thread-safe. Steps are counted from 0 at the beginning of the search.
class SparsestSearch {
 public:
  /// Accuracies in percent on the task's training samples, at the present LoRA values.
  struct Figures {
    double acc_f, acc_r;
  };
  using Measure = std::function<Figures()>;
  /// Effects of all groups, at the present LoRA values.
  using Effects = std::function<std::vector<GroupEffect>()>;

  /// `trained`: steps of the training before. All references outlive the object.
  SparsestSearch(LoraParameters& lora, GroupSparseAdamW& optimizer, const ForgetConfig& config,
                 int64_t trained, Measure measure, Effects effects);

  int64_t steps() const { return kStages * stage_; }  ///< the most that it takes

  /// Called before step `s`: how it is to be made, or nothing when no group is left to try.
  std::optional<GroupSparseAdamW::Step> next(int64_t s);
  /// Called after step `s`.
  void made(int64_t s);

  void save(TrainingState& state) const;
  void restore(const TrainingState& state);

 private:
  static constexpr int64_t kStages = 8, kStagesInTraining = 10;
  bool meets_the_mark(const Figures& now) const;
  std::optional<size_t> weakest() const;

  LoraParameters& lora_;
  GroupSparseAdamW& optimizer_;
  const ForgetConfig& config_;
  int64_t stage_;  ///< steps of a stage
  Measure measure_;
  Effects effects_;

  Figures mark_{};          ///< where the training ended
  std::vector<bool> kept_;  ///< groups that were tried in vain
  int64_t candidate_ = -1;  ///< the group of this stage
  double shrink_ = 0;       ///< norm that a step takes from it
  at::Tensor values_;       ///< the LoRA values before this stage
  GroupSparseAdamW::State optimizer_state_{};
};

}  // namespace lethe
