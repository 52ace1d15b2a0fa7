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

class PenaltyObjective final : public Objective {
 public:
  PenaltyObjective(const Preparation& preparation, std::vector<Term> terms)
      : trained_(preparation.trained),
        terms_(std::move(terms)),
        lambda_(preparation.task.config.penalty_weight) {}

  std::vector<Visit> visits(int64_t) const override { return {Visit::kUnion}; }

  at::Tensor loss(const TrainingStep& step) override {
    const auto forget = static_cast<double>(step.forget.size());
    const auto retain = static_cast<double>(step.retain.size());
    at::Tensor loss =
        (forget * step.forget.cross_entropy() + retain * step.retain.cross_entropy()) /
        (forget + retain);
    for (const Term& term : terms_) {
      loss = loss + lambda_ * moved_penalty(trained_, term.omega, term.anchor);
    }
    return loss;
  }

  Weights importance() const override { return terms_.back().omega; }

 private:
  std::vector<std::pair<std::string, at::Tensor>> trained_;
  std::vector<Term> terms_;  ///< this task's last
  double lambda_;
};

}  // namespace

Weights importance_of(const Preparation& preparation, const Dataset& samples,
                      const ImportanceRule& rule) {
  const ForgetTask& task = preparation.task;
  const Classifier& model = task.base->classifier();
  Loader order(samples.size(), task.config.retain_batch,
               RandomStream(static_cast<uint64_t>(task.config.seed),
                            str("task ", task.index, " importance order")));
  Weights sums;
  for (const auto& [name, leaf] : preparation.trained) sums[name] = at::zeros_like(leaf.detach());
  const int64_t batches = order.batches_per_epoch();
  for (int64_t i = 0; i < batches; ++i) {
    require(!task.cancelled || !task.cancelled(), Code::kCancelled,
            "cancelled while computing how much each weight matters");
    const Batch batch = samples.batch(order.next());
    const at::Tensor labels = batch.labels.to(task.base->device());
    const at::Tensor embeddings =
        model.embed(preparation.weights, batch.images.to(task.base->device()));
    rule.loss(model.head(preparation.weights).scores(embeddings, labels), labels).backward();
    for (const auto& [name, leaf] : preparation.trained) {
      at::Tensor& gradient = leaf.mutable_grad();
      if (gradient.defined()) sums[name] += rule.share(gradient, labels.size(0));
      gradient = at::Tensor();
    }
  }
  for (auto& [name, sum] : sums) sum /= static_cast<double>(batches);
  return sums;
}

at::Tensor moved_penalty(const std::vector<std::pair<std::string, at::Tensor>>& trained,
                         const Weights& omega, const Weights& anchor) {
  std::vector<at::Tensor> parts;
  for (const auto& [name, leaf] : trained) {
    const at::Tensor moved = (leaf - anchor.at(name)).square();
    parts.push_back((omega.empty() ? moved : moved * omega.at(name)).sum());
  }
  return at::stack(parts).sum();
}

std::unique_ptr<Objective> PenaltyMethod::objective(const Preparation& preparation) const {
  const ForgetTask& task = preparation.task;
  std::vector<Term> terms;
  if (task.earlier) {
    for (EarlierTask& earlier : task.earlier()) {
      if (earlier.method != name_) continue;
      terms.push_back({std::move(earlier.importance), std::move(earlier.start)});
    }
  }
  // The paper's code takes its budget of samples for the first task's importance alone.
  const bool whole = task.config.form == Form::kReference && task.index > 0;
  Term present{{}, task.start};
  if (rule_) {
    present.omega =
        importance_of(preparation, whole ? task.retain : preparation.samples.retain, *rule_);
  }
  terms.push_back(std::move(present));
  return std::make_unique<PenaltyObjective>(preparation, std::move(terms));
}

}  // namespace lethe
