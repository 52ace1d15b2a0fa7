// The losses of forgetting categories against numbers computed by hand, in double precision, and
// against the recorded first step of the reference (tests/golden/README.md).
#include "forgetting/detection_losses.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "forgetting/objects.h"
#include "golden/settings.h"
#include "models/boxes.h"
#include "near.h"
#include "storage/safetensors.h"
#include "support/json.h"
#include "support/random.h"

namespace lethe::testing {
namespace {

/// The logit of a probability.
double logit(double p) { return std::log(p / (1 - p)); }

/// Two queries, two classes, one object of class 1 that the second query lies nearly on.
DetectorLayer by_hand() {
  return {matrix({{logit(.2), logit(.4)}, {logit(.1), logit(.5)}}).unsqueeze(0),
          matrix({{.8, .8, .2, .2}, {.35, .3, .2, .2}}).unsqueeze(0),
          matrix({{7, 7, 7}, {.5, .5, 0}}).unsqueeze(0)};
}
std::vector<DetectionTargets> one_object() { return {objects({1}, {{.3, .3, .2, .2}})}; }

// By hand: negatives .75 p^2 -log(1-p), the matched logit .25 (1-p)^2 -log p.
const double kFocal = -.75 * (.04 * std::log(.8) + .16 * std::log(.6) + .01 * std::log(.9)) -
                      .25 * .25 * std::log(.5);
// Moved by a quarter of the width: intersection .15 x .2, union and around both .25 x .2.
constexpr double kL1 = .05, kGiou = 1 - .6;
// KL of softmax(2, 0, 0) from softmax(.5, .5, 0) (algorithm.md 11.8).
constexpr double kDistance = 0.34570090;

at::Tensor classifier() { return matrix({{0, 1, 0}, {2, 0, 0}}); }

// ---------------------------------------------------------------------------------- focal loss

void focal_loss_by_hand(void**) {
  const at::Tensor logits = matrix({{logit(.2), logit(.9), logit(.5)}});
  const at::Tensor wanted = at::tensor({0, 1, 0}, at::kLong).to(at::kBool).unsqueeze(0);
  expect_near(
      sigmoid_focal_loss(logits, wanted, .25, 2),
      matrix({{-.75 * .04 * std::log(.8), -.25 * .01 * std::log(.9), -.75 * .25 * std::log(.5)}}),
      1e-12);
  // alpha .5 and gamma 0: half the cross entropy.
  expect_near(sigmoid_focal_loss(logits, wanted, .5, 0),
              matrix({{-.5 * std::log(.8), -.5 * std::log(.9), -.5 * std::log(.5)}}), 1e-12);
}

void focal_loss_of_sure_logits(void**) {
  at::Tensor logits = matrix({{-800, -30, 30, 800}}).requires_grad_(true);
  const at::Tensor none = at::zeros({1, 4}, at::kBool);
  const at::Tensor loss = sigmoid_focal_loss(logits, none, .25, 2);
  expect_near(loss, matrix({{0, .75 * std::exp(-90), 22.5, 600}}), 1e-12);
  loss.sum().backward();
  assert_true(at::isfinite(logits.grad()).all().item<bool>());
  // Float32 keeps the digits of what a sure query still costs.
  const auto of_float = [&](double x, bool wanted) {
    return sigmoid_focal_loss(at::full({1}, x, at::kFloat), at::full({1}, wanted, at::kBool), .25,
                              2)
        .item<double>();
  };
  expect_close(of_float(-12, false) / (.75 * std::exp(-36)), 1, 1e-4);
  expect_close(of_float(12, true) / (.25 * std::exp(-36)), 1, 1e-4);
}

// --------------------------------------------------------------------------------------- terms

void terms_by_hand(void**) {
  const Prototypes prototypes(classifier());
  const DetectionTerms terms = detection_terms({by_hand()}, one_object(), &prototypes);
  assert_true(terms.matchings[0].queries == std::vector<int64_t>({1}));
  expect_near(terms.focal, matrix({{kFocal}})[0], 1e-12);
  expect_near(terms.l1, matrix({{kL1}})[0], 1e-12);
  expect_near(terms.giou, matrix({{kGiou}})[0], 1e-12);
  expect_close(terms.prototype.item<double>(), kDistance, 1e-8);
  assert_true(terms.prototype.dim() == 0);
  assert_false(detection_terms({by_hand()}, one_object()).prototype.defined());
}

void terms_are_per_object_of_the_batch(void**) {
  // The image by hand, and one with three objects for two queries: four objects, three pairs.
  const DetectorLayer a = by_hand();
  const DetectorLayer both{at::cat({a.logits, a.logits}), at::cat({a.boxes, a.boxes}), {}};
  const DetectionTerms terms = detection_terms(
      {both}, {one_object()[0],
               objects({1, 1, 0}, {{.35, .3, .2, .2}, {.8, .8, .2, .2}, {.1, .9, .1, .1}})});
  assert_true(terms.matchings[1].targets == std::vector<int64_t>({1, 0}));
  const double second = -.75 * (.04 * std::log(.8) + .01 * std::log(.9)) -
                        .25 * (.36 * std::log(.4) + .25 * std::log(.5));
  expect_close(terms.focal.item<double>(), (kFocal + second) / 4, 1e-12);
  expect_close(terms.l1.item<double>(), kL1 / 4, 1e-12);
  expect_close(terms.giou.item<double>(), kGiou / 4, 1e-12);
}

void without_objects_all_queries_are_negative(void**) {
  DetectorLayer layer = by_hand();
  layer.logits.requires_grad_(true);
  layer.boxes.requires_grad_(true);
  const Prototypes prototypes(classifier());
  const DetectionTerms terms = detection_terms({layer}, {no_objects()}, &prototypes);
  const double expected =
      -.75 * (.04 * std::log(.8) + .16 * std::log(.6) + .01 * std::log(.9) + .25 * std::log(.5));
  expect_close(terms.focal.item<double>(), expected, 1e-12);
  assert_true(terms.l1.item<double>() == 0 && terms.giou.item<double>() == 0);
  assert_true(terms.prototype.item<double>() == 0);
  retain_total(terms).backward();
  assert_true(at::isfinite(layer.logits.grad()).all().item<bool>());
  assert_false(layer.boxes.grad().any().item<bool>());
}

void prototypes_are_those_of_matched_queries(void**) {
  // Two images; D is the mean over the three objects, not over the images.
  at::Generator generator = RandomStream(1, "embeddings").generator();
  const at::Tensor embeddings = at::empty({2, 4, 5}, at::kDouble).normal_(0, 1, generator);
  const at::Tensor weight = at::empty({3, 5}, at::kDouble).normal_(0, 1, generator);
  const at::Tensor boxes = at::empty({2, 4, 4}, at::kDouble).uniform_(.1, .5, generator);
  const DetectorLayer layer{at::zeros({2, 4, 3}, at::kDouble), boxes, embeddings};
  // The objects' boxes are those of queries 2, 0 of the first image and 3 of the second.
  const std::vector<DetectionTargets> targets{
      {at::tensor({1, 2}, at::kLong), at::stack({boxes[0][2], boxes[0][0]})},
      {at::tensor({0}, at::kLong), boxes[1][3].unsqueeze(0)}};
  const Prototypes prototypes(weight);
  const DetectionTerms terms = detection_terms({layer}, targets, &prototypes);
  const auto kl = [&](int64_t label, const at::Tensor& e) {
    const at::Tensor p = at::softmax(weight[label], 0), q = at::softmax(e, 0);
    return (p * (p.log() - q.log())).sum().item<double>();
  };
  const double expected =
      (kl(1, embeddings[0][2]) + kl(2, embeddings[0][0]) + kl(0, embeddings[1][3])) / 3;
  expect_close(terms.prototype.item<double>(), expected, 1e-12);
  // With auxiliary layers, whose matchings differ, it is that of the last layer.
  const DetectorLayer earlier{layer.logits, boxes.flip(1), {}};
  const DetectionTerms two = detection_terms({earlier, layer}, targets, &prototypes);
  expect_close(two.prototype.item<double>(), expected, 1e-12);
  assert_true(two.matchings[0].queries == std::vector<int64_t>({1, 3}));
  assert_true(two.matchings[2].queries == std::vector<int64_t>({0, 2}));
}

// -------------------------------------------------------------------------------------- totals

void totals_by_hand(void**) {
  const DetectionTerms terms = detection_terms({by_hand()}, one_object());
  expect_close(retain_total(terms).item<double>(), 2 * kFocal + 5 * kL1 + 2 * kGiou, 1e-12);
  expect_close(forget_total(terms, 15).item<double>(), 15 - 2 * kFocal + 5 * kL1 + 2 * kGiou,
               1e-12);
  // Beyond the bound the boxes alone are left.
  expect_close(forget_total(terms, 2 * kFocal).item<double>(), 5 * kL1 + 2 * kGiou, 1e-12);
  const DetectionWeights other{.label = 3, .l1 = 1, .giou = 4};
  expect_close(retain_total(terms, other).item<double>(), 3 * kFocal + kL1 + 4 * kGiou, 1e-12);
  expect_close(forget_total(terms, 9, other).item<double>(), 9 - 3 * kFocal + kL1 + 4 * kGiou,
               1e-12);
}

/// algorithm.md 11.7: max(0, 15 - 2 * 1) = 13; a focal loss of 7.5 and more gives 0.
/// Whatever the object is, class 0 is what it should be proposed as.
void proposals_are_of_one_class(void**) {
  const DetectorLayer proposals{by_hand().logits, by_hand().boxes, {}};
  const auto total_of = [](const DetectorLayer& layer, const std::vector<DetectionTargets>& all) {
    return retain_total(detection_terms({layer}, all));
  };
  const at::Tensor total = proposal_total(proposals, one_object());
  expect_near(total, total_of(proposals, {objects({0}, {{.3, .3, .2, .2}})}), 1e-12);
  assert_true(total.item<double>() > total_of(proposals, one_object()).item<double>());
  assert_int_equal(one_object()[0].labels.item<int64_t>(), 1);
  // One logit is enough.
  const DetectorLayer single{proposals.logits.narrow(2, 0, 1), proposals.boxes, {}};
  // Negatives .75 p^2 -log(1-p), the matched logit .25 (1-p)^2 -log p.
  const double focal = -.75 * .04 * std::log(.8) - .25 * .81 * std::log(.1);
  expect_close(proposal_total(single, one_object()).item<double>(), 2 * focal + 5 * kL1 + 2 * kGiou,
               1e-12);
}

void check_7_bounded_classification(void**) {
  const auto total = [](double focal) {
    DetectionTerms terms;
    terms.focal = at::full({1}, focal, at::kDouble);
    terms.l1 = terms.giou = at::zeros({1}, at::kDouble);
    return forget_total(terms, 15).item<double>();
  };
  expect_close(total(1), 13, 1e-12);
  assert_true(total(7.5) == 0 && total(7.6) == 0 && total(1e9) == 0);
  assert_true(std::isnan(total(NAN)));
}

void beyond_the_bound_only_boxes_are_trained(void**) {
  DetectorLayer layer = by_hand();
  layer.logits.requires_grad_(true);
  layer.boxes.requires_grad_(true);
  forget_total(detection_terms({layer}, one_object()), 1e-3).backward();
  assert_false(layer.logits.grad().any().item<bool>());  // exactly zero
  const at::Tensor pulled = layer.boxes.grad().clone();
  layer.boxes.mutable_grad() = at::Tensor();
  retain_total(detection_terms({layer}, one_object())).backward();
  expect_near(pulled, layer.boxes.grad(), 1e-15);  // towards the object on both sides
}

void the_bound_holds_for_each_layer(void**) {
  DetectionTerms terms;
  terms.focal = matrix({{2, 9}})[0];  // together 2 * 11 = 22 lies beyond 15 as well as below 30
  terms.l1 = matrix({{.1, .2}})[0];
  terms.giou = matrix({{.3, .4}})[0];
  expect_close(forget_total(terms, 15).item<double>(), 11 + 0 + 5 * .3 + 2 * .7, 1e-12);
  expect_close(retain_total(terms).item<double>(), 22 + 5 * .3 + 2 * .7, 1e-12);
}

void layers_are_terms_of_their_own(void**) {
  DetectorLayer first = by_hand(), last = by_hand();
  first.boxes = first.boxes.flip(1) + .01;
  first.logits = first.logits * .5;
  const DetectionTerms both = detection_terms({first, last}, one_object());
  const DetectionTerms a = detection_terms({first}, one_object());
  const DetectionTerms b = detection_terms({last}, one_object());
  expect_near(both.focal, at::cat({a.focal, b.focal}), 1e-12);
  expect_near(both.l1, at::cat({a.l1, b.l1}), 1e-12);
  expect_near(both.giou, at::cat({a.giou, b.giou}), 1e-12);
  assert_true(both.matchings[0].queries == a.matchings[0].queries);
  assert_true(both.matchings[1].queries == b.matchings[0].queries);
}

void the_sum_of_a_step(void**) {
  ForgetConfig config;
  config.forget_bound = 15;
  config.forget_weight = .15;
  config.prototype_forget_weight = .005;
  config.prototype_retain_weight = .01;
  config.prototype_bound = 18;
  const Prototypes prototypes(classifier());
  const DetectionSide batch{{by_hand()}, one_object()};
  const double boxes = 5 * kL1 + 2 * kGiou;
  DetectionLosses all = detection_losses(batch, batch, config, &prototypes);
  const double plain = 2 * kFocal + boxes + .15 * (15 - 2 * kFocal + boxes);
  const double pushed = .005 * (18 - kDistance) + .01 * kDistance;
  expect_close(all.retain_total.item<double>(), 2 * kFocal + boxes, 1e-12);
  expect_close(all.forget_total.item<double>(), 15 - 2 * kFocal + boxes, 1e-12);
  expect_close(all.prototype.item<double>(), pushed, 1e-8);
  expect_close(all.trained.item<double>(), plain + pushed, 1e-8);
  config.prototype_bound = .1;
  expect_close(detection_losses(batch, batch, config, &prototypes).prototype.item<double>(),
               .01 * kDistance, 1e-8);
  all = detection_losses(batch, batch, config);
  assert_false(all.prototype.defined() || all.forget.prototype.defined());
  expect_close(all.trained.item<double>(), plain, 1e-12);
}

// ----------------------------------------------------------------------------------- gradients

/// A batch of `layers` layers at random, its boxes around the middle.
DetectionSide random_batch(const char* name, int layers) {
  at::Generator generator = RandomStream(2, name).generator();
  const auto boxes = [&](at::IntArrayRef shape) {
    return at::empty(shape, at::kDouble).uniform_(.3, .6, generator);
  };
  DetectionSide batch;
  for (int l = 0; l < layers; ++l) {
    batch.layers.push_back({at::empty({2, 5, 3}, at::kDouble).normal_(0, 1, generator),
                            boxes({2, 5, 4}),
                            at::empty({2, 5, 6}, at::kDouble).normal_(0, 1, generator)});
  }
  batch.targets = {{at::tensor({0, 2, 1}, at::kLong), boxes({3, 4})},
                   {at::tensor({2}, at::kLong), boxes({1, 4})}};
  return batch;
}

/// Of L by every number of both batches, by central differences. The matching is constant between
/// points so near, and so is which side of a bound the terms lie on.
void gradients_are_those_of_differences(void**) {
  at::Generator generator = RandomStream(2, "classifier").generator();
  const Prototypes prototypes(at::empty({3, 6}, at::kDouble).normal_(0, 1, generator));
  ForgetConfig config;
  config.forget_bound = 15;
  config.forget_weight = .4;
  config.prototype_forget_weight = .3;
  config.prototype_retain_weight = .2;
  DetectionSide forget = random_batch("forget", 2), retain = random_batch("retain", 2);
  const auto loss = [&] { return detection_losses(forget, retain, config, &prototypes).trained; };
  std::vector<at::Tensor*> inputs;
  for (DetectionSide* batch : {&forget, &retain}) {
    for (DetectorLayer& layer : batch->layers) {
      for (at::Tensor* t : {&layer.logits, &layer.boxes, &layer.embeddings}) inputs.push_back(t);
    }
  }
  for (at::Tensor* t : inputs) t->requires_grad_(true);
  loss().backward();
  const double h = 1e-6;
  for (size_t k = 0; k < inputs.size(); ++k) {
    const bool unused = k % 6 == 2;  // embeddings of the first layer
    assert_true(inputs[k]->grad().defined() != unused);
    if (unused) continue;
    at::Tensor expected = at::zeros_like(inputs[k]->detach());
    auto* values = inputs[k]->data_ptr<double>();
    for (int64_t i = 0; i < inputs[k]->numel(); ++i) {
      const double before = values[i];
      values[i] = before + h;
      const double up = loss().item<double>();
      values[i] = before - h;
      const double down = loss().item<double>();
      values[i] = before;
      expected.data_ptr<double>()[i] = (up - down) / (2 * h);
    }
    expect_near(inputs[k]->grad(), expected, 1e-6, str("input ", k));
  }
}

void half_precision_is_computed_in_float(void**) {
  const DetectionSide batch = random_batch("half", 1);
  const auto terms = [&](at::ScalarType type) {
    const DetectorLayer& l = batch.layers[0];
    const auto to = [&](const at::Tensor& t) { return t.to(at::kBFloat16).to(type); };
    const Prototypes prototypes(at::ones({3, 6}));
    return detection_terms({{to(l.logits), to(l.boxes), to(l.embeddings)}}, batch.targets,
                           &prototypes);
  };
  const DetectionTerms half = terms(at::kBFloat16), full = terms(at::kFloat);
  assert_true(half.focal.scalar_type() == at::kFloat);
  assert_true(half.focal.equal(full.focal) && half.l1.equal(full.l1) && half.giou.equal(full.giou));
  assert_true(half.prototype.equal(full.prototype));
}

void losses_name_bad_input(void**) {
  const auto expect = [](const char* part, const std::vector<DetectorLayer>& layers,
                         const std::vector<DetectionTargets>& targets,
                         const Prototypes* prototypes = nullptr) {
    expect_error(Code::kInvalidArgument, part,
                 [&] { detection_terms(layers, targets, prototypes); });
  };
  expect("there are 0 decoder layers and 1 images", {}, one_object());
  expect("there are 1 decoder layers and 0 images", {by_hand()}, {});
  expect("for 2 images they must be [2, Q, C]", {by_hand()}, {no_objects(), no_objects()});
  DetectorLayer other = by_hand();
  other.logits = other.logits.narrow(1, 0, 1);
  expect("all layers must have one shape", {by_hand(), other}, one_object());
  expect("has the label 2", {by_hand()}, {objects({2}, {{.5, .5, .1, .1}})});
  const Prototypes wide(at::zeros({2, 9}, at::kDouble));
  expect("must be [1, 2, 9]", {by_hand()}, one_object(), &wide);
  other = by_hand();
  other.embeddings = at::Tensor();
  const Prototypes prototypes(classifier());
  expect("must be [1, 2, 3]", {other}, one_object(), &prototypes);
}

// -------------------------------------------------------------------------------------- golden

std::string golden(const std::string& name) {
  const char* folder = std::getenv("LETHE_GOLDEN");
  return std::string(folder ? folder : "tests/golden") + "/" + name;
}

/// The terms, totals and matchings that the reference recorded for the outputs of step 0.
void expect_golden(const std::string& name) {
  const std::string folder = golden(name);
  std::ifstream file(folder + "/expected.json");
  std::stringstream text;
  text << file.rdbuf();
  const Json expected = parse_json(text.str(), "expected.json");
  const Json& settings = expected.at("config");
  const Json& step = expected.at("losses")[0];
  const Weights outputs = read_safetensors(folder + "/expected.safetensors").tensors;
  const Weights batches = read_safetensors(folder + "/batches.safetensors").tensors;
  const Weights base = read_safetensors(folder + "/base_model.safetensors").tensors;
  const auto side = [&](const std::string& kind) {
    DetectionSide batch{{{outputs.at(kind + ".pred_logits"), outputs.at(kind + ".pred_boxes"),
                          outputs.at(kind + ".embeddings")}},
                        {}};
    for (int64_t i = 0; i < batch.layers[0].logits.size(0); ++i) {
      batch.targets.push_back(
          {batches.at(str(kind, ".0.labels.", i)), batches.at(str(kind, ".0.boxes.", i))});
    }
    return batch;
  };
  const ForgetConfig config = settings_of(settings);
  const int64_t last = settings.at("decoder_layers").get<int64_t>() - 1;
  const Prototypes prototypes(base.at(str("class_embed.", last, ".weight")));
  const DetectionLosses all = detection_losses(side("forget"), side("retain"), config, &prototypes);

  const auto same = [](const at::Tensor& actual, const Json& wanted) {
    expect_close(actual.item<double>() / wanted.get<double>(), 1, 1e-5);
  };
  for (const auto& [terms, kind] : {std::pair{&all.forget, "forget"}, {&all.retain, "retain"}}) {
    same(terms->focal, step.at(kind).at("loss_ce"));
    same(terms->l1, step.at(kind).at("loss_bbox"));
    same(terms->giou, step.at(kind).at("loss_giou"));
    same(terms->prototype, step.at(std::string("proto_") + kind));
    const Json& pairs = step.at(std::string("match_") + kind);
    for (size_t i = 0; i < terms->matchings.size(); ++i) {
      assert_true(pairs[i][0].get<std::vector<int64_t>>() == terms->matchings[i].queries);
      assert_true(pairs[i][1].get<std::vector<int64_t>>() == terms->matchings[i].targets);
    }
  }
  same(all.forget_total, step.at("forget_total"));
  same(all.retain_total, step.at("retain_total"));
  const double structure = settings.at("alpha").get<double>() * step.at("structure").get<double>();
  same(all.trained + structure, step.at("total"));
}

void the_reference_has_these_losses(void**) {
  expect_golden("deformable_detr");
  expect_golden("deformable_detr_refine");
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);
  const CMUnitTest tests[] = {
      cmocka_unit_test(focal_loss_by_hand),
      cmocka_unit_test(focal_loss_of_sure_logits),
      cmocka_unit_test(terms_by_hand),
      cmocka_unit_test(terms_are_per_object_of_the_batch),
      cmocka_unit_test(without_objects_all_queries_are_negative),
      cmocka_unit_test(prototypes_are_those_of_matched_queries),
      cmocka_unit_test(totals_by_hand),
      cmocka_unit_test(proposals_are_of_one_class),
      cmocka_unit_test(check_7_bounded_classification),
      cmocka_unit_test(beyond_the_bound_only_boxes_are_trained),
      cmocka_unit_test(the_bound_holds_for_each_layer),
      cmocka_unit_test(layers_are_terms_of_their_own),
      cmocka_unit_test(the_sum_of_a_step),
      cmocka_unit_test(gradients_are_those_of_differences),
      cmocka_unit_test(half_precision_is_computed_in_float),
      cmocka_unit_test(losses_name_bad_input),
      cmocka_unit_test(the_reference_has_these_losses),
  };
  return cmocka_run_group_tests_name("detection_losses", tests, nullptr, nullptr);
}
