#include "evaluation/probe.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "support/error.h"

namespace lethe {
namespace {

/// Throws unless embeddings and labels fit each other; returns the embeddings in double on the CPU.
at::Tensor checked(const char* what, const at::Tensor& embeddings, const at::Tensor& labels,
                   int64_t classes) {
  require(embeddings.dim() == 2 && embeddings.is_floating_point(), Code::kInvalidArgument, "the ",
          what, " embeddings are ", embeddings.scalar_type(), " ", embeddings.sizes(),
          ", they must be floating point [N, D]");
  require(labels.dim() == 1 && labels.scalar_type() == at::kLong &&
              labels.size(0) == embeddings.size(0),
          Code::kInvalidArgument, "the ", what, " labels are ", labels.scalar_type(), " ",
          labels.sizes(), ", for embeddings ", embeddings.sizes(), " they must be Long [",
          embeddings.size(0), "]");
  const at::Tensor outside = labels.lt(0).logical_or(labels.ge(classes)).nonzero();
  if (outside.size(0) > 0) {
    const auto i = outside[0].item<int64_t>();
    fail(Code::kInvalidArgument, "the label of ", what, " embedding ", i, " is ",
         labels[i].item<int64_t>(), ", allowed is 0 to ", classes - 1);
  }
  const at::Tensor rows = embeddings.detach().to(at::kCPU, at::kDouble);
  const at::Tensor broken = at::isfinite(rows).all(1).logical_not().nonzero();
  if (broken.size(0) > 0) {
    fail(Code::kInvalidArgument, what, " embedding ", broken[0].item<int64_t>(),
         " holds NaN or infinity; only finite embeddings can be probed");
  }
  return rows;
}

/// The penalised mean cross entropy of rows [N, D + 1] that end in 1, and its gradient. The last
/// column of `weight` [K, D + 1] is b.
class Objective {
 public:
  Objective(at::Tensor rows, at::Tensor targets, double l2)
      : rows_(std::move(rows)), targets_(targets.unsqueeze(1)), l2_(l2) {}

  double operator()(const at::Tensor& weight, at::Tensor& gradient) const {
    const auto n = static_cast<double>(rows_.size(0));
    at::Tensor log_p = at::log_softmax(rows_.mm(weight.t()), 1);
    const double entropy = -log_p.gather(1, targets_).mean().item<double>();
    log_p.exp_().scatter_add_(1, targets_, at::full_like(targets_, -1, log_p.options()));
    at::Tensor penalised = weight.clone();
    penalised.select(1, -1).zero_();
    gradient = log_p.t().mm(rows_).div_(n).add_(penalised, l2_);
    return entropy + l2_ / 2 * penalised.square().sum().item<double>();
  }

 private:
  at::Tensor rows_, targets_;
  double l2_;
};

double scalar_product(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).sum().item<double>();
}

/// The last steps of L-BFGS and what they say of the Hessian (Nocedal & Wright 2006,
/// algorithm 7.4).
class Curvature {
 public:
  void add(const at::Tensor& step, const at::Tensor& change) {
    const double product = scalar_product(step, change);
    if (product <= 0) return;  // rounding: nothing can be learnt from it
    pairs_.push_back({step, change, product});
    if (pairs_.size() > 10) pairs_.pop_front();
  }

  /// About the inverse Hessian times the gradient.
  at::Tensor newton_step(const at::Tensor& gradient) const {
    at::Tensor q = gradient.clone();
    std::vector<double> weights;
    for (auto pair = pairs_.rbegin(); pair != pairs_.rend(); ++pair) {
      weights.push_back(scalar_product(pair->step, q) / pair->product);
      q.sub_(pair->change, weights.back());
    }
    if (pairs_.empty()) return q.div_(std::max(1.0, gradient.norm().item<double>()));
    q.mul_(pairs_.back().product / scalar_product(pairs_.back().change, pairs_.back().change));
    for (const Pair& pair : pairs_) {
      q.add_(pair.step, weights.back() - scalar_product(pair.change, q) / pair.product);
      weights.pop_back();
    }
    return q;
  }

