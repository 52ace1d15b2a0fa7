// torchvision's VisionTransformer (Dosovitskiy et al. 2021; algorithm.md 2.4).
#pragma once

#include "models/classifier.h"

namespace lethe {

/// Names: class_token, conv_proj.*, encoder.pos_embedding, encoder.layers.encoder_layer_i.{ln_1,
/// self_attention.{in_proj_weight,in_proj_bias,out_proj}, ln_2, mlp.0, mlp.3}, encoder.ln,
/// heads.head (head.weight alone for cosine heads). rename() understands timm, Hugging Face and
/// torchvision's older mlp.linear_1/2.
class VisionTransformer final : public Classifier {
 public:
  using Classifier::Classifier;
  std::vector<TensorSpec> tensors() const override;
  Weights random_weights(RandomStream stream) const override;
  at::Tensor tokens(const Weights& weights, const at::Tensor& images) const override;
  Transformer transformer(const Weights& weights) const override;
  Head head(const Weights& weights) const override;
  Weights rename(Weights weights) const override;
  Naming naming_of(const Weights& checkpoint) const override;
  std::vector<Naming> namings() const override;
  Weights rename_to(Naming naming, Weights weights) const override;
  int64_t block_of(const std::string& weight) const override;
  std::vector<AdapterSite> adapter_sites() const override;
  std::vector<AdapterSite> attention_sites() const override;
};

}  // namespace lethe
