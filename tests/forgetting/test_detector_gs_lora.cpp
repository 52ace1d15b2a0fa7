// GS-LoRA on a detector: what a run leaves, and that it can be taken up again.
#include "data/squares.h"
#include "forgetting/detector_pretrain.h"
#include "forgetting/detector_samples.h"
#include "forgetting/method.h"
#include "near.h"
#include "support/threads.h"

namespace lethe::testing {
namespace {

bool go_on(const Progress&) { return true; }

std::shared_ptr<const BaseModel> detector(const Json& changes = Json::object()) {
  Json spec = tiny_detector_spec();
  spec.update(changes);
  auto model = make_model(spec);
  return std::make_shared<const BaseModel>(model, model->random_weights(RandomStream(1, "weights")),
                                           at::kCPU);
}

DetectorTask task_of(const ForgetConfig& config, const std::shared_ptr<const BaseModel>& base) {
  const DetectionDataset all = squares(25);
  return {base, base->weights(), 0, {1}, all.keep_classes({1}), all.keep_classes({0, 2}), config};
}

ForgetConfig quick(int64_t steps = 9) {
  ForgetConfig config =
      ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, HeadKind::kDetection);
  config.rank = 2;
  config.data_ratio = 1;
  config.forget_batch = config.retain_batch = 6;
  config.epochs = 4;
  config.max_steps = steps;
  config.learning_rate = 1e-2;
  config.zero_threshold = 0;
  return config;
}

ForgetResult run(const DetectorTask& task, const Observer& observer = go_on,
                 const Checkpoints& checkpoints = {}) {
  return detector_method_of(task.config.method).run(task, observer, checkpoints);
}

void the_defaults_are_those_of_the_published_code(void**) {
  const ForgetConfig c = ForgetConfig::defaults_for(MethodKind::kGsLora, HeadKind::kDetection);
  expect_close(c.learning_rate, 3e-4);
  expect_close(c.weight_decay, 1e-4);
  expect_close(c.gradient_clip, 0.1);
  expect_close(c.structure_weight, 3e-4);
  expect_close(c.forget_bound, 15);
  expect_close(c.prototype_forget_weight, 0);
  assert_int_equal(c.epochs, 30);
  assert_int_equal(c.rank, 8);
}

void a_run_reports_its_losses(void**) {
  const auto base = detector();
  std::vector<Progress> seen;
  const ForgetResult result = run(task_of(quick(), base), [&](const Progress& p) {
    seen.push_back(p);
    return true;
  });
  assert_int_equal(seen.size(), 9);
  assert_int_equal(result.lora->groups().size(), 3);
  assert_int_equal(result.forget_samples, 8);
  assert_int_equal(result.retain_samples, 16);
  for (const Progress& p : seen) {
    assert_true(std::isfinite(p.loss) && std::isfinite(p.loss_retain) &&
                std::isfinite(p.loss_forget) && std::isfinite(p.loss_prototype));
    assert_true(std::isnan(p.acc_f));
    // L = L_retain + beta L_forget + alpha L_structure + L_prototype (section 8.4).
    const ForgetConfig c = quick();
    expect_close(p.loss,
                 p.loss_retain + c.forget_weight * p.loss_forget + p.loss_prototype +
                     c.structure_weight * p.loss_structure,
                 1e-4);
  }
}

/// The optimiser gets a gradient of at most that norm: with a tiny one nothing but weight decay
/// happens after the first moments are normalised, so what counts is that the runs differ.
void clipping_is_in_force(void**) {
  const auto base = detector();
  ForgetConfig config = quick(2);
  const at::Tensor clipped = run(task_of(config, base)).lora->values();
  config.gradient_clip = 0;
  assert_false(at::equal(run(task_of(config, base)).lora->values(), clipped));
}

/// Up to rounding, which the optimiser's normalised steps enlarge: other maps would change all.
void kept_maps_change_nothing(void**) {
  const auto base = detector();
  ForgetConfig config = quick();
  const at::Tensor kept = run(task_of(config, base)).lora->values();
  config.fast = kFastAll & ~kFastPrefixCache;
  expect_near(run(task_of(config, base)).lora->values(), kept, 0.03);
  config.fast = kFastAll;
  config.prefix_cache_bytes = 100'000;  // a few images
  expect_near(run(task_of(config, base)).lora->values(), kept, 0.03);
}

/// Both sides of a step run at once where there are two threads, each as with one thread. With
/// dropout they do not: they draw from one generator.
void two_threads_give_what_one_gives(void**) {
  const auto trained = [](int threads, double dropout) {
    const ThreadBudget budget(threads);
    ForgetConfig config = quick();
    config.dropout = dropout;
    return run(task_of(config, detector())).lora->values().clone();
  };
  const at::Tensor one = trained(1, 0), dropped = trained(2, 0.2);
  assert_true(one.equal(trained(2, 0)));
  assert_true(dropped.equal(trained(2, 0.2)));
  assert_false(dropped.equal(one));
}

void images_of_different_sizes_are_padded_together(void**) {
  const auto base = detector({{"shorter_side", 24}, {"longest_side", 40}});
  const ForgetResult resized = run(task_of(quick(3), base));
  assert_true(std::isfinite(resized.last.loss));
  std::vector<DetectionImage> images;
  for (int64_t i = 0; i < 6; ++i) {
    images.push_back({i,
                      "",
                      at::full({3, 20 + 4 * i, 40 - 2 * i}, 90, at::kByte),
                      {},
                      {{i % 3, {2, 2, 12, 14}, 120, false}}});
  }
  const DetectionDataset mixed({{1, "red"}, {2, "green"}, {3, "blue"}}, images);
  const auto plain = detector();
  const DetectorTask task{plain,   plain->weights(),        0,
                          {1},     mixed.keep_classes({1}), mixed.keep_classes({0, 2}),
                          quick(3)};
  assert_true(std::isfinite(run(task).last.loss));
}

void it_goes_on_as_if_nothing_had_happened(void**) {
  const auto base = detector({{"dropout", 0.1}});
  ForgetConfig config = quick(12);
  config.average_start_epoch = 1;
  const DetectorTask task = task_of(config, base);
  const ForgetResult undisturbed = run(task);
  for (const int64_t step : {1, 5, 11}) {
    Checkpoints saving, resuming;
    int64_t now = 0;
    saving.due = [&] { return ++now == step; };
    saving.save = [&](const TrainingState& state) { resuming.resume = state; };
    expect_error(Code::kCancelled, "cancelled at step", [&] {
      run(
          task, [&](const Progress& p) { return p.step < step; }, saving);
    });
    const ForgetResult result = run(task, go_on, resuming);
    assert_true(at::equal(result.lora->values(), undisturbed.lora->values()));
    assert_true(result.last.loss == undisturbed.last.loss);
  }
}

void groupings_and_first_block_apply(void**) {
  const auto base = detector();
  ForgetConfig config = quick(2);
  config.first_block = 1;  // the decoder alone
  ForgetResult result = run(task_of(config, base));
  assert_int_equal(result.lora->groups().size(), 2);
  assert_true(result.lora->groups()[0].name == "block 1");
  config.grouping = Grouping::kMatrix;
  assert_int_equal(run(task_of(config, base)).lora->groups().size(), 8);
  config.lora_position = LoraPosition::kAttention;
  expect_error(Code::kInvalidArgument, "", [&] { run(task_of(config, base)); });
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_defaults_are_those_of_the_published_code),
      cmocka_unit_test(a_run_reports_its_losses),
      cmocka_unit_test(clipping_is_in_force),
      cmocka_unit_test(kept_maps_change_nothing),
      cmocka_unit_test(two_threads_give_what_one_gives),
      cmocka_unit_test(images_of_different_sizes_are_padded_together),
      cmocka_unit_test(it_goes_on_as_if_nothing_had_happened),
      cmocka_unit_test(groupings_and_first_block_apply),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
