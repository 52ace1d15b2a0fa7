// GS-LoRA and GS-LoRA++ (arXiv 2403.11530, 2501.09705) on image classifiers: the order of one task
// is that of algorithm.md 5.5, its losses are in losses.h, its training in lora_run.h, its sparsity
// in adapters/group_sparsity.h.
#include <ATen/ATen.h>

#include "evaluation/accuracy.h"
#include "forgetting/detector_gs_lora.h"
#include "forgetting/lora_run.h"
#include "forgetting/lora_step.h"
#include "forgetting/method.h"
#include "forgetting/prototypes.h"
#include "forgetting/sample_prefixes.h"
#include "forgetting/samples.h"
#include "support/error.h"

namespace lethe {
namespace {

StepFigures figures_of(const LossTerms& terms) {
  return {.trained = terms.trained.item<double>(),
          .forget = terms.forget.item<double>(),
          .retain = terms.ce_retain.item<double>(),
          .prototype = terms.prototype.defined() ? terms.prototype.item<double>() : NAN,
          .hits_forget = terms.hits_forget.item<double>(),
          .hits_retain = terms.hits_retain.item<double>()};
}

/// The embeddings that prototypes are means of.
const Weights& prototype_weights(const ForgetTask& task, Weights& random) {
  switch (task.config.prototype_source) {
    case PrototypeSource::kTaskStart:
      return task.start;
    case PrototypeSource::kRandomNetwork:  // algorithm.md 10.1
      random = task.base->classifier().random_weights(
          RandomStream(static_cast<uint64_t>(task.config.seed), "prototype network"));
      for (auto& [name, tensor] : random) tensor = tensor.to(task.base->device());
      return random;
    case PrototypeSource::kOriginal:
      break;
  }
  return task.base->weights();
}

/// Percent right of the drawn samples, with W + s B A.
SparsestSearch::Figures training_accuracies(const ForgetTask& task, const LoraParameters& lora,
                                            const Dataset& forget, const Dataset& retain) {
  const Classifier& model = task.base->classifier();
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
  const Classifier& model = task.base->classifier();
  const auto seed = static_cast<uint64_t>(config.seed);
  const auto stream = [&](const char* name) {
    return RandomStream(seed, str("task ", task.index, " ", name));
  };
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

  const double dropout = config.dropout < 0 ? model.spec().dropout : config.dropout;
  at::Generator dropout_generator = stream("dropout").generator();
  LoraStep step(model, task.start, lora, config, prototypes ? &*prototypes : nullptr, dropout,
                dropout_generator);
  const bool cache = (config.fast & kFastPrefixCache) && dropout == 0;
  const int64_t budget = cache ? config.prefix_cache_bytes : 0;
  SamplePrefixes forget_prefixes(forget, step, task.base->device(), budget);
  SamplePrefixes retain_prefixes(retain, step, task.base->device(),
                                 budget - forget_prefixes.bytes());

  // (e) to (g).
  Loader retain_order(retain.size(), config.retain_batch, stream("retain order"));
  Loader forget_order(forget.size(), config.forget_batch, stream("forget order"));
  const auto losses = [&](const std::vector<int64_t>& f, const std::vector<int64_t>& r) {
    const auto [x_f, y_f] = forget_prefixes.at(f);
    const auto [x_r, y_r] = retain_prefixes.at(r);
    return figures_of(step.run(x_f, y_f, x_r, y_r));
  };
  run_lora({config, task.start, lora, forget_order, retain_order, dropout_generator, losses,
            [&, f = forget, r = retain] { return training_accuracies(task, lora, f, r); }},
           result, observer, checkpoints);
  return result;
}

const GsLora kGsLora;

}  // namespace

MethodEntry gs_lora() {
  return {MethodKind::kGsLora,
          "gs-lora",
          "LoRA on the feed-forward layers with a bounded forgetting loss and group sparsity",
          kGsLora,
          [](ForgetConfig& config, HeadKind) { config.prototype_forget_weight = 0; },
          &detector_gs_lora()};
}

MethodEntry gs_lora_plus_plus() {
  return {MethodKind::kGsLoraPlusPlus,    "gs-lora++",
          "gs-lora with prototype terms", kGsLora,
          [](ForgetConfig&, HeadKind) {}, &detector_gs_lora()};
}

}  // namespace lethe
