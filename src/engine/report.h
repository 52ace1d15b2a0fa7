// Named figures of a finished task or an evaluation.
#pragma once

#include <map>
#include <string>

#include "support/json.h"

namespace lethe {

/// Figures by name. One that does not exist is absent, never zero or NaN.
using Metrics = std::map<std::string, double>;

/// Immutable. `json` holds the metrics and their context (classes, groups, settings, digests).
struct Report {
  Json json;
  Metrics metrics;
};

/// A report whose JSON is `context` plus the metrics under "metrics". Non-finite metrics are left
/// out.
Report make_report(Json context, Metrics metrics);

}  // namespace lethe
