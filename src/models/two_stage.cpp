#include "models/two_stage.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace lethe {

at::Tensor proposed_boxes(const Pyramid& pyramid) {
  const at::Tensor centres = cell_centres(pyramid);
  std::vector<at::Tensor> sides;
  for (size_t l = 0; l < pyramid.levels.size(); ++l) {
    const auto [height, width] = pyramid.levels[l];
    sides.push_back(at::full({centres.size(0), height * width, 2},
                             0.05 * std::exp2(static_cast<double>(l)), centres.options()));
  }
  const at::Tensor boxes = at::cat({centres, at::cat(sides, 1)}, -1);
  const at::Tensor good =
      (boxes.gt(0.01) & boxes.lt(0.99)).all(-1, true) & pyramid.padding.logical_not().unsqueeze(-1);
  return (boxes / (1 - boxes)).log().masked_fill(good.logical_not(), INFINITY);
}

at::Tensor sine_boxes(const at::Tensor& boxes, int64_t waves) {
  return sine_waves(boxes * (2 * std::numbers::pi), waves).flatten(2);
}

Proposals propose(const ProposalLayers& layers, const at::Tensor& memory, const Pyramid& pyramid) {
  const at::Tensor boxes = proposed_boxes(pyramid);
  const at::Tensor useless = boxes.isinf().any(-1, true);
  const at::Tensor output =
      layer_norm(linear(memory.masked_fill(useless, 0), layers.output), layers.output_norm);
  Proposals proposals;
  const at::Tensor raw = layers.boxes(output) + boxes;
  proposals.all.logits = linear(output, layers.classes);
  proposals.all.boxes = raw.sigmoid();

  const int64_t count = std::min(layers.count, memory.size(1)), waves = memory.size(2) / 2;
  const at::Tensor best = std::get<1>(proposals.all.logits.select(2, 0).topk(count, 1));
  proposals.reference = raw.gather(1, best.unsqueeze(-1).expand({-1, -1, 4})).detach().sigmoid();
  const std::vector<at::Tensor> halves =
      layer_norm(linear(sine_boxes(proposals.reference, waves), layers.queries),
                 layers.queries_norm)
          .chunk(2, -1);
  proposals.position = halves[0];
  proposals.target = halves[1];
  return proposals;
}

}  // namespace lethe
