#include "engine/score_cache.h"

#include <ATen/ATen.h>

#include "support/error.h"

namespace lethe {
namespace {

template <typename T>
std::vector<T> row(const at::Tensor& table, int64_t i) {
  const at::Tensor values = table[i].to(c10::CppTypeToScalarType<T>::value).contiguous();
  const T* data = values.const_data_ptr<T>();
  return {data, data + values.numel()};
}

/// Right answers and samples of every class, int64 [2, classes].
at::Tensor as_tensor(const ClassAccuracy& accuracy) {
  return at::stack(
      {at::tensor(accuracy.correct, at::kLong), at::tensor(accuracy.total, at::kLong)});
}

/// AP, AP at the IoU 0.50 and objects of every class, float64 [3, classes].
at::Tensor as_tensor(const ClassPrecision& precision) {
  return at::stack({at::tensor(precision.ap, at::kDouble), at::tensor(precision.ap50, at::kDouble),
                    at::tensor(precision.total, at::kLong).to(at::kDouble)});
}

}  // namespace

template <typename Measure>
at::Tensor ScoreCache::recall(const Snapshot& state, const std::string& name,
                              const Measure& measure) {
  const std::string key = hex(state_fingerprint(*state.base, state.stack)) + name;
  auto found = known_.find(key);
  if (found == known_.end()) {
    const auto compute = [&] { return as_tensor(measure()); };
    const bool is_base = enabled_ids(state.stack).empty();
    found = known_.emplace(key, is_base ? state.base->derived(name, compute) : compute()).first;
  }
  return found->second;
}

ClassAccuracy ScoreCache::get(const Snapshot& state, const std::vector<Dataset>& sets,
                              const std::function<bool()>& cancelled, bool margin) {
  const Classifier& model = state.base->classifier();
  at::Tensor sum = at::zeros({2, model.classes()}, at::kLong);
  for (const Dataset& set : sets) {
    const std::string name =
        str(margin ? "accuracy with margin on " : "accuracy on ", set.content_digest());
    sum += recall(state, name, [&] {
      EvaluationOptions options;
      options.margin = margin;
      options.cancelled = cancelled;
      return class_accuracy(model, state.weights, set, options);
    });
  }
  return {row<int64_t>(sum, 0), row<int64_t>(sum, 1)};
}

ClassPrecision ScoreCache::get(const Snapshot& state, const std::vector<DetectionDataset>& sets,
                               const std::function<bool()>& cancelled) {
  const DeformableDetr& model = state.base->detector();
  at::Tensor all;
  for (const DetectionDataset& set : sets) {
    const at::Tensor table = recall(state, str("precision on ", set.content_digest()), [&] {
      EvaluationOptions options;
      options.cancelled = cancelled;
      return class_precision(model, state.weights, set, options);
    });
    all = all.defined() ? at::where(all[2].gt(0), all, table) : table;
  }
  return {row<double>(all, 0), row<double>(all, 1), row<int64_t>(all, 2)};
}

}  // namespace lethe
