#include "forgetting/weight_training.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "data/loader.h"
#include "forgetting/detector_weights.h"
#include "forgetting/schedule.h"
#include "forgetting/weight_network.h"
#include "support/error.h"

namespace lethe {
namespace {

template <typename Data>
const ModelOf<Data>& model_in(const BaseModel& base) {
  if constexpr (std::is_same_v<Data, Dataset>) {
    return base.classifier();
  } else {
    return base.detector();
  }
}

/// One step of a run.
struct Turn {
  int64_t epoch;
  Visit visit;
  bool first;  ///< of its visit
};

int64_t batches(int64_t samples, int64_t batch) { return (samples - 1) / batch + 1; }

/// The turns of a run, told one after the other: there may be a thousand million.
template <typename Data>
class Plan {
 public:
  Plan(const ObjectiveOn<Data>& objective, const TaskSamplesOf<Data>& samples,
       const ForgetConfig& config)
      : objective_(objective),
        config_(config),
        forget_(samples.forget.size()),
        retain_(samples.retain.size()),
        visits_(objective.visits(0)) {}

  /// Of the whole run.
  int64_t steps() const {
    if (config_.max_steps > 0) return config_.max_steps;
    int64_t steps = 0;
    for (int64_t epoch = 0; epoch < config_.epochs; ++epoch) {
      for (const Visit visit : objective_.visits(epoch)) steps += steps_of(visit);
    }
    return steps;
  }

  Turn next() {
    const Turn turn{epoch_, visits_[visit_], step_ == 0};
    move_on(1);
    return turn;
  }
  int64_t next_epoch() const { return epoch_; }

  void skip(int64_t steps) {
    while (steps > 0) {
      const int64_t some = std::min(steps, steps_of(visits_[visit_]) - step_);
      move_on(some);
      steps -= some;
    }
  }

 private:
  int64_t steps_of(Visit visit) const {
    switch (visit) {
      case Visit::kRetain:
        return batches(retain_, config_.retain_batch);
      case Visit::kUnion:
        return batches(forget_ + retain_, config_.forget_batch);
      case Visit::kForget:
      case Visit::kBoth:
        break;
    }
    return batches(forget_, config_.forget_batch);
  }

  /// Within the visit, or to the beginning of the next one.
  void move_on(int64_t steps) {
    step_ += steps;
    if (step_ < steps_of(visits_[visit_])) return;
    step_ = 0;
    if (++visit_ < visits_.size()) return;
    visit_ = 0;
    visits_ = objective_.visits(++epoch_);
  }

  const ObjectiveOn<Data>& objective_;
  const ForgetConfig& config_;
  const int64_t forget_, retain_;  ///< samples
  int64_t epoch_ = 0, step_ = 0;   ///< of the next turn, the step within its visit
  size_t visit_ = 0;
  std::vector<Visit> visits_;  ///< of that epoch
};

/// The orders in which the samples are visited.
struct Orders {
  Loader forget, retain, both;

  Orders(int64_t forget_size, int64_t retain_size, const ForgetConfig& config,
         const std::string& task)
      : forget(forget_size, config.forget_batch, stream(config, task + " forget order")),
        retain(retain_size, config.retain_batch, stream(config, task + " retain order")),
        both(forget_size + retain_size, config.forget_batch,
             stream(config, task + " union order")) {}

  static RandomStream stream(const ForgetConfig& config, const std::string& name) {
    return RandomStream(static_cast<uint64_t>(config.seed), name);
  }
  void restart() {
    forget.restart();
    retain.restart();
    both.restart();
  }
};

StepPositions next_positions(Visit visit, Orders& orders, int64_t forget_size, bool two_retain) {
  StepPositions p;
  switch (visit) {
    case Visit::kForget:
      p.forget = orders.forget.next();
      break;
    case Visit::kRetain:
      p.retain = orders.retain.next();
      break;
    case Visit::kBoth:
      p.forget = orders.forget.next();
      p.retain = orders.retain.next();
      if (two_retain) p.next_retain = orders.retain.next();
      break;
    case Visit::kUnion:
      for (const int64_t i : orders.both.next()) {
        if (i < forget_size) {
          p.forget.push_back(i);
        } else {
          p.retain.push_back(i - forget_size);
        }
      }
      break;
  }
  return p;
}

/// What changes from step to step: the whole state of a run.
template <typename Data>
struct Run {
  const TrainedWeights& trained;
  AdamW& optimizer;
  Orders& orders;
  TrainingNetwork<Data>& network;
  at::Generator& dropout;
  ObjectiveOn<Data>& objective;
  Progress& progress;

  template <typename Body>
  void visit_tensors(const Body& visit) const {
    for (size_t i = 0; i < trained.size(); ++i) {
      visit("weight " + trained[i].first, trained[i].second);
      visit("first moment " + trained[i].first, optimizer.first_moments()[i]);
      visit("second moment " + trained[i].first, optimizer.second_moments()[i]);
    }
  }

  TrainingState save() const {
    TrainingState state;
    visit_tensors(
        [&](const std::string& name, const at::Tensor& tensor) { state.put(name, tensor); });
    state.put("optimizer_steps", optimizer.steps());
    state.put("forget_order", orders.forget);
    state.put("retain_order", orders.retain);
    state.put("union_order", orders.both);
    network.save(state);
    state.put("dropout", dropout);
    state.put("progress", progress);
    objective.save(state);
    return state;
  }

