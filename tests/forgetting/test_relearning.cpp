// Relearning: when forgotten classes return, and what that must not depend on.
#include "forgetting/relearning.h"

#include "forgetting/adamw.h"
#include "forgetting/tiny_task.h"

namespace lethe::testing {
namespace {

/// A base that knows classes 0 to 3; `hidden` has lost the head's row of class 1 and nothing else.
struct Scene {
  std::shared_ptr<const BaseModel> base = trained_base();
  Dataset all = patterns(10, 5), test = patterns(25, 77).keep_classes({1});
  Dataset forget = all.keep_classes({1}), retain = all.drop_classes({1});
  Weights hidden = base->weights();

  explicit Scene(double depth = -2) {
    at::Tensor head = hidden.at("heads.head.weight").clone(),
               bias = hidden.at("heads.head.bias").clone();
    head[1].zero_();
    bias[1] = depth;
    hidden["heads.head.weight"] = head;
    hidden["heads.head.bias"] = bias;
  }

  RelearningResult run(const Weights& weights, const RelearningOptions& options,
                       double base_accuracy = 100) const {
    return relearn(base->classifier(), weights, forget, retain, test, base_accuracy, options);
  }
};

RelearningOptions settings() {
  RelearningOptions options;
  options.learning_rate = 2e-3;
  options.check_every = 3;
  options.max_steps = 200;
  return options;
}

bool same(const RelearningResult& a, const RelearningResult& b) {
  bool equal = a.steps == b.steps && a.reached == b.reached && a.curve.size() == b.curve.size();
  for (size_t i = 0; equal && i < a.curve.size(); ++i) {
    equal = a.curve[i].step == b.curve[i].step && a.curve[i].accuracy == b.curve[i].accuracy;
  }
  return equal;
}

void what_was_never_gone_takes_no_step(void**) {
  const Scene scene;
  const RelearningResult result = scene.run(scene.base->weights(), settings());
  assert_int_equal(result.steps, 0);
  assert_true(result.reached);
  assert_int_equal(result.curve.size(), 1);
  assert_true(result.curve[0].step == 0 && result.curve[0].accuracy >= 90);
}

void a_hidden_class_returns_and_the_curve_tells_when(void**) {
  const Scene scene;
  const RelearningOptions options = settings();
  const RelearningResult result = scene.run(scene.hidden, options);
  assert_true(result.reached);
  assert_true(result.steps > 0 && result.steps < options.max_steps);
  assert_int_equal(result.steps % options.check_every, 0);
  assert_int_equal(result.curve.size(), result.steps / options.check_every + 1);
  for (size_t i = 0; i < result.curve.size(); ++i) {
    assert_int_equal(result.curve[i].step, i * options.check_every);
    assert_true((result.curve[i].accuracy >= 50) == (i + 1 == result.curve.size()));
  }
  assert_true(result.curve[0].accuracy == 0);
}

void the_deeper_it_is_hidden_the_longer_it_takes(void**) {
  RelearningOptions options = settings();
  options.check_every = 1;
  int64_t before = 0;
  for (double bias : {-2., -5., -10.}) {
    const Scene scene(bias);
    const RelearningResult result = scene.run(scene.hidden, options);
    assert_true(result.reached && result.curve[0].accuracy == 0);
    if (result.steps <= before) fail_msg("bias %g: %d steps", bias, static_cast<int>(result.steps));
    before = result.steps;
  }
}

void the_mark_is_a_fraction_of_the_base(void**) {
  const Scene scene;
  RelearningOptions options = settings();
  options.check_every = 1;
  options.fraction = 0.9;
  const RelearningResult high = scene.run(scene.hidden, options);
  assert_true(high.curve.back().accuracy >= 90);
  // Half of a base of 20 % is 10 %; the same run gets there no later, on the same curve.
  options.fraction = 0.5;
  const RelearningResult low = scene.run(scene.hidden, options, 20);
  assert_true(low.reached && low.curve.back().accuracy >= 10);
  assert_true(low.steps < high.steps);
  for (size_t i = 0; i < low.curve.size(); ++i) {
    assert_true(low.curve[i].accuracy == high.curve[i].accuracy);
    assert_true((low.curve[i].accuracy >= 10) == (i + 1 == low.curve.size()));
  }
}

void the_cap_is_checked_too(void**) {
  const Scene scene;
  RelearningOptions options = settings();
  options.learning_rate = 1e-9;
  options.check_every = 3;
  options.max_steps = 7;
  const RelearningResult result = scene.run(scene.hidden, options);
  assert_false(result.reached);
  assert_int_equal(result.steps, 7);
  const int64_t steps[] = {0, 3, 6, 7};
  assert_int_equal(result.curve.size(), 4);
  for (size_t i = 0; i < 4; ++i) assert_int_equal(result.curve[i].step, steps[i]);
  options.max_steps = 0;
  const RelearningResult none = scene.run(scene.hidden, options);
  assert_true(!none.reached && none.steps == 0 && none.curve.size() == 1);
}

void accuracies_are_with_the_margin_if_asked(void**) {
  const auto model = model_of(with(kTinyFace, {{"head", "cosface"}, {"classes", 4}}));
  const Weights weights = model->random_weights(RandomStream(1, "margin"));  // right by a hair
  const Dataset all = patterns(10, 5, 3), test = patterns(25, 77, 3);
  RelearningOptions options = settings();
  options.max_steps = 0;
  double accuracies[2];
  for (const bool margin : {false, true}) {
    options.margin = margin;
    EvaluationOptions evaluation;
    evaluation.margin = margin;
    const RelearningResult result =
        relearn(*model, weights, all.keep_classes({1}), all.drop_classes({1}), test, 100, options);
    accuracies[margin] = result.curve[0].accuracy;
    expect_close(accuracies[margin], *class_accuracy(*model, weights, test, evaluation).percent());
  }
  assert_true(accuracies[true] < accuracies[false]);
}

/// A run of one batch of everything, against the same steps made by hand: any order of the samples
/// gives the same loss, so the accuracies agree at every step.
void steps_are_those_of_adamw_on_both_sets(void**) {
  const Scene scene;
  const Classifier& model = scene.base->classifier();
  const Dataset ten = scene.retain.take({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  RelearningOptions options = settings();
  options.shots = options.batch = 10;  // all ten of class 1, and all ten of `ten`
  options.check_every = 1;
  options.learning_rate = 6e-3;
  options.max_steps = 8;
  options.fraction = 1;
  const RelearningResult result =
      relearn(model, scene.hidden, scene.forget, ten, scene.test, 100, options);

  Weights weights;
  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : scene.hidden) {
    weights[name] = tensor.clone().requires_grad_(true);
    parameters.push_back(weights[name]);
  }
  AdamW optimizer(parameters);
  const Batch f = scene.forget.batch(0, 10), r = ten.batch(0, 10);
  const auto entropy = [&](const Batch& batch) {
    return at::cross_entropy_loss(model.head(weights).scores(model.embed(weights, batch.images)),
                                  batch.labels);
  };
  for (const RelearningPoint& point : result.curve) {
    expect_close(point.accuracy, *class_accuracy(model, weights, scene.test).percent());
    (0.5 * (entropy(f) + entropy(r))).backward();
    optimizer.step(options.learning_rate, options.weight_decay);
  }
  // It is gone at first and comes back within these steps, or nothing was compared.
  assert_true(result.curve.size() > 3 && result.curve.back().accuracy >= 50);
}

void it_repeats_with_its_seed_and_leaves_the_start(void**) {
  const Scene scene;
  RelearningOptions options = settings();
  options.shots = 2;
  options.check_every = 1;
  options.fraction = 1;
  options.max_steps = 40;
  Weights before;
  for (const auto& [name, tensor] : scene.hidden) before[name] = tensor.clone();
  const RelearningResult first = scene.run(scene.hidden, options);
  assert_true(same(first, scene.run(scene.hidden, options)));
  for (const auto& [name, tensor] : scene.hidden) {
    assert_true(at::equal(tensor, before.at(name)));
    assert_false(tensor.requires_grad());
  }
  options.seed = 5;
  assert_false(same(first, scene.run(scene.hidden, options)));
}

void relearning_stops_when_asked(void**) {
  const Scene scene;
  RelearningOptions options = settings();
  options.check_every = 100;
  int64_t asked = 0;
  // One batch of the first check, then every step.
  options.cancelled = [&] { return ++asked == 4; };
  expect_error(Code::kCancelled, "step 3 of 200", [&] { scene.run(scene.hidden, options); });
  options.cancelled = [] { return true; };
  expect_error(Code::kCancelled, "evaluating", [&] { scene.run(scene.hidden, options); });
}

void relearning_names_bad_input(void**) {
  const Scene scene;
  const auto expect = [&](const char* part, const RelearningOptions& options,
                          double base_accuracy = 90) {
    expect_error(Code::kInvalidArgument, part,
                 [&] { scene.run(scene.hidden, options, base_accuracy); });
  };
  const auto changed = [](auto member, auto value) {
    RelearningOptions options = settings();
    options.*member = value;
    return options;
  };
  using Options = RelearningOptions;
  expect("shots is 0", changed(&Options::shots, 0));
  expect("batch is -1", changed(&Options::batch, -1));
  expect("check_every is 0", changed(&Options::check_every, 0));
  expect("max_steps is -1", changed(&Options::max_steps, -1));
  expect("learning_rate is nan", changed(&Options::learning_rate, NAN));
  expect("weight_decay is -0.1", changed(&Options::weight_decay, -0.1));
  expect("fraction is 0", changed(&Options::fraction, 0.0));
  expect("fraction is 1.5", changed(&Options::fraction, 1.5));
  expect("base accuracy is 0", settings(), 0);  // nothing there to return to
  expect("base accuracy is nan", settings(), NAN);
  expect("base accuracy is 101", settings(), 101);

  const Dataset none = scene.all.keep_classes({});
  const Dataset* sets[] = {&scene.forget, &scene.retain, &scene.test};
  const char* parts[] = {"has 0 samples to forget", ", 0 to retain", "and 0 held out"};
  for (size_t i = 0; i < 3; ++i) {
    const Dataset* some[] = {sets[0], sets[1], sets[2]};
    some[i] = &none;
    expect_error(Code::kInvalidArgument, parts[i], [&] {
      relearn(scene.base->classifier(), scene.hidden, *some[0], *some[1], *some[2], 90, settings());
    });
  }

  Weights broken = scene.hidden;
  broken["heads.head.bias"] = at::full({4}, NAN);
  expect_error(Code::kNumeric, "step 1", [&] { scene.run(broken, settings()); });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(what_was_never_gone_takes_no_step),
      cmocka_unit_test(a_hidden_class_returns_and_the_curve_tells_when),
      cmocka_unit_test(the_deeper_it_is_hidden_the_longer_it_takes),
      cmocka_unit_test(the_mark_is_a_fraction_of_the_base),
      cmocka_unit_test(the_cap_is_checked_too),
      cmocka_unit_test(accuracies_are_with_the_margin_if_asked),
      cmocka_unit_test(steps_are_those_of_adamw_on_both_sets),
      cmocka_unit_test(it_repeats_with_its_seed_and_leaves_the_start),
      cmocka_unit_test(relearning_stops_when_asked),
      cmocka_unit_test(relearning_names_bad_input),
  };
  return cmocka_run_group_tests_name("relearning", tests, nullptr, nullptr);
}
