// Resizing, flipping and cropping with boxes, computed by hand, and DETR's augmentation.
#include <ATen/ATen.h>

#include <set>
#include <vector>

#include "data/detection_transform.h"
#include "test.h"

namespace {

using namespace lethe;
using lethe::testing::expect_close;
using lethe::testing::expect_error;

/// Red is the column, green the row.
DetectionSample sample(int64_t height, int64_t width, std::vector<DetectionObject> objects = {}) {
  const at::Tensor columns = at::arange(width, at::kByte).expand({height, width});
  const at::Tensor rows = at::arange(height, at::kByte).unsqueeze(1).expand({height, width});
  return {at::stack({columns, rows, at::zeros_like(rows)}), std::move(objects)};
}

void expect_box(const DetectionObject& object, BoxCorners box) {
  expect_close(object.box.left, box.left, 1e-12);
  expect_close(object.box.top, box.top, 1e-12);
  expect_close(object.box.right, box.right, 1e-12);
  expect_close(object.box.bottom, box.bottom, 1e-12);
}

void expect_size(const DetectionSample& sample, int64_t height, int64_t width) {
  assert_int_equal(sample.image.size(1), height);
  assert_int_equal(sample.image.size(2), width);
}

// -------------------------------------------------------------------------------- one step

void resize_scales_boxes_and_areas(void**) {
  const DetectionSample in = sample(3, 5, {{1, {1, 0, 5, 3}, 7, true}});
  const DetectionSample out = resize_shorter(in, 2, 100);  // 2 * 5 / 3 = 3.33 -> 3
  expect_size(out, 2, 3);
  expect_box(out.objects[0], {0.6, 0, 3, 2});  // x by 3/5, y by 2/3
  expect_close(out.objects[0].area, 7 * 0.6 * 2 / 3, 1e-12);
  assert_int_equal(out.objects[0].label, 1);
  assert_true(out.objects[0].crowd);
  assert_true(out.image.scalar_type() == at::kByte);

  const DetectionSample tall = resize_shorter(sample(5, 3), 6, 100);
  expect_size(tall, 10, 6);
}

void resize_filters_as_the_other_transform(void**) {
  // Triangle filter of width 2 * scale: the weights of the left pixel are (3, 3, 1) / 7.
  DetectionSample in = sample(4, 4);
  in.image = at::tensor({0, 70, 140, 210}, at::kByte).expand({3, 4, 4}).contiguous();
  const DetectionSample out = resize_shorter(in, 2, 100);
  assert_true(at::equal(out.image[1], at::tensor({50, 160, 50, 160}, at::kByte).view({2, 2})));
}

void resize_keeps_the_longer_side_within_its_limit(void**) {
  expect_size(resize_shorter(sample(480, 640), 800, 1333), 800, 1066);  // 1066.67
  // 800 * 4 > 1333: the shorter side is 1333 / 4 = 333.25 -> 333, the longer one 333 * 4.
  expect_size(resize_shorter(sample(100, 400), 800, 1333), 333, 1332);
  expect_size(resize_shorter(sample(400, 100), 800, 1333), 1332, 333);
  // Halves go to even: 10 * 1 / 4 = 2.5 -> 2, and 14 / 4 = 3.5 -> 4.
  expect_size(resize_shorter(sample(1, 4), 10, 10), 2, 8);
  expect_size(resize_shorter(sample(1, 4), 14, 14), 4, 16);
  expect_size(resize_shorter(sample(1, 200), 10, 10), 1, 200);  // never to nothing
  // Exactly at the limit nothing shrinks; what fits already is left as it is.
  expect_size(resize_shorter(sample(3, 5), 6, 10), 6, 10);
  const DetectionSample same = sample(3, 5, {{0, {0, 0, 1, 1}, 1}});
  assert_true(resize_shorter(same, 3, 5).image.is_alias_of(same.image));
}

void a_box_at_the_border_stays_there(void**) {
  for (int64_t width = 7; width < 60; ++width) {
    const auto right = static_cast<double>(width);
    const DetectionSample in = sample(7, width, {{0, {0, 0, right, 7}, 1}});
    for (int64_t size = 1; size < 30; size += 3) {
      const DetectionSample out = resize_shorter(in, size, 1000);
      const BoxCorners& box = out.objects[0].box;
      assert_true(box.right <= static_cast<double>(out.image.size(2)));
      assert_true(box.bottom <= static_cast<double>(out.image.size(1)));
      expect_close(box.right, static_cast<double>(out.image.size(2)), 1e-12);
    }
  }
}

void flip_mirrors_boxes(void**) {
  const DetectionSample out = flip_horizontally(sample(2, 5, {{0, {1, 0, 2.5, 2}, 3}}));
  assert_true(at::equal(out.image[0][1], at::tensor({4, 3, 2, 1, 0}, at::kByte)));
  assert_int_equal(out.image[1][1][0].item<int64_t>(), 1);
  expect_box(out.objects[0], {2.5, 0, 4, 2});
  expect_close(out.objects[0].area, 3, 0);
  expect_box(flip_horizontally(out).objects[0], {1, 0, 2.5, 2});
}

void crop_cuts_boxes_and_drops_the_lost(void**) {
  const DetectionSample in = sample(10, 12,
                                    {{0, {0, 0, 12, 10}, 99},     // all around
                                     {1, {1, 1, 4, 3.5}, 7},      // a corner stays
                                     {2, {0, 0, 3, 9}, 27},       // ends where the part begins
                                     {3, {4, 5, 6, 6}, 1, true},  // inside
                                     {4, {7.5, 7, 12, 10}, 12},   // a sliver, its centre lost
                                     {5, {8, 2, 9, 3}, 1}});      // begins where it ends
  const DetectionSample out = crop(in, /*top=*/2, /*left=*/3, /*height=*/6, /*width=*/5);
  expect_size(out, 6, 5);
  assert_int_equal(out.image[0][0][0].item<int64_t>(), 3);
  assert_int_equal(out.image[1][5][4].item<int64_t>(), 7);
  assert_int_equal(out.objects.size(), 4);
  expect_box(out.objects[0], {0, 0, 5, 6});
  expect_close(out.objects[0].area, 30, 1e-12);
  expect_box(out.objects[1], {0, 0, 1, 1.5});
  expect_close(out.objects[1].area, 1.5, 1e-12);
  expect_box(out.objects[2], {1, 3, 3, 4});
  expect_close(out.objects[2].area, 2, 1e-12);  // the box's, as in DETR, not the outline's
  assert_true(out.objects[2].crowd);
  expect_box(out.objects[3], {4.5, 5, 5, 6});
  assert_int_equal(out.objects[3].label, 4);
}

void steps_refuse_what_does_not_fit(void**) {
  const DetectionSample in = sample(4, 6);
  const auto refuse = [](const char* part, const std::function<void()>& body) {
    expect_error(Code::kInvalidArgument, part, body);
  };
  refuse("5x3 pixels at (2, 0)", [&] { crop(in, 0, 2, 3, 5); });
  refuse("image of 6x4", [&] { crop(in, 2, 0, 3, 5); });
  refuse("0x3", [&] { crop(in, 0, 0, 3, 0); });
  refuse("(-1, 0)", [&] { crop(in, 0, -1, 3, 2); });
  refuse("does not lie inside", [&] { crop(in, 1, 0, INT64_MAX, 2); });
  refuse("shorter side is 0", [&] { resize_shorter(in, 0, 10); });
  refuse("shorter side is 11", [&] { resize_shorter(in, 11, 10); });
  refuse("limit of the longer side is 16385", [&] { resize_shorter(in, 4, 16385); });
  const DetectionSample floats = {in.image.to(at::kFloat), {}};
  refuse("float32 [3, 4, 6]", [&] { flip_horizontally(floats); });
  refuse("undefined", [&] { resize_shorter({}, 1, 1); });
}

// ---------------------------------------------------------------------------- augmentation

DetectionAugmentation small() {
  DetectionAugmentation steps;
  steps.sizes = {20, 24, 28};
  steps.longest = 40;
  steps.sizes_before_crop = {16, 18};
  steps.crop_least = 10;
  steps.crop_most = 14;
  return steps;
}

/// The object that can be seen best: column and row of its box's corners by the colours there.
void expect_box_on_its_pixels(const DetectionSample& out) {
  for (const DetectionObject& object : out.objects) {
    const BoxCorners& box = object.box;
    assert_true(0 <= box.left && box.left < box.right &&
                box.right <= static_cast<double>(out.image.size(2)));
    assert_true(0 <= box.top && box.top < box.bottom &&
                box.bottom <= static_cast<double>(out.image.size(1)));
    // Object and background are white and black; half of a pixel's light is where its edge lies.
    const at::Tensor light = out.image[0].to(at::kDouble) / 255;
    expect_close(light.sum().item<double>(), box.width() * box.height(), 0.05);
  }
  if (out.objects.empty()) assert_int_equal(out.image.max().item<int64_t>(), 0);
}

void augmentation_keeps_boxes_on_their_objects(void**) {
  // A white object on black: after any steps the box holds the light, crops included.
  DetectionSample in{at::zeros({3, 30, 40}, at::kByte), {{0, {12, 10, 30, 24}, 18 * 14}}};
  in.image.narrow(1, 10, 14).narrow(2, 12, 18).fill_(255);
  RandomStream stream(7, "test");
  std::set<int64_t> shorter;
  std::set<bool> whole;
  for (int i = 0; i < 60; ++i) {
    const DetectionSample out = small().apply(in, stream);
    expect_box_on_its_pixels(out);
    shorter.insert(std::min(out.image.size(1), out.image.size(2)));
    whole.insert(out.image.size(1) * 4 == out.image.size(2) * 3);
    assert_true(std::max(out.image.size(1), out.image.size(2)) <= 40);
  }
  assert_true(shorter.contains(20) && shorter.contains(24) && shorter.contains(28));
  assert_int_equal(whole.size(), 2);
}

void augmentation_follows_its_stream(void**) {
  const DetectionSample in = sample(30, 40, {{0, {12, 10, 30, 24}, 1}});
  RandomStream one(3, "a"), two(3, "a");
  for (int i = 0; i < 10; ++i) {
    const DetectionSample a = small().apply(in, one), b = small().apply(in, two);
    assert_true(at::equal(a.image, b.image));
    assert_true(a.objects == b.objects);
    assert_true(one.state() == two.state());
  }
}

void every_choice_can_be_switched_off(void**) {
  DetectionAugmentation steps;
  steps.flip = false;
  steps.sizes_before_crop.clear();
  steps.sizes = {60};
  RandomStream stream(1, "b");
  const DetectionSample in = sample(30, 40, {{0, {12, 10, 30, 24}, 1}});
  for (int i = 0; i < 5; ++i) {
    const DetectionSample out = steps.apply(in, stream);
    expect_size(out, 60, 80);
    expect_box(out.objects[0], {24, 20, 60, 48});
  }
}

void small_images_are_cropped_as_far_as_they_go(void**) {
  DetectionAugmentation steps = small();
  steps.sizes_before_crop = {8};  // below the least crop
  RandomStream stream(2, "c");
  for (int i = 0; i < 20; ++i) {
    const DetectionSample out = steps.apply(sample(8, 8), stream);
    assert_int_equal(out.image.size(1), out.image.size(2));
  }
}

void pixels_follow_the_size_that_a_model_looks_at(void**) {
  const DetectionAugmentation same = DetectionAugmentation::scaled_to(800, 1333), published;
  assert_true(same.sizes == published.sizes &&
              same.sizes_before_crop == published.sizes_before_crop);
  assert_int_equal(same.crop_least, 384);
  assert_int_equal(same.crop_most, 600);
  assert_int_equal(same.longest, 1333);
  const DetectionAugmentation tenth = DetectionAugmentation::scaled_to(80, 80);
  assert_true(tenth.sizes == std::vector<int64_t>({48, 51, 54, 58, 61, 64, 67, 70, 74, 77, 80}));
  assert_true(tenth.sizes_before_crop == std::vector<int64_t>({40, 50, 60}));
  assert_int_equal(tenth.crop_least, 38);
  assert_int_equal(tenth.longest, 80);
  DetectionAugmentation::scaled_to(1, 1).validate();
  expect_error(Code::kInvalidArgument, "side is 0",
               [] { DetectionAugmentation::scaled_to(0, 10); });
}

void bad_augmentations_are_refused(void**) {
  const auto refuse = [](const char* part, auto change) {
    DetectionAugmentation steps;
    change(steps);
    expect_error(Code::kInvalidArgument, part, [&] { steps.validate(); });
  };
  refuse("at least one size", [](auto& s) { s.sizes.clear(); });
  refuse("side is 1334", [](auto& s) { s.sizes.push_back(1334); });
  refuse("side is 0", [](auto& s) { s.sizes_before_crop = {0}; });
  refuse("700 to 600", [](auto& s) { s.crop_least = 700; });
  refuse("0 to 600", [](auto& s) { s.crop_least = 0; });
  refuse("is 0, allowed", [](auto& s) { s.longest = 0; });
}

}  // namespace

int main() {
  const CMUnitTest steps[] = {
      cmocka_unit_test(resize_scales_boxes_and_areas),
      cmocka_unit_test(resize_filters_as_the_other_transform),
      cmocka_unit_test(resize_keeps_the_longer_side_within_its_limit),
      cmocka_unit_test(a_box_at_the_border_stays_there),
      cmocka_unit_test(flip_mirrors_boxes),
      cmocka_unit_test(crop_cuts_boxes_and_drops_the_lost),
      cmocka_unit_test(steps_refuse_what_does_not_fit),
  };
  const CMUnitTest augmentation[] = {
      cmocka_unit_test(augmentation_keeps_boxes_on_their_objects),
      cmocka_unit_test(augmentation_follows_its_stream),
      cmocka_unit_test(every_choice_can_be_switched_off),
      cmocka_unit_test(small_images_are_cropped_as_far_as_they_go),
      cmocka_unit_test(pixels_follow_the_size_that_a_model_looks_at),
      cmocka_unit_test(bad_augmentations_are_refused),
  };
  return cmocka_run_group_tests_name("data: detection steps", steps, nullptr, nullptr) +
         cmocka_run_group_tests_name("data: detection augmentation", augmentation, nullptr,
                                     nullptr);
}
