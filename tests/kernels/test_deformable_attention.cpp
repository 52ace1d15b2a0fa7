// Deformable attention: golden numbers, finite differences, the grid_sample formulation, and what
// is promised beyond the numbers.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cstdlib>
#include <limits>

#include "kernels/cuda_plugin.h"
#include "kernels/deformable_attention.h"
#include "kernels/grid_attention.h"
#include "near.h"
#include "storage/safetensors.h"
#include "support/random.h"
#include "support/warnings.h"

namespace lethe::testing {
namespace {

at::Generator& generator() {
  static at::Generator shared = RandomStream(1, "deformable attention").generator();
  return shared;
}

at::Tensor normal(at::IntArrayRef shape) {
  return at::empty(shape, at::kDouble).normal_(0, 1, generator());
}

struct Inputs {
  std::vector<LevelSize> levels;
  at::Tensor value, locations, weights;
};

struct Results {
  at::Tensor output, value, locations, weights;
};

using Operator = at::Tensor (*)(const at::Tensor&, const std::vector<LevelSize>&, const at::Tensor&,
                                const at::Tensor&);

at::Tensor leaf(const at::Tensor& tensor, bool wanted = true) {
  return tensor.detach().clone().requires_grad_(wanted);
}

Results run(Operator attention, const Inputs& in, const at::Tensor& upstream,
            bool value_wanted = true, bool points_wanted = true) {
  const at::Tensor value = leaf(in.value, value_wanted);
  const at::Tensor locations = leaf(in.locations, points_wanted);
  const at::Tensor weights = leaf(in.weights, points_wanted);
  const at::Tensor output = attention(value, in.levels, locations, weights);
  output.backward(upstream);
  return {output.detach(), value.grad(), locations.grad(), weights.grad()};
}

void expect_results(const Results& actual, const Results& expected, double tolerance,
                    const std::string& what) {
  expect_near(actual.output, expected.output, tolerance, what + ", output");
  expect_near(actual.value, expected.value, tolerance, what + ", dV");
  expect_near(actual.locations, expected.locations, tolerance, what + ", dp");
  expect_near(actual.weights, expected.weights, tolerance, what + ", da");
}

/// Points inside, beside the border on both of its sides, and outside; none so near to a pixel's
/// centre that a small step would cross it.
Inputs inputs(const std::vector<LevelSize>& levels, int64_t batch, int64_t heads, int64_t channels,
              int64_t queries, int64_t points) {
  Inputs in;
  in.levels = levels;
  const auto count = static_cast<int64_t>(levels.size());
  int64_t positions = 0;
  in.locations = at::empty({batch, queries, heads, count, points, 2}, at::kDouble);
  for (int64_t l = 0; l < count; ++l) {
    const auto [height, width] = levels[static_cast<size_t>(l)];
    positions += height * width;
    for (int64_t axis = 0; axis < 2; ++axis) {
      const int64_t size = axis == 0 ? width : height;
      const at::Tensor place = in.locations.select(3, l).select(-1, axis);
      const at::Tensor pixel = at::empty_like(place).random_(-2, size + 1, generator());
      const at::Tensor part = at::empty_like(place).uniform_(0.05, 0.95, generator());
      place.copy_((pixel + part + 0.5) / static_cast<double>(std::max<int64_t>(1, size)));
    }
  }
  in.value = normal({batch, positions, heads, channels});
  in.weights = at::softmax(normal({batch, queries, heads, count * points}), -1)
                   .view({batch, queries, heads, count, points});
  return in;
}

Inputs to(Inputs in, at::ScalarType type) {
  for (at::Tensor* tensor : {&in.value, &in.locations, &in.weights}) *tensor = tensor->to(type);
  return in;
}

/// Where the operator runs, and on what: values and upstream gradients of `type`, the rest of
/// `type` too or, with bfloat16 values, float32.
struct Place {
  at::DeviceType device;
  at::ScalarType type;
  double tolerance;  ///< what rounding may cost, of the largest value

