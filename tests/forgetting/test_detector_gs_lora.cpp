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
  expect_close(c.min_learning_rate, 3e-4);  // no decay within its 30 epochs
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

/// That the norm of what the optimiser gets is at most the clip is shown in test_group_sparsity;
/// here, that a detector's run hands the setting on. AdamW normalises, so the values differ but
/// little.
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

at::Tensor logits_of(const DeformableDetr& model, const Weights& weights,
                     const DetectorInput& input) {
  return input.encoded ? model.forward(weights, *input.encoded).last().logits
                       : model.forward(weights, input.features, input.padding).last().logits;
}

/// What the first encoder layers leave, kept for each image, is what the whole model would make of
/// the maps; images may come back, and a budget may hold one of them only.
void kept_memory_is_that_of_the_whole_model(void**) {
  const auto base = detector({{"encoder_layers", 2}});
  const DeformableDetr& model = base->detector();
  const ResNet backbone = model.backbone(base->weights());
  const DetectionDataset images = squares(6);
  const std::vector<int64_t> batches[] = {{0, 3}, {3, 5, 0}, {1}};
  for (const int64_t layers : {1, 2}) {
    for (const int64_t budget : {int64_t{0}, int64_t{1}, int64_t{1} << 30}) {
      DetectorSamples plain(images, model, backbone, at::kCPU, 0);
      DetectorSamples kept(images, model, backbone, at::kCPU, budget);
      kept.begin_after(layers, base->weights());
      for (const std::vector<int64_t>& batch : batches) {
        const DetectorInput a = plain.at(batch), b = kept.at(batch);
        assert_true(b.encoded && b.encoded->layers == layers && b.features.empty());
        assert_int_equal(b.targets.size(), batch.size());
        assert_true(at::equal(a.targets[0].boxes, b.targets[0].boxes));
        expect_near(logits_of(model, base->weights(), b), logits_of(model, base->weights(), a),
                    1e-4);
      }
      // Two levels of 2 x 2 and 1 x 1 positions, 32 numbers each: of 4 images, or of the first.
      const int64_t one = (2 * 2 + 1) * 32 * 4;
      assert_int_equal(kept.bytes(), budget == 0 ? 0 : budget == 1 ? one : 4 * one);
    }
  }
  // The layers that are kept do not see the weights that are trained.
  Weights other = base->weights();
  other.at("transformer.encoder.layers.0.linear1.weight") =
      other.at("transformer.encoder.layers.0.linear1.weight") + 1;
  DetectorSamples kept(images, model, backbone, at::kCPU, 0);
  kept.begin_after(2, base->weights());
  const DetectorInput input = kept.at({0});
  assert_true(at::equal(logits_of(model, other, input), logits_of(model, base->weights(), input)));
}

/// LoRA in the decoder alone: the same task with and without a kept memory.
void the_decoder_alone_may_learn(void**) {
  const auto base = detector();
  ForgetConfig config = quick(3);
  config.lora_position = LoraPosition::kDecoder;
  std::vector<double> losses[2];
  for (const int i : {0, 1}) {
    // Dropout so small that no unit falls out, but then the encoder has to run anew.
    config.dropout = i == 0 ? 0 : 1e-9;
    const ForgetResult result = run(task_of(config, base), [&](const Progress& p) {
      losses[i].push_back(p.loss);
      return true;
    });
    assert_int_equal(result.lora->groups().size(), 2);
    assert_true(result.lora->groups()[0].name == "block 1");
  }
  for (size_t s = 0; s < 3; ++s) expect_close(losses[0][s], losses[1][s], 1e-2);
  expect_close(losses[0][0], losses[1][0], 1e-5);  // before rounding has been enlarged
  config.lora_position = LoraPosition::kEncoder;
  assert_int_equal(run(task_of(config, base)).lora->groups().size(), 1);
}

