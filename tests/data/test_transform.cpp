// Each step of a transform on images small enough to compute by hand, and their batches.
#include <ATen/ATen.h>

#include <cmath>
#include <utility>
#include <vector>

#include "data/transform.h"
#include "test.h"

namespace {

using namespace lethe;
using lethe::testing::expect_close;
using lethe::testing::expect_error;

using Values = std::vector<int64_t>;

at::Tensor bytes(const Values& values, at::IntArrayRef shape) {
  return at::tensor(values, at::kLong).to(at::kByte).view(shape);
}

void expect_bytes(const at::Tensor& actual, const Values& expected, at::IntArrayRef shape) {
  assert_true(actual.scalar_type() == at::kByte);
  assert_true(actual.sizes() == shape);
  const at::Tensor flat = actual.contiguous().view({-1});
  for (size_t i = 0; i < expected.size(); ++i) {
    assert_int_equal(flat[i].item<int64_t>(), expected[i]);
  }
}

at::Tensor geometry(const char* json, const at::Tensor& image) {
  return Transform::from_json(Json::parse(json)).apply_geometry(image);
}

void resize_downscales_with_antialias(void**) {
  // Triangle filter of width 2 * scale: the weights of the left pixel are (3, 3, 1) / 7.
  const at::Tensor image = bytes({0, 70, 140, 210}, {1, 1, 4}).expand({1, 4, 4});
  expect_bytes(geometry(R"({"resize": 2})", image), {50, 160, 50, 160}, {1, 2, 2});
}

void resize_upscales_bilinearly(void**) {
  expect_bytes(geometry(R"({"resize": 2})", bytes({0, 100}, {1, 1, 2})),
               {0, 25, 75, 100, 0, 25, 75, 100}, {1, 2, 4});
}

void resize_rounds_instead_of_cutting(void**) {
  // Weights (3, 3, 1) / 7 of (0, 0, 4, 4): 0.571 and 4 - 0.571.
  const at::Tensor image = bytes({0, 0, 4, 4}, {1, 1, 4}).expand({1, 4, 4});
  expect_bytes(geometry(R"({"resize": 2})", image), {1, 3, 1, 3}, {1, 2, 2});
}

void resize_floors_the_longer_side(void**) {
  const at::Tensor wide = at::zeros({1, 3, 5}, at::kByte);  // 2 * 5 / 3 = 3.33
  assert_true(geometry(R"({"resize": 2})", wide).sizes() == at::IntArrayRef({1, 2, 3}));
  assert_true(geometry(R"({"resize": 2})", wide.transpose(1, 2)).sizes() ==
              at::IntArrayRef({1, 3, 2}));
  const at::Tensor fitting = bytes({1, 2, 3, 4, 5, 6}, {1, 2, 3});
  expect_bytes(geometry(R"({"resize": 2})", fitting), {1, 2, 3, 4, 5, 6}, {1, 2, 3});
}

void crop_offsets_round_half_to_even(void**) {
  const at::Tensor row5 = at::arange(5, at::kByte).view({1, 1, 5}).expand({1, 5, 5});
  expect_bytes(geometry(R"({"center_crop": 2})", row5), {2, 3, 2, 3}, {1, 2, 2});  // 1.5 -> 2
  expect_bytes(geometry(R"({"center_crop": 4})", row5).select(1, 0), {0, 1, 2, 3}, {1, 4});  // 0.5
  const at::Tensor column6 = at::arange(6, at::kByte).view({1, 6, 1}).expand({1, 6, 6});
  expect_bytes(geometry(R"({"center_crop": 4})", column6).select(2, 0), {1, 2, 3, 4}, {1, 4});
  const at::Tensor row7 = at::arange(7, at::kByte).view({1, 1, 7}).expand({1, 9, 7});
  expect_bytes(geometry(R"({"center_crop": 2})", row7).select(1, 0), {2, 3}, {1, 2});  // 2.5 -> 2
}

void pad_adds_zeros_on_every_side(void**) {
  expect_bytes(geometry(R"({"pad": 1})", bytes({7}, {1, 1, 1})), {0, 0, 0, 0, 7, 0, 0, 0, 0},
               {1, 3, 3});
}

void channels_convert_both_ways(void**) {
  // Red, green, blue, white, mid grey; Pillow's convert("L") gives 76, 150, 29, 255, 100.
  const at::Tensor rgb =
      bytes({255, 0, 0, 255, 100, 0, 255, 0, 255, 100, 0, 0, 255, 255, 100}, {3, 1, 5});
  expect_bytes(geometry(R"({"channels": 1})", rgb), {76, 150, 29, 255, 100}, {1, 1, 5});
  expect_bytes(geometry(R"({"channels": 3})", bytes({4, 9}, {1, 1, 2})), {4, 9, 4, 9, 4, 9},
               {3, 1, 2});
  expect_bytes(geometry(R"({"channels": 3})", rgb.narrow(2, 0, 1)), {255, 0, 0}, {3, 1, 1});
  expect_bytes(geometry(R"({"channels": 1})", bytes({5}, {1, 1, 1})), {5}, {1, 1, 1});
}

void geometry_runs_in_order_and_batched(void**) {
  const Transform steps = Transform::from_json(
      Json::parse(R"({"resize": 16, "center_crop": 8, "pad": 2, "channels": 3})"));
  // Larger than one chunk, so that the seam between chunks is covered too.
  const at::Tensor images =
      at::randint(256, {300, 1, 250, 260}, at::TensorOptions(at::kLong)).to(at::kByte);
  const at::Tensor batched = steps.apply_geometry(images);
  assert_true(batched.sizes() == at::IntArrayRef({300, 3, 12, 12}));
  for (const int64_t i : {int64_t{0}, int64_t{150}, int64_t{257}, int64_t{258}, int64_t{299}}) {
    assert_true(at::equal(batched[i], steps.apply_geometry(images[i])));
  }
  assert_int_equal(batched.slice(2, 0, 2).max().item<int64_t>(), 0);
  assert_true(batched.slice(2, 2, 10).slice(3, 2, 10).max().item<int64_t>() > 0);
}

void values_scale_then_normalise(void**) {
  const Transform steps =
      Transform::from_json(Json::parse(R"({"mean": [0.5, 0.25], "std": [0.25, 2]})"));
  const at::Tensor out = steps.apply_values(bytes({51, 255, 0, 51}, {1, 2, 1, 2}));
  assert_true(out.scalar_type() == at::kFloat);
  const std::vector<double> expected = {-1.2, 2.0, -0.125, -0.025};
  for (int64_t i = 0; i < 4; ++i) expect_close(out.view({4})[i].item<double>(), expected[i], 1e-6);

  const at::Tensor floats = at::full({1, 2, 1, 1}, 0.5F);
  const at::Tensor kept = steps.apply_values(floats);
  expect_close(kept[0][1].item<double>(), 0.125, 1e-6);  // not divided by 255
  expect_close(floats[0][1].item<double>(), 0.5, 0);     // the input stays as it was
  assert_false(Transform().apply_values(floats).is_alias_of(floats));

  const Transform same = Transform::from_json(Json::parse(R"({"mean": [0.5], "std": [0.5]})"));
  expect_close(same.apply_values(floats).abs().max().item<double>(), 0, 0);
  expect_error(Code::kInvalidArgument, "2 values for images of 3 channels", [&] {
    steps.apply_values(at::zeros({1, 3, 1, 1}));
  });
}

void transform_json_round_trips(void**) {
  const Json json = Json::parse(
      R"({"resize":256,"center_crop":224,"pad":2,"channels":3,"mean":[0.5],"std":[0.25]})");
  assert_true(Transform::from_json(json).to_json() == json);
  assert_true(Transform::from_json(Json::object()).to_json() == Json::object());
  assert_false(Transform::from_json(Json::parse(R"({"mean": [0.5]})")).has_geometry());
}

void transform_json_is_strict(void**) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"resise": 4})", "resise"},
      {R"({"resize": -1})", "resize"},
      {R"({"resize": 16385})", "16384"},
      {R"({"resize": 1.5})", "resize"},
      {R"({"resize": "4"})", "resize"},
      {R"({"center_crop": true})", "center_crop"},
      {R"({"pad": 100000})", "pad"},
      {R"({"channels": 2})", "channels"},
      {R"({"channels": 4})", "channels"},
      {R"({"mean": 0.5})", "mean"},
      {R"({"mean": ["a"]})", "mean"},
      {R"({"mean": [1e9]})", "mean"},
      {R"({"std": [0]})", "std"},
      {R"({"std": [0.5, -1]})", "std"},
      {R"([])", "object"},
      {R"(null)", "object"},
  };
  for (const auto& [json, part] : cases) {
    expect_error(Code::kInvalidArgument, part, [&] { Transform::from_json(Json::parse(json)); });
  }
  Transform nan;
  nan.std = {std::nan("")};
  expect_error(Code::kInvalidArgument, "std", [&] { nan.validate(); });
}

