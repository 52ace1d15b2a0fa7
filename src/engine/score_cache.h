// Figures of a model's states that are known already.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/live_model.h"
#include "evaluation/accuracy.h"
#include "evaluation/class_precision.h"

namespace lethe {

/// Accuracies and precisions already measured for (state, data set), so that the "after" of one
/// task serves as the "before" of the next and the base is measured once, for all engines on it.
/// Used by one thread.
class ScoreCache {
 public:
  /// Over all samples of the sets together; `margin` as EvaluationOptions has it. `cancelled` is
  /// asked between batches; true throws kCancelled.
  ClassAccuracy get(const Snapshot& state, const std::vector<Dataset>& sets,
                    const std::function<bool()>& cancelled, bool margin = false);
  /// Of each class on the first of the sets that has objects of it.
  ClassPrecision get(const Snapshot& state, const std::vector<DetectionDataset>& sets,
                     const std::function<bool()>& cancelled);

 private:
  /// `measure()` of this state, kept under `name`.
  template <typename Measure>
  at::Tensor recall(const Snapshot& state, const std::string& name, const Measure& measure);

  std::map<std::string, at::Tensor> known_;
};

}  // namespace lethe