  at::ScalarType places_type() const { return type == at::kBFloat16 ? at::kFloat : type; }
  std::string name() const { return lethe::str(device, ", ", type); }
};
constexpr Place kCpu[] = {{at::kCPU, at::kDouble, 1e-12}, {at::kCPU, at::kFloat, 1e-5}};
// Sums are float32 whatever the values are: with bfloat16 only what comes out is rounded, by 2^-9.
constexpr Place kCuda[] = {{at::kCUDA, at::kFloat, 1e-5}, {at::kCUDA, at::kBFloat16, 4e-3}};

/// run() at a place; the results on the CPU.
Results run_at(const Place& place, Inputs in, const at::Tensor& upstream, bool value_wanted = true,
               bool points_wanted = true) {
  in.value = in.value.to(place.device, place.type);
  in.locations = in.locations.to(place.device, place.places_type());
  in.weights = in.weights.to(place.device, place.places_type());
  Results results = run(deformable_attention, in, upstream.to(place.device, place.type),
                        value_wanted, points_wanted);
  for (at::Tensor* t : {&results.output, &results.value, &results.locations, &results.weights}) {
    if (t->defined()) *t = t->cpu();
  }
  return results;
}

/// Numbers that bfloat16 holds: nothing is lost on the way in.
at::Tensor representable(const at::Tensor& tensor) {
  return tensor.to(at::kBFloat16).to(tensor.scalar_type());
}

struct Golden {
  std::string name;
  Inputs in;
  at::Tensor upstream;
  Results expected;
};

std::vector<Golden> golden_numbers() {
  const char* folder = std::getenv("LETHE_GOLDEN");
  if (!folder) fail_msg("LETHE_GOLDEN names no folder");
  std::vector<Golden> all;
  for (const std::string name : {"op_2x8", "op_4x32"}) {
    Weights g =
        read_safetensors(std::string(folder) + "/ms_deform_attn/" + name + ".safetensors").tensors;
    Inputs in{{}, g["value"], g["locations"], g["weights"]};
    for (int64_t l = 0; l < g["shapes"].size(0); ++l) {
      in.levels.push_back({g["shapes"][l][0].item<int64_t>(), g["shapes"][l][1].item<int64_t>()});
    }
    all.push_back({name,
                   in,
                   g["grad_output"],
                   {g["output"], g["grad_value"], g["grad_locations"], g["grad_weights"]}});
  }
  return all;
}

void golden(void**) {
  for (const Golden& g : golden_numbers()) {
    for (const Place& place : kCpu) {
      expect_results(run_at(place, g.in, g.upstream), g.expected, place.tolerance,
                     g.name + " on " + place.name());
    }
  }
}

/// Between pixels the output is linear in each coordinate, so that differences are exact but for
/// rounding.
void finite_differences(void**) {
  constexpr double kStep = 1e-4, kTolerance = 1e-8;
  for (const int64_t channels : {8, 30, 32, 64, 71}) {
    const std::string what = str(channels, " channels");
    const Inputs in = inputs({{3, 4}, {0, 5}, {2, 1}}, 3, 2, channels, 3, 2);
    const at::Tensor upstream = normal({3, 3, 2 * channels});
    const Results results = run(deformable_attention, in, upstream);
    const auto loss = [&](const Inputs& at) {
      return (deformable_attention(at.value, at.levels, at.locations, at.weights) * upstream)
          .sum()
          .item<double>();
    };
    for (const auto& [input, gradient] :
         {std::pair{&Inputs::locations, results.locations}, {&Inputs::weights, results.weights}}) {
      const at::Tensor expected = at::zeros_like(gradient);
      for (int64_t i = 0; i < gradient.numel(); ++i) {
        Inputs moved = in;
        moved.*input = (in.*input).clone();
        double& number = (moved.*input).mutable_data_ptr<double>()[i];
        const double before = number;
        number = before + kStep;
        const double above = loss(moved);
        number = before - kStep;
        expected.mutable_data_ptr<double>()[i] = (above - loss(moved)) / (2 * kStep);
      }
      expect_near(gradient, expected, kTolerance, what);
    }
    // Linear in the values: a step in any direction will do.
    const at::Tensor direction = normal(in.value.sizes());
    Inputs moved = in;
    moved.value = in.value + direction;
    expect_close((results.value * direction).sum().item<double>(), loss(moved) - loss(in), 1e-10);
  }
}

void like_grid_sample(void**) {
  const std::vector<LevelSize> three = {{5, 7}, {3, 2}, {1, 1}};
  const std::vector<LevelSize> five = {{9, 13}, {5, 7}, {3, 4}, {2, 2}, {1, 1}};
  for (const std::vector<LevelSize>& levels : {three, five}) {
    for (const int64_t channels : {1, 4, 8, 16, 30, 32, 64, 71}) {
      const std::string what = str(levels.size(), " levels, ", channels, " channels");
      const Inputs in = inputs(levels, 3, 2, channels, 11, 3);
      const at::Tensor upstream = normal({3, 11, 2 * channels});
      expect_results(run(deformable_attention, in, upstream), run(grid_attention, in, upstream),
                     1e-12, what);
      const Inputs single = to(in, at::kFloat);
      const at::Tensor g = upstream.to(at::kFloat);
      expect_results(run(deformable_attention, single, g), run(grid_attention, single, g), 1e-5,
                     what + ", float32");
    }
  }
}

/// So many queries that heads are copied and queries split; so many points that a tile has room for
/// one query only.
void large_and_odd(void**) {
  const Inputs many = inputs({{20, 30}, {7, 5}}, 2, 3, 32, 1300, 4);
  const at::Tensor g = normal({2, 1300, 3 * 32});
  expect_results(run(deformable_attention, many, g), run(grid_attention, many, g), 1e-12, "many");
  const Inputs points = inputs({{4, 3}}, 1, 2, 5, 3, 150);
  const at::Tensor h = normal({1, 3, 10});
  expect_results(run(deformable_attention, points, h), run(grid_attention, points, h), 1e-12,
                 "150 points");
}

void any_layout(void**) {
  Inputs in = inputs({{5, 7}, {3, 2}}, 2, 2, 8, 6, 3);
  const at::Tensor upstream = normal({2, 6, 16});
  const Results expected = run(deformable_attention, in, upstream);
  in.value = in.value.permute({3, 1, 0, 2}).contiguous().permute({2, 1, 3, 0});
  in.locations = in.locations.transpose(1, 2).contiguous().transpose(1, 2);
  in.weights = in.weights.transpose(0, 4).contiguous().transpose(0, 4);
  const at::Tensor g = upstream.transpose(1, 2).contiguous().transpose(1, 2);
  expect_results(run(deformable_attention, in, g), expected, 0, "other strides");
}

void only_what_is_wanted(void**) {
  for (const int64_t queries : {5, 700}) {
    const Inputs in = inputs({{5, 7}, {3, 2}}, 2, 2, 32, queries, 3);
    const at::Tensor upstream = normal({2, queries, 64});
    const Results all = run(deformable_attention, in, upstream);
    const Results points = run(deformable_attention, in, upstream, /*value_wanted=*/false);
    assert_false(points.value.defined());
    assert_true(at::equal(points.locations, all.locations));
    assert_true(at::equal(points.weights, all.weights));
    const Results value = run(deformable_attention, in, upstream, true, /*points_wanted=*/false);
    assert_false(value.locations.defined() || value.weights.defined());
    assert_true(at::equal(value.value, all.value));
    const at::NoGradGuard no_grad;
    assert_true(
        at::equal(deformable_attention(in.value, in.levels, in.locations, in.weights), all.output));
  }
}

void any_number_of_threads(void**) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    const Inputs in = to(inputs({{20, 30}, {7, 5}, {2, 2}}, 2, 3, 32, 1300, 4), type);
    const at::Tensor upstream = normal({2, 1300, 96}).to(type);
    for (const bool value_wanted : {true, false}) {
      std::vector<Results> all;
      for (const int count : {1, 2, 5}) {
        const ThreadBudget threads(count);
        all.push_back(run(deformable_attention, in, upstream, value_wanted));
        assert_true(at::equal(all[0].output, all.back().output));
        assert_true(at::equal(all[0].locations, all.back().locations));
        assert_true(at::equal(all[0].weights, all.back().weights));
        if (value_wanted) assert_true(at::equal(all[0].value, all.back().value));
      }
    }
  }
}

