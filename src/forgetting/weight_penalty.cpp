#include "forgetting/weight_penalty.h"

#include <ATen/ATen.h>

#include "data/loader.h"
#include "support/error.h"

namespace lethe {
namespace {

/// One k of the sum.
struct Term {
  Weights omega, anchor;
};

template <typename Data>
class PenaltyObjective final : public ObjectiveOn<Data> {
 public:
  PenaltyObjective(const PreparationOn<Data>& preparation, std::vector<Term> terms)
      : trained_(preparation.trained),
        terms_(std::move(terms)),
        lambda_(preparation.task.config.penalty_weight) {}

  std::vector<Visit> visits(int64_t) const override { return {Visit::kUnion}; }

  at::Tensor loss(const TrainingStepOn<Data>& step) override {
    const auto forget = static_cast<double>(step.forget.size());
    const auto retain = static_cast<double>(step.retain.size());
    at::Tensor loss = (forget * step.forget.target_loss() + retain * step.retain.target_loss()) /
                      (forget + retain);
    for (const Term& term : terms_) {
      loss = loss + lambda_ * moved_penalty(trained_, term.omega, term.anchor);
    }
    return loss;
  }

  Weights importance() const override { return terms_.back().omega; }

 private:
  TrainedWeights trained_;
  std::vector<Term> terms_;  ///< this task's last
  double lambda_;
};

/// `loss_of`: what is differentiated of the samples at these positions.
template <typename Data, typename LossOf>
Weights mean_shares(const PreparationOn<Data>& preparation, int64_t samples,
                    const ImportanceRule& rule, const LossOf& loss_of) {
  const TaskOn<Data>& task = preparation.task;
  Loader order(samples, task.config.retain_batch,
               RandomStream(static_cast<uint64_t>(task.config.seed),
                            str("task ", task.index, " importance order")));
  Weights sums;
  for (const auto& [name, leaf] : preparation.trained) sums[name] = at::zeros_like(leaf.detach());
  const int64_t batches = order.batches_per_epoch();
  for (int64_t i = 0; i < batches; ++i) {
    require(!task.cancelled || !task.cancelled(), Code::kCancelled,
            "cancelled while computing how much each weight matters");
    const std::vector<int64_t> positions = order.next();
    loss_of(positions).backward();
    for (const auto& [name, leaf] : preparation.trained) {
      at::Tensor& gradient = leaf.mutable_grad();
      if (gradient.defined()) {
        sums[name] += rule.share(gradient, static_cast<int64_t>(positions.size()));
      }
      gradient = at::Tensor();
    }
  }
  for (auto& [name, sum] : sums) sum /= static_cast<double>(batches);
  return sums;
}

/// What an earlier task of the method left came from a file: it must speak of every weight.
void check_importance(const EarlierTask& earlier, const TrainedWeights& trained) {
  for (const auto& [name, leaf] : trained) {
    const auto found = earlier.importance.find(name);
    require(found != earlier.importance.end() && found->second.sizes() == leaf.sizes(),
            Code::kCorrupt, "an adapter of the method \"", earlier.method,
            "\" does not say how much ", in_quotes(name),
            " matters; attach it from an undamaged file, or use another method");
  }
}

}  // namespace

Weights importance_of(const Preparation& preparation, const Dataset& samples,
                      const ImportanceRule& rule) {
  const BaseModel& base = *preparation.task.base;
  const Classifier& model = base.classifier();
  return mean_shares(preparation, samples.size(), rule, [&](const std::vector<int64_t>& positions) {
    const Batch batch = samples.batch(positions);
    const at::Tensor labels = batch.labels.to(base.device());
    const at::Tensor embeddings = model.embed(preparation.weights, batch.images.to(base.device()));
    return rule.loss(model.head(preparation.weights).scores(embeddings, labels), labels);
  });
}

Weights importance_of(const DetectorPreparation& preparation, const DetectionDataset& samples,
                      const ImportanceRule& rule) {
  const DetectorTask& task = preparation.task;
  const DeformableDetr& model = task.base->detector();
  const ResNet backbone = model.backbone(task.start);
  DetectorSamples images(samples, model, backbone, task.base->device(), /*budget=*/0);
  return mean_shares(preparation, samples.size(), rule, [&](const std::vector<int64_t>& positions) {
    return rule.detector_loss(
        detector_part(model, preparation.weights, images.at(positions), positions));
  });
}

Weights salient(const Weights& importance) {
  std::vector<at::Tensor> sizes;
  for (const auto& [name, tensor] : importance) sizes.push_back(tensor.abs().flatten());
  const at::Tensor all = at::cat(sizes);
  const at::Tensor median = std::get<0>(all.kthvalue(all.numel() / 2 + 1));
  Weights masks;
  for (const auto& [name, tensor] : importance) {
    masks[name] = tensor.abs().ge(median).to(tensor.scalar_type());
  }
  return masks;
}

at::Tensor moved_penalty(const TrainedWeights& trained, const Weights& omega,
                         const Weights& anchor) {
  std::vector<at::Tensor> parts;
  for (const auto& [name, leaf] : trained) {
    const at::Tensor moved = (leaf - anchor.at(name)).square();
    parts.push_back((omega.empty() ? moved : moved * omega.at(name)).sum());
  }
  return at::stack(parts).sum();
}

template <typename Data>
std::unique_ptr<ObjectiveOn<Data>> PenaltyMethodOn<Data>::objective(
    const PreparationOn<Data>& preparation) const {
  const TaskOn<Data>& task = preparation.task;
  std::vector<Term> terms;
  if (task.earlier) {
    for (EarlierTask& earlier : task.earlier()) {
      if (earlier.method != name_) continue;
      if (rule_) check_importance(earlier, preparation.trained);
      for (auto& [weight, omega] : earlier.importance) omega = omega.to(task.base->device());
      terms.push_back({std::move(earlier.importance), std::move(earlier.start)});
    }
  }
  // The paper's code for classifiers takes its budget of samples for the first task's importance
  // alone; the one for detectors always does.
  const bool whole =
      std::is_same_v<Data, Dataset> && task.config.form == Form::kReference && task.index > 0;
  Term present{{}, task.start};
  if (rule_) {
    present.omega =
        importance_of(preparation, whole ? task.retain : preparation.samples.retain, *rule_);
  }
  terms.push_back(std::move(present));
  return std::make_unique<PenaltyObjective<Data>>(preparation, std::move(terms));
}

template class PenaltyMethodOn<Dataset>;
template class PenaltyMethodOn<DetectionDataset>;

}  // namespace lethe
