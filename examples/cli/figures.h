// What differs by the kind of model: the head whose settings are the defaults, and what figures are
// called. Classifiers have accuracies, detectors the COCO AP.
#pragma once

#include "handles.h"

namespace cli {

lethe_head head_of(const lethe_model* model);

struct FigureNames {
  std::string key = "acc";         ///< in metrics: "acc", "ap"; "_f" and so on follow
  std::string shown = "Acc";       ///< in tables: "Acc", "AP"; "_f" and so on follow
  std::string whole = "accuracy";  ///< alone: "accuracy", "AP"
};

/// What these metrics have; accuracies when they have neither.
FigureNames figures_in(const Json& metrics);

}  // namespace cli