/// Places that are no numbers, or far away, sample zero; pixels that are not touched do not matter.
void expect_zero_beyond_numbers(const Place& place) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  Inputs in = inputs({{2, 3}}, 1, 1, 8, 1, 5);
  in.locations.fill_(-0.1);  // touches the top left pixel alone
  in.locations[0][0][0][0][1][0] = NAN;
  in.locations[0][0][0][0][2][1] = kInf;
  in.locations[0][0][0][0][3][0] = -kInf;
  in.locations[0][0][0][0][4][1] = 1e30;
  in.value.fill_(kInf);
  in.value.select(1, 0).fill_(2);
  const Results results = run_at(place, in, at::ones({1, 1, 8}));
  // 0.7 and 0.8 of a pixel from the centre of the first
  expect_near(results.output, (in.weights.view(-1)[0] * (2 * 0.2 * 0.3)).expand({1, 1, 8}).clone(),
              std::max(1e-6, place.tolerance), place.name());
  assert_true(results.locations.isfinite().all().item<bool>());
  assert_true(results.weights.isfinite().all().item<bool>());
  assert_int_equal(results.weights.count_nonzero().item<int64_t>(), 1);
  assert_int_equal(results.value.count_nonzero().item<int64_t>(), 8);
}

void not_finite(void**) {
  for (const Place& place : kCpu) expect_zero_beyond_numbers(place);
}

