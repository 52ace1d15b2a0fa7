#include "forgetting/lora_run.h"

#include <ATen/ATen.h>

#include <chrono>
#include <numeric>

#include "adapters/group_sparsity.h"
#include "forgetting/schedule.h"
#include "support/error.h"

namespace lethe {
namespace {

/// Mean of A and B over epochs (section 4.10, as it was meant: of the adapter, in training order).
class WeightAverage {
 public:
  WeightAverage(int64_t start_epoch, double decay) : start_(start_epoch), decay_(decay) {}

  void end_of_epoch(int64_t epoch, const at::Tensor& values) {
    if (start_ < 0 || epoch < start_) return;
    if (!mean_.defined()) {
      mean_ = values.clone();
    } else {
      mean_.lerp_(values, 1 - decay_);
    }
  }
  bool defined() const { return mean_.defined(); }
  const at::Tensor& mean() const { return mean_; }
  void restore(const at::Tensor& mean) { mean_ = mean.clone(); }

 private:
  int64_t start_;
  double decay_;
  at::Tensor mean_;
};

/// What changes from step to step: the whole state of a run.
struct Run {
  LoraParameters& lora;
  GroupSparseAdamW& optimizer;
  WeightAverage& average;
  Loader &forget_order, &retain_order;
  at::Generator& dropout;
  SparsestSearch* search;  ///< null when there is none
  Progress& progress;
  bool& bound_reached;

  TrainingState save() const {
    TrainingState state;
    const GroupSparseAdamW::State adamw = optimizer.state();
    state.put("lora", lora.values());
    state.put("first_moment", adamw.first_moment);
    state.put("second_moment", adamw.second_moment);
    state.put("dead_groups",
              at::tensor(std::vector<int64_t>(adamw.dead.begin(), adamw.dead.end()), at::kLong));
    state.put("optimizer_steps", adamw.steps);
    if (average.defined()) state.put("average", average.mean());
    state.put("forget_order", forget_order);
    state.put("retain_order", retain_order);
    state.put("dropout", dropout);
    state.put("progress", progress);
    state.put("bound_reached", bound_reached);
    if (search) search->save(state);
    return state;
  }

