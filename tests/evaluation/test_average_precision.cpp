// Average precision against cases computed by hand and against what pycocotools says of made-up
// data sets (average_precision_cases.py).
#include "evaluation/average_precision.h"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "evaluation/detected_objects.h"
#include "near.h"
#include "support/json.h"
#include "support/random.h"

namespace lethe::testing {
namespace {

TrueObject there(int64_t image, int64_t category, PixelBox box, bool crowd = false) {
  return {image, category, box, box.width * box.height, crowd};
}

DetectedObject claim(int64_t image, int64_t category, double score, PixelBox box) {
  return {image, category, score, box};
}

DetectionFigures figures(const std::vector<TrueObject>& objects,
                         const std::vector<DetectedObject>& detections) {
  return AveragePrecision({1}, objects, detections).over_all();
}

constexpr PixelBox kA{0, 0, 40, 40};    // medium
constexpr PixelBox kB{100, 0, 40, 40};  // medium
constexpr PixelBox kFar{300, 300, 40, 40};

void everything_right_is_one(void**) {
  const DetectionFigures f =
      figures({there(1, 1, kA), there(2, 1, kB)}, {claim(1, 1, 0.3, kA), claim(2, 1, 0.9, kB)});
  for (const auto& figure :
       {f.ap, f.ap50, f.ap75, f.ap_medium, f.ar_1, f.ar_10, f.ar_100, f.ar_medium}) {
    expect_close(figure.value(), 1, 1e-12);
  }
  assert_false(f.ap_small || f.ap_large || f.ar_small || f.ar_large);  // nothing of that size
}

void precision_of_a_ranking(void**) {
  // By score: right, wrong, right. Precision 1, 1/2, 2/3, from the right 1, 2/3, 2/3; recall 1/3,
  // 1/3, 2/3 of 3 objects. The recall points 0 to .33, 34 of them, find 1; .34 to .66, 33 of them,
  // find 2/3; the last 34 find nothing.
  const DetectionFigures f =
      figures({there(1, 1, kA), there(1, 1, kB), there(2, 1, kA)},
              {claim(1, 1, 0.9, kA), claim(1, 1, 0.8, kFar), claim(1, 1, 0.7, kB)});
  expect_close(f.ap.value(), (34 + 33 * 2.0 / 3) / 101, 1e-12);
  expect_close(f.ar_100.value(), 2.0 / 3, 1e-12);
  expect_close(f.ar_1.value(), 1.0 / 3, 1e-12);  // the first of image 1 alone
}

void thresholds_of_the_overlap(void**) {
  // 40 x 40 moved by 8: IoU 32 / 48 = 2/3. Right at .50, .55, .60, .65, wrong at the six above.
  const DetectionFigures f = figures({there(1, 1, kA)}, {claim(1, 1, 1, {8, 0, 40, 40})});
  expect_close(f.ap.value(), 0.4, 1e-12);
  expect_close(f.ap50.value(), 1, 1e-12);
  expect_close(f.ap75.value(), 0, 1e-12);
  expect_close(f.ar_100.value(), 0.4, 1e-12);
  // Half of an object: the IoU 0.5 reaches the threshold 0.5.
  expect_close(figures({there(1, 1, kA)}, {claim(1, 1, 1, {0, 0, 40, 20})}).ap.value(), 0.1, 1e-12);
}

void an_object_is_found_once(void**) {
  // The second claim of the same object is wrong: precision 1, 1/2 with recall 1 from the first on.
  const DetectionFigures twice =
      figures({there(1, 1, kA)}, {claim(1, 1, 0.9, kA), claim(1, 1, 0.8, kA)});
  expect_close(twice.ap.value(), 1, 1e-12);
  // Scored higher, a claim of nothing comes first: precision 0, 1/2, from the right 1/2.
  const DetectionFigures late =
      figures({there(1, 1, kA)}, {claim(1, 1, 0.8, kA), claim(1, 1, 0.9, kFar)});
  expect_close(late.ap.value(), 0.5, 1e-12);
  expect_close(late.ar_1.value(), 0, 1e-12);
  expect_close(late.ar_10.value(), 1, 1e-12);
}

void equal_scores_keep_the_order_given(void**) {
  const std::vector<TrueObject> objects{there(1, 1, kA), there(2, 1, kA)};
  // Right first: precision 1, 1/2, 2/3. Wrong first: 0, 1/2, 2/3. Images count by number, not
  // order.
  const auto ap = [&](const std::vector<DetectedObject>& d) { return *figures(objects, d).ap; };
  const DetectedObject right = claim(1, 1, 0.5, kA), wrong = claim(1, 1, 0.5, kFar);
  const DetectedObject other = claim(2, 1, 0.5, kA);
  expect_close(ap({right, wrong, other}), (51 + 50 * 2.0 / 3) / 101, 1e-12);
  expect_close(ap({wrong, right, other}), 2.0 / 3, 1e-12);
  expect_close(ap({other, wrong, right}), 2.0 / 3, 1e-12);
}

void crowds_are_neither_right_nor_wrong(void**) {
  const PixelBox crowd{200, 200, 100, 100};
  // Three claims in the crowd, all its own by intersection / area of the detection, left out.
  const std::vector<DetectedObject> claims{
      claim(1, 1, 0.9, {200, 200, 40, 40}), claim(1, 1, 0.8, {240, 200, 40, 40}),
      claim(1, 1, 0.7, {200, 240, 40, 40}), claim(1, 1, 0.6, kA)};
  expect_close(*figures({there(1, 1, kA), there(1, 1, crowd, true)}, claims).ap, 1, 1e-12);
  // The same box, not a crowd: three wrong before the right one, its precision 1/4.
  expect_close(*figures({there(1, 1, kA), there(1, 1, crowd)}, claims).ap, 51 * 0.25 / 101, 1e-12);
  // An object goes before the crowd around it.
  const DetectionFigures both =
      figures({there(1, 1, {190, 190, 200, 200}, true), there(1, 1, {200, 200, 40, 40})},
              {claim(1, 1, 0.9, {200, 200, 40, 40})});
  expect_close(both.ap.value(), 1, 1e-12);
  // Even with the lower IoU, 2/3 against 1; at .70 and above the crowd takes the detection.
  const DetectionFigures lower =
      figures({there(1, 1, {190, 190, 200, 200}, true), there(1, 1, {200, 200, 40, 40})},
              {claim(1, 1, 0.9, {208, 200, 40, 40})});
  expect_close(lower.ap.value(), 0.4, 1e-12);
  assert_false(figures({there(1, 1, crowd, true)}, claims).ap.has_value());
}

void a_size_leaves_out_other_sizes(void**) {
  const PixelBox small{0, 0, 20, 20}, large{200, 200, 150, 150};
  const DetectionFigures f = figures(
      {there(1, 1, small), there(1, 1, large)},
      {claim(1, 1, 0.9, large), claim(1, 1, 0.8, {400, 0, 120, 120}), claim(1, 1, 0.7, small)});
  // Of the small ones: both claims of large things are left out.
  expect_close(f.ap_small.value(), 1, 1e-12);
  expect_close(f.ap_large.value(), 1, 1e-12);  // the wrong one comes after recall 1
  expect_close(f.ap.value(), (51 + 50 * 2.0 / 3) / 101, 1e-12);
  assert_false(f.ap_medium.has_value());
  // On the border 32 x 32 an object is of both sizes.
  const PixelBox border{0, 0, 32, 32};
  const DetectionFigures two = figures({there(1, 1, border)}, {claim(1, 1, 1, border)});
  assert_true(two.ap_small && two.ap_medium && !two.ap_large);
}

void a_hundred_detections_of_an_image_count(void**) {
  std::vector<DetectedObject> claims;
  for (int k = 0; k < 100; ++k) claims.push_back(claim(1, 1, 0.9, kFar));
  claims.push_back(claim(1, 1, 0.5, kA));
  expect_close(*figures({there(1, 1, kA)}, claims).ar_100, 0, 1e-12);
  claims.erase(claims.begin());
  expect_close(*figures({there(1, 1, kA)}, claims).ar_100, 1, 1e-12);
  expect_close(*figures({there(1, 1, kA)}, claims).ar_10, 0, 1e-12);
}

void figures_are_absent_without_objects(void**) {
  const AveragePrecision evaluation({1, 2}, {there(1, 2, kA)}, {claim(1, 1, 0.9, kA)});
  assert_false(evaluation.over({1}).ap || evaluation.over({1}).ar_100 || evaluation.over({}).ap);
  expect_close(evaluation.over({2}).ap.value(), 0, 1e-12);     // never found
  expect_close(evaluation.over({1, 2}).ap.value(), 0, 1e-12);  // the mean of what there is
  assert_false(AveragePrecision({}, {}, {}).over_all().ap.has_value());
}

void subsets_are_means_over_categories(void**) {
  const AveragePrecision evaluation(
      {1, 2, 3}, {there(1, 1, kA), there(1, 2, kA), there(1, 3, kA)},
      {claim(1, 1, 0.9, kA), claim(1, 2, 0.9, kFar), claim(1, 3, 0.9, {8, 0, 40, 40})});
  expect_close(evaluation.over({1}).ap.value(), 1, 1e-12);
  expect_close(evaluation.over({2}).ap.value(), 0, 1e-12);
  expect_close(evaluation.over({3}).ap.value(), 0.4, 1e-12);
  expect_close(evaluation.over({3, 1, 3}).ap.value(), 0.7, 1e-12);  // 3 twice is 3 once
  expect_close(evaluation.over_all().ap.value(), 1.4 / 3, 1e-12);
}

void bad_input_is_refused(void**) {
  const auto objects = [](TrueObject bad, const char* part) {
    expect_error(Code::kInvalidArgument, part, [&] {
      AveragePrecision({1}, {there(1, 1, kA), bad}, {});
    });
  };
  objects(there(1, 7, kA), "object 1 has the category 7");
  objects(there(1, 1, {0, 0, -1, 4}), "object 1 has a box of -1 x 4");
  objects(there(1, 1, {NAN, 0, 4, 4}), "object 1 has a box with the side nan");
  objects({1, 1, kA, -5}, "object 1 has the area -5");
  objects({1, 1, kA, INFINITY}, "object 1 has the area inf");
  const auto claims = [](DetectedObject bad, const char* part) {
    expect_error(Code::kInvalidArgument, part, [&] {
      AveragePrecision({1}, {}, {claim(1, 1, 0, kA), bad});
    });
  };
  claims(claim(1, 0, 1, kA), "detection 1 has the category 0");
  claims(claim(1, 1, NAN, kA), "detection 1 has the score nan");
  claims(claim(1, 1, 1, {0, 0, 4, -2}), "detection 1 has a box of 4 x -2");
  claims(claim(1, 1, 1, {0, INFINITY, 4, 4}), "detection 1 has a box with the side inf");
  expect_error(Code::kInvalidArgument, "the category 9 is none of the 1", [] {
    AveragePrecision({1}, {}, {}).over({1, 9});
  });
}

void detections_of_known_categories_are_objects(void**) {
  const Detections found{
      at::tensor({.9, .8, .7}, at::kDouble), at::tensor({3, 12, 1}, at::kLong),
      at::tensor({1., 2., 5., 9., 0., 0., 1., 1., -4., 0., 4., 2.}, at::kDouble).view({3, 4})};
  const std::vector<DetectedObject> objects = detected_objects(found, 42, {1, 2, 3});
  assert_int_equal(objects.size(), 2);
  assert_true(objects[0].image == 42 && objects[0].category == 3 && objects[0].score == .9);
  const PixelBox &a = objects[0].box, &b = objects[1].box;
  assert_true(a.left == 1 && a.top == 2 && a.width == 4 && a.height == 7);
  assert_true(objects[1].category == 1 && b.left == -4 && b.width == 8 && b.height == 2);
  Detections bad = found;
  bad.scores = bad.scores.narrow(0, 0, 2);
  expect_error(Code::kInvalidArgument, "the scores are [2], the labels [3] and the boxes [3, 4]",
               [&] { detected_objects(bad, 1, {1}); });
}

// --------------------------------------------------------------------------------- pycocotools

PixelBox box_of(const Json& row, size_t at) {
  return {row[at].get<double>(), row[at + 1].get<double>(), row[at + 2].get<double>(),
          row[at + 3].get<double>()};
}

/// LETHE_GOLDEN is tests/golden.
Json recorded() {
  const char* golden = std::getenv("LETHE_GOLDEN");
  const std::string path =
      std::string(golden ? golden : "tests/golden") + "/../evaluation/average_precision.json";
  std::ifstream file(path);
  if (!file) fail_msg("%s cannot be read; set LETHE_GOLDEN to tests/golden", path.c_str());
  std::stringstream text;
  text << file.rdbuf();
  return parse_json(text.str(), "average_precision.json");
}

void every_figure_is_that_of_pycocotools(void**) {
  int compared = 0, absent = 0;
  for (const Json& data : recorded()) {
    std::vector<TrueObject> objects;
    for (const Json& o : data.at("objects")) {
      objects.push_back({o[0].get<int64_t>(), o[1].get<int64_t>(), box_of(o, 2), o[6].get<double>(),
                         o[7].get<int>() != 0});
    }
    std::vector<DetectedObject> detections;
    for (const Json& d : data.at("detections")) {
      detections.push_back(
          {d[0].get<int64_t>(), d[1].get<int64_t>(), d[2].get<double>(), box_of(d, 3)});
    }
    const AveragePrecision evaluation(data.at("categories").get<std::vector<int64_t>>(), objects,
                                      detections);
    for (const Json& expected : data.at("figures")) {
      const auto subset = expected.at("categories").get<std::vector<int64_t>>();
      const DetectionFigures f = evaluation.over(subset);
      const std::optional<double> actual[] = {f.ap,        f.ap50,     f.ap75,      f.ap_small,
                                              f.ap_medium, f.ap_large, f.ar_1,      f.ar_10,
                                              f.ar_100,    f.ar_small, f.ar_medium, f.ar_large};
      for (size_t k = 0; k < 12; ++k) {
        const Json& wanted = expected.at("stats")[k];
        const bool same = wanted.is_null()
                              ? !actual[k]
                              : actual[k] && std::abs(*actual[k] - wanted.get<double>()) <= 1e-12;
        if (!same) {
          fail_msg("%s %s, figure %zu: %.17g is not %s", data.at("name").dump().c_str(),
                   expected.at("categories").dump().c_str(), k, actual[k].value_or(-1),
                   wanted.dump().c_str());
        }
        ++(wanted.is_null() ? absent : compared);
      }
    }
  }
  assert_true(compared > 200 && absent > 20);
}

/// As many objects and detections as COCO's 5,000 validation images have.
void coco_sized_sets_take_seconds(void**) {
  RandomStream random(1, "coco");
  const auto box = [&] {
    return PixelBox{static_cast<double>(random.below(500)), static_cast<double>(random.below(400)),
                    static_cast<double>(8 + random.below(150)),
                    static_cast<double>(8 + random.below(150))};
  };
  std::vector<int64_t> categories(80);
  for (int64_t c = 0; c < 80; ++c) categories[c] = c + 1;
  std::vector<TrueObject> objects;
  std::vector<DetectedObject> detections;
  for (int64_t image = 0; image < 5000; ++image) {
    for (int k = 0; k < 7; ++k) {
      objects.push_back(there(image, static_cast<int64_t>(1 + random.below(80)), box()));
    }
    for (int k = 0; k < 100; ++k) {
      const TrueObject& near = objects[objects.size() - 1 - random.below(7)];
      const bool right = random.below(3) == 0;
      detections.push_back({image, near.category, static_cast<double>(random.below(1000)) / 1000,
                            right ? near.box : box()});
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  const AveragePrecision evaluation(categories, objects, detections);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  assert_true(evaluation.over_all().ap.value() > 0.1);
  print_message("500,000 detections evaluated in %.2f s\n", seconds);
  if (seconds > 60) fail_msg("%g s", seconds);
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(everything_right_is_one),
      cmocka_unit_test(precision_of_a_ranking),
      cmocka_unit_test(thresholds_of_the_overlap),
      cmocka_unit_test(an_object_is_found_once),
      cmocka_unit_test(equal_scores_keep_the_order_given),
      cmocka_unit_test(crowds_are_neither_right_nor_wrong),
      cmocka_unit_test(a_size_leaves_out_other_sizes),
      cmocka_unit_test(a_hundred_detections_of_an_image_count),
      cmocka_unit_test(figures_are_absent_without_objects),
      cmocka_unit_test(subsets_are_means_over_categories),
      cmocka_unit_test(bad_input_is_refused),
      cmocka_unit_test(detections_of_known_categories_are_objects),
      cmocka_unit_test(every_figure_is_that_of_pycocotools),
      cmocka_unit_test(coco_sized_sets_take_seconds),
  };
  return cmocka_run_group_tests_name("average_precision", tests, nullptr, nullptr);
}
