#include "models/heads.h"

#include <ATen/ATen.h>

#include <cmath>

namespace lethe {
namespace {

at::Tensor normalise(const at::Tensor& x) {  // rows to unit length, as torch's F.normalize
  return x / x.norm(2, /*dim=*/{1}, /*keepdim=*/true).clamp_min(1e-12);
}

}  // namespace

Head::Head(const ModelSpec& spec, const at::Tensor& weight, const at::Tensor& bias)
    : kind_(spec.head),
      scale_(spec.head_scale),
      margin_(spec.head_margin),
      weight_(kind_ == HeadKind::kLinear ? weight : normalise(weight)),
      bias_(bias) {}

at::Tensor Head::scores(const at::Tensor& embeddings) const {
  if (kind_ == HeadKind::kLinear) return at::linear(embeddings, weight_, bias_);
  return at::linear(normalise(embeddings), weight_) * scale_;
}

at::Tensor Head::scores(const at::Tensor& embeddings, const at::Tensor& labels) const {
  if (kind_ == HeadKind::kLinear) return scores(embeddings);
  const at::Tensor cosine = at::linear(normalise(embeddings), weight_);
  const at::Tensor c = cosine.gather(1, labels.unsqueeze(1));
  at::Tensor target;
  if (kind_ == HeadKind::kCosFace) {
    target = c - margin_;
  } else {
    // The clamp keeps the root real where rounding puts |c| above 1; its lower end keeps the
    // gradient finite there (the reference has neither, section 2.2).
    const at::Tensor sine = (1 - c * c).clamp(1e-12, 1).sqrt();
    const at::Tensor moved = c * std::cos(margin_) - sine * std::sin(margin_);
    const at::Tensor fallback = c - margin_ * std::sin(M_PI - margin_);
    target = at::where(c > std::cos(M_PI - margin_), moved, fallback);
  }
  return cosine.scatter(1, labels.unsqueeze(1), target) * scale_;
}

}  // namespace lethe
