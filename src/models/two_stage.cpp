#include "models/two_stage.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

namespace lethe {

at::Tensor proposed_boxes(const Pyramid& pyramid) {
  const int64_t batch = pyramid.values.size(0);
  std::vector<at::Tensor> levels;
  for (size_t l = 0; l < pyramid.levels.size(); ++l) {
    const auto [height, width] = pyramid.levels[l];
    const auto options = pyramid.values.options().requires_grad(false);
    const at::Tensor valid = pyramid.valid_ratios.select(1, static_cast<int64_t>(l));  // [B, 2]
    const auto centres = [&](int64_t cells, int64_t axis) {
      return (at::arange(cells, options) + 0.5) / (valid.select(1, axis) * cells).unsqueeze(1);
    };
    const std::array<int64_t, 3> grid{batch, height, width};
    const at::Tensor x = centres(width, 0).unsqueeze(1).expand(grid);
    const at::Tensor y = centres(height, 1).unsqueeze(2).expand(grid);
    const at::Tensor side = at::full(grid, 0.05 * std::exp2(static_cast<double>(l)), options);
    levels.push_back(at::stack({x, y, side, side}, -1).flatten(1, 2));
  }
  const at::Tensor boxes = at::cat(levels, 1);
  const at::Tensor good =
      (boxes.gt(0.01) & boxes.lt(0.99)).all(-1, true) & pyramid.padding.logical_not().unsqueeze(-1);
  return (boxes / (1 - boxes)).log().masked_fill(good.logical_not(), INFINITY);
}

at::Tensor sine_boxes(const at::Tensor& boxes, int64_t waves) {
  const at::Tensor pair = at::arange(waves, boxes.options()).div(2, "floor");
  const at::Tensor wavelengths = at::pow(10000, 2 * pair / static_cast<double>(waves));
  const at::Tensor phase = (boxes * (2 * std::numbers::pi)).unsqueeze(-1) / wavelengths;
  return at::stack({phase.slice(-1, 0, waves, 2).sin(), phase.slice(-1, 1, waves, 2).cos()}, -1)
      .flatten(2);
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