 private:
  struct Pair {
    at::Tensor step, change;  ///< of the point, of the gradient
    double product;
  };
  std::deque<Pair> pairs_;
};

/// Minimises by L-BFGS with backtracking (a step is halved until it earns 1e-4 of what the slope
/// promises); sets the iterations and whether the tolerance was reached.
at::Tensor minimise(const Objective& objective, at::Tensor x, const ProbeOptions& options,
                    ProbeResult& result) {
  at::Tensor gradient;
  double value = objective(x, gradient);
  Curvature curvature;
  while (true) {
    result.converged = gradient.abs().max().item<double>() <= options.tolerance;
    if (result.converged || result.iterations == options.max_iterations) return x;
    require(!options.cancelled || !options.cancelled(), Code::kCancelled, "cancelled in iteration ",
            result.iterations + 1, " of a linear probe");
    ++result.iterations;
    const at::Tensor direction = curvature.newton_step(gradient);
    const double slope = scalar_product(direction, gradient);
    at::Tensor next, next_gradient;
    double next_value = INFINITY, length = 1;
    for (; length > 1e-10; length /= 2) {
      next = x - length * direction;
      next_value = objective(next, next_gradient);
      if (next_value <= value - 1e-4 * length * slope) break;
    }
    if (!(next_value < value)) return x;  // no double is lower: as good as it gets
    curvature.add(next - x, next_gradient - gradient);
    x = next;
    gradient = next_gradient;
    value = next_value;
  }
}

}  // namespace

ProbeResult linear_probe(const at::Tensor& train, const at::Tensor& train_labels,
                         const at::Tensor& test, const at::Tensor& test_labels, int64_t classes,
                         const ProbeOptions& options) {
  const at::NoGradGuard no_grad;
  require(options.l2 > 0 && options.tolerance > 0, Code::kInvalidArgument, "the probe's l2 is ",
          options.l2, " and its tolerance ", options.tolerance, "; both must be above 0");
  at::Tensor rows = checked("training", train, train_labels, classes);
  at::Tensor queries = checked("test", test, test_labels, classes);
  require(rows.size(0) > 0, Code::kInvalidArgument,
          "a linear probe has no training embeddings, it needs at least one");
  require(rows.size(1) == queries.size(1), Code::kInvalidArgument, "the training embeddings have ",
          rows.size(1), " features and the test embeddings ", queries.size(1),
          "; both must come from the same model");

  const at::Tensor mean = rows.mean(0);
  at::Tensor deviation = (rows - mean).square().mean(0).sqrt();
  // What is constant up to rounding carries nothing.
  deviation = deviation.masked_fill(deviation.le(1e-12 * rows.abs().amax(0)), INFINITY);
  const auto standardised = [&](const at::Tensor& x) {
    return at::constant_pad_nd((x - mean) / deviation, {0, 1}, 1);
  };

  // The classes that there are, and each label's place among them.
  const at::Tensor labels = train_labels.cpu(), answers = test_labels.cpu();
  const at::Tensor present = at::bincount(labels, {}, classes).nonzero().squeeze(1);
  const at::Tensor targets = at::searchsorted(present, labels);

  ProbeResult result;
  const at::Tensor start = at::zeros({present.size(0), rows.size(1) + 1}, at::kDouble);
  const at::Tensor weight =
      minimise(Objective(standardised(rows), targets, options.l2), start, options, result);
  const at::Tensor guess = present.index_select(0, standardised(queries).mm(weight.t()).argmax(1));
  const auto list = [&](const at::Tensor& of) {
    const at::Tensor counts = at::bincount(of, {}, classes);
    return std::vector<int64_t>(counts.const_data_ptr<int64_t>(),
                                counts.const_data_ptr<int64_t>() + classes);
  };
  result.accuracy = {list(answers.masked_select(guess.eq(answers))), list(answers)};
  return result;
}

}  // namespace lethe
