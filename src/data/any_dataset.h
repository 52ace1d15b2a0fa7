// A data set of either kind, for those who pass it on.
#pragma once

#include <variant>

#include "data/dataset.h"
#include "data/detection_dataset.h"

namespace lethe {

/// Labelled images, or images with boxes.
using AnyDataset = std::variant<Dataset, DetectionDataset>;

inline const std::string& content_digest_of(const AnyDataset& dataset) {
  return std::visit([](const auto& set) -> const std::string& { return set.content_digest(); },
                    dataset);
}

}  // namespace lethe
