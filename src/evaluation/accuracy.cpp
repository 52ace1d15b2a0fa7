#include "evaluation/accuracy.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "support/error.h"

namespace lethe {
namespace {

/// Calls `visit(embeddings [b, D], labels [b])` for consecutive batches, on the model's device.
template <typename Visit>
void for_each_embedded(const Classifier& model, const Weights& weights, const Dataset& dataset,
                       const EvaluationOptions& options, Visit&& visit) {
  const at::NoGradGuard no_grad;
  const at::Device device = weights.begin()->second.device();
  for (int64_t begin = 0; begin < dataset.size(); begin += options.batch) {
    require(!options.cancelled || !options.cancelled(), Code::kCancelled,
            "cancelled while evaluating sample ", begin, " of ", dataset.size());
    const Batch batch = dataset.batch(begin, std::min(begin + options.batch, dataset.size()));
    visit(model.embed(weights, batch.images.to(device), options.forward), batch.labels.to(device));
  }
}

/// The same with `visit(scores [b, C], labels [b])`.
template <typename Visit>
void for_each_batch(const Classifier& model, const Weights& weights, const Dataset& dataset,
                    const EvaluationOptions& options, Visit&& visit) {
  const at::NoGradGuard no_grad;
  const Head head = model.head(weights);
  for_each_embedded(
      model, weights, dataset, options,
      [&](const at::Tensor& embeddings, const at::Tensor& labels) {
        visit(options.margin ? head.scores(embeddings, labels) : head.scores(embeddings), labels);
      });
}

/// A visitor that keeps what it is given of every sample, on the CPU.
struct Rows {
  Rows(int64_t size, int64_t width) : rows(at::empty({size, width}, at::kFloat)) {}
  void operator()(const at::Tensor& batch, const at::Tensor&) {
    rows.narrow(0, filled, batch.size(0)).copy_(batch);
    filled += batch.size(0);
  }
  at::Tensor rows;
  int64_t filled = 0;
};

}  // namespace

std::optional<double> ClassAccuracy::percent(const std::vector<int64_t>& classes) const {
  int64_t right = 0, all = 0;
  for (int64_t c : classes) {
    right += correct.at(c);
    all += total.at(c);
  }
  if (all == 0) return std::nullopt;
  return 100.0 * static_cast<double>(right) / static_cast<double>(all);
}

std::optional<double> ClassAccuracy::percent() const {
  std::vector<int64_t> all(correct.size());
  for (size_t c = 0; c < all.size(); ++c) all[c] = static_cast<int64_t>(c);
  return percent(all);
}

ClassAccuracy class_accuracy(const Classifier& model, const Weights& weights,
                             const Dataset& dataset, const EvaluationOptions& options) {
  const int64_t classes = model.spec().classes;
  at::Tensor correct = at::zeros({classes}, at::kLong), total = at::zeros({classes}, at::kLong);
  for_each_batch(model, weights, dataset, options,
                 [&](const at::Tensor& scores, const at::Tensor& labels) {
                   const at::Tensor right = labels.masked_select(scores.argmax(1).eq(labels));
                   total += at::bincount(labels, {}, classes).cpu();
                   correct += at::bincount(right, {}, classes).cpu();
                 });
  const auto list = [](const at::Tensor& x) {
    return std::vector<int64_t>(x.data_ptr<int64_t>(), x.data_ptr<int64_t>() + x.numel());
  };
  return {list(correct), list(total)};
}

at::Tensor dataset_scores(const Classifier& model, const Weights& weights, const Dataset& dataset,
                          const EvaluationOptions& options) {
  Rows all(dataset.size(), model.spec().classes);
  for_each_batch(model, weights, dataset, options, all);
  return all.rows;
}

at::Tensor dataset_embeddings(const Classifier& model, const Weights& weights,
                              const Dataset& dataset, const EvaluationOptions& options) {
  Rows all(dataset.size(), model.spec().dim);
  for_each_embedded(model, weights, dataset, options, all);
  return all.rows;
}

double h_mean(double acc_r, double acc_f_before, double acc_f) {
  const double drop = acc_f_before - acc_f;
  return drop <= 0 ? 0.0 : 2 * acc_r * drop / (acc_r + drop);
}

}  // namespace lethe
