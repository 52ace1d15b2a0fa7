#include "forgetting/lora_step.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace lethe {
namespace {

StepSavings savings_of(const ForgetConfig& config) {
  StepSavings savings;
  savings.class_token_only = config.fast & kFastClassToken;
  savings.fused_attention = config.fast & kFastFusedAttention;
  savings.folded_lora = config.fast & kFastFoldedLora;
  return savings;
}

}  // namespace

LoraStep::LoraStep(const Classifier& model, const Weights& start, LoraParameters& lora,
                   const ForgetConfig& config, const Prototypes* prototypes, double dropout,
                   at::Generator generator)
    : model_(model),
      start_(start),
      lora_(lora),
      config_(config),
      prototypes_(prototypes),
      head_(model.head(start)),
      network_(make_lora_network(model, start, lora, savings_of(config), dropout, generator)) {
  if (!(config.fast & kFastOnePass)) {
    second_ = make_lora_network(model, start, lora, savings_of(config), dropout, generator);
  }
}

at::Tensor LoraStep::prefix(const at::Tensor& images) const {
  const at::NoGradGuard no_grad;
  return network_->prefix(model_.tokens(start_, images));
}

LossTerms LoraStep::run(const at::Tensor& forget_prefix, const at::Tensor& forget_labels,
                        const at::Tensor& retain_prefix, const at::Tensor& retain_labels) {
  const int64_t forget = forget_prefix.size(0), retain = retain_prefix.size(0);
  {
    const at::NoGradGuard no_grad;
    if (second_) {
      retain_embeddings_ = network_->forward(retain_prefix);
      forget_embeddings_ = second_->forward(forget_prefix);
    } else {
      const at::Tensor both = network_->forward(at::cat({forget_prefix, retain_prefix}));
      forget_embeddings_ = both.narrow(0, 0, forget);
      retain_embeddings_ = both.narrow(0, forget, retain);
    }
  }
  const at::AutoGradMode gradients(true);
  at::Tensor forget_leaf = forget_embeddings_.detach().requires_grad_(true);
  at::Tensor retain_leaf = retain_embeddings_.detach().requires_grad_(true);
  LossTerms terms =
      losses(head_, prototypes_, config_, forget_leaf, forget_labels, retain_leaf, retain_labels);
  terms.trained.backward();

  const at::NoGradGuard no_grad;
  lora_.gradients().zero_();
  if (second_) {
    network_->backward(retain_leaf.grad());
    second_->backward(forget_leaf.grad());
  } else {
    network_->backward(at::cat({forget_leaf.grad(), retain_leaf.grad()}));
  }
  return terms;
}

}  // namespace lethe
