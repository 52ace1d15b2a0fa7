#include "engine/pretrain_job.h"

#include <chrono>

#include "engine/environment.h"
#include "forgetting/pretrain.h"
#include "support/error.h"

namespace lethe {

PretrainOutcome run_pretraining(const PretrainRequest& request, const Snapshot& snapshot,
                                const RunContext& context) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point began = Clock::now();
  check_pretraining(request, snapshot);
  const Model& model = snapshot.base->model();

  Progress last;
  const auto observe = [&](const Progress& progress) {
    last = progress;
    return context.observer(progress);
  };
  PretrainOutcome outcome;
  outcome.weights = pretrain(model, snapshot.base->weights(), request.train, request.config,
                             observe, context.checkpoints);

  EvaluationOptions options;
  options.cancelled = context.cancelled;
  const Dataset& measured = request.validation ? *request.validation : request.train;
  const ClassAccuracy accuracy = class_accuracy(model, outcome.weights, measured, options);
  Metrics metrics = {{"acc", accuracy.percent().value()},
                     {"steps", static_cast<double>(last.step)},
                     {"loss", last.loss},
                     {"seconds", std::chrono::duration<double>(Clock::now() - began).count()}};
  for (size_t c = 0; c < accuracy.total.size(); ++c) {
    const auto percent = accuracy.percent({static_cast<int64_t>(c)});
    if (percent) metrics[str("acc_class.", c)] = *percent;
  }
  Json context_json = {{"kind", "pretrain"},
                       {"request_id", context.request_id},
                       {"config", request.config.to_json()},
                       {"measured_on", request.validation ? "validation set" : "training set"},
                       {"train_digest", request.train.content_digest()},
                       {"environment", describe_environment(context.threads)}};
  outcome.report =
      std::make_shared<const Report>(make_report(std::move(context_json), std::move(metrics)));
  return outcome;
}

}  // namespace lethe
