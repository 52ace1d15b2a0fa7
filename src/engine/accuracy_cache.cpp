#include "engine/accuracy_cache.h"

#include <ATen/ATen.h>

#include "support/error.h"

namespace lethe {
namespace {

/// Right answers and samples of every class, int64 [2, classes].
at::Tensor as_tensor(const ClassAccuracy& accuracy) {
  return at::stack(
      {at::tensor(accuracy.correct, at::kLong), at::tensor(accuracy.total, at::kLong)});
}

ClassAccuracy from_tensor(const at::Tensor& counts) {
  const auto* data = counts.const_data_ptr<int64_t>();
  const int64_t n = counts.size(1);
  return {{data, data + n}, {data + n, data + 2 * n}};
}

}  // namespace

ClassAccuracy AccuracyCache::get(const Snapshot& state, const std::vector<Dataset>& sets,
                                 bool margin, const std::function<bool()>& cancelled) {
  const Model& model = state.base->model();
  const std::string fingerprint = hex(state_fingerprint(*state.base, state.stack));
  const bool is_base = enabled_ids(state.stack).empty();
  const auto classes = static_cast<size_t>(model.spec().classes);
  ClassAccuracy sum{std::vector<int64_t>(classes), std::vector<int64_t>(classes)};
  for (const Dataset& set : sets) {
    const std::string of =
        str(margin ? "accuracy with margin on " : "accuracy on ", set.content_digest());
    const std::string key = fingerprint + of;
    auto found = known_.find(key);
    if (found == known_.end()) {
      const auto measure = [&] {
        EvaluationOptions options;
        options.margin = margin;
        options.cancelled = cancelled;
        return as_tensor(class_accuracy(model, state.weights, set, options));
      };
      const at::Tensor counts = is_base ? state.base->derived(of, measure) : measure();
      found = known_.emplace(key, from_tensor(counts)).first;
    }
    for (size_t c = 0; c < classes; ++c) {
      sum.correct[c] += found->second.correct[c];
      sum.total[c] += found->second.total[c];
    }
  }
  return sum;
}

}  // namespace lethe
