// Accuracies that are known already.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/live_model.h"
#include "evaluation/accuracy.h"

namespace lethe {

/// Accuracies already measured for (state, data set), so that the "after" of one task serves as the
/// "before" of the next and the base is measured once, for all engines on it. Used by one thread.
class AccuracyCache {
 public:
  /// Over all samples of the sets together; `margin` as EvaluationOptions has it. `cancelled` is
  /// asked between batches; true throws kCancelled.
  ClassAccuracy get(const Snapshot& state, const std::vector<Dataset>& sets, bool margin,
                    const std::function<bool()>& cancelled);

 private:
  std::map<std::string, ClassAccuracy> known_;
};

}  // namespace lethe