/// The operator of one image, head, level and point as its description has it, one query at a time.
Results by_definition(const Inputs& in, const at::Tensor& upstream) {
  const auto [height, width] = in.levels[0];
  Results r{at::zeros_like(upstream), at::zeros_like(in.value), at::zeros_like(in.locations),
            at::zeros_like(in.weights)};
  for (int64_t q = 0; q < in.locations.size(1); ++q) {
    const at::Tensor place = in.locations[0][q].view({2});
    const double weight = in.weights[0][q].item<double>();
    const double x = place[0].item<double>() * static_cast<double>(width) - 0.5;
    const double y = place[1].item<double>() * static_cast<double>(height) - 0.5;
    const double fx = x - std::floor(x), fy = y - std::floor(y);
    const at::Tensor g = upstream[0][q];
    at::Tensor sample = at::zeros_like(g), right = at::zeros_like(g), below = at::zeros_like(g);
    for (int64_t i = 0; i < 4; ++i) {  // the pixels around it
      const int64_t row = static_cast<int64_t>(std::floor(y)) + i / 2;
      const int64_t column = static_cast<int64_t>(std::floor(x)) + i % 2;
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      const double of_x = i % 2 ? fx : 1 - fx, of_y = i / 2 ? fy : 1 - fy;
      const int64_t pixel = row * width + column;
      const at::Tensor v = in.value[0][pixel][0];
      sample += of_x * of_y * v;
      right += (i % 2 ? of_y : -of_y) * v;
      below += (i / 2 ? of_x : -of_x) * v;
      r.value[0][pixel][0] += weight * (of_x * of_y) * g;
    }
    r.output[0][q] += weight * sample;
    r.weights[0][q] += (g * sample).sum();
    const at::Tensor moved = r.locations[0][q].view({2});
    moved[0] += weight * (g * right).sum() * width;
    moved[1] += weight * (g * below).sum() * height;
  }
  return r;
}

/// On the centres of the outer pixels, on the map's edges, and where it just ends: what decides
/// between inside and outside is exact. Sizes are powers of two, so that all places are. A point
/// exactly a pixel above or left of the map has no value, but a derivative.
void expect_borders(const Place& place) {
  constexpr int64_t kHeight = 4, kWidth = 8, kChannels = 8;
  const std::vector<double> columns = {-1.5, -1, -0.5, 0, 1.5, 6.5, 7, 7.5, 8, 8.5};
  const std::vector<double> rows = {-1.5, -1, -0.5, 0, 1.5, 2.5, 3, 3.5, 4, 4.5};
  const auto queries = static_cast<int64_t>(columns.size() * rows.size());
  Inputs in = inputs({{kHeight, kWidth}}, 1, 1, kChannels, queries, 1);
  in.value = representable(in.value);
  in.weights.uniform_(0.5, 1.5, generator());
  int64_t query = 0;
  for (const double x : columns) {
    for (const double y : rows) {
      const at::Tensor to = in.locations[0][query++].view({2});
      to[0] = (x + 0.5) / kWidth;
      to[1] = (y + 0.5) / kHeight;
    }
  }
  const at::Tensor upstream = representable(normal({1, queries, kChannels}));
  expect_results(run_at(place, in, upstream), by_definition(in, upstream), place.tolerance,
                 place.name());
}

void borders(void**) {
  for (const Place& place : kCpu) expect_borders(place);
}

