#include "forgetting/weight_network.h"

#include <ATen/ATen.h>

namespace lethe {

const at::Tensor& Part::cross_entropy() const {
  if (!cross_entropy_.defined()) {
    cross_entropy_ = empty() ? at::zeros({}) : at::cross_entropy_loss(scores, targets);
  }
  return cross_entropy_;
}

bool is_trained(const Classifier& model, const std::string& weight) {
  return model.block_of(weight) <= model.spec().depth;
}

TrainingNetwork<Dataset>::TrainingNetwork(const Preparation& preparation,
                                          const Objective& objective, at::Generator& dropout)
    : preparation_(preparation),
      objective_(objective),
      wrong_(preparation.task.config.form, static_cast<int64_t>(preparation.task.classes.size()),
             preparation.samples.retain.present_classes(),
             RandomStream(static_cast<uint64_t>(preparation.task.config.seed),
                          str("task ", preparation.task.index, " labels"))) {
  const double given = preparation.task.config.dropout;
  options_.dropout = given < 0 ? preparation.task.base->classifier().spec().dropout : given;
  options_.generator = &dropout;
}

/// All parts at once, since no layer looks across a batch.
TrainingStep TrainingNetwork<Dataset>::forward(int64_t epoch, StepPositions positions) {
  const Classifier& model = preparation_.task.base->classifier();
  const Weights& weights = preparation_.weights;
  const at::Device device = preparation_.task.base->device();
  TrainingStep step;
  step.epoch = epoch;
  std::vector<at::Tensor> images;
  std::vector<Part*> parts;
  const auto add = [&](Part& part, const Dataset& samples, std::vector<int64_t> positions) {
    if (positions.empty()) return;
    const Batch batch = samples.batch(positions);
    images.push_back(batch.images);
    part.labels = part.targets = batch.labels.to(device);
    part.positions = std::move(positions);
    parts.push_back(&part);
  };
  add(step.forget, preparation_.samples.forget, std::move(positions.forget));
  add(step.retain, preparation_.samples.retain, std::move(positions.retain));
  add(step.next_retain, preparation_.samples.retain, std::move(positions.next_retain));
  if (step.forget.labels.defined() && objective_.relabels()) {
    step.forget.targets = wrong_.draw(step.forget.labels).to(device);
  }

  const auto half = static_cast<size_t>(objective_.middle());
  const at::Tensor tokens = model.tokens(weights, at::cat(images).to(device));
  const Transformer transformer = model.transformer(weights);
  const Head head = model.head(weights);
  const at::Tensor middle = run_blocks(dropout(tokens, options_), transformer, 0, half, options_);
  const at::Tensor top = run_blocks(middle, transformer, half, transformer.blocks.size(), options_);
  const at::Tensor embeddings = layer_norm(top.select(1, 0), transformer.final_norm);
  int64_t begin = 0;
  for (Part* part : parts) {
    const int64_t count = part->labels.size(0);
    part->embeddings = embeddings.narrow(0, begin, count);
    part->scores = head.scores(part->embeddings, part->targets);
    if (half > 0) part->middle = middle.narrow(0, begin, count);
    begin += count;
  }
  return step;
}

void TrainingNetwork<Dataset>::report(Progress& progress, const TrainingStep& step) const {
  const auto hits = [](const Part& part) {
    return 100 * part.scores.argmax(1).eq(part.labels).to(at::kDouble).mean().item<double>();
  };
  if (!step.forget.empty()) {
    progress.loss_forget = step.forget.cross_entropy().item<double>();
    progress.acc_f = running_accuracy(progress.acc_f, hits(step.forget));
  }
  if (!step.retain.empty()) {
    progress.loss_retain = step.retain.cross_entropy().item<double>();
    progress.acc_r = running_accuracy(progress.acc_r, hits(step.retain));
  }
}

}  // namespace lethe