  void restore(const TrainingState& state) {
    const at::NoGradGuard no_grad;
    visit_tensors([&](const std::string& name, at::Tensor tensor) { state.restore(name, tensor); });
    optimizer.set_steps(state.integer("optimizer_steps"));
    state.restore("forget_order", orders.forget);
    state.restore("retain_order", orders.retain);
    state.restore("union_order", orders.both);
    network.restore(state);
    state.restore("dropout", dropout);
    state.restore("progress", progress);
    objective.restore(state);
  }
};

/// What training added to each weight that it changed.
Weights moved(const TrainedWeights& trained, const Weights& start, int64_t step,
              const ForgetConfig& config) {
  const at::NoGradGuard no_grad;
  Weights deltas;
  for (const auto& [weight, tensor] : trained) {
    require(at::isfinite(tensor).all().item<bool>(), Code::kNumeric, "the weight ",
            in_quotes(weight), " holds NaN or infinity after step ", step,
            "; lower learning_rate (", config.learning_rate, ")");
    const at::Tensor delta = tensor - start.at(weight);
    if (delta.any().item<bool>()) deltas[weight] = delta.to(at::kCPU).contiguous();
  }
  return deltas;
}

}  // namespace

template <typename Data>
bool WeightMethodOn<Data>::trains(const ModelOf<Data>& model, const std::string& weight) const {
  return is_trained(model, weight);
}

template <typename Data>
ForgetResult WeightMethodOn<Data>::run(const TaskOn<Data>& task, const Observer& observer,
                                       const Checkpoints& checkpoints) const {
  const ForgetConfig& config = task.config;
  const ModelOf<Data>& model = model_in<Data>(*task.base);
  const auto begin = std::chrono::steady_clock::now();
  const std::string name = str("task ", task.index);
  ForgetResult result;

  const TaskSamplesOf<Data> samples = draw_samples(task);
  result.forget_samples = samples.forget.size();
  result.retain_samples = samples.retain.size();

  Weights weights = start(task);
  TrainedWeights trained;
  std::vector<at::Tensor> leaves;
  std::vector<double> rates;
  for (auto& [weight, tensor] : weights) {
    if (!trains(model, weight)) continue;
    tensor = tensor.detach().clone().requires_grad_(true);
    trained.emplace_back(weight, tensor);
    leaves.push_back(tensor);
    rates.push_back(rate_factor(model, weight));
    result.trained_parameters += tensor.numel();
  }

  const PreparationOn<Data> preparation{task, samples, weights, trained};
  const auto objective = this->objective(preparation);
  AdamW optimizer(leaves, std::move(rates));
  const CosineSchedule schedule{config.learning_rate, config.min_learning_rate, config.epochs,
                                config.warmup_epochs};
  Orders orders(samples.forget.size(), samples.retain.size(), config, name);
  at::Generator dropout = Orders::stream(config, name + " dropout").generator();
  TrainingNetwork<Data> network(preparation, *objective, dropout);

  Plan<Data> plan(*objective, samples, config);
  Progress& progress = result.last;
  progress.total_steps = plan.steps();
  Run<Data> run{trained, optimizer, orders, network, dropout, *objective, progress};
  if (checkpoints.resume) run.restore(*checkpoints.resume);
  const double seconds_before = progress.seconds;
  plan.skip(progress.step);

  for (int64_t s = progress.step; s < progress.total_steps; ++s) {
    const Turn turn = plan.next();
    if (turn.first) orders.restart();
    StepPositions positions = next_positions(turn.visit, orders, samples.forget.size(),
                                             objective->takes_two_retain_batches());
    const auto step =
        at_step(s + 1, [&] { return network.forward(turn.epoch, std::move(positions)); });
    const at::Tensor loss = at_step(s + 1, [&] { return objective->loss(step); });
    loss.backward();
    objective->edit_gradients();
    if (config.gradient_clip > 0) clip_gradients(leaves, config.gradient_clip);
    // With max_steps the schedule's epochs are spread over those steps.
    const int64_t epoch =
        config.max_steps > 0 ? config.epochs * s / progress.total_steps : turn.epoch;
    const double rate =
        objective->learning_rate(epoch).value_or(schedule.at(static_cast<double>(epoch)));
    optimizer.step(rate, config.weight_decay, objective->couples_weight_decay());
    if (s + 1 == progress.total_steps || plan.next_epoch() != turn.epoch) {
      objective->end_of_epoch(turn.epoch);
    }

    progress.step = s + 1;
    const at::NoGradGuard no_grad;
    progress.loss = loss.item<double>();
    at_step(s + 1, [&] { network.report(progress, step); });
    set_times(progress,
              seconds_before +
                  std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    require(std::isfinite(progress.loss), Code::kNumeric, "the loss is ", progress.loss,
            " at step ", s + 1, "; lower learning_rate (", config.learning_rate, ")");
    if (checkpoints.due && checkpoints.due()) checkpoints.save(run.save());
    require(observer(progress), Code::kCancelled, "cancelled at step ", s + 1, " of ",
            progress.total_steps);
  }

  result.delta = moved(trained, task.start, progress.step, config);
  result.importance = objective->importance();
  return result;
}

template class WeightMethodOn<Dataset>;
template class WeightMethodOn<DetectionDataset>;

void weight_defaults(ForgetConfig& config, HeadKind head) {
  config.prototype_forget_weight = 0;
  config.structure_weight = 0;
  config.learning_rate = by_head(head, 1e-4, 1e-4, 6e-4);
  if (head == HeadKind::kDetection) config.min_learning_rate = config.learning_rate;
}

}  // namespace lethe