void geometry_refuses_what_does_not_fit(void**) {
  const at::Tensor small = at::zeros({1, 3, 5}, at::kByte);
  expect_error(Code::kInvalidArgument, "3x5", [&] { geometry(R"({"center_crop": 4})", small); });
  expect_error(Code::kInvalidArgument, "of 2 channels", [] {
    geometry(R"({"channels": 3})", at::zeros({2, 3, 5}, at::kByte));
  });
  expect_error(Code::kInvalidArgument, "20000 pixels long", [] {
    geometry(R"({"resize": 100})", at::zeros({1, 1, 200}, at::kByte));
  });
  expect_error(Code::kInvalidArgument, "float32 [1, 3, 5]",
               [&] { geometry(R"({"pad": 1})", small.to(at::kFloat)); });
  expect_error(Code::kInvalidArgument, "uint8 [3, 5]",
               [&] { geometry(R"({"pad": 1})", small.squeeze(0)); });
}

}  // namespace

int main() {
  const CMUnitTest transform[] = {
      cmocka_unit_test(resize_downscales_with_antialias),
      cmocka_unit_test(resize_upscales_bilinearly),
      cmocka_unit_test(resize_rounds_instead_of_cutting),
      cmocka_unit_test(resize_floors_the_longer_side),
      cmocka_unit_test(crop_offsets_round_half_to_even),
      cmocka_unit_test(pad_adds_zeros_on_every_side),
      cmocka_unit_test(channels_convert_both_ways),
      cmocka_unit_test(geometry_runs_in_order_and_batched),
      cmocka_unit_test(values_scale_then_normalise),
      cmocka_unit_test(transform_json_round_trips),
      cmocka_unit_test(transform_json_is_strict),
      cmocka_unit_test(geometry_refuses_what_does_not_fit),
  };
  return cmocka_run_group_tests_name("data: transform", transform, nullptr, nullptr);
}
