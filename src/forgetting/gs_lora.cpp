// GS-LoRA and GS-LoRA++ (arXiv 2403.11530, 2501.09705): the order of one task is that of
// algorithm.md 5.5, its losses are in losses.h, its sparsity in adapters/group_sparsity.h.
#include "forgetting/gs_lora.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>
#include <numeric>

#include "data/loader.h"
#include "forgetting/lora_step.h"
#include "forgetting/prototypes.h"
#include "forgetting/sample_prefixes.h"
#include "forgetting/schedule.h"
#include "support/error.h"

namespace lethe {
namespace {

/// The training samples of a task: k of each class, or a share of the pool (sections 1.5, 1.6).
Dataset draw(const Dataset& all, const ForgetConfig& config, const std::string& stream) {
  const uint64_t seed = RandomStream(static_cast<uint64_t>(config.seed), stream).next();
  return config.few_shot > 0 ? all.few_shot(config.few_shot, seed)
                             : all.ratio(config.data_ratio, seed);
}

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
  }
};

void report(Progress& progress, const LossTerms& terms, double structure, double structure_weight,
            double seconds) {
  progress.loss_retain = terms.ce_retain.item<double>();
  progress.loss_forget = terms.forget.item<double>();
  progress.loss_structure = structure;
  progress.loss_prototype = terms.prototype.defined() ? terms.prototype.item<double>() : NAN;
  progress.loss = terms.trained.item<double>() + structure_weight * structure;
  const auto running = [&](double mean, const at::Tensor& hits) {
    const double now = 100 * hits.item<double>();
    return std::isnan(mean) ? now : 0.9 * mean + 0.1 * now;
  };
  progress.acc_f = running(progress.acc_f, terms.hits_forget);
  progress.acc_r = running(progress.acc_r, terms.hits_retain);
  progress.seconds = seconds;
  progress.eta_seconds = seconds / static_cast<double>(progress.step) *
                         static_cast<double>(progress.total_steps - progress.step);
}

}  // namespace

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
  result.lora = std::make_unique<LoraParameters>(model.adapter_sites(), config.rank, config.scale(),
                                                 config.grouping, task.base->device());
  LoraParameters& lora = *result.lora;
  const bool later = task.index > 0 && config.lora_init == LoraInit::kReference;
  lora.initialise(later ? 50 : 5, stream("init"));

  // (b) The task's samples.
  const Dataset forget = draw(task.forget, config, str("task ", task.index, " forget"));
  const Dataset retain = draw(task.retain, config, str("task ", task.index, " retain"));
  require(forget.size() > 0 && retain.size() > 0, Code::kInvalidArgument, "data_ratio ",
          config.data_ratio, " leaves ", forget.size(), " of ", task.forget.size(),
          " forget samples and ", retain.size(), " of ", task.retain.size(),
          " retain samples; raise it or use few_shot");
  result.forget_samples = forget.size();
  result.retain_samples = retain.size();

  // (c) Prototypes of the original model.
  std::optional<Prototypes> prototypes;
  if (config.method == MethodKind::kGsLoraPlusPlus &&
      (config.prototype_forget_weight > 0 || config.prototype_retain_weight > 0)) {
    const bool original = config.prototype_source == PrototypeSource::kOriginal;
    prototypes.emplace(class_prototypes(model, original ? task.base->weights() : task.start,
                                        {&forget, &retain}, 250, task.cancelled));
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
  progress.total_steps = config.max_steps > 0 ? config.max_steps : config.epochs * per_epoch;
  progress.groups_total = static_cast<int32_t>(lora.groups().size());
  // With max_steps the schedule's epochs are spread over those steps.
  const auto epoch_of = [&](int64_t s) { return config.epochs * s / progress.total_steps; };

  Run run{lora,          optimizer,         average,  forget_loader,
          retain_loader, dropout_generator, progress, result.bound_reached};
  if (checkpoints.resume) run.restore(*checkpoints.resume);
  const double seconds_before = progress.seconds;

  for (int64_t s = progress.step; s < progress.total_steps; ++s) {
    const int64_t epoch = epoch_of(s);
    if (s % per_epoch == 0 && s > 0) forget_loader.restart();

    const LossTerms terms = [&] {
      const auto [x_f, y_f] = forget_prefixes.at(forget_loader.next());
      const auto [x_r, y_r] = retain_prefixes.at(retain_loader.next());
      return step.run(x_f, y_f, x_r, y_r);
    }();
    const std::vector<double> norms = group_norms(lora);
    const double structure = std::accumulate(norms.begin(), norms.end(), 0.0);

    const bool sparse = epoch >= config.structure_start_epoch;
    GroupSparseAdamW::Step update{schedule.at(static_cast<double>(epoch)), config.weight_decay};
    if (sparse && config.sparsity == Sparsity::kSubgradient) {
      update.structure_weight = config.structure_weight;
    } else if (sparse) {
      update.proximal_weight = config.proximal_weight;
    }
    optimizer.step(update);
    if (epoch_of(s + 1) != epoch) average.end_of_epoch(epoch, lora.values());

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
  if (average.defined()) {
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

}  // namespace lethe
