// The paper's face models, ViT-P8S8 and its variant with overlapping patches, ViT-P12S8
// (algorithm.md 2.1 to 2.3; Zhong & Deng 2021).
#pragma once

#include "models/classifier.h"

namespace lethe {

/// As VisionTransformer but for: patches flattened as (row, column, channel) and projected by a
/// linear; bias-free qkv; an inner width heads * head_dim of its own; scores scaled by dim^-0.5,
/// not head_dim^-0.5; no norm after the encoder but one on the class token ("mlp_head"), whose
/// output is the embedding; a margin head called "loss". With overlapping patches
/// (spec().patch_stride) a patch is flattened as (channel, row, column) instead.
class FaceTransformer final : public Classifier {
 public:
  using Classifier::Classifier;
  std::vector<TensorSpec> tensors() const override;
  Weights random_weights(RandomStream stream) const override;
  at::Tensor tokens(const Weights& weights, const at::Tensor& images) const override;
  Transformer transformer(const Weights& weights) const override;
  Head head(const Weights& weights) const override;
  Weights rename(Weights weights) const override { return weights; }
  int64_t block_of(const std::string& weight) const override;
  std::vector<AdapterSite> adapter_sites() const override;
  std::vector<AdapterSite> attention_sites() const override;
};

/// Images [B, C, S, S] to flattened patches [B, (S/P)^2, P*P*C], each in (row, column, channel)
/// order.
at::Tensor patchify(const at::Tensor& images, int64_t patch);

/// Images [B, C, S, S] to flattened windows [B, n^2, C*P*P], each in (channel, row, column) order,
/// with n = floor((S + 2 padding - P) / stride) + 1: P x P pixels, `stride` apart, the first one
/// `padding` above and left of the image. What lies outside is 0.
at::Tensor overlapping_patches(const at::Tensor& images, int64_t patch, int64_t stride,
                               int64_t padding);

}  // namespace lethe
