#include "forgetting/detection_losses.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "models/boxes.h"
#include "support/error.h"

namespace lethe {
namespace {

/// One member of all layers, [L B, Q, ...], in at least float32. One layer is not copied.
at::Tensor all_layers(const std::vector<DetectorLayer>& layers, at::Tensor DetectorLayer::*member) {
  std::vector<at::Tensor> list;
  for (const DetectorLayer& layer : layers) {
    const at::Tensor& tensor = layer.*member;
    require(tensor.sizes() == (layers[0].*member).sizes(), Code::kInvalidArgument,
            "the outputs of two decoder layers are ", (layers[0].*member).sizes(), " and ",
            tensor.sizes(), ", all layers must have one shape");
    list.push_back(tensor.to(at::promote_types(tensor.scalar_type(), at::kFloat)));
  }
  return list.size() == 1 ? list[0] : at::cat(list);
}

/// The pairs of all images of all layers, layer by layer, on the device of the outputs.
struct Pairs {
  at::Tensor queries;  ///< int64 [L m], rows of the outputs as [L B Q, ...]
  at::Tensor labels;   ///< int64 [L m]
  at::Tensor boxes;    ///< [L m, 4]
};

Pairs pairs_of(const std::vector<Matching>& matchings, const std::vector<DetectionTargets>& targets,
               const at::Tensor& outputs) {
  std::vector<int64_t> queries, objects, first{0};
  std::vector<at::Tensor> labels, boxes;
  for (const DetectionTargets& t : targets) {
    first.push_back(first.back() + t.labels.size(0));
    labels.push_back(t.labels);
    boxes.push_back(t.boxes.detach().to(outputs.scalar_type()));
  }
  for (size_t i = 0; i < matchings.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i) * outputs.size(1);
    for (const int64_t q : matchings[i].queries) queries.push_back(row + q);
    for (const int64_t t : matchings[i].targets) objects.push_back(first[i % targets.size()] + t);
  }
  const auto to_device = [&](const std::vector<int64_t>& list) {
    return at::tensor(list, at::kLong).to(outputs.device());
  };
  const at::Tensor which = to_device(objects);
  return {to_device(queries), at::cat(labels).to(outputs.device()).index_select(0, which),
          at::cat(boxes).to(outputs.device()).index_select(0, which)};
}

}  // namespace

at::Tensor sigmoid_focal_loss(const at::Tensor& logits, const at::Tensor& wanted, double alpha,
                              double gamma) {
  // z: the logit of what is false. 1 - p = sigmoid(z), log p = log_sigmoid(-z): no rounding of 1 -
  // p.
  const at::Tensor positive = wanted.to(logits.scalar_type());
  const at::Tensor z = logits * (1 - 2 * positive);
  const at::Tensor weight = positive * (2 * alpha - 1) + (1 - alpha);
  return weight * z.sigmoid().pow(gamma) * -at::log_sigmoid(-z);
}

