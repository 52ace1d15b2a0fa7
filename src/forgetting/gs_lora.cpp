// GS-LoRA and GS-LoRA++ (arXiv 2403.11530, 2501.09705): the order of one task is that of
// algorithm.md 5.5, its losses are in losses.h, its sparsity in adapters/group_sparsity.h.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>
#include <numeric>

#include "data/loader.h"
#include "evaluation/accuracy.h"
#include "forgetting/lora_step.h"
#include "forgetting/method.h"
#include "forgetting/prototypes.h"
#include "forgetting/sample_prefixes.h"
#include "forgetting/samples.h"
#include "forgetting/schedule.h"
#include "forgetting/structure_search.h"
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

void report(Progress& progress, const LossTerms& terms, double structure, double structure_weight,
            double seconds) {
  progress.loss_retain = terms.ce_retain.item<double>();
  progress.loss_forget = terms.forget.item<double>();
  progress.loss_structure = structure;
  progress.loss_prototype = terms.prototype.defined() ? terms.prototype.item<double>() : NAN;
  progress.loss = terms.trained.item<double>() + structure_weight * structure;
  progress.acc_f = running_accuracy(progress.acc_f, 100 * terms.hits_forget.item<double>());
  progress.acc_r = running_accuracy(progress.acc_r, 100 * terms.hits_retain.item<double>());
  set_times(progress, seconds);
}

/// The embeddings that prototypes are means of.
const Weights& prototype_weights(const ForgetTask& task, Weights& random) {
  switch (task.config.prototype_source) {
    case PrototypeSource::kTaskStart:
      return task.start;
    case PrototypeSource::kRandomNetwork:  // algorithm.md 10.1
      random = task.base->model().random_weights(
          RandomStream(static_cast<uint64_t>(task.config.seed), "prototype network"));
      for (auto& [name, tensor] : random) tensor = tensor.to(task.base->device());
      return random;
    case PrototypeSource::kOriginal:
      break;
  }
  return task.base->weights();
}

std::optional<GroupSparseAdamW::Step> step_of_training(const ForgetConfig& config,
                                                       const CosineSchedule& schedule,
                                                       int64_t epoch) {
  GroupSparseAdamW::Step step{schedule.at(static_cast<double>(epoch)), config.weight_decay};
  if (epoch < config.structure_start_epoch) return step;
  if (config.sparsity == Sparsity::kSubgradient) {
    step.structure_weight = config.structure_weight;
  } else {
    step.proximal_weight = config.proximal_weight;
  }
  return step;
}

/// Percent right of the drawn samples, with W + s B A.
SparsestSearch::Figures training_accuracies(const ForgetTask& task, const LoraParameters& lora,
                                            const Dataset& forget, const Dataset& retain) {
  const Model& model = task.base->model();
  const Weights weights = lora.merged_into(task.start);
  EvaluationOptions options;
  options.cancelled = task.cancelled;
  return {class_accuracy(model, weights, forget, options).percent().value(),
          class_accuracy(model, weights, retain, options).percent().value()};
}

/// Both methods; they differ by the prototype terms alone.
class GsLora final : public Method {
 public:
  ForgetResult run(const ForgetTask& task, const Observer& observer,
                   const Checkpoints& checkpoints) const override;
};

