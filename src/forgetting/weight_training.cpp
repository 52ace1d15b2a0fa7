#include "forgetting/weight_training.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cmath>

#include "data/loader.h"
#include "forgetting/schedule.h"
#include "support/error.h"

namespace lethe {
namespace {

/// One step of the plan of a run.
struct Turn {
  int64_t epoch;
  Visit visit;
  bool first;  ///< of its visit
};

int64_t batches(int64_t samples, int64_t batch) { return (samples - 1) / batch + 1; }

std::vector<Turn> plan(const Objective& objective, const TaskSamples& samples,
                       const ForgetConfig& config) {
  const int64_t forget = samples.forget.size(), retain = samples.retain.size();
  const auto steps_of = [&](Visit visit) {
    switch (visit) {
      case Visit::kRetain:
        return batches(retain, config.retain_batch);
      case Visit::kUnion:
        return batches(forget + retain, config.forget_batch);
      case Visit::kForget:
      case Visit::kBoth:
        break;
    }
    return batches(forget, config.forget_batch);
  };
  std::vector<Turn> turns;
  const auto full = [&] {
    return config.max_steps > 0 && static_cast<int64_t>(turns.size()) >= config.max_steps;
  };
  for (int64_t epoch = 0; !full() && (config.max_steps > 0 || epoch < config.epochs); ++epoch) {
    for (const Visit visit : objective.visits(epoch)) {
      const int64_t steps = steps_of(visit);
      for (int64_t s = 0; s < steps && !full(); ++s) turns.push_back({epoch, visit, s == 0});
    }
  }
  return turns;
}

/// The orders in which the samples are visited.
struct Orders {
  Loader forget, retain, both;

