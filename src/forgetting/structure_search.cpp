#include "forgetting/structure_search.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "forgetting/schedule.h"

namespace lethe {
namespace {

/// Points that a stage may lose against the training before the search: about the spread of equal
/// trainings with other seeds.
constexpr double kTolerance = 0.5;
/// A stage begins at this part of the task's learning rate.
constexpr double kWarmRate = 0.3;

at::Tensor flags_tensor(const std::vector<bool>& flags) {
  return at::tensor(std::vector<int64_t>(flags.begin(), flags.end()), at::kLong);
}

void restore_flags(const TrainingState& state, const std::string& name, std::vector<bool>& flags) {
  at::Tensor values = at::zeros({static_cast<int64_t>(flags.size())}, at::kLong);
  state.restore(name, values);
  const auto* data = values.const_data_ptr<int64_t>();
  flags.assign(data, data + values.numel());
}

}  // namespace

SparsestSearch::SparsestSearch(LoraParameters& lora, GroupSparseAdamW& optimizer,
                               const ForgetConfig& config, int64_t trained, Measure measure,
                               Effects effects)
    : lora_(lora),
      optimizer_(optimizer),
      config_(config),
      stage_(std::max<int64_t>(1, trained / kStagesInTraining)),
      measure_(std::move(measure)),
      effects_(std::move(effects)),
      kept_(lora.groups().size(), false) {}

std::optional<size_t> SparsestSearch::weakest() const {
  const std::vector<GroupEffect> effects = effects_();
  std::optional<size_t> found;
  for (size_t g = 0; g < effects.size(); ++g) {
    if (kept_[g] || optimizer_.dead(g)) continue;
    if (!found || effects[g].relative < effects[*found].relative) found = g;
  }
  // The last group is the adapter.
  const auto live = static_cast<int64_t>(effects.size()) - optimizer_.dead_groups();
  return live > 1 ? found : std::nullopt;
}

bool SparsestSearch::meets_the_mark(const Figures& now) const {
  const bool gate = config_.gate_max_acc_f < 0 || now.acc_f <= config_.gate_max_acc_f;
  return gate && now.acc_f <= mark_.acc_f + kTolerance && now.acc_r >= mark_.acc_r - kTolerance;
}

std::optional<GroupSparseAdamW::Step> SparsestSearch::next(int64_t s) {
  const int64_t i = s % stage_;
  if (s == 0) mark_ = measure_();
  if (i == 0) {
    const auto group = weakest();
    if (!group) return std::nullopt;
    candidate_ = static_cast<int64_t>(*group);
    values_ = lora_.values().clone();
    optimizer_state_ = optimizer_.state();
    // Zero after half of the stage, whatever the loss pulls: the rest of it is for the others.
    shrink_ =
        2 * group_norms(lora_)[*group] / static_cast<double>(std::max<int64_t>(1, stage_ / 2));
  }
  const CosineSchedule schedule{
      kWarmRate * config_.learning_rate,
      std::min(config_.min_learning_rate, kWarmRate * config_.learning_rate), stage_};
  GroupSparseAdamW::Step step{schedule.at(static_cast<double>(i)), config_.weight_decay};
  step.proximal_weight = shrink_ / step.learning_rate;
  step.proximal_group = candidate_;
  return step;
}

void SparsestSearch::made(int64_t s) {
  if (s % stage_ != stage_ - 1) return;
  const auto group = static_cast<size_t>(candidate_);
  if (optimizer_.dead(group) && meets_the_mark(measure_())) return;
  lora_.values().copy_(values_);
  optimizer_.restore(optimizer_state_);
  kept_[group] = true;
}

void SparsestSearch::save(TrainingState& state) const {
  if (candidate_ < 0) return;
  state.put("search mark", at::tensor({mark_.acc_f, mark_.acc_r}, at::kDouble));
  state.put("search shrink", at::tensor({shrink_}, at::kDouble));
  state.put("search kept", flags_tensor(kept_));
  state.put("search candidate", candidate_);
  state.put("search values", values_);
  state.put("search first_moment", optimizer_state_.first_moment);
  state.put("search second_moment", optimizer_state_.second_moment);
  state.put("search dead", flags_tensor(optimizer_state_.dead));
  state.put("search steps", optimizer_state_.steps);
}

void SparsestSearch::restore(const TrainingState& state) {
  if (!state.has("search values")) return;
  at::Tensor mark = at::empty({2}, at::kDouble), shrink = at::empty({1}, at::kDouble);
  state.restore("search mark", mark);
  state.restore("search shrink", shrink);
  mark_ = {mark[0].item<double>(), mark[1].item<double>()};
  shrink_ = shrink[0].item<double>();
  restore_flags(state, "search kept", kept_);
  candidate_ = state.integer("search candidate");
  values_ = at::empty_like(lora_.values());
  state.restore("search values", values_);
  optimizer_state_ = optimizer_.state();
  state.restore("search first_moment", optimizer_state_.first_moment);
  state.restore("search second_moment", optimizer_state_.second_moment);
  restore_flags(state, "search dead", optimizer_state_.dead);
  optimizer_state_.steps = state.integer("search steps");
}

}  // namespace lethe
