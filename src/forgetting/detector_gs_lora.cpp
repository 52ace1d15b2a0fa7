#include "forgetting/detector_gs_lora.h"

#include <ATen/ATen.h>

#include "evaluation/class_precision.h"
#include "forgetting/detector_samples.h"
#include "forgetting/lora_run.h"
#include "forgetting/samples.h"
#include "support/error.h"

namespace lethe {
namespace {

StepFigures figures_of(const DetectionLosses& losses) {
  return {.trained = losses.trained.item<double>(),
          .forget = losses.forget_total.item<double>(),
          .retain = losses.retain_total.item<double>(),
          .prototype = losses.prototype.defined() ? losses.prototype.item<double>() : NAN};
}

/// AP in percent on the drawn images, with W + s B A.
SparsestSearch::Figures training_precisions(const DetectorTask& task, const LoraParameters& lora,
                                            const DetectorTaskSamples& samples) {
  const DeformableDetr& model = task.base->detector();
  const Weights weights = lora.merged_into(task.start);
  EvaluationOptions options;
  options.cancelled = task.cancelled;
  return {class_precision(model, weights, samples.forget, options).percent().value(),
          class_precision(model, weights, samples.retain, options).percent().value()};
}

class DetectorGsLora final : public DetectorMethod {
 public:
  ForgetResult run(const DetectorTask& task, const Observer& observer,
                   const Checkpoints& checkpoints) const override;
};

ForgetResult DetectorGsLora::run(const DetectorTask& task, const Observer& observer,
                                 const Checkpoints& checkpoints) const {
  const ForgetConfig& config = task.config;
  const DeformableDetr& model = task.base->detector();
  const auto stream = [&](const char* name) {
    return RandomStream(static_cast<uint64_t>(config.seed), str("task ", task.index, " ", name));
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

  // (b) The task's images.
  const DetectorTaskSamples samples = draw_samples(task);
  result.forget_samples = samples.forget.size();
  result.retain_samples = samples.retain.size();

  // (c) Prototypes: the classifier's rows (section 8.5).
  std::optional<Prototypes> prototypes;
  if (config.method == MethodKind::kGsLoraPlusPlus &&
      (config.prototype_forget_weight > 0 || config.prototype_retain_weight > 0)) {
    const bool original = config.prototype_source == PrototypeSource::kOriginal;
    prototypes = detector_prototypes(model, original ? task.base->weights() : task.start);
  }

  const double dropout = config.dropout < 0 ? model.spec().dropout : config.dropout;
  at::Generator dropout_generator = stream("dropout").generator();
  const ResNet backbone = model.backbone(task.start);
  DetectorStep step(model, task.start, lora, config, prototypes ? &*prototypes : nullptr, {},
                    dropout, dropout_generator);
  const int64_t budget = (config.fast & kFastPrefixCache) ? config.prefix_cache_bytes / 2 : 0;
  const c10::Device device = task.base->device();
  DetectorSamples forget(samples.forget, model, backbone, device, budget);
  DetectorSamples retain(samples.retain, model, backbone, device, budget);
  const int64_t frozen = std::min(lora.first_block(), model.encoder_blocks());
  for (DetectorSamples* images : {&forget, &retain}) {
    if (config.augment) {
      images->augment(dropout_generator);  // what is drawn is kept with a checkpoint, as dropout's
    } else if (frozen > 0 && dropout == 0) {
      images->begin_after(frozen, task.start);
    }
  }

  // (e) to (g).
  Loader retain_order(samples.retain.size(), config.retain_batch, stream("retain order"));
  Loader forget_order(samples.forget.size(), config.forget_batch, stream("forget order"));
  const auto losses = [&](const std::vector<int64_t>& f, const std::vector<int64_t>& r) {
    const DetectorInput forgotten = forget.at(f), retained = retain.at(r);
    return figures_of(step.run(forgotten, retained));
  };
  run_lora({config, task.start, lora, forget_order, retain_order, dropout_generator, losses,
            [&] { return training_precisions(task, lora, samples); }},
           result, observer, checkpoints);
  return result;
}

}  // namespace

const DetectorMethod& detector_gs_lora() {
  static const DetectorGsLora method;
  return method;
}

}  // namespace lethe
