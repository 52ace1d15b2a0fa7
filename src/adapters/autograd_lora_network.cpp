#include "adapters/autograd_lora_network.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace lethe {

AutogradLoraNetwork::AutogradLoraNetwork(const Classifier& model, const Weights& weights,
                                         LoraParameters& lora, StepSavings savings, double dropout,
                                         at::Generator generator)
    : model_(model),
      weights_(weights),
      leaves_(lora),
      savings_(savings),
      dropout_(dropout),
      generator_(std::move(generator)),
      first_(static_cast<size_t>(lora.first_block())) {}

ForwardOptions AutogradLoraNetwork::options(at::Generator& generator) const {
  ForwardOptions options;
  options.dropout = dropout_;
  options.generator = &generator;
  options.class_token_only = savings_.class_token_only;
  options.fused_attention = savings_.fused_attention;
  return options;
}

at::Tensor AutogradLoraNetwork::prefix(const at::Tensor& tokens) const {
  at::Generator generator = generator_;  // the same one: a generator is a shared pointer
  const ForwardOptions how = options(generator);
  const at::Tensor x = lethe::dropout(tokens, how);
  return run_blocks(x, model_.transformer(weights_), 0, first_, how);
}

at::Tensor AutogradLoraNetwork::forward(const at::Tensor& prefix) {
  embeddings_.reset();  // with the graph of the last pass
  leaves_.clear();
  const at::AutoGradMode gradients(true);
  const Transformer transformer = model_.transformer(leaves_.merge(weights_));
  const at::Tensor x =
      run_blocks(prefix, transformer, first_, transformer.blocks.size(), options(generator_));
  embeddings_ = layer_norm(x.select(1, 0), transformer.final_norm);
  return embeddings_.detach();
}

void AutogradLoraNetwork::backward(const at::Tensor& gradient) {
  embeddings_.backward(gradient, /*retain_graph=*/true);
  leaves_.collect();
}

}  // namespace lethe
