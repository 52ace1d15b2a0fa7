#include "forgetting/losses.h"

#include <ATen/ATen.h>

namespace lethe {

Prototypes::Prototypes(const at::Tensor& prototypes)
    : log_probabilities(at::log_softmax(prototypes, 1)), probabilities(at::softmax(prototypes, 1)) {}

at::Tensor prototype_distance(const Prototypes& prototypes, const at::Tensor& embeddings,
                              const at::Tensor& labels) {
  // One gather, no loop over samples. The difference of logarithms comes first: early in a task p and
  // q nearly agree, and sum p log p - sum p log q would lose all digits.
  const at::Tensor p = prototypes.probabilities.index_select(0, labels);
  const at::Tensor log_p = prototypes.log_probabilities.index_select(0, labels);
  return (p * (log_p - at::log_softmax(embeddings, 1))).sum(1).mean();
}

at::Tensor bounded_forget_loss(const at::Tensor& cross_entropy, double bound) {
  return at::relu(bound - cross_entropy);
}

LossTerms losses(const Head& head, const Prototypes* prototypes, const ForgetConfig& config,
                 const at::Tensor& forget_embeddings, const at::Tensor& forget_labels,
                 const at::Tensor& retain_embeddings, const at::Tensor& retain_labels) {
  LossTerms t;
  const at::Tensor forget_scores = head.scores(forget_embeddings, forget_labels);
  const at::Tensor retain_scores = head.scores(retain_embeddings, retain_labels);
  t.ce_forget = at::cross_entropy_loss(forget_scores, forget_labels);
  t.ce_retain = at::cross_entropy_loss(retain_scores, retain_labels);
  t.forget = bounded_forget_loss(t.ce_forget, config.forget_bound);
  t.trained = t.ce_retain + config.forget_weight * t.forget;
  if (prototypes) {
    t.prototype_forget = prototype_distance(*prototypes, forget_embeddings, forget_labels);
    t.prototype_retain = prototype_distance(*prototypes, retain_embeddings, retain_labels);
    t.prototype =
        config.prototype_forget_weight *
            bounded_forget_loss(t.prototype_forget, config.prototype_bound) +
        config.prototype_retain_weight * t.prototype_retain;
    t.trained = t.trained + t.prototype;
  }
  const auto hits = [](const at::Tensor& scores, const at::Tensor& labels) {
    return scores.argmax(1).eq(labels).to(at::kFloat).mean();
  };
  t.hits_forget = hits(forget_scores, forget_labels);
  t.hits_retain = hits(retain_scores, retain_labels);
  return t;
}

}  // namespace lethe