  void restore(const TrainingState& state) {
    state.restore("lora", lora.values());
    at::Tensor dead = at::zeros({static_cast<int64_t>(lora.groups().size())}, at::kLong);
    state.restore("dead_groups", dead);
    const auto* flags = dead.const_data_ptr<int64_t>();
    optimizer.restore({state.tensor("first_moment"), state.tensor("second_moment"),
                       std::vector<bool>(flags, flags + dead.numel()),
                       state.integer("optimizer_steps")});
    if (state.has("average")) {
      at::Tensor mean = at::empty_like(lora.values());
      state.restore("average", mean);
      average.restore(mean);
    }
    state.restore("forget_order", forget_order);
    state.restore("retain_order", retain_order);
    state.restore("dropout", dropout);
    state.restore("progress", progress);
    bound_reached = state.integer("bound_reached") != 0;
    if (search) search->restore(state);
  }
};

void report(Progress& progress, const StepFigures& figures, double structure,
            double structure_weight, double seconds) {
  progress.loss_retain = figures.retain;
  progress.loss_forget = figures.forget;
  progress.loss_structure = structure;
  progress.loss_prototype = figures.prototype;
  progress.loss = figures.trained + structure_weight * structure;
  progress.acc_f = running_accuracy(progress.acc_f, 100 * figures.hits_forget);
  progress.acc_r = running_accuracy(progress.acc_r, 100 * figures.hits_retain);
  set_times(progress, seconds);
}

std::optional<GroupSparseAdamW::Step> step_of_training(const ForgetConfig& config,
                                                       const CosineSchedule& schedule,
                                                       int64_t epoch) {
  GroupSparseAdamW::Step step{schedule.at(static_cast<double>(epoch)), config.weight_decay};
  step.clip = config.gradient_clip;
  if (epoch < config.structure_start_epoch) return step;
  if (config.sparsity == Sparsity::kSubgradient) {
    step.structure_weight = config.structure_weight;
  } else {
    step.proximal_weight = config.proximal_weight;
  }
  return step;
}

}  // namespace

void run_lora(const LoraTraining& t, ForgetResult& result, const Observer& observer,
              const Checkpoints& checkpoints) {
  const auto begin = std::chrono::steady_clock::now();
  const ForgetConfig& config = t.config;
  LoraParameters& lora = t.lora;

  // (e) Fresh optimizer and schedule.
  GroupSparseAdamW optimizer(lora);
  const CosineSchedule schedule{config.learning_rate, config.min_learning_rate, config.epochs,
                                config.warmup_epochs};
  WeightAverage average(config.average_start_epoch, config.average_decay);

  // (f) Epochs over the retain samples; the forget loader is cycled beside it (section 5.3).
  const int64_t per_epoch = t.retain_order.batches_per_epoch();
  Progress& progress = result.last;
  const int64_t steps = config.max_steps > 0 ? config.max_steps : config.epochs * per_epoch;
  progress.groups_total = static_cast<int32_t>(lora.groups().size());
  // With max_steps the schedule's epochs are spread over those steps.
  const auto epoch_of = [&](int64_t s) { return config.epochs * s / steps; };

  std::unique_ptr<SparsestSearch> search;
  if (config.structure_search == StructureSearch::kSparsest) {
    search = std::make_unique<SparsestSearch>(lora, optimizer, config, steps, t.accuracies,
                                              [&] { return group_effects(lora, t.start); });
  }
  progress.total_steps = steps + (search ? search->steps() : 0);
  Run run{lora,      optimizer,    average,  t.forget_order,      t.retain_order,
          t.dropout, search.get(), progress, result.bound_reached};
  if (checkpoints.resume) run.restore(*checkpoints.resume);
  const double seconds_before = progress.seconds;

  const auto take_average = [&] {  // groups that are gone stay so
    if (!average.defined()) return;
    lora.values().copy_(average.mean());
    for (size_t g = 0; g < lora.groups().size(); ++g) {
      const LoraGroup& group = lora.groups()[g];
      if (optimizer.dead(g)) lora.values().narrow(0, group.begin, group.end - group.begin).zero_();
    }
  };

  for (int64_t s = progress.step; s < progress.total_steps; ++s) {
    const int64_t epoch = epoch_of(s);
    if (s == steps) take_average();  // the search begins with what the training is worth
    const auto next =
        s < steps ? step_of_training(config, schedule, epoch) : search->next(s - steps);
    if (!next) break;  // no group is left to try
    const GroupSparseAdamW::Step& update = *next;
    if (s % per_epoch == 0 && s > 0) t.forget_order.restart();

    const StepFigures figures =
        at_step(s + 1, [&] { return t.losses(t.forget_order.next(), t.retain_order.next()); });
    const std::vector<double> norms = group_norms(lora);
    const double structure = std::accumulate(norms.begin(), norms.end(), 0.0);

    optimizer.step(update);
    if (s < steps && epoch_of(s + 1) != epoch) average.end_of_epoch(epoch, lora.values());
    if (s >= steps) search->made(s - steps);

    progress.step = s + 1;
    progress.groups_live = progress.groups_total - static_cast<int32_t>(optimizer.dead_groups());
    report(progress, figures, structure, update.structure_weight,
           seconds_before +
               std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    require(std::isfinite(progress.loss), Code::kNumeric, "the loss is ", progress.loss,
            " at step ", s + 1, "; lower learning_rate (", config.learning_rate, ")");
    result.bound_reached = result.bound_reached || progress.loss_forget == 0;
    if (checkpoints.due && checkpoints.due()) checkpoints.save(run.save());
    require(observer(progress), Code::kCancelled, "cancelled at step ", s + 1, " of ",
            progress.total_steps);
  }

  require(at::isfinite(lora.values()).all().item<bool>(), Code::kNumeric,
          "the LoRA matrices hold NaN or infinity after step ", progress.step,
          "; lower learning_rate (", config.learning_rate, ")");

  // (g) Groups by their effect; what has none is really zero from here on.
  if (!search) take_average();
  const std::vector<GroupEffect> effects = group_effects(lora, t.start);
  for (size_t g = 0; g < effects.size(); ++g) {
    const LoraGroup& group = lora.groups()[g];
    const bool kept = effects[g].norm > 0 && effects[g].relative >= config.zero_threshold;
    if (!kept) lora.values().narrow(0, group.begin, group.end - group.begin).zero_();
    result.groups.push_back({group.name, kept, effects[g]});
  }
}

}  // namespace lethe
