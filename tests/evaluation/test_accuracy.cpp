// Accuracies and the harmonic mean, on scores known by hand (algorithm.md 6, 11).
#include "evaluation/accuracy.h"

#include "near.h"

namespace lethe::testing {
namespace {

/// No network at all: the embedding is the image's four pixels, which sum to zero.
class PixelModel final : public Classifier {
 public:
  using Classifier::Classifier;
  std::vector<TensorSpec> tensors() const override { return {{"w", {3, 4}}}; }
  Weights random_weights(RandomStream) const override { return {}; }
  at::Tensor tokens(const Weights&, const at::Tensor& images) const override {
    return images.view({images.size(0), 1, 4});
  }
  Transformer transformer(const Weights&) const override {
    // (x - mean) / sqrt(var + 1e12) * 1e6 = x: the final norm does nothing.
    return {{}, {at::full({4}, 1e6), at::zeros({4}), 1e12}, 1, 4, 1};
  }
  Head head(const Weights& weights) const override { return Head(spec(), weights.at("w"), {}); }
  Weights rename(Weights weights) const override { return weights; }
  int64_t block_of(const std::string&) const override { return -1; }
  std::vector<AdapterSite> adapter_sites() const override { return {}; }
  std::vector<AdapterSite> attention_sites() const override { return {}; }
};

PixelModel model_with(HeadKind kind) {
  ModelSpec spec;
  spec.classes = 3;
  spec.channels = 1;
  spec.image_size = 2;
  spec.dim = 4;
  spec.head = kind;
  spec.head_margin = 0.35;
  return PixelModel(spec);
}

/// (x, y) as four numbers that sum to zero; angles stay as they are in the plane.
std::vector<float> pair(float x, float y) { return {x, -x, y, -y}; }

at::Tensor stacked(const std::vector<std::vector<float>>& rows) {
  std::vector<at::Tensor> list;
  for (const auto& row : rows) list.push_back(at::tensor(row, at::kFloat));
  return at::stack(list);
}

const Weights& weights() {  // check 6's classes
  static const Weights all = {{"w", stacked({pair(1, 0), pair(0, 2), pair(-1, 1)})}};
  return all;
}

Dataset images(const std::vector<std::pair<std::vector<float>, int64_t>>& samples) {
  std::vector<std::vector<float>> pixels;
  std::vector<int64_t> labels;
  for (const auto& [row, label] : samples) {
    pixels.push_back(row);
    labels.push_back(label);
  }
  return Dataset(stacked(pixels).view({-1, 1, 2, 2}), at::tensor(labels, at::kLong), 3);
}

/// Right without a margin; (3, 4) of class 1 is wrong with it.
Dataset samples() {
  return images(
      {{pair(3, 4), 1}, {pair(1, 0), 0}, {pair(1, 4), 1}, {pair(5, -1), 0}, {pair(1, 0), 1}});
}

void percent_is_over_samples_and_absent_classes_have_none(void**) {
  const ClassAccuracy accuracy{{3, 0, 0, 1}, {4, 0, 10, 1}};
  expect_close(*accuracy.percent({0}), 75);
  expect_close(*accuracy.percent({2}), 0);
  expect_close(*accuracy.percent({0, 2}), 100.0 * 3 / 14);  // not the mean of 75 and 0
  expect_close(*accuracy.percent({0, 1}), 75);
  expect_close(*accuracy.percent(), 100.0 * 4 / 15);
  assert_false(accuracy.percent({1}).has_value());
  assert_false(accuracy.percent(std::vector<int64_t>{}).has_value());
  assert_false((ClassAccuracy{{0, 0}, {0, 0}}).percent().has_value());
}

void check_12_h_mean(void**) {
  expect_close(h_mean(74.16, 74.65, 0), 74.40, 1e-4);
  expect_close(h_mean(72.45, 75.11, 0), 73.76, 1e-4);
  expect_close(h_mean(71.36, 70.88, 0), 71.12, 1e-4);
  expect_close(h_mean(67.83, 70.88, 42.96), 39.56, 1e-4);
}

void trap_h_without_a_drop_is_zero(void**) {
  assert_true(h_mean(80, 50, 50) == 0);
  assert_true(h_mean(80, 50, 60) == 0);  // a class that got better is not forgotten
  assert_true(h_mean(0, 0, 0) == 0);     // the reference divides zero by zero here
  assert_true(h_mean(0, 50, 0) == 0);
}

void accuracy_counts_each_class(void**) {
  const PixelModel model = model_with(HeadKind::kCosFace);
  for (int64_t batch : {1, 2, 5, 250}) {
    EvaluationOptions options;
    options.batch = batch;
    const ClassAccuracy plain = class_accuracy(model, weights(), samples(), options);
    assert_true(plain.total == std::vector<int64_t>({2, 3, 0}));
    assert_true(plain.correct == std::vector<int64_t>({2, 2, 0}));
    expect_close(*plain.percent(), 80);
    assert_false(plain.percent({2}).has_value());
  }
}

/// The reference applies the margin at test time too, so its "pre-train" accuracy is some 74 %.
void trap_margin_accuracy_is_not_plain_accuracy(void**) {
  EvaluationOptions margin;
  margin.margin = true;
  const PixelModel cosine = model_with(HeadKind::kCosFace);
  const ClassAccuracy strict = class_accuracy(cosine, weights(), samples(), margin);
  assert_true(strict.correct == std::vector<int64_t>({2, 1, 0}));
  const ClassAccuracy plain = class_accuracy(cosine, weights(), samples());
  assert_true(plain.correct == std::vector<int64_t>({2, 2, 0}));
  const PixelModel linear = model_with(HeadKind::kLinear);
  assert_true(class_accuracy(linear, weights(), samples(), margin).correct ==
              class_accuracy(linear, weights(), samples()).correct);
}

void scores_come_in_the_order_of_the_samples(void**) {
  const PixelModel model = model_with(HeadKind::kCosFace);
  const Dataset some = samples().take({4, 0, 2});
  for (int64_t batch : {1, 2, 250}) {
    EvaluationOptions options;
    options.batch = batch;
    const at::Tensor scores = dataset_scores(model, weights(), some, options);
    expect_near(scores,
                64 * stacked({{1, 0, -.70710678f},
                              {.6f, .8f, .14142136f},
                              {.24253563f, .97014250f, .51449576f}}),
                1e-6);
  }
  EvaluationOptions margin;
  margin.margin = true;
  const at::Tensor scores = dataset_scores(model, weights(), some, margin);
  expect_near(scores[1], at::tensor({38.4, 28.8, 9.0509668}, at::kFloat), 1e-6);
}

void an_empty_selection_has_no_accuracy(void**) {
  const PixelModel model = model_with(HeadKind::kLinear);
  const Dataset none = samples().keep_classes({2});
  assert_false(class_accuracy(model, weights(), none).percent().has_value());
  assert_true(dataset_scores(model, weights(), none).sizes() == at::IntArrayRef({0, 3}));
}

void evaluation_leaves_no_graph(void**) {
  const PixelModel model = model_with(HeadKind::kLinear);
  const Weights trainable = {{"w", weights().at("w").clone().requires_grad_(true)}};
  assert_false(dataset_scores(model, trainable, samples()).requires_grad());
}

void evaluation_stops_between_batches(void**) {
  const PixelModel model = model_with(HeadKind::kLinear);
  for (int64_t allowed : {0, 1, 2}) {
    EvaluationOptions options;
    options.batch = 2;
    int64_t asked = 0;
    options.cancelled = [&] { return asked++ == allowed; };
    const std::string named = lethe::str("sample ", 2 * allowed, " of 5");
    expect_error(Code::kCancelled, named,
                 [&] { class_accuracy(model, weights(), samples(), options); });
    assert_int_equal(asked, allowed + 1);
    asked = 0;
    expect_error(Code::kCancelled, named,
                 [&] { dataset_scores(model, weights(), samples(), options); });
  }
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(percent_is_over_samples_and_absent_classes_have_none),
      cmocka_unit_test(check_12_h_mean),
      cmocka_unit_test(trap_h_without_a_drop_is_zero),
      cmocka_unit_test(accuracy_counts_each_class),
      cmocka_unit_test(trap_margin_accuracy_is_not_plain_accuracy),
      cmocka_unit_test(scores_come_in_the_order_of_the_samples),
      cmocka_unit_test(an_empty_selection_has_no_accuracy),
      cmocka_unit_test(evaluation_leaves_no_graph),
      cmocka_unit_test(evaluation_stops_between_batches),
  };
  return cmocka_run_group_tests_name("accuracy", tests, nullptr, nullptr);
}
