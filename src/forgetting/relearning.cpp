#include "forgetting/relearning.h"

#include <ATen/ATen.h>

#include <cmath>

#include "data/loader.h"
#include "evaluation/accuracy.h"
#include "forgetting/adamw.h"
#include "support/error.h"

namespace lethe {
namespace {

void check(const Dataset& forget, const Dataset& retain, const Dataset& held_out,
           double base_accuracy, const RelearningOptions& options) {
  const auto positive = [](const char* name, double value) {
    require(value > 0 && std::isfinite(value), Code::kInvalidArgument, "relearning's ", name,
            " is ", value, ", it must be above 0");
  };
  positive("shots", static_cast<double>(options.shots));
  positive("batch", static_cast<double>(options.batch));
  positive("check_every", static_cast<double>(options.check_every));
  positive("learning_rate", options.learning_rate);
  positive("fraction", options.fraction);
  positive("base accuracy", base_accuracy);
  require(options.fraction <= 1, Code::kInvalidArgument, "relearning's fraction is ",
          options.fraction, ", it must be 1 or less");
  require(base_accuracy <= 100, Code::kInvalidArgument, "relearning's base accuracy is ",
          base_accuracy, " percent, it must be 100 or less");
  require(options.weight_decay >= 0 && std::isfinite(options.weight_decay), Code::kInvalidArgument,
          "relearning's weight_decay is ", options.weight_decay, ", it must be 0 or more");
  require(options.max_steps >= 0, Code::kInvalidArgument, "relearning's max_steps is ",
          options.max_steps, ", it must be 0 or more");
  require(forget.size() > 0 && retain.size() > 0 && held_out.size() > 0, Code::kInvalidArgument,
          "relearning has ", forget.size(), " samples to forget, ", retain.size(),
          " to retain and ", held_out.size(), " held out; it needs some of each");
}

/// The batches of a run: shots of the forgotten classes, and as many retained samples.
class Batches {
 public:
  Batches(const Dataset& forget, const Dataset& retain, const RelearningOptions& options)
      : shots_(forget.few_shot(options.shots, stream(options, "shots").next())),
        retain_(retain),
        shot_order_(shots_.size(), options.batch, stream(options, "forget order")),
        retain_order_(retain.size(), 1, stream(options, "retain order")) {}

  Batch next() {
    const std::vector<int64_t> shots = shot_order_.next();
    std::vector<int64_t> retained(shots.size());
    for (int64_t& position : retained) position = retain_order_.next().front();
    const Batch f = shots_.batch(shots), r = retain_.batch(retained);
    return {at::cat({f.images, r.images}), at::cat({f.labels, r.labels})};
  }

 private:
  static RandomStream stream(const RelearningOptions& options, const char* purpose) {
    return {static_cast<uint64_t>(options.seed), str("relearning ", purpose)};
  }

  Dataset shots_;
  const Dataset& retain_;
  Loader shot_order_, retain_order_;
};

}  // namespace

RelearningResult relearn(const Classifier& model, const Weights& start, const Dataset& forget,
                         const Dataset& retain, const Dataset& held_out, double base_accuracy,
                         const RelearningOptions& options) {
  check(forget, retain, held_out, base_accuracy, options);
  Weights weights;
  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : start) {
    weights[name] = tensor.detach().clone().requires_grad_(true);
    parameters.push_back(weights[name]);
  }
  const at::Device device = parameters.at(0).device();
  AdamW optimizer(parameters);
  Batches batches(forget, retain, options);
  EvaluationOptions evaluation;
  evaluation.margin = options.margin;
  evaluation.cancelled = options.cancelled;

  RelearningResult result;
  while (true) {
    if (result.steps % options.check_every == 0 || result.steps == options.max_steps) {
      const double now = *class_accuracy(model, weights, held_out, evaluation).percent();
      result.curve.push_back({result.steps, now});
      result.reached = now >= options.fraction * base_accuracy;
    }
    if (result.reached || result.steps == options.max_steps) return result;
    require(!options.cancelled || !options.cancelled(), Code::kCancelled,
            "cancelled while relearning at step ", result.steps + 1, " of ", options.max_steps);
    const Batch batch = batches.next();
    const at::Tensor labels = batch.labels.to(device);
    const at::Tensor embeddings = model.embed(weights, batch.images.to(device));
    const at::Tensor loss =
        at::cross_entropy_loss(model.head(weights).scores(embeddings, labels), labels);
    ++result.steps;
    const auto value = loss.item<double>();
    require(std::isfinite(value), Code::kNumeric, "the loss is ", value, " at step ", result.steps,
            " of relearning; lower its learning_rate (", options.learning_rate, ")");
    loss.backward();
    optimizer.step(options.learning_rate, options.weight_decay);
  }
}

}  // namespace lethe