ForgetResult GsLora::run(const ForgetTask& task, const Observer& observer,
                         const Checkpoints& checkpoints) const {
  const ForgetConfig& config = task.config;
  const Model& model = task.base->model();
  const auto seed = static_cast<uint64_t>(config.seed);
  const auto stream = [&](const char* name) {
    return RandomStream(seed, str("task ", task.index, " ", name));
  };
  const auto begin = std::chrono::steady_clock::now();
  ForgetResult result;

  // (a) Fresh LoRA on the frozen weights that earlier tasks left.
  result.lora = std::make_unique<LoraParameters>(
      lora_sites(model, config.lora_position, config.first_block), config.rank, config.scale(),
      config.grouping, task.base->device());
  LoraParameters& lora = *result.lora;
  const bool later = task.index > 0 && config.lora_init == LoraInit::kReference;
  lora.initialise(later ? 50 : 5, stream("init"));

  result.trained_parameters = lora.values().numel();

  // (b) The task's samples.
  const auto [forget, retain] = draw_samples(task);
  result.forget_samples = forget.size();
  result.retain_samples = retain.size();

  // (c) Prototypes of the original model.
  std::optional<Prototypes> prototypes;
  if (config.method == MethodKind::kGsLoraPlusPlus &&
      (config.prototype_forget_weight > 0 || config.prototype_retain_weight > 0)) {
    Weights random;
    prototypes.emplace(class_prototypes(model, prototype_weights(task, random), {&forget, &retain},
                                        250, task.cancelled));
  }

  // (e) Fresh optimizer and schedule.
  const double dropout = config.dropout < 0 ? model.spec().dropout : config.dropout;
  at::Generator dropout_generator = stream("dropout").generator();
  LoraStep step(model, task.start, lora, config, prototypes ? &*prototypes : nullptr, dropout,
                dropout_generator);
  GroupSparseAdamW optimizer(lora);
  const CosineSchedule schedule{config.learning_rate, config.min_learning_rate, config.epochs,
                                config.warmup_epochs};
  WeightAverage average(config.average_start_epoch, config.average_decay);

  const bool cache = (config.fast & kFastPrefixCache) && dropout == 0;
  const int64_t budget = cache ? config.prefix_cache_bytes : 0;
  SamplePrefixes forget_prefixes(forget, step, task.base->device(), budget);
  SamplePrefixes retain_prefixes(retain, step, task.base->device(),
                                 budget - forget_prefixes.bytes());

  // (f) Epochs over the retain samples; the forget loader is cycled beside it (section 5.3).
  Loader retain_loader(retain.size(), config.retain_batch, stream("retain order"));
  Loader forget_loader(forget.size(), config.forget_batch, stream("forget order"));
  const int64_t per_epoch = retain_loader.batches_per_epoch();
  Progress& progress = result.last;
  const int64_t training = config.max_steps > 0 ? config.max_steps : config.epochs * per_epoch;
  progress.groups_total = static_cast<int32_t>(lora.groups().size());
  // With max_steps the schedule's epochs are spread over those steps.
  const auto epoch_of = [&](int64_t s) { return config.epochs * s / training; };

  std::unique_ptr<SparsestSearch> search;
  if (config.structure_search == StructureSearch::kSparsest) {
    search = std::make_unique<SparsestSearch>(
        lora, optimizer, config, training,
        [&] { return training_accuracies(task, lora, forget, retain); },
        [&] { return group_effects(lora, task.start); });
  }
  progress.total_steps = training + (search ? search->steps() : 0);
  Run run{lora,          optimizer,     average,
          forget_loader, retain_loader, dropout_generator,
          search.get(),  progress,      result.bound_reached};
  if (checkpoints.resume) run.restore(*checkpoints.resume);
  const double seconds_before = progress.seconds;

  for (int64_t s = progress.step; s < progress.total_steps; ++s) {
    const int64_t epoch = epoch_of(s);
    const auto next =
        s < training ? step_of_training(config, schedule, epoch) : search->next(s - training);
    if (!next) break;  // no group is left to try
    const GroupSparseAdamW::Step& update = *next;
    if (s % per_epoch == 0 && s > 0) forget_loader.restart();

    const LossTerms terms = [&] {
      const auto [x_f, y_f] = forget_prefixes.at(forget_loader.next());
      const auto [x_r, y_r] = retain_prefixes.at(retain_loader.next());
      return step.run(x_f, y_f, x_r, y_r);
    }();
    const std::vector<double> norms = group_norms(lora);
    const double structure = std::accumulate(norms.begin(), norms.end(), 0.0);

    optimizer.step(update);
    if (s < training && epoch_of(s + 1) != epoch) average.end_of_epoch(epoch, lora.values());
    if (s >= training) search->made(s - training);

    progress.step = s + 1;
    progress.groups_live = progress.groups_total - static_cast<int32_t>(optimizer.dead_groups());
    report(progress, terms, structure, update.structure_weight,
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
  if (average.defined() && !search) {
    at::Tensor values = average.mean().clone();
    for (size_t g = 0; g < lora.groups().size(); ++g) {
      const LoraGroup& group = lora.groups()[g];
      if (optimizer.dead(g)) values.narrow(0, group.begin, group.end - group.begin).zero_();
    }
    lora.values().copy_(values);
  }
  const std::vector<GroupEffect> effects = group_effects(lora, task.start);
  for (size_t g = 0; g < effects.size(); ++g) {
    const LoraGroup& group = lora.groups()[g];
    const bool kept = effects[g].norm > 0 && effects[g].relative >= config.zero_threshold;
    if (!kept) lora.values().narrow(0, group.begin, group.end - group.begin).zero_();
    result.groups.push_back({group.name, kept, effects[g]});
  }
  return result;
}

const GsLora kGsLora;

}  // namespace

MethodEntry gs_lora() {
  return {MethodKind::kGsLora, "gs-lora",
          "LoRA on the feed-forward layers with a bounded forgetting loss and group sparsity",
          kGsLora, [](ForgetConfig& config, HeadKind) { config.prototype_forget_weight = 0; }};
}

MethodEntry gs_lora_plus_plus() {
  return {MethodKind::kGsLoraPlusPlus, "gs-lora++", "gs-lora with prototype terms", kGsLora,
          [](ForgetConfig&, HeadKind) {}};
}

}  // namespace lethe
