#include "engine/pretrain_job.h"

#include <chrono>

#include "engine/environment.h"
#include "evaluation/class_precision.h"
#include "forgetting/detector_pretrain.h"
#include "forgetting/pretrain.h"
#include "support/error.h"

namespace lethe {
namespace {

Weights train(const PretrainRequest& request, const Snapshot& snapshot, const Observer& observer,
              const Checkpoints& checkpoints) {
  return pretrain(snapshot.base->classifier(), snapshot.base->weights(), request.train,
                  request.config, observer, checkpoints);
}
Weights train(const DetectorPretrainRequest& request, const Snapshot& snapshot,
              const Observer& observer, const Checkpoints& checkpoints) {
  return pretrain_detector(snapshot.base->detector(), snapshot.base->weights(), request.train,
                           request.config, observer, checkpoints);
}

/// Every class's figure under `name`.class.N, all together as `name`; in percent.
template <typename Scores>
void put_scores(Metrics& metrics, const std::string& name, const Scores& scores) {
  if (const auto percent = scores.percent()) metrics[name] = *percent;
  for (size_t c = 0; c < scores.total.size(); ++c) {
    const auto percent = scores.percent({static_cast<int64_t>(c)});
    if (percent) metrics[str(name, "_class.", c)] = *percent;
  }
}

void measure(Metrics& metrics, const Snapshot& snapshot, const Weights& weights,
             const Dataset& dataset, const EvaluationOptions& options) {
  put_scores(metrics, "acc",
             class_accuracy(snapshot.base->classifier(), weights, dataset, options));
}
void measure(Metrics& metrics, const Snapshot& snapshot, const Weights& weights,
             const DetectionDataset& dataset, const EvaluationOptions& options) {
  const ClassPrecision precision =
      class_precision(snapshot.base->detector(), weights, dataset, options);
  put_scores(metrics, "ap", precision);
  if (const auto percent = precision.percent50()) metrics["ap50"] = *percent;
}

}  // namespace

template <typename Data>
PretrainOutcome run_pretraining(const PretrainRequestOn<Data>& request, const Snapshot& snapshot,
                                const RunContext& context) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point began = Clock::now();
  check_pretraining(request, snapshot);

  Progress last;
  const auto observe = [&](const Progress& progress) {
    last = progress;
    return context.observer(progress);
  };
  PretrainOutcome outcome;
  outcome.weights = train(request, snapshot, observe, context.checkpoints);

  EvaluationOptions options;
  options.cancelled = context.cancelled;
  const Data& measured = request.validation ? *request.validation : request.train;
  Metrics metrics = {{"steps", static_cast<double>(last.step)}, {"loss", last.loss}};
  measure(metrics, snapshot, outcome.weights, measured, options);
  metrics["seconds"] = std::chrono::duration<double>(Clock::now() - began).count();
  Json context_json = {{"kind", "pretrain"},
                       {"request_id", context.request_id},
                       {"config", request.config.identity()},
                       {"measured_on", request.validation ? "validation set" : "training set"},
                       {"train_digest", request.train.content_digest()},
                       {"environment", describe_environment(context.threads)}};
  outcome.report =
      std::make_shared<const Report>(make_report(std::move(context_json), std::move(metrics)));
  return outcome;
}

template PretrainOutcome run_pretraining(const PretrainRequest&, const Snapshot&,
                                         const RunContext&);
template PretrainOutcome run_pretraining(const DetectorPretrainRequest&, const Snapshot&,
                                         const RunContext&);

}  // namespace lethe
