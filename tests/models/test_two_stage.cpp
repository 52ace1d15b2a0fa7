// What the encoder of a two-stage model proposes, against numbers worked out by hand.
#include "models/tiny_detector.h"
#include "models/two_stage.h"

namespace lethe::testing {
namespace {

/// Levels of images of one canvas, without values of their own. `valid[b][l]`: what image b covers.
Pyramid pyramid_of(const std::vector<LevelSize>& levels,
                   const std::vector<std::vector<LevelSize>>& valid, int64_t dim = 4) {
  Pyramid pyramid;
  pyramid.levels = levels;
  const auto images = static_cast<int64_t>(valid.size());
  std::vector<at::Tensor> paddings;
  pyramid.valid_ratios = at::empty({images, static_cast<int64_t>(levels.size()), 2});
  for (size_t l = 0; l < levels.size(); ++l) {
    const at::Tensor padding = at::ones({images, levels[l].height, levels[l].width}, at::kBool);
    for (int64_t b = 0; b < images; ++b) {
      const LevelSize& part = valid[static_cast<size_t>(b)][l];
      padding[b].slice(0, 0, part.height).slice(1, 0, part.width).fill_(false);
      const at::Tensor ratio = pyramid.valid_ratios[b][static_cast<int64_t>(l)];
      ratio[0] = static_cast<double>(part.width) / static_cast<double>(levels[l].width);
      ratio[1] = static_cast<double>(part.height) / static_cast<double>(levels[l].height);
    }
    paddings.push_back(padding.flatten(1));
  }
  pyramid.padding = at::cat(paddings, 1);
  pyramid.values = at::zeros({images, pyramid.padding.size(1), dim});
  return pyramid;
}

/// The boxes after the sigmoid, [B, S, 4] in float64; what is infinite becomes 1.
at::Tensor after_sigmoid(const at::Tensor& boxes) { return boxes.to(at::kDouble).sigmoid(); }

const std::vector<double> kNone = {1, 1, 1, 1};  // infinite before the sigmoid

void boxes_at_every_cell(void**) {
  const Pyramid pyramid = pyramid_of({{2, 4}, {1, 2}}, {{{2, 4}, {1, 2}}, {{1, 3}, {1, 1}}});
  const at::Tensor boxes = proposed_boxes(pyramid);
  assert_true(boxes.sizes() == at::IntArrayRef({2, 10, 4}));
  const double small = 0.05, large = 0.1;  // the second level's are twice the first one's
  const at::Tensor first = matrix({{0.125, 0.25, small, small},
                                   {0.375, 0.25, small, small},
                                   {0.625, 0.25, small, small},
                                   {0.875, 0.25, small, small},
                                   {0.125, 0.75, small, small},
                                   {0.375, 0.75, small, small},
                                   {0.625, 0.75, small, small},
                                   {0.875, 0.75, small, small},
                                   {0.25, 0.5, large, large},
                                   {0.75, 0.5, large, large}});
  // Of the second image's first level one row of three cells is not padding.
  const at::Tensor second = matrix({{1.0 / 6, 0.5, small, small},
                                    {3.0 / 6, 0.5, small, small},
                                    {5.0 / 6, 0.5, small, small},
                                    kNone,
                                    kNone,
                                    kNone,
                                    kNone,
                                    kNone,
                                    {0.5, 0.5, large, large},
                                    kNone});
  expect_near(after_sigmoid(boxes), at::stack({first, second}), 1e-6);
  assert_int_equal(boxes.isinf().sum().item<int64_t>(), 6 * 4);  // all four numbers, or none
}

/// A centre within a hundredth of the edge, or a side as large as the image, makes no box.
void boxes_at_the_edge_are_left_out(void**) {
  for (const LevelSize size : {LevelSize{1, 60}, LevelSize{60, 1}}) {
    const at::Tensor boxes = proposed_boxes(pyramid_of({size}, {{size}}));
    const int64_t along = size.width == 60 ? 0 : 1;
    for (int64_t i = 0; i < 60; ++i) {  // 0.5 / 60 = 0.0083 and 59.5 / 60 = 0.9917 are too near
      const bool edge = i == 0 || i == 59;
      assert_int_equal(boxes[0][i].isinf().all().item<bool>(), edge);
      assert_int_equal(boxes[0][i].isinf().any().item<bool>(), edge);
      const double place = after_sigmoid(boxes)[0][i][along].item<double>();
      expect_close(place, edge ? 1 : (static_cast<double>(i) + 0.5) / 60, 1e-6);
    }
  }
  // Sides double from 0.05 to 0.8; the sixth would be 1.6.
  const std::vector<LevelSize> six(6, LevelSize{1, 1});
  const at::Tensor boxes = after_sigmoid(proposed_boxes(pyramid_of(six, {six})));
  expect_near(boxes[0],
              matrix({{0.5, 0.5, 0.05, 0.05},
                      {0.5, 0.5, 0.1, 0.1},
                      {0.5, 0.5, 0.2, 0.2},
                      {0.5, 0.5, 0.4, 0.4},
                      {0.5, 0.5, 0.8, 0.8},
                      kNone}),
              1e-6);
}

/// Sines of one number, a sine and a cosine of each wavelength in turn.
std::vector<double> waves_of(double number, int64_t waves) {
  std::vector<double> channels;
  for (int64_t i = 0; i < waves; i += 2) {
    const double exponent = static_cast<double>(i) / static_cast<double>(waves);
    const double phase = 2 * M_PI * number / std::pow(10000, exponent);
    channels.push_back(std::sin(phase));
    channels.push_back(std::cos(phase));
  }
  return channels;
}

void sines_of_boxes(void**) {
  const at::Tensor boxes = at::tensor({0.25f, 0.5f, 0.1f, 1.f}).view({1, 1, 4});
  const at::Tensor sines = sine_boxes(boxes, 4);
  assert_true(sines.sizes() == at::IntArrayRef({1, 1, 16}));
  // Wavelengths 1 and 100: a quarter is the sine's top, a half its zero, one a whole turn.
  const double tenth = 2 * M_PI * 0.1;
  const double expected[] = {1,
                             0,
                             std::sin(M_PI / 200),
                             std::cos(M_PI / 200),
                             0,
                             -1,
                             std::sin(M_PI / 100),
                             std::cos(M_PI / 100),
                             std::sin(tenth),
                             std::cos(tenth),
                             std::sin(tenth / 100),
                             std::cos(tenth / 100),
                             0,
                             1,
                             std::sin(M_PI / 50),
                             std::cos(M_PI / 50)};
  for (int64_t i = 0; i < 16; ++i) expect_close(sines[0][0][i].item<double>(), expected[i], 1e-6);
  // As many wavelengths as channels ask for, evenly spaced in their logarithm.
  const at::Tensor many = sine_boxes(boxes, 16);
  for (int64_t number = 0; number < 4; ++number) {
    const std::vector<double> channels = waves_of(boxes[0][0][number].item<double>(), 16);
    for (int64_t i = 0; i < 16; ++i) {
      expect_close(many[0][0][16 * number + i].item<double>(), channels[i], 1e-6);
    }
  }
}

/// (x - mean) / sqrt(variance + 1e-5).
std::vector<double> normalised(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  double mean = 0, variance = 0;
  for (double value : values) mean += value / count;
  for (double value : values) variance += (value - mean) * (value - mean) / count;
  std::vector<double> result;
  for (double value : values) result.push_back((value - mean) / std::sqrt(variance + 1e-5));
  return result;
}

LayerNorm plain_norm(int64_t width) { return {at::ones({width}), at::zeros({width}), 1e-5}; }
Linear plain_linear(int64_t width) { return {at::eye(width), at::zeros({width})}; }
Linear constant(const std::vector<float>& values, int64_t in) {
  return {at::zeros({static_cast<int64_t>(values.size()), in}), at::tensor(values)};
}

/// One level of five cells, the last of them padding, seen through identities. The class logits are
/// the first two normalised channels, the box head moves every box by (0.2, 0, 0, -0.3).
struct ByHand {
  Pyramid pyramid = pyramid_of({{1, 5}}, {{{1, 4}}});
  at::Tensor memory = matrix({{3, 1, -2, -2},
                              {1, 1, -1, -1},
                              {-1, 1, 1, -1},
                              {3, -1, -1, -1},
                              {300, -100, -100, -100}})  // it would be ranked first
                          .to(at::kFloat)
                          .unsqueeze(0);
  ProposalLayers layers{
      plain_linear(4),
      plain_norm(4),
      {at::eye(4).slice(0, 0, 2).contiguous(), at::tensor({0.f, 0.5f})},
      {{constant({0, 0, 0, 0}, 4), constant({0, 0, 0, 0}, 4), constant({0.2f, 0, 0, -0.3f}, 4)}},
      plain_linear(8),
      plain_norm(8),
      4};
};

/// The moved box of the cell in column `i` of four.
std::vector<double> moved_box(int64_t i) {
  const auto moved = [](double share, double by) {
    return 1 / (1 + std::exp(-(std::log(share / (1 - share)) + by)));
  };
  return {moved((static_cast<double>(i) + 0.5) / 4, 0.2), 0.5, 0.05, moved(0.05, -0.3)};
}

void the_best_are_taken_in_order(void**) {
  ByHand by_hand;
  const Proposals found = propose(by_hand.layers, by_hand.memory, by_hand.pyramid);
  // Variances of the cells: 4.5, 1, 1, 3; padding goes in as zeros and comes out as the biases.
  const double a = std::sqrt(4.5), c = std::sqrt(3.0);
  expect_near(found.all.logits[0],
              matrix({{3 / a, 1 / a + 0.5}, {1, 1.5}, {-1, 1.5}, {3 / c, -1 / c + 0.5}, {0, 0.5}}),
              1e-4, "logits");
  expect_near(found.all.boxes[0],
              matrix({moved_box(0), moved_box(1), moved_box(2), moved_box(3), kNone}), 1e-5,
              "boxes");
  assert_false(found.all.embeddings.defined());
  // By the logit of class 0: 1.73, 1.41, 1, and the padding's 0 before -1.
  const std::vector<std::vector<double>> best = {moved_box(3), moved_box(0), moved_box(1), kNone};
  expect_near(found.reference[0], matrix(best), 1e-5, "references");

  std::vector<std::vector<double>> position, target;
  for (const std::vector<double>& box : best) {
    std::vector<double> sines;
    for (double number : box) {
      for (double channel : waves_of(number, 2)) sines.push_back(channel);
    }
    const std::vector<double> normed = normalised(sines);
    position.emplace_back(normed.begin(), normed.begin() + 4);  // of (cx, cy)
    target.emplace_back(normed.begin() + 4, normed.end());      // of (w, h)
  }
  expect_near(found.position[0], matrix(position), 1e-4, "positions");
  expect_near(found.target[0], matrix(target), 1e-4, "targets");

  by_hand.layers.count = 2;
  expect_near(propose(by_hand.layers, by_hand.memory, by_hand.pyramid).reference[0],
              matrix({best[0], best[1]}), 1e-5, "two");
  by_hand.layers.count = 9;  // there are no more than positions
  assert_int_equal(propose(by_hand.layers, by_hand.memory, by_hand.pyramid).reference.size(1), 5);
}

/// Boxes learn as proposals; as references of queries they are given.
void references_carry_no_gradient(void**) {
  ByHand by_hand;
  at::Tensor& bias = by_hand.layers.boxes.layers[2].bias;
  bias.requires_grad_(true);
  by_hand.layers.queries.bias.requires_grad_(true);
  const Proposals found = propose(by_hand.layers, by_hand.memory, by_hand.pyramid);
  assert_false(found.reference.requires_grad());
  assert_true(found.all.boxes.requires_grad());
  found.target.square().sum().backward();
  assert_false(bias.grad().defined());
  assert_true(by_hand.layers.queries.bias.grad().count_nonzero().item<int64_t>() > 0);
}

// ------------------------------------------------------------------------------------- in a model

DeformableDetr two_stage_detector() {
  return detector(
      with(kTiny, {{"refine_boxes", true}, {"two_stage", true}, {"decoder_layers", 1}}));
}

/// Sets the tensors whose names begin so: weights to `weight` (an identity: NAN), biases to 0.
void set(Weights& weights, const std::string& prefix, double weight) {
  int64_t found = 0;
  for (auto& [name, tensor] : weights) {
    if (!name.starts_with(prefix)) continue;
    ++found;
    if (name.ends_with("bias")) {
      tensor.zero_();
    } else if (std::isnan(weight)) {
      tensor.copy_(at::eye(tensor.size(0)));
    } else {
      tensor.fill_(weight);
    }
  }
  assert_int_equal(found, 2);
}

/// The last pair of heads is the proposals'. Its boxes, unmoved, on the levels of batch_of().
void a_model_proposes_its_cells(void**) {
  const DeformableDetr model = two_stage_detector();
  Weights weights = lively_weights(model);
  set(weights, "bbox_embed.1.layers.2.", 0);
  const Batch batch = batch_of(model.spec().feature_channels);
  const DetectorOutput output = model.forward(weights, batch.features, batch.padding);

  const LevelSize sizes[] = {{8, 12}, {4, 6}, {2, 3}, {1, 2}};
  const LevelSize second[] = {{6, 7}, {3, 4}, {2, 2}, {1, 2}};  // the image's part
  std::vector<std::vector<double>> boxes[2];
  double side = 0.05;
  for (int l = 0; l < 4; ++l, side *= 2) {
    for (int b = 0; b < 2; ++b) {
      const auto [height, width] = b == 0 ? sizes[l] : second[l];
      for (int64_t row = 0; row < sizes[l].height; ++row) {
        for (int64_t column = 0; column < sizes[l].width; ++column) {
          const bool inside = row < height && column < width;
          const auto middle = [](int64_t at, int64_t all) {
            return (static_cast<double>(at) + 0.5) / static_cast<double>(all);
          };
          boxes[b].push_back(
              inside ? std::vector<double>{middle(column, width), middle(row, height), side, side}
                     : kNone);
        }
      }
    }
  }
  expect_near(output.proposals->boxes, at::stack({matrix(boxes[0]), matrix(boxes[1])}), 1e-5);
  const at::Tensor outside = (output.proposals->boxes == 1).all(-1);
  assert_int_equal(outside.sum().item<int64_t>(), 96 + 24 + 6 + 2 - 42 - 12 - 4 - 2);
  // What is outside is judged without its contents.
  const at::Tensor empty = output.proposals->logits.index({outside});
  assert_true(at::equal(empty, empty[0].expand_as(empty).contiguous()));
  set(weights, "class_embed.1.", 0);
  assert_int_equal(model.forward(weights, batch.features, batch.padding)
                       .proposals->logits.count_nonzero()
                       .item<int64_t>(),
                   0);
}

/// With a decoder that only normalises, an embedding is what its query began with: of a box's
/// sides, or with the halves exchanged of its centre.
void queries_begin_with_the_sines_of_their_boxes(void**) {
  const DeformableDetr model = two_stage_detector();
  Weights weights = lively_weights(model);
  const std::string layer = "transformer.decoder.layers.0.";
  for (const char* part : {"self_attn.out_proj.", "cross_attn.output_proj.", "linear2."}) {
    set(weights, layer + part, 0);
  }
  for (const char* part : {"norm1.", "norm2.", "norm3."}) set(weights, layer + part, 1);
  set(weights, "transformer.pos_trans.", NAN);
  set(weights, "transformer.pos_trans_norm.", 1);
  set(weights, "bbox_embed.0.layers.2.", 0);  // the decoder's boxes are the proposals
  at::Tensor& map = weights.at("transformer.pos_trans.weight");
  const Batch batch = batch_of(model.spec().feature_channels);
  for (const int64_t first : {2, 0}) {  // of the numbers that the second half shows
    if (first == 0) map.copy_(map.roll(32, 0));
    const DetectorOutput output = model.forward(weights, batch.features, batch.padding);
    for (int64_t b = 0; b < 2; ++b) {
      std::vector<std::vector<double>> expected;
      for (int64_t q = 0; q < 9; ++q) {
        std::vector<double> sines;
        for (int64_t number = first; number < first + 2; ++number) {
          const double value = output.last().boxes[b][q][number].item<double>();
          for (double channel : waves_of(value, 16)) sines.push_back(channel);
        }
        expected.push_back(normalised(sines));
      }
      expect_near(output.last().embeddings[b], matrix(expected), 1e-3, str("numbers from ", first));
    }
  }
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(boxes_at_every_cell),
      cmocka_unit_test(boxes_at_the_edge_are_left_out),
      cmocka_unit_test(sines_of_boxes),
      cmocka_unit_test(the_best_are_taken_in_order),
      cmocka_unit_test(references_carry_no_gradient),
      cmocka_unit_test(a_model_proposes_its_cells),
      cmocka_unit_test(queries_begin_with_the_sines_of_their_boxes),
  };
  return cmocka_run_group_tests_name("two_stage", tests, nullptr, nullptr);
}
