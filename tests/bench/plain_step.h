// A GS-LoRA++ step written the reference's way, with plain autograd: what Lethe's step is measured
// against. Two forward passes, LoRA as separate products, attention matrix stored, full last block,
// one autograd reduction for each group, AdamW tensor by tensor, metrics read one by one.
#pragma once

#include <ATen/ATen.h>

#include "forgetting/adamw.h"
#include "forgetting/losses.h"
#include "models/classifier.h"

namespace lethe::bench {

class PlainStep {
 public:
  PlainStep(const Classifier& model, const Weights& weights, const LoraParameters& lora,
            const ForgetConfig& config, const at::Tensor& prototypes)
      : model_(model),
        weights_(weights),
        transformer_(model.transformer(weights)),
        head_(model.head(weights)),
        config_(config),
        prototypes_(prototypes),
        scale_(lora.scale()),
        first_block_(static_cast<size_t>(lora.sites().front().block)),
        optimizer_(copy(lora)) {}

  /// One update; returns the total loss.
  double run(const at::Tensor& forget, const at::Tensor& y_f, const at::Tensor& retain,
             const at::Tensor& y_r) {
    const at::Tensor e_r = embed(retain);
    const at::Tensor ce_r = at::cross_entropy_loss(head_.scores(e_r, y_r), y_r);
    const at::Tensor e_f = embed(forget);
    const at::Tensor ce_f = at::cross_entropy_loss(head_.scores(e_f, y_f), y_f);
    at::Tensor structure = at::zeros({});
    for (size_t i = 0; i < a_.size(); i += 2) {  // one group a block: fc1 and fc2
      structure = structure + (a_[i].square().sum() + b_[i].square().sum() +
                               a_[i + 1].square().sum() + b_[i + 1].square().sum())
                                  .sqrt();
    }
    const at::Tensor loss =
        ce_r + config_.forget_weight * at::relu(config_.forget_bound - ce_f) +
        config_.structure_weight * structure +
        config_.prototype_forget_weight * at::relu(config_.prototype_bound - distance(e_f, y_f)) +
        config_.prototype_retain_weight * distance(e_r, y_r);
    loss.backward();
    optimizer_.step(config_.learning_rate, config_.weight_decay);
    return loss.item<double>();
  }

 private:
  std::vector<at::Tensor> copy(const LoraParameters& lora) {
    std::vector<at::Tensor> all;
    for (size_t i = 0; i < lora.sites().size(); ++i) {
      a_.push_back(lora.a(i).clone().requires_grad_(true));
      b_.push_back(lora.b(i).clone().requires_grad_(true));
      all.push_back(a_.back());
      all.push_back(b_.back());
    }
    return all;
  }

  /// `index`: 0 for fc1, 1 for fc2.
  at::Tensor adapted(const at::Tensor& x, const Linear& layer, size_t block, size_t index) const {
    if (block < first_block_) return linear(x, layer);
    const size_t site = 2 * (block - first_block_) + index;
    const at::Tensor lora = at::matmul(at::matmul(x, a_[site].t()), b_[site].t());
    return linear(x, layer) + lora * scale_;
  }

  at::Tensor embed(const at::Tensor& images) const {
    ForwardOptions plain;
    plain.class_token_only = plain.fused_attention = false;
    at::Tensor x = model_.tokens(weights_, images);
    for (size_t i = 0; i < transformer_.blocks.size(); ++i) {
      const Block& block = transformer_.blocks[i];
      x = x + attention(layer_norm(x, block.norm1), block, transformer_, plain);
      const at::Tensor hidden = at::gelu(adapted(layer_norm(x, block.norm2), block.fc1, i, 0));
      x = x + adapted(hidden, block.fc2, i, 1);
    }
    return layer_norm(x.select(1, 0), transformer_.final_norm);
  }

  /// Prototypes looked up sample by sample, as the reference does.
  at::Tensor distance(const at::Tensor& embeddings, const at::Tensor& labels) const {
    std::vector<at::Tensor> rows;
    for (int64_t i = 0; i < labels.size(0); ++i) {
      rows.push_back(prototypes_[labels[i].item<int64_t>()]);
    }
    return at::kl_div(at::log_softmax(embeddings, 1), at::softmax(at::stack(rows), 1),
                      at::Reduction::Sum) /
           labels.size(0);
  }

  const Classifier& model_;
  const Weights& weights_;
  Transformer transformer_;
  Head head_;
  ForgetConfig config_;
  at::Tensor prototypes_;
  double scale_;
  size_t first_block_;
  std::vector<at::Tensor> a_, b_;
  AdamW optimizer_;
};

}  // namespace lethe::bench
