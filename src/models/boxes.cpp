#include "models/boxes.h"

#include <ATen/ATen.h>

namespace lethe {
namespace {

at::Tensor upper_left(const at::Tensor& corners) { return corners.narrow(-1, 0, 2); }
at::Tensor lower_right(const at::Tensor& corners) { return corners.narrow(-1, 2, 2); }

/// Area of the boxes between two sets of corner points [..., 2]; 0 when either side is not
/// positive.
at::Tensor area_between(const at::Tensor& low, const at::Tensor& high) {
  const at::Tensor sides = (high - low).clamp_min(0);
  return sides.select(-1, 0) * sides.select(-1, 1);
}

/// part / whole, 0 where the whole is 0. The whole is replaced before the division: a NaN in a
/// branch that is not taken would still reach the gradient.
at::Tensor share(const at::Tensor& part, const at::Tensor& whole) {
  return part / at::where(whole == 0, at::ones_like(whole), whole);
}

struct Overlap {
  at::Tensor intersection, joint;  ///< areas
};

/// Of two sets of corners that broadcast.
Overlap overlap(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor intersection = area_between(at::maximum(upper_left(a), upper_left(b)),
                                               at::minimum(lower_right(a), lower_right(b)));
  return {intersection, areas(a) + areas(b) - intersection};
}

at::Tensor iou(const at::Tensor& a, const at::Tensor& b) {
  const Overlap both = overlap(a, b);
  return share(both.intersection, both.joint);
}

at::Tensor giou(const at::Tensor& a, const at::Tensor& b) {
  const Overlap both = overlap(a, b);
  const at::Tensor around = area_between(at::minimum(upper_left(a), upper_left(b)),
                                         at::maximum(lower_right(a), lower_right(b)));
  return share(both.intersection, both.joint) - share(around - both.joint, around);
}

}  // namespace

at::Tensor corners_of(const at::Tensor& boxes) {
  const at::Tensor centre = boxes.narrow(-1, 0, 2), half = boxes.narrow(-1, 2, 2) * 0.5;
  return at::cat({centre - half, centre + half}, -1);
}

at::Tensor centres_of(const at::Tensor& corners) {
  const at::Tensor low = upper_left(corners), high = lower_right(corners);
  return at::cat({(low + high) * 0.5, high - low}, -1);
}

at::Tensor areas(const at::Tensor& corners) {
  return area_between(upper_left(corners), lower_right(corners));
}

at::Tensor pairwise_iou(const at::Tensor& a, const at::Tensor& b) {
  return iou(a.unsqueeze(-2), b.unsqueeze(-3));
}

at::Tensor pairwise_giou(const at::Tensor& a, const at::Tensor& b) {
  return giou(a.unsqueeze(-2), b.unsqueeze(-3));
}

at::Tensor aligned_iou(const at::Tensor& a, const at::Tensor& b) { return iou(a, b); }

at::Tensor aligned_giou(const at::Tensor& a, const at::Tensor& b) { return giou(a, b); }

}  // namespace lethe
