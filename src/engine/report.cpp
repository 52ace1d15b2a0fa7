#include "engine/report.h"

#include <cmath>

namespace lethe {

Report make_report(Json context, Metrics metrics) {
  std::erase_if(metrics, [](const auto& metric) { return !std::isfinite(metric.second); });
  context["metrics"] = metrics.empty() ? Json::object() : Json(metrics);
  return {std::move(context), std::move(metrics)};
}

}  // namespace lethe