/// Flips, sizes and crops are drawn from the seed, and differ from step to step.
void augmentation_changes_every_image_anew(void**) {
  const auto base = detector();
  ForgetConfig config = quick(4);
  const at::Tensor plain = run(task_of(config, base)).lora->values();
  config.augment = true;
  const at::Tensor once = run(task_of(config, base)).lora->values();
  assert_true(at::equal(run(task_of(config, base)).lora->values(), once));
  assert_false(at::equal(once, plain));

  const DeformableDetr& model = base->detector();
  const ResNet backbone = model.backbone(base->weights());
  const DetectionDataset images = squares(6);
  at::Generator chance = RandomStream(1, "chance").generator();
  DetectorSamples samples(images, model, backbone, at::kCPU, int64_t{1} << 30);
  samples.augment(chance);
  int64_t changed = 0;
  at::Tensor before = samples.at({0}).features.front();
  for (int i = 0; i < 10; ++i) {
    const DetectorInput input = samples.at({0});
    const at::Tensor& now = input.features.front();
    changed += now.sizes() != before.sizes() || !at::equal(now, before);
    for (const DetectionTargets& t : input.targets) {
      assert_true(t.boxes.ge(0).all().item<bool>() && t.boxes.le(1).all().item<bool>());
    }
    before = now;
  }
  assert_in_range(changed, 8, 10);
  assert_int_equal(samples.bytes(), 0);
}

/// Proposals name nothing, so they count on the retained side alone.
void a_two_stage_model_keeps_its_proposals(void**) {
  const auto base = detector({{"two_stage", true}});
  const DeformableDetr& model = base->detector();
  const ResNet backbone = model.backbone(base->weights());
  const DetectionDataset all = squares(13);
  const DetectionDataset forget = all.keep_classes({1}), retain = all.keep_classes({0, 2});
  DetectorSamples f(forget, model, backbone, at::kCPU, 0), r(retain, model, backbone, at::kCPU, 0);
  const ForgetConfig config = quick();
  LoraParameters lora(model.adapter_sites(), 2, 0.5, Grouping::kBlock, at::kCPU);
  lora.values().normal_(0, 0.1, RandomStream(2, "lora").generator());
  DetectorStep step(model, base->weights(), lora, config, nullptr);
  const DetectorInput a = f.at({0, 1}), b = r.at({0, 1, 2});
  const DetectionLosses losses = step.run(a, b);
  const Weights merged = lora.merged_into(base->weights());
  const DetectorOutput out = model.forward(merged, b.features, b.padding);
  const double named = retain_total(detection_terms(out.layers, b.targets)).item<double>();
  const double proposed = proposal_total(*out.proposals, b.targets).item<double>();
  assert_true(proposed > 0.1);
  expect_close(losses.retain_total.item<double>(), named + proposed, 1e-4);
  const DetectorOutput gone = model.forward(merged, a.features, a.padding);
  expect_close(
      losses.forget_total.item<double>(),
      forget_total(detection_terms(gone.layers, a.targets), config.forget_bound).item<double>(),
      1e-4);
  // Their gradient reaches the encoder's matrices: a central difference along one of them.
  const at::Tensor gradient = lora.gradients().clone();
  const LoraGroup& encoder = lora.groups()[0];
  const at::Tensor direction = at::zeros_like(gradient);
  direction.slice(0, encoder.begin, encoder.end)
      .copy_(gradient.slice(0, encoder.begin, encoder.end).sign());
  const double eps = 1e-3;
  const auto moved = [&](double by) {
    lora.values().add_(direction, by);
    const double loss = step.run(a, b).trained.item<double>();
    lora.values().sub_(direction, by);
    return loss;
  };
  const double slope = (moved(eps) - moved(-eps)) / (2 * eps);
  const double told = (gradient * direction).sum().item<double>();
  assert_true(told > 0);
  expect_close(slope / told, 1, 0.1);
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
  for (const bool augment : {false, true}) {
    ForgetConfig config = quick(12);
    config.augment = augment;
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
  config.first_block = 0;
  config.lora_position = LoraPosition::kAttention;
  expect_error(Code::kUnsupported, "no linear for LoRA", [&] { run(task_of(config, base)); });
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
      cmocka_unit_test(kept_memory_is_that_of_the_whole_model),
      cmocka_unit_test(the_decoder_alone_may_learn),
      cmocka_unit_test(augmentation_changes_every_image_anew),
      cmocka_unit_test(a_two_stage_model_keeps_its_proposals),
      cmocka_unit_test(two_threads_give_what_one_gives),
      cmocka_unit_test(images_of_different_sizes_are_padded_together),
      cmocka_unit_test(it_goes_on_as_if_nothing_had_happened),
      cmocka_unit_test(groupings_and_first_block_apply),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