  Orders(const TaskSamples& samples, const ForgetConfig& config, const std::string& task)
      : forget(samples.forget.size(), config.forget_batch, stream(config, task + " forget order")),
        retain(samples.retain.size(), config.retain_batch, stream(config, task + " retain order")),
        both(samples.forget.size() + samples.retain.size(), config.forget_batch,
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

/// Positions of a step's samples in the drawn sets.
struct Positions {
  std::vector<int64_t> forget, retain, next_retain;
};

Positions next_positions(Visit visit, Orders& orders, int64_t forget_size, bool two_retain) {
  Positions p;
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

/// The forward pass of a step: all its parts at once, since no layer looks across a batch.
class Network {
 public:
  Network(const Classifier& model, const Weights& weights, at::Device device, double dropout,
          at::Generator& generator, size_t middle)
      : model_(model), weights_(weights), device_(device), middle_(middle) {
    options_.dropout = dropout;
    options_.generator = &generator;
  }

  void add(Part& part, const Dataset& samples, std::vector<int64_t> positions) {
    if (positions.empty()) return;
    const Batch batch = samples.batch(positions);
    images_.push_back(batch.images);
    part.labels = part.targets = batch.labels.to(device_);
    part.positions = std::move(positions);
    parts_.push_back(&part);
  }

  void run() {
    const at::Tensor tokens = model_.tokens(weights_, at::cat(images_).to(device_));
    const Transformer transformer = model_.transformer(weights_);
    const Head head = model_.head(weights_);
    const at::Tensor middle =
        run_blocks(dropout(tokens, options_), transformer, 0, middle_, options_);
    const at::Tensor top =
        run_blocks(middle, transformer, middle_, transformer.blocks.size(), options_);
    const at::Tensor embeddings = layer_norm(top.select(1, 0), transformer.final_norm);
    int64_t begin = 0;
    for (Part* part : parts_) {
      const int64_t count = part->labels.size(0);
      part->embeddings = embeddings.narrow(0, begin, count);
      part->scores = head.scores(part->embeddings, part->targets);
      if (middle_ > 0) part->middle = middle.narrow(0, begin, count);
      begin += count;
    }
  }

 private:
  const Classifier& model_;
  const Weights& weights_;
  at::Device device_;
  size_t middle_;
  ForwardOptions options_;
  std::vector<at::Tensor> images_;
  std::vector<Part*> parts_;
};

/// What changes from step to step: the whole state of a run.
struct Run {
  const std::vector<std::pair<std::string, at::Tensor>>& trained;
  AdamW& optimizer;
  Orders& orders;
  WrongLabels& wrong;
  at::Generator& dropout;
  Objective& objective;
  Progress& progress;

  template <typename Visit>
  void visit_tensors(const Visit& visit) const {
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
    state.put("wrong_labels", wrong.stream());
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
    state.restore("wrong_labels", wrong.stream());
    state.restore("dropout", dropout);
    state.restore("progress", progress);
    objective.restore(state);
  }
};

void report(Progress& progress, const TrainingStep& step, const at::Tensor& loss) {
  const auto hits = [](const Part& part) {
    return 100 * part.scores.argmax(1).eq(part.labels).to(at::kDouble).mean().item<double>();
  };
  progress.loss = loss.item<double>();
  if (!step.forget.empty()) {
    progress.loss_forget = step.forget.cross_entropy().item<double>();
    progress.acc_f = running_accuracy(progress.acc_f, hits(step.forget));
  }
  if (!step.retain.empty()) {
    progress.loss_retain = step.retain.cross_entropy().item<double>();
    progress.acc_r = running_accuracy(progress.acc_r, hits(step.retain));
  }
}

}  // namespace

const at::Tensor& Part::cross_entropy() const {
  if (!cross_entropy_.defined()) {
    cross_entropy_ = empty() ? at::zeros({}) : at::cross_entropy_loss(scores, targets);
  }
  return cross_entropy_;
}

bool WeightMethod::trains(const Classifier& model, const std::string& weight) const {
  return model.block_of(weight) <= model.spec().depth;
}

ForgetResult WeightMethod::run(const ForgetTask& task, const Observer& observer,
                               const Checkpoints& checkpoints) const {
  const ForgetConfig& config = task.config;
  const Classifier& model = task.base->classifier();
  const auto begin = std::chrono::steady_clock::now();
  const std::string name = str("task ", task.index);
  ForgetResult result;

  const TaskSamples samples = draw_samples(task);
  result.forget_samples = samples.forget.size();
  result.retain_samples = samples.retain.size();

  Weights weights = start(task);
  std::vector<std::pair<std::string, at::Tensor>> trained;
  std::vector<at::Tensor> leaves;
  for (auto& [weight, tensor] : weights) {
    if (!trains(model, weight)) continue;
    tensor = tensor.detach().clone().requires_grad_(true);
    trained.emplace_back(weight, tensor);
    leaves.push_back(tensor);
    result.trained_parameters += tensor.numel();
  }

  const auto objective = this->objective({task, samples, weights, trained});
  AdamW optimizer(leaves);
  const CosineSchedule schedule{config.learning_rate, config.min_learning_rate, config.epochs,
                                config.warmup_epochs};
  Orders orders(samples, config, name);
  WrongLabels wrong(config.form, static_cast<int64_t>(task.classes.size()),
                    samples.retain.present_classes(), Orders::stream(config, name + " labels"));
  at::Generator dropout = Orders::stream(config, name + " dropout").generator();
  const double dropout_rate = config.dropout < 0 ? model.spec().dropout : config.dropout;

  const std::vector<Turn> turns = plan(*objective, samples, config);
  Progress& progress = result.last;
  progress.total_steps = static_cast<int64_t>(turns.size());
  Run run{trained, optimizer, orders, wrong, dropout, *objective, progress};
  if (checkpoints.resume) run.restore(*checkpoints.resume);
  const double seconds_before = progress.seconds;

  for (int64_t s = progress.step; s < progress.total_steps; ++s) {
    const Turn& turn = turns[static_cast<size_t>(s)];
    if (turn.first) orders.restart();
    TrainingStep step;
    step.epoch = turn.epoch;
    Positions positions = next_positions(turn.visit, orders, samples.forget.size(),
                                         objective->takes_two_retain_batches());
    Network network(model, weights, task.base->device(), dropout_rate, dropout,
                    static_cast<size_t>(objective->middle()));
    network.add(step.forget, samples.forget, std::move(positions.forget));
    network.add(step.retain, samples.retain, std::move(positions.retain));
    network.add(step.next_retain, samples.retain, std::move(positions.next_retain));
    if (step.forget.labels.defined() && objective->relabels()) {
      step.forget.targets = wrong.draw(step.forget.labels).to(task.base->device());
    }
    network.run();

    const at::Tensor loss = objective->loss(step);
    loss.backward();
    objective->edit_gradients();
    // With max_steps the schedule's epochs are spread over those steps.
    const int64_t epoch =
        config.max_steps > 0 ? config.epochs * s / progress.total_steps : turn.epoch;
    const double rate =
        objective->learning_rate(epoch).value_or(schedule.at(static_cast<double>(epoch)));
    optimizer.step(rate, config.weight_decay, objective->couples_weight_decay());
    if (s + 1 == progress.total_steps || turns[static_cast<size_t>(s) + 1].epoch != turn.epoch) {
      objective->end_of_epoch(turn.epoch);
    }

    progress.step = s + 1;
    const at::NoGradGuard no_grad;
    report(progress, step, loss);
    set_times(progress,
              seconds_before +
                  std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    require(std::isfinite(progress.loss), Code::kNumeric, "the loss is ", progress.loss,
            " at step ", s + 1, "; lower learning_rate (", config.learning_rate, ")");
    if (checkpoints.due && checkpoints.due()) checkpoints.save(run.save());
    require(observer(progress), Code::kCancelled, "cancelled at step ", s + 1, " of ",
            progress.total_steps);
  }

  const at::NoGradGuard no_grad;
  for (const auto& [weight, tensor] : trained) {
    require(at::isfinite(tensor).all().item<bool>(), Code::kNumeric, "the weight ",
            in_quotes(weight), " holds NaN or infinity after step ", progress.step,
            "; lower learning_rate (", config.learning_rate, ")");
    const at::Tensor delta = tensor - task.start.at(weight);
    if (delta.any().item<bool>()) result.delta[weight] = delta.to(at::kCPU).contiguous();
  }
  result.importance = objective->importance();
  return result;
}

void weight_defaults(ForgetConfig& config, HeadKind) {
  config.prototype_forget_weight = 0;
  config.structure_weight = 0;
  config.learning_rate = 1e-4;
}

}  // namespace lethe
