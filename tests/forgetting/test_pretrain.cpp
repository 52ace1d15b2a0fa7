// Schedule, AdamW over tensors, and pre-training (algorithm.md 5.1, 5.2, 5.6, 11).
#include "forgetting/adamw.h"
#include "forgetting/schedule.h"
#include "forgetting/tiny_task.h"

namespace lethe::testing {
namespace {

// --------------------------------------------------------------------------------------- schedule

void check_10_cosine(void**) {
  const CosineSchedule schedule{1e-2, 1e-5, 100};
  const std::pair<double, double> expected[] = {
      {0, .01},      {1, .009997535},  {10, .009755527}, {25, .008536998},
      {50, .005005}, {75, .001473002}, {90, .000254473}, {99, .0000124647}};
  for (const auto& [epoch, rate] : expected) {
    expect_close(schedule.at(epoch) / rate, 1, 1e-5);
  }
  assert_true(schedule.at(10.5) < schedule.at(10) && schedule.at(10.5) > schedule.at(11));
  expect_close(schedule.at(100) / 1e-5, 1, 1e-9);
}

void check_10_warm_up_does_not_shift_the_cosine(void**) {
  const CosineSchedule schedule{3e-4, 1e-5, 100, 5};
  const double expected[] = {1e-6, 6.08e-5, 1.206e-4, 1.804e-4, 2.402e-4, .000298215};
  for (int epoch = 0; epoch < 6; ++epoch) {
    expect_close(schedule.at(epoch) / expected[epoch], 1, 1e-6);
  }
  const CosineSchedule without{3e-4, 1e-5, 100};
  for (double epoch : {5.0, 5.5, 50.0, 99.0}) {
    expect_close(schedule.at(epoch) / without.at(epoch), 1, 1e-12);
  }
}

// ------------------------------------------------------------------------------------------- AdamW

void check_11_first_step(void**) {
  at::Tensor matrix = at::full({1, 1}, 0.5).requires_grad_(true);
  at::Tensor bias = at::full({1}, 0.5).requires_grad_(true);
  at::Tensor unused = at::full({2, 2}, 0.5).requires_grad_(true);
  AdamW optimizer({matrix, bias, unused});
  (0.2 * (matrix.sum() + bias.sum())).backward();
  optimizer.step(0.01, 0.05);
  expect_close(matrix.item<double>(), 0.48975, 1e-6);
  expect_close(bias.item<double>(), 0.49, 1e-6);  // one dimension: no weight decay
  assert_true(at::equal(unused.detach(), at::full({2, 2}, 0.5)));
  assert_false(matrix.grad().defined());
}

void adamw_follows_its_equations(void**) {
  at::Generator generator = RandomStream(1, "adamw").generator();
  at::Tensor p = at::empty({3, 4}).normal_(0, 1, generator).requires_grad_(true);
  at::Tensor expected = p.detach().to(at::kDouble), m = at::zeros({3, 4}, at::kDouble), v = m;
  AdamW optimizer({p});
  for (int t = 1; t <= 10; ++t) {
    const at::Tensor g = at::empty({3, 4}).normal_(0, 1, generator);
    (p * g).sum().backward();
    optimizer.step(0.02, 0.1);
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    expected = expected * (1 - 0.02 * 0.1) -
               0.02 * (m / (1 - std::pow(0.9, t))) / ((v / (1 - std::pow(0.999, t))).sqrt() + 1e-8);
    expect_near(p.detach(), expected, 1e-5);
  }
}

/// Adam's decay is part of the gradient, of vectors too. Gradients .2 and -.1, decay .05:
///   g = .2 + .05 * .5 = .225, the first step is the learning rate: .49
///   g = -.1 + .05 * .49 = -.0755, m = .9 * .0225 - .00755 = .0127, v = .999 * .225^2 / 1000 +
///   .0755^2 / 1000 = 5.6274625e-5, m / .19 = .06684211, sqrt(v / .001999) = .16778375: .48601618
void coupled_weight_decay_by_hand(void**) {
  at::Tensor matrix = at::full({1, 1}, 0.5).requires_grad_(true);
  at::Tensor bias = at::full({1}, 0.5).requires_grad_(true);
  AdamW optimizer({matrix, bias});
  const auto step = [&](double gradient) {
    (gradient * (matrix.sum() + bias.sum())).backward();
    optimizer.step(0.01, 0.05, /*coupled=*/true);
  };
  step(0.2);
  for (const at::Tensor& p : {matrix, bias}) expect_close(p.item<double>(), 0.49, 1e-6);
  for (const auto& m : optimizer.first_moments()) expect_close(m.item<double>(), 0.0225, 1e-7);
  step(-0.1);
  for (const at::Tensor& p : {matrix, bias}) expect_close(p.item<double>(), 0.48601618, 1e-6);
}

// ------------------------------------------------------------------------------------ pre-training

struct Start {
  std::shared_ptr<const Classifier> model;
  Weights weights;
  Dataset data;
  explicit Start(const Json& spec = kTinyVit)
      : model(model_of(with(spec, {{"classes", 4}}))),
        weights(model->random_weights(RandomStream(1, "start"))),
        data(patterns(10, 1, model->spec().channels)) {}
  Weights train(const PretrainConfig& config, const Observer& observer = go_on) const {
    return pretrain(*model, weights, data, config, observer);
  }
};

bool same(const Weights& a, const Weights& b) {
  for (const auto& [name, tensor] : a) {
    if (!at::equal(tensor, b.at(name))) return false;
  }
  return a.size() == b.size();
}

void every_head_learns(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (const char* head : {"linear", "cosface", "arcface"}) {
      const auto base = trained_base(with(tiny, {{"head", head}}));
      const double right = accuracy(*base, base->weights(), {0, 1, 2, 3});
      if (right < 90) fail_msg("%s %s: %g %%", base->classifier().spec().arch.c_str(), head, right);
      base->classifier().check_weights(base->weights());
      for (const auto& [name, tensor] : base->weights()) assert_false(tensor.requires_grad());
    }
  }
}

void pretraining_repeats_with_its_seed(void**) {
  const Start start(kTinyFace);  // with dropout
  PretrainConfig config = pretraining(6);
  config.flip = true;
  config.shift = 1;
  config.erase = 0.5;
  const Weights first = start.train(config);
  assert_true(same(first, start.train(config)));
  config.seed = 5;
  assert_false(same(first, start.train(config)));
}

void each_augmentation_changes_the_run_and_not_the_data(void**) {
  const Start start;
  const std::string digest = start.data.content_digest();
  const at::Tensor pixels = start.data.batch(0, start.data.size()).images.clone();
  const PretrainConfig plain = pretraining(4);
  const Weights expected = start.train(plain);
  PretrainConfig changed[4] = {plain, plain, plain, plain};
  changed[0].flip = true;
  changed[1].shift = 2;
  changed[2].erase = 1;
  changed[3].label_smoothing = 0.1;
  for (const PretrainConfig& config : changed) assert_false(same(start.train(config), expected));
  assert_true(at::equal(start.data.batch(0, start.data.size()).images, pixels));
  assert_true(start.data.content_digest() == digest);
}

void the_start_stays_as_it_was(void**) {
  const Start start;
  Weights before;
  for (const auto& [name, tensor] : start.weights) before[name] = tensor.clone();
  const Weights after = start.train(pretraining(3));
  assert_true(same(start.weights, before));
  assert_false(same(after, before));
}

/// d grows as (1 + step) / (10 + step) up to the setting; hand-made from one-step prefixes of the
/// run.
void the_average_is_that_of_the_steps(void**) {
  const Start start;
  PretrainConfig config = pretraining(3);
  config.warmup_epochs = 0;
  config.min_learning_rate = config.learning_rate;  // constant: a shorter run is a prefix
  const auto after = [&](int64_t steps) {
    config.max_steps = steps;
    return start.train(config);
  };
  const Weights one = after(1), two = after(2), three = after(3);
  config.average_decay = 0.15;
  const Weights averaged = after(3);
  for (const auto& [name, tensor] : start.weights) {
    at::Tensor mean = 0.1 * tensor + 0.9 * one.at(name);
    mean = 0.15 * mean + 0.85 * two.at(name);  // (1 + 1) / (10 + 1) lies above the setting
    mean = 0.15 * mean + 0.85 * three.at(name);
    assert_true((averaged.at(name) - mean).abs().max().item<double>() < 1e-6);
  }
}

void progress_counts_the_steps(void**) {
  const Start start;
  PretrainConfig config = pretraining(0);
  config.epochs = 2;
  config.batch = 16;  // 40 samples: 3 batches an epoch
  int64_t steps = 0;
  start.train(config, [&](const Progress& p) {
    assert_int_equal(p.step, ++steps);
    assert_int_equal(p.total_steps, 6);
    assert_true(std::isfinite(p.loss) && p.acc_r >= 0 && p.acc_r <= 100 && p.eta_seconds >= 0);
    assert_true(std::isnan(p.acc_f) && std::isnan(p.loss_forget));
    return true;
  });
  assert_int_equal(steps, 6);
}

void pretraining_stops_when_asked(void**) {
  const Start start;
  int64_t steps = 0;
  expect_error(Code::kCancelled, "step 2 of 5",
               [&] { start.train(pretraining(5), [&](const Progress&) { return ++steps < 2; }); });
  assert_int_equal(steps, 2);
}

void pretraining_names_the_step_of_a_nan(void**) {
  const Start start;
  Weights broken = start.weights;
  broken["heads.head.weight"] = at::full({4, 16}, NAN);
  expect_error(Code::kNumeric, "step 1",
               [&] { pretrain(*start.model, broken, start.data, pretraining(5), go_on); });
  PretrainConfig config = pretraining(5);
  config.learning_rate = -1;
  expect_error(Code::kInvalidArgument, "learning_rate", [&] { start.train(config); });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(check_10_cosine),
      cmocka_unit_test(check_10_warm_up_does_not_shift_the_cosine),
      cmocka_unit_test(check_11_first_step),
      cmocka_unit_test(adamw_follows_its_equations),
      cmocka_unit_test(coupled_weight_decay_by_hand),
      cmocka_unit_test(every_head_learns),
      cmocka_unit_test(pretraining_repeats_with_its_seed),
      cmocka_unit_test(each_augmentation_changes_the_run_and_not_the_data),
      cmocka_unit_test(the_start_stays_as_it_was),
      cmocka_unit_test(the_average_is_that_of_the_steps),
      cmocka_unit_test(progress_counts_the_steps),
      cmocka_unit_test(pretraining_stops_when_asked),
      cmocka_unit_test(pretraining_names_the_step_of_a_nan),
  };
  return cmocka_run_group_tests_name("pre-training", tests, nullptr, nullptr);
}