void nothing_to_do(void**) {
  for (const auto& in : {inputs({{2, 3}}, 0, 2, 4, 5, 2), inputs({{2, 3}}, 2, 0, 4, 5, 2),
                         inputs({{2, 3}}, 2, 2, 0, 5, 2), inputs({{2, 3}}, 2, 2, 4, 0, 2),
                         inputs({{2, 3}}, 2, 2, 4, 5, 0), inputs({}, 2, 2, 4, 5, 2),
                         inputs({{0, 3}, {0, 0}}, 2, 2, 4, 5, 2)}) {
    const int64_t batch = in.value.size(0), queries = in.locations.size(1);
    const int64_t width = in.value.size(2) * in.value.size(3);
    const Results results =
        run(deformable_attention, in, at::ones({batch, queries, width}, at::kDouble));
    assert_true(at::equal(results.output, at::zeros({batch, queries, width}, at::kDouble)));
    assert_true(at::equal(results.value, at::zeros_like(in.value)));
    assert_true(at::equal(results.locations, at::zeros_like(in.locations)));
    assert_true(at::equal(results.weights, at::zeros_like(in.weights)));
  }
}

struct Offsets {
  at::Tensor value, reference, offsets, logits;
};

Offsets offsets(const std::vector<LevelSize>& levels, int64_t width) {
  constexpr int64_t kBatch = 2, kQueries = 7, kHeads = 2, kPoints = 3;
  const auto count = static_cast<int64_t>(levels.size());
  int64_t positions = 0;
  for (const LevelSize& level : levels) positions += level.height * level.width;
  return {normal({kBatch, positions, kHeads, 8}),
          at::empty({kBatch, kQueries, count, width}, at::kDouble).uniform_(0.1, 0.9, generator()),
          normal({kBatch, kQueries, kHeads, count, kPoints, 2}),
          normal({kBatch, kQueries, kHeads, count * kPoints})};
}

void from_offsets(void**) {
  const std::vector<LevelSize> levels = {{5, 7}, {3, 2}};
  const at::Tensor upstream = normal({2, 7, 16});
  for (const int64_t width : {2, 4}) {
    const Offsets in = offsets(levels, width);
    std::vector<std::vector<at::Tensor>> results;
    for (const bool fused : {true, false}) {
      const at::Tensor value = leaf(in.value), reference = leaf(in.reference);
      const at::Tensor offsets = leaf(in.offsets), logits = leaf(in.logits);
      at::Tensor output;
      if (fused) {
        output = deformable_attention_from_offsets(value, levels, reference, offsets, logits);
      } else {
        std::vector<at::Tensor> places;
        for (int64_t l = 0; l < 2; ++l) {
          const auto [h, w] = levels[static_cast<size_t>(l)];
          const at::Tensor r = reference.select(2, l).unsqueeze(2).unsqueeze(3);  // [B, Q, 1, 1, .]
          const at::Tensor o = offsets.select(3, l);                              // [B, Q, M, P, 2]
          const at::Tensor size =
              at::stack({at::scalar_tensor(w, at::kDouble), at::scalar_tensor(h, at::kDouble)});
          places.push_back(width == 2 ? r + o / size
                                      : r.slice(-1, 0, 2) + o / 3 * r.slice(-1, 2, 4) * 0.5);
        }
        output = grid_attention(value, levels, at::stack(places, 3),
                                at::softmax(logits, -1).view({2, 7, 2, 2, 3}));
      }
      output.backward(upstream);
      results.push_back(
          {output.detach(), value.grad(), reference.grad(), offsets.grad(), logits.grad()});
    }
    for (size_t i = 0; i < results[0].size(); ++i) {
      expect_near(results[0][i], results[1][i], 1e-12, str("width ", width, ", result ", i));
    }
  }
}

void empty_level_from_offsets(void**) {
  const std::vector<LevelSize> levels = {{5, 7}, {0, 0}};
  Offsets in = offsets(levels, 2);
  for (at::Tensor* t : {&in.value, &in.reference, &in.offsets, &in.logits}) *t = leaf(*t);
  deformable_attention_from_offsets(in.value, levels, in.reference, in.offsets, in.logits)
      .sum()
      .backward();
  for (const at::Tensor& t : {in.value, in.reference, in.offsets, in.logits}) {
    assert_true(t.grad().isfinite().all().item<bool>());
  }
}

