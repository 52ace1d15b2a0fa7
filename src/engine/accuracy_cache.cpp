#include "engine/accuracy_cache.h"

namespace lethe {

ClassAccuracy AccuracyCache::get(const Snapshot& state, const std::vector<Dataset>& sets,
                                 const std::function<bool()>& cancelled) {
  const Model& model = state.base->model();
  const std::string fingerprint = hex(state_fingerprint(*state.base, state.stack));
  const auto classes = static_cast<size_t>(model.spec().classes);
  ClassAccuracy sum{std::vector<int64_t>(classes), std::vector<int64_t>(classes)};
  for (const Dataset& set : sets) {
    const std::string key = fingerprint + set.content_digest();
    auto found = known_.find(key);
    if (found == known_.end()) {
      EvaluationOptions options;
      options.cancelled = cancelled;
      found = known_.emplace(key, class_accuracy(model, state.weights, set, options)).first;
    }
    for (size_t c = 0; c < classes; ++c) {
      sum.correct[c] += found->second.correct[c];
      sum.total[c] += found->second.total[c];
    }
  }
  return sum;
}

}  // namespace lethe