DetectionTerms detection_terms(const std::vector<DetectorLayer>& layers,
                               const std::vector<DetectionTargets>& targets,
                               const Prototypes* prototypes, const DetectionSettings& settings) {
  require(!layers.empty() && !targets.empty(), Code::kInvalidArgument, "there are ", layers.size(),
          " decoder layers and ", targets.size(), " images, each must be 1 or more");
  require(layers[0].logits.dim() == 3 &&
              layers[0].logits.size(0) == static_cast<int64_t>(targets.size()),
          Code::kInvalidArgument, "the logits are ", layers[0].logits.sizes(), ", for ",
          targets.size(), " images they must be [", targets.size(), ", Q, C]");
  const at::Tensor logits = all_layers(layers, &DetectorLayer::logits);
  const at::Tensor boxes = all_layers(layers, &DetectorLayer::boxes);
  const auto depth = static_cast<int64_t>(layers.size());
  const int64_t classes = logits.size(2);

  DetectionTerms terms;
  terms.matchings = match(logits, boxes, targets, settings.cost);
  const Pairs pairs = pairs_of(terms.matchings, targets, logits);
  int64_t objects = 0;
  for (const DetectionTargets& t : targets) objects += t.labels.size(0);
  const auto per_object = [&](const at::Tensor& values) {  // those of a layer side by side
    return values.reshape({depth, values.numel() / depth}).sum(1) /
           static_cast<double>(std::max<int64_t>(1, objects));
  };

  const at::Tensor wanted = at::zeros({logits.numel()}, logits.options().dtype(at::kBool))
                                .index_fill_(0, pairs.queries * classes + pairs.labels, true)
                                .view(logits.sizes());
  terms.focal =
      per_object(sigmoid_focal_loss(logits, wanted, settings.loss.alpha, settings.loss.gamma));
  const int64_t a_layer = pairs.queries.size(0) / depth;  // each has the same number of pairs
  const at::Tensor found = boxes.reshape({-1, 4}).index_select(0, pairs.queries);
  const at::Tensor giou = 1 - aligned_giou(corners_of(found), corners_of(pairs.boxes));
  terms.l1 = per_object((found - pairs.boxes).abs());
  terms.giou = per_object(giou);
  if (!prototypes) return terms;

  const at::Tensor& embeddings = layers.back().embeddings;
  require(embeddings.defined() && embeddings.dim() == 3 &&
              embeddings.size(0) * embeddings.size(1) * depth == logits.size(0) * logits.size(1) &&
              embeddings.size(2) == prototypes->probabilities.size(1),
          Code::kInvalidArgument, "the embeddings of the last decoder layer must be [",
          targets.size(), ", ", logits.size(1), ", ", prototypes->probabilities.size(1), "]");
  if (a_layer == 0) {
    terms.prototype = at::zeros({}, prototypes->probabilities.options());
    return terms;
  }
  const int64_t last = (depth - 1) * a_layer;
  const at::Tensor rows = pairs.queries.narrow(0, last, a_layer) -
                          (depth - 1) * logits.size(0) / depth * logits.size(1);
  terms.prototype = prototype_distance(
      *prototypes,
      embeddings.flatten(0, 1).index_select(0, rows).to(prototypes->probabilities.scalar_type()),
      pairs.labels.narrow(0, last, a_layer));
  return terms;
}

at::Tensor retain_total(const DetectionTerms& terms, const DetectionWeights& w) {
  return (w.label * terms.focal + w.l1 * terms.l1 + w.giou * terms.giou).sum();
}

at::Tensor proposal_total(const DetectorLayer& proposals,
                          const std::vector<DetectionTargets>& targets,
                          const DetectionSettings& settings) {
  std::vector<DetectionTargets> anything;
  for (const DetectionTargets& t : targets) anything.push_back({at::zeros_like(t.labels), t.boxes});
  return retain_total(detection_terms({proposals}, anything, nullptr, settings), settings.loss);
}

at::Tensor forget_total(const DetectionTerms& terms, double bound, const DetectionWeights& w) {
  return (bounded_forget_loss(w.label * terms.focal, bound) + w.l1 * terms.l1 + w.giou * terms.giou)
      .sum();
}

DetectionLosses detection_losses(const DetectionSide& forget, const DetectionSide& retain,
                                 const ForgetConfig& config, const Prototypes* prototypes,
                                 const DetectionSettings& settings) {
  DetectionLosses all;
  all.forget = detection_terms(forget.layers, forget.targets, prototypes, settings);
  all.retain = detection_terms(retain.layers, retain.targets, prototypes, settings);
  all.forget_total = forget_total(all.forget, config.forget_bound, settings.loss);
  all.retain_total = retain_total(all.retain, settings.loss);
  if (retain.proposals) {
    all.retain_total =
        all.retain_total + proposal_total(*retain.proposals, retain.targets, settings);
  }
  all.trained = all.retain_total + config.forget_weight * all.forget_total;
  if (prototypes) {
    all.prototype = config.prototype_forget_weight *
                        bounded_forget_loss(all.forget.prototype, config.prototype_bound) +
                    config.prototype_retain_weight * all.retain.prototype;
    all.trained = all.trained + all.prototype;
  }
  return all;
}

}  // namespace lethe