void bad_input(void**) {
  const Inputs good = inputs({{2, 3}, {1, 2}}, 2, 2, 4, 5, 3);
  const auto refused = [&](const std::string& part, const std::function<void(Inputs&)>& spoil,
                           Code code = Code::kInvalidArgument) {
    Inputs in = good;
    spoil(in);
    expect_error(code, part,
                 [&] { deformable_attention(in.value, in.levels, in.locations, in.weights); });
  };
  refused("[2, 8, 8]", [](Inputs& in) { in.value = in.value.flatten(2); });
  refused("9 pixels", [](Inputs& in) { in.levels[1].height = 3, in.levels[1].width = 1; });
  refused("-1 x -2", [](Inputs& in) { in.levels[1] = {-1, -2}; });
  refused("2^30", [](Inputs& in) { in.levels[1] = {int64_t{1} << 62, 4}; });
  refused("locations must be", [](Inputs& in) { in.locations = in.locations.flatten(0, 1); });
  refused("[2, 5, 2, 1, 3, 2]", [](Inputs& in) { in.locations = in.locations.slice(3, 0, 1); });
  refused("locations must be", [](Inputs& in) { in.locations = in.locations.slice(0, 0, 1); });
  refused("[2, 5, 2, 2, 2]", [](Inputs& in) { in.weights = in.weights.slice(4, 0, 2); });
  refused("locations are Float", [](Inputs& in) { in.locations = in.locations.to(at::kFloat); });
  refused("weights are Float", [](Inputs& in) { in.weights = in.weights.to(at::kFloat); });
  refused("values are Half", [](Inputs& in) { in.value = in.value.to(at::kHalf); });
  refused(
      "not on meta", [](Inputs& in) { in.value = in.value.to(at::kMeta); }, Code::kUnsupported);

  const std::vector<LevelSize> levels = {{5, 7}, {3, 2}};
  const Offsets in = offsets(levels, 2);
  const auto fused = [&](const at::Tensor& reference, const at::Tensor& logits) {
    return [&in, &levels, reference, logits] {
      deformable_attention_from_offsets(in.value, levels, reference, in.offsets, logits);
    };
  };
  expect_error(Code::kInvalidArgument, "reference points must be",
               fused(normal({2, 7, 2, 3}), in.logits));
  expect_error(Code::kInvalidArgument, "reference points are Float",
               fused(in.reference.to(at::kFloat), in.logits));
  expect_error(Code::kInvalidArgument, "logits must be",
               fused(in.reference, in.logits.view({2, 7, 2, 2, 3})));
}

void no_second_derivative(void**) {
  const Inputs in = inputs({{2, 3}}, 1, 1, 4, 2, 2);
  const at::Tensor value = leaf(in.value);
  const at::Tensor output = deformable_attention(value, in.levels, in.locations, in.weights);
  const TorchWarnings silent;  // create_graph warns of a cycle
  expect_error(Code::kUnsupported, "no second derivative",
               [&] { output.sum().backward({}, /*retain_graph=*/true, /*create_graph=*/true); });
}

// -------------------------------------------------------------------------------------------- CUDA

/// Ends the test as a skipped one where no CUDA device is.
void need_cuda() {
  if (cuda_status().device_count > 0) return;
  print_message("skipped, no CUDA device: %s\n", cuda_status().reason.c_str());
  skip();
}

void cuda_golden(void**) {
  need_cuda();
  for (const Golden& g : golden_numbers()) {
    expect_results(run_at(kCuda[0], g.in, g.upstream), g.expected, kCuda[0].tolerance, g.name);
  }
}

/// Against the CPU, for every number of lanes that a query and head may have.
void cuda_like_cpu(void**) {
  need_cuda();
  const std::vector<LevelSize> filled = {{13, 17}, {6, 8}, {3, 4}};
  const std::vector<LevelSize> with_empty = {{0, 5}, {6, 8}, {3, 0}, {3, 4}, {0, 0}};
  for (const std::vector<LevelSize>& levels : {filled, with_empty}) {
    for (const int64_t channels : {8, 30, 32, 64, 71}) {
      Inputs in = to(inputs(levels, 2, 3, channels, 50, 4), at::kFloat);
      in.value = representable(in.value);
      const at::Tensor upstream = representable(normal({2, 50, 3 * channels}).to(at::kFloat));
      const Results expected = run(deformable_attention, in, upstream);
      for (const Place& place : kCuda) {
        expect_results(run_at(place, in, upstream), expected, place.tolerance,
                       str(place.name(), ", ", levels.size(), " levels, ", channels, " channels"));
      }
    }
  }
}

