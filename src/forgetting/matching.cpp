#include "forgetting/matching.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "forgetting/assignment.h"
#include "models/boxes.h"
#include "support/error.h"

namespace lethe {
namespace {

void check_outputs(const at::Tensor& logits, const at::Tensor& boxes, size_t images) {
  require(logits.dim() == 3 && logits.is_floating_point() && boxes.is_floating_point() &&
              boxes.dim() == 3 && boxes.size(0) == logits.size(0) &&
              boxes.size(1) == logits.size(1) && boxes.size(2) == 4,
          Code::kInvalidArgument, "the logits are ", logits.scalar_type(), " ", logits.sizes(),
          " and the boxes ", boxes.scalar_type(), " ", boxes.sizes(),
          ", they must be floating point [B, Q, C] and [B, Q, 4]");
  const int64_t batch = logits.size(0), count = static_cast<int64_t>(images);
  require(count == 0 ? batch == 0 : batch % count == 0, Code::kInvalidArgument,
          "there are outputs of ", batch, " images and targets of ", count,
          ", each image needs the targets of its own");
}

void check_targets(const std::vector<DetectionTargets>& targets, int64_t classes) {
  for (size_t i = 0; i < targets.size(); ++i) {
    const auto& [labels, boxes] = targets[i];
    require(labels.defined() && boxes.defined() && labels.dim() == 1 &&
                labels.scalar_type() == at::kLong && boxes.is_floating_point() &&
                boxes.dim() == 2 && boxes.size(0) == labels.size(0) && boxes.size(1) == 4,
            Code::kInvalidArgument, "the targets of image ", i,
            " must be labels Long [n] and boxes floating point [n, 4]");
    // A wrong index into the logits would be found too late on an accelerator, or never.
    const at::Tensor on_cpu = labels.cpu().contiguous();
    const auto* label = on_cpu.const_data_ptr<int64_t>();
    for (int64_t k = 0; k < on_cpu.size(0); ++k) {
      require(label[k] >= 0 && label[k] < classes, Code::kInvalidArgument, "object ", k,
              " of image ", i, " has the label ", label[k], ", allowed is 0 to ", classes - 1);
    }
  }
}

/// The objects of all images as one tensor [B, n, ...], n those of the fullest image, zeros behind
/// the others', and all of that once a layer.
at::Tensor padded(const std::vector<DetectionTargets>& targets,
                  at::Tensor DetectionTargets::*member, const at::TensorOptions& options,
                  int64_t layers) {
  std::vector<at::Tensor> list;
  list.reserve(targets.size());
  for (const DetectionTargets& t : targets) list.push_back((t.*member).detach().to(options));
  at::Tensor once = at::pad_sequence(list, /*batch_first=*/true);
  if (layers == 1) return once;
  std::vector<int64_t> repeats(once.dim(), 1);
  repeats[0] = layers;
  return once.repeat(repeats);
}

/// [B, Q, n], from labels [B, n].
at::Tensor label_costs(const at::Tensor& logits, const at::Tensor& labels,
                       const DetectionWeights& w) {
  const at::Tensor wanted = labels.unsqueeze(1).expand({-1, logits.size(1), -1});
  const at::Tensor p = logits.gather(2, wanted).sigmoid();
  const at::Tensor neg = p.pow(w.gamma) * (1 - p + 1e-8).log() * (w.alpha - 1);
  const at::Tensor pos = (1 - p).pow(w.gamma) * (p + 1e-8).log() * -w.alpha;
  return pos - neg;
}

}  // namespace

std::vector<Matching> match(const at::Tensor& logits, const at::Tensor& boxes,
                            const std::vector<DetectionTargets>& targets,
                            const DetectionWeights& weights) {
  check_outputs(logits, boxes, targets.size());
  check_targets(targets, logits.size(2));
  const int64_t batch = logits.size(0), queries = logits.size(1);
  const auto images = static_cast<int64_t>(targets.size());
  std::vector<Matching> result(batch);
  std::vector<int64_t> objects;
  objects.reserve(targets.size());
  for (const DetectionTargets& t : targets) objects.push_back(t.labels.size(0));
  if (batch == 0 || queries == 0 || *std::max_element(objects.begin(), objects.end()) == 0) {
    return result;
  }

  const auto options = logits.options().dtype(at::promote_types(logits.scalar_type(), at::kFloat));
  const at::Tensor x = logits.detach().to(options), b = boxes.detach().to(options);
  const at::Tensor labels =
      padded(targets, &DetectionTargets::labels, options.dtype(at::kLong), batch / images);
  const at::Tensor t = padded(targets, &DetectionTargets::boxes, options, batch / images);
  const at::Tensor l1 = (b.unsqueeze(2) - t.unsqueeze(1)).abs().sum(-1);
  const at::Tensor giou = pairwise_giou(corners_of(b), corners_of(t));
  const at::Tensor costs =
      (weights.l1 * l1 + weights.label * label_costs(x, labels, weights) - weights.giou * giou)
          .to(at::kCPU, at::kDouble)
          .contiguous();

  const auto* cost = costs.const_data_ptr<double>();
  const int64_t stride = costs.size(2);
  // Before the threads start, so that the error does not depend on which of them is first.
  for (int64_t i = 0; i < batch; ++i) {
    for (int64_t q = 0; q < queries; ++q) {
      for (int64_t k = 0; k < objects[i % images]; ++k) {
        const double c = cost[(i * queries + q) * stride + k];
        require(std::isfinite(c), Code::kNumeric, "the matching cost of query ", q, " and object ",
                k, " of image ", i % images, " is ", std::isnan(c) ? "NaN" : "infinite",
                "; the detector's outputs or the object's box are not finite");
      }
    }
  }
  at::parallel_for(0, batch, /*grain_size=*/1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Assignment pairs = assign(cost + i * queries * stride, queries, objects[i % images], stride);
      result[i] = {std::move(pairs.rows), std::move(pairs.columns)};
    }
  });
  return result;
}

}  // namespace lethe
