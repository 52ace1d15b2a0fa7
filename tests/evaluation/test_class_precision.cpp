// Average precision of every category, of a detector that says the same of every image.
#include "evaluation/class_precision.h"

#include "models/detect.h"
#include "near.h"

namespace lethe::testing {
namespace {

/// The logit of a probability.
float logit(double p) { return static_cast<float>(std::log(p / (1 - p))); }

DeformableDetr detector(int64_t classes, const Json& changes = Json::object()) {
  Json spec = {{"arch", "deformable_detr"},
               {"classes", classes},
               {"backbone", "resnet18"},
               {"backbone_width", 8},
               {"feature_levels", 1},
               {"dim", 32},
               {"heads", 2},
               {"encoder_layers", 1},
               {"decoder_layers", 1},
               {"ffn_dim", 8},
               {"points", 1},
               {"queries", 1},
               {"shorter_side", 0},
               {"dropout", 0}};
  spec.update(changes);
  return DeformableDetr(DetectorSpec::from_json(spec));
}

/// Its one query says a box with centre (.5, .5) of half the image's sides, of class c with the
/// probability scores[c], whatever the image.
Weights decided(const DeformableDetr& model, const std::vector<double>& scores) {
  Weights weights = model.random_weights(RandomStream(1, "base"));
  weights.at("transformer.reference_points.weight").zero_();
  weights.at("class_embed.0.weight").zero_();
  for (size_t c = 0; c < scores.size(); ++c) {
    weights.at("class_embed.0.bias")[static_cast<int64_t>(c)] = logit(scores[c]);
  }
  weights.at("bbox_embed.0.layers.2.weight").zero_();
  weights.at("bbox_embed.0.layers.2.bias").zero_();
  return weights;
}

DetectionObject object(int64_t label, BoxCorners box, bool crowd = false) {
  return {label, box, box.width() * box.height(), crowd};
}

/// Images of 40 x 80 pixels (height x width): the detector's box is (20, 10) to (60, 30).
DetectionDataset images(const std::vector<std::vector<DetectionObject>>& objects) {
  std::vector<DetectionImage> list;
  for (const auto& here : objects) {
    DetectionImage image;
    image.id = static_cast<int64_t>(list.size());
    image.pixels = at::full({3, 40, 80}, 50 + image.id, at::kByte);
    image.objects = here;
    list.push_back(image);
  }
  return DetectionDataset({{1, "hat"}, {2, "shoe"}, {3, "coat"}}, list);
}

const BoxCorners kThere{20, 10, 60, 30};
const BoxCorners kBeside{28, 10, 68, 30};  // IoU 32 / 48: right up to the threshold .65
const BoxCorners kElsewhere{0, 0, 10, 10};

/// Category 0: of two objects the first is found, and what is claimed in image 1 is wrong; category
/// 1: the claim in image 0 is wrong and comes first, as scores are equal; category 2: no object but
/// a crowd. Class 3 of the model, the surest, is no category.
DetectionDataset by_hand() {
  return images({{object(0, kThere)},
                 {object(0, kElsewhere), object(1, kBeside), object(2, kThere, /*crowd=*/true)}});
}

void figures_by_hand(void**) {
  const DeformableDetr model = detector(4);
  const ClassPrecision p = class_precision(model, decided(model, {.6, .5, .4, .9}), by_hand());
  assert_int_equal(p.ap.size(), 4);         // the model's classes
  expect_close(p.ap[0], 51 / 101.0, 1e-9);  // recall points 0 to .50
  expect_close(p.ap50[0], 51 / 101.0, 1e-9);
  expect_close(p.ap[1], .4 * .5, 1e-9);
  expect_close(p.ap50[1], .5, 1e-9);
  for (const size_t absent : {2, 3}) {
    assert_true(std::isnan(p.ap[absent]) && std::isnan(p.ap50[absent]));
  }
  assert_true(p.total == std::vector<int64_t>({2, 1, 0, 0}));

  expect_close(p.percent().value(), 50 * (51 / 101.0 + .2), 1e-9);
  expect_close(p.percent50().value(), 50 * (51 / 101.0 + .5), 1e-9);
  expect_close(p.percent({1, 2}).value(), 20, 1e-9);
  expect_close(p.percent50({1}).value(), 50, 1e-9);
  assert_false(p.percent({2}).has_value() || p.percent50({2}).has_value());
  assert_false(p.percent({}).has_value());
}

/// Boxes are told in pixels of the original image, however large the model sees it.
void a_resized_image_has_the_same_figures(void**) {
  const DeformableDetr model = detector(3, {{"shorter_side", 64}, {"longest_side", 160}});
  const ClassPrecision p = class_precision(model, decided(model, {.6, .5, .4}), by_hand());
  expect_close(p.ap[0], 51 / 101.0, 1e-9);
  expect_close(p.ap[1], .4 * .5, 1e-9);
}

void batches_change_nothing(void**) {
  const DeformableDetr model = detector(3);
  const Weights weights = decided(model, {.6, .5, .4});
  std::vector<std::vector<DetectionObject>> many(37, {object(0, kThere)});
  many[36] = {object(1, kThere)};
  const DetectionDataset dataset = images(many);
  EvaluationOptions one, all;
  one.batch = 1;
  all.batch = 1000;
  const ClassPrecision a = class_precision(model, weights, dataset, one);
  const ClassPrecision b = class_precision(model, weights, dataset, all);
  assert_true(a.ap[0] == b.ap[0] && a.ap[1] == b.ap[1] && a.total == b.total);
  expect_close(b.ap[0], 1, 1e-9);
  expect_close(b.ap[1], 1 / 37.0, 1e-9);
}

void detections_are_of_each_image(void**) {
  const DeformableDetr model = detector(3);
  const Weights weights = decided(model, {.6, .9, .4});
  const ImageBatch batch = ImageBatch::of({at::ones({3, 40, 80}), at::ones({3, 64, 32})});
  const std::vector<Detections> found =
      detect(model, model.backbone(weights), weights, batch, {{40, 80}, {640, 320}}, 2);
  assert_int_equal(found.size(), 2);
  for (const Detections& here : found) {
    assert_true(at::equal(here.labels, at::tensor({1, 0}, at::kLong)));
    expect_near(here.scores, at::tensor({.9, .6}), 1e-5);
    assert_false(here.scores.requires_grad());
  }
  expect_near(found[0].boxes[0], at::tensor({20., 10., 60., 30.}), 1e-5);
  expect_near(found[1].boxes[1], at::tensor({80., 160., 240., 480.}), 1e-5);
  expect_error(Code::kInvalidArgument, "1 image sizes for 2", [&] {
    detect(model, model.backbone(weights), weights, batch, {{40, 80}});
  });
}

void evaluation_stops_and_names_what_does_not_fit(void**) {
  const DeformableDetr model = detector(3), small = detector(2);
  const Weights weights = decided(model, {.6, .5, .4});
  EvaluationOptions options;
  options.batch = 1;
  int64_t asked = 0;
  options.cancelled = [&] { return ++asked == 2; };
  expect_error(Code::kCancelled, "image 1 of 2",
               [&] { class_precision(model, weights, by_hand(), options); });
  expect_error(Code::kInvalidArgument, "has 3 categories, the model has only 2", [&] {
    class_precision(small, decided(small, {.5, .5}), by_hand());
  });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(figures_by_hand),
      cmocka_unit_test(a_resized_image_has_the_same_figures),
      cmocka_unit_test(batches_change_nothing),
      cmocka_unit_test(detections_are_of_each_image),
      cmocka_unit_test(evaluation_stops_and_names_what_does_not_fit),
  };
  return cmocka_run_group_tests_name("class precision", tests, nullptr, nullptr);
}