void cuda_only_what_is_wanted(void**) {
  need_cuda();
  for (const Place& place : kCuda) {
    for (const int64_t channels : {8, 32, 71}) {
      const Inputs in = inputs({{5, 7}, {3, 2}}, 2, 2, channels, 60, 3);
      const at::Tensor upstream = normal({2, 60, 2 * channels});
      const Results all = run_at(place, in, upstream);
      const Results points = run_at(place, in, upstream, /*value_wanted=*/false);
      assert_false(points.value.defined());
      expect_near(points.output, all.output, 1e-6, place.name());
      expect_near(points.locations, all.locations, 1e-6, place.name());
      expect_near(points.weights, all.weights, 1e-6, place.name());
      const Results value = run_at(place, in, upstream, true, /*points_wanted=*/false);
      assert_false(value.locations.defined() || value.weights.defined());
      expect_near(value.value, all.value, place.tolerance, place.name());  // in no fixed order
    }
  }
}

void cuda_not_finite(void**) {
  need_cuda();
  for (const Place& place : kCuda) expect_zero_beyond_numbers(place);
}

void cuda_borders(void**) {
  need_cuda();
  for (const Place& place : kCuda) expect_borders(place);
}

/// Output and all gradients of deformable_attention_from_offsets(), on the CPU.
std::vector<at::Tensor> fused_results(const Place& place, const Offsets& in,
                                      const std::vector<LevelSize>& levels,
                                      const at::Tensor& upstream) {
  const at::Tensor value = leaf(in.value.to(place.device, place.type));
  const auto there = [&](const at::Tensor& t) {
    return leaf(t.to(place.device, place.places_type()));
  };
  const at::Tensor reference = there(in.reference), offsets = there(in.offsets);
  const at::Tensor logits = there(in.logits);
  const at::Tensor output =
      deformable_attention_from_offsets(value, levels, reference, offsets, logits);
  output.backward(upstream.to(place.device, place.type));
  return {output.detach().cpu(), value.grad().cpu(), reference.grad().cpu(), offsets.grad().cpu(),
          logits.grad().cpu()};
}

void cuda_from_offsets(void**) {
  need_cuda();
  const std::vector<LevelSize> filled = {{5, 7}, {3, 2}}, with_empty = {{5, 7}, {0, 0}, {3, 2}};
  for (const std::vector<LevelSize>& levels : {filled, with_empty}) {
    for (const int64_t width : {2, 4}) {
      Offsets in = offsets(levels, width);
      in.value = representable(in.value);
      const at::Tensor upstream = representable(normal({2, 7, 16}));
      const std::vector<at::Tensor> expected = fused_results(kCpu[1], in, levels, upstream);
      for (const Place& place : kCuda) {
        const std::vector<at::Tensor> results = fused_results(place, in, levels, upstream);
        for (size_t i = 0; i < results.size(); ++i) {
          expect_near(
              results[i], expected[i], place.tolerance,
              str(place.name(), ", ", levels.size(), " levels, width ", width, ", result ", i));
        }
      }
    }
  }
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(golden),
      cmocka_unit_test(finite_differences),
      cmocka_unit_test(like_grid_sample),
      cmocka_unit_test(large_and_odd),
      cmocka_unit_test(any_layout),
      cmocka_unit_test(only_what_is_wanted),
      cmocka_unit_test(any_number_of_threads),
      cmocka_unit_test(not_finite),
      cmocka_unit_test(borders),
      cmocka_unit_test(nothing_to_do),
      cmocka_unit_test(from_offsets),
      cmocka_unit_test(empty_level_from_offsets),
      cmocka_unit_test(bad_input),
      cmocka_unit_test(no_second_derivative),
      cmocka_unit_test(cuda_golden),
      cmocka_unit_test(cuda_like_cpu),
      cmocka_unit_test(cuda_only_what_is_wanted),
      cmocka_unit_test(cuda_not_finite),
      cmocka_unit_test(cuda_borders),
      cmocka_unit_test(cuda_from_offsets),
  };
  return cmocka_run_group_tests_name("deformable_attention", tests, nullptr, nullptr);
}
