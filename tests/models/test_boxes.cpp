// Boxes against overlaps computed by hand, and what becomes of a detector's outputs.
#include "models/boxes.h"

#include "models/post_process.h"
#include "near.h"
#include "support/random.h"

namespace lethe::testing {
namespace {

at::Tensor random_corners(int64_t n, const char* name) {
  at::Generator generator = RandomStream(1, name).generator();
  const at::Tensor low = at::empty({n, 2}, at::kDouble).uniform_(0, 1, generator);
  return at::cat({low, low + at::empty({n, 2}, at::kDouble).uniform_(0.05, 1, generator)}, 1);
}

void forms_are_inverse(void**) {
  const at::Tensor centres = matrix({{.5, .4, .2, .6}, {1, 1, 0, 2}});
  const at::Tensor corners = matrix({{.4, .1, .6, .7}, {1, 0, 1, 2}});
  expect_near(corners_of(centres), corners, 1e-15);
  expect_near(centres_of(corners), centres, 1e-15);
  const at::Tensor batch = at::stack({centres, centres}).unsqueeze(0);  // [1, 2, 2, 4]
  expect_near(corners_of(batch)[0][1], corners, 1e-15);
}

void areas_are_never_negative(void**) {
  // A box, a segment, a point, and boxes turned inside out in one direction and in both.
  const at::Tensor boxes =
      matrix({{1, 2, 4, 4}, {1, 2, 1, 4}, {1, 2, 1, 2}, {4, 2, 1, 4}, {4, 4, 1, 2}});
  expect_near(areas(boxes), matrix({{6, 0, 0, 0, 0}})[0], 1e-15);
}

void overlaps_by_hand(void**) {
  // Two 2 x 2 squares moved by (1, 1): intersection 1, union 7, around both 9.
  // Two apart: union 8, around both 5 x 2 = 10. One in the middle of a 4 x 4: 4 of 16.
  const at::Tensor a = matrix({{0, 0, 2, 2}, {0, 0, 2, 2}, {1, 1, 3, 3}, {0, 0, 2, 2}});
  const at::Tensor b = matrix({{1, 1, 3, 3}, {3, 0, 5, 2}, {0, 0, 4, 4}, {0, 0, 2, 2}});
  expect_near(aligned_iou(a, b), matrix({{1.0 / 7, 0, .25, 1}})[0], 1e-15);
  expect_near(aligned_giou(a, b), matrix({{1.0 / 7 - 2.0 / 9, -.2, .25, 1}})[0], 1e-15);
}

void pairs_are_all_rows_with_all_rows(void**) {
  const at::Tensor a = random_corners(5, "a"), b = random_corners(7, "b");
  const at::Tensor iou = pairwise_iou(a, b), giou = pairwise_giou(a, b);
  assert_true(iou.sizes() == at::IntArrayRef({5, 7}));
  for (int64_t j = 0; j < 7; ++j) {
    const at::Tensor other = b[j].expand({5, 4});
    expect_near(iou.select(1, j), aligned_iou(a, other), 1e-15);
    expect_near(giou.select(1, j), aligned_giou(a, other), 1e-15);
  }
  expect_near(pairwise_giou(b, a).t(), giou, 1e-15);
  assert_true(giou.le(iou).all().item<bool>() && giou.ge(-1).all().item<bool>());
  // Leading dimensions broadcast.
  const at::Tensor batch = pairwise_giou(at::stack({a, a + 1}), b.unsqueeze(0));
  assert_true(batch.sizes() == at::IntArrayRef({2, 5, 7}));
  expect_near(batch[0], giou, 1e-15);
  assert_true(pairwise_iou(a, b.narrow(0, 0, 0)).sizes() == at::IntArrayRef({5, 0}));
}

void empty_boxes_are_defined(void**) {
  const at::Tensor square = matrix({{0, 0, 2, 2}}), point = matrix({{1, 1, 1, 1}});
  const at::Tensor far = matrix({{3, 1, 3, 1}}), inside_out = matrix({{2, 2, 0, 0}});
  const auto both = [](const at::Tensor& a, const at::Tensor& b, double iou, double giou) {
    expect_close(aligned_iou(a, b).item<double>(), iou, 1e-15);
    expect_close(aligned_giou(a, b).item<double>(), giou, 1e-15);
  };
  both(square, point, 0, 0);                 // around both is the square
  both(square, far, 0, -(6.0 - 4) / 6);      // around both is 3 x 2
  both(point, point, 0, 0);                  // nothing around both
  both(point, far, 0, 0);                    // a segment
  both(point, matrix({{2, 2, 2, 2}}), 0, -1);  // around both is 1 x 1, all of it empty
  both(square, inside_out, 0, 0);
  for (const at::Tensor& other : {point, far, inside_out, square}) {
    for (const at::Tensor& start : {point, far, inside_out, square}) {
      at::Tensor box = start.clone().requires_grad_(true);
      (aligned_giou(box, other) + aligned_iou(box, other)).sum().backward();
      assert_true(at::isfinite(box.grad()).all().item<bool>());
    }
  }
  assert_true(aligned_giou(matrix({{NAN, 0, 1, 1}}), square).isnan().all().item<bool>());
}

/// Central differences of the sum of w times the function, w random.
void expect_gradient(const std::function<at::Tensor(const at::Tensor&)>& function,
                     const at::Tensor& at_point) {
  at::Tensor x = at_point.clone().requires_grad_(true);
  at::Generator generator = RandomStream(3, "weights").generator();
  const at::Tensor w = at::empty(function(at_point).sizes(), at::kDouble).normal_(0, 1, generator);
  (function(x) * w).sum().backward();
  at::Tensor expected = at::zeros_like(at_point), moved = at_point.clone();
  const double h = 1e-6;
  for (int64_t i = 0; i < moved.numel(); ++i) {
    double& value = moved.data_ptr<double>()[i];
    const double before = value;
    value = before + h;
    const double up = (function(moved) * w).sum().item<double>();
    value = before - h;
    const double down = (function(moved) * w).sum().item<double>();
    value = before;
    expected.data_ptr<double>()[i] = (up - down) / (2 * h);
  }
  expect_near(x.grad(), expected, 1e-7);
}

void gradients_are_those_of_differences(void**) {
  const at::Tensor a = centres_of(random_corners(6, "a")), b = random_corners(4, "b");
  expect_gradient([&](const at::Tensor& x) { return pairwise_iou(corners_of(x), b); }, a);
  expect_gradient([&](const at::Tensor& x) { return pairwise_giou(corners_of(x), b); }, a);
  expect_gradient([&](const at::Tensor& x) { return pairwise_giou(b, corners_of(x)); }, a);
  expect_gradient([&](const at::Tensor& x) { return aligned_giou(corners_of(x), b); },
                  a.narrow(0, 0, 4).contiguous());
  expect_gradient([](const at::Tensor& x) { return centres_of(x); }, b);
}

// -------------------------------------------------------------------------------- post-processing

/// The logit of a score.
double logit(double score) { return std::log(score / (1 - score)); }

void the_best_scores_of_queries_and_classes(void**) {
  // Two queries of two classes in one image of 200 x 100 (height x width).
  const at::Tensor logits = matrix({{logit(.3), logit(.9)}, {logit(.6), logit(.1)}}).unsqueeze(0);
  const at::Tensor boxes = matrix({{.5, .5, .2, .4}, {.25, .75, .5, .5}}).unsqueeze(0);
  const std::vector<Detections> found = detections_of(logits, boxes, {{200, 100}}, 3);
  assert_int_equal(found.size(), 1);
  expect_near(found[0].scores, matrix({{.9, .6, .3}})[0], 1e-12);
  assert_true(found[0].labels.equal(at::tensor({1, 0, 0}, at::kLong)));
  expect_near(found[0].boxes, matrix({{40, 60, 60, 140}, {0, 100, 50, 200}, {40, 60, 60, 140}}),
              1e-12);
  // Fewer than 100 there are.
  assert_int_equal(detections_of(logits, boxes, {{200, 100}})[0].scores.size(0), 4);
}

void every_image_has_its_own_size(void**) {
  const at::Tensor logits = at::zeros({2, 1, 1}), boxes = at::full({2, 1, 4}, 0.5);
  const std::vector<Detections> found = detections_of(logits, boxes, {{100, 200}, {40, 80}});
  expect_near(found[0].boxes, matrix({{50, 25, 150, 75}}), 1e-6);
  expect_near(found[1].boxes, matrix({{20, 10, 60, 30}}), 1e-6);
  assert_true(found[0].boxes.scalar_type() == at::kFloat);
}

void equal_scores_come_by_query_then_class(void**) {
  const at::Tensor logits = at::full({1, 60, 5}, 40.0);  // all 1 in float32
  const std::vector<Detections> found =
      detections_of(logits, at::zeros({1, 60, 4}), {{10, 10}}, 100);
  assert_true(found[0].labels.equal(at::arange(100).remainder(5)));
  assert_true(
      detections_of(at::zeros({2, 0, 5}), at::zeros({2, 0, 4}), {{1, 1}, {1, 1}})[1].scores.size(
          0) == 0);
}

void post_processing_names_bad_input(void**) {
  const auto expect = [](const char* part, const at::Tensor& logits, const at::Tensor& boxes,
                         const std::vector<ImageSize>& sizes, int64_t most = 100) {
    expect_error(Code::kInvalidArgument, part, [&] { detections_of(logits, boxes, sizes, most); });
  };
  const at::Tensor logits = at::zeros({1, 3, 2}), boxes = at::zeros({1, 3, 4});
  expect("they must be [B, Q, C] and [B, Q, 4]", logits[0], boxes, {{1, 1}});
  expect("they must be [B, Q, C] and [B, Q, 4]", logits, at::zeros({1, 2, 4}), {{1, 1}});
  expect("there are 2 image sizes for 1 images", logits, boxes, {{1, 1}, {1, 1}});
  expect("image 0 has 0 x 5 pixels", logits, boxes, {{0, 5}});
  expect("at most 0 detections", logits, boxes, {{1, 1}}, 0);
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);
  const CMUnitTest tests[] = {
      cmocka_unit_test(forms_are_inverse),
      cmocka_unit_test(areas_are_never_negative),
      cmocka_unit_test(overlaps_by_hand),
      cmocka_unit_test(pairs_are_all_rows_with_all_rows),
      cmocka_unit_test(empty_boxes_are_defined),
      cmocka_unit_test(gradients_are_those_of_differences),
      cmocka_unit_test(the_best_scores_of_queries_and_classes),
      cmocka_unit_test(every_image_has_its_own_size),
      cmocka_unit_test(equal_scores_come_by_query_then_class),
      cmocka_unit_test(post_processing_names_bad_input),
  };
  return cmocka_run_group_tests_name("boxes", tests, nullptr, nullptr);
}
