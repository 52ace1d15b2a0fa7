// The learning rate over a run (algorithm.md 4.4, 5.2).
#pragma once

#include <cstdint>

namespace lethe {

/// Cosine schedule with linear warm-up, as timm's:
///   t < W:  lr_warm + t (lr0 - lr_warm) / W
///   else:   lr_min + (lr0 - lr_min) (1 + cos(pi t / N)) / 2        (not shifted by the warm-up)
struct CosineSchedule {
  double initial, minimum;
  int64_t epochs;      ///< N
  int64_t warmup = 0;  ///< W
  double warmup_start = 1e-6;

  /// `epoch` t in [0, N); fractions are allowed.
  double at(double epoch) const;
};

}  // namespace lethe
