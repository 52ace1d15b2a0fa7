// Classifier heads: linear, CosFace, ArcFace (algorithm.md 2.2).
#pragma once

#include <ATen/core/Tensor.h>

#include "models/spec.h"

namespace lethe {

/// A head over embeddings e [B, D] with class weights w [C, D]. Frozen while forgetting, so what
/// depends on w alone is computed once, here.
class Head {
 public:
  /// `bias` [C] for the linear head, undefined otherwise. Differentiable in weight and bias.
  Head(const ModelSpec& spec, const at::Tensor& weight, const at::Tensor& bias);

  /// Plain scores [B, C]: e w^T + b, or s cos(e, w_j).
  at::Tensor scores(const at::Tensor& embeddings) const;
  /// Scores with the margin at the true class `labels` int64 [B]; plain scores for the linear head.
  ///   CosFace: s (c_y - m).   ArcFace: s (c_y cos m - sin m sqrt(1 - c_y^2)) while
  ///   c_y > cos(pi - m), else s (c_y - m sin(pi - m)).
  at::Tensor scores(const at::Tensor& embeddings, const at::Tensor& labels) const;

 private:
  HeadKind kind_;
  double scale_, margin_;
  at::Tensor weight_;  ///< L2-normalised rows for the cosine heads
  at::Tensor bias_;
};

}  // namespace lethe
