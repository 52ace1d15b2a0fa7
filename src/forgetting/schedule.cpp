#include "forgetting/schedule.h"

#include <cmath>

namespace lethe {

double CosineSchedule::at(double epoch) const {
  if (epoch < static_cast<double>(warmup)) {
    return warmup_start + epoch * (initial - warmup_start) / static_cast<double>(warmup);
  }
  const double angle = M_PI * epoch / static_cast<double>(epochs);
  return minimum + 0.5 * (initial - minimum) * (1 + std::cos(angle));
}

}  // namespace lethe
