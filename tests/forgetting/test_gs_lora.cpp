// Whole tasks of GS-LoRA(++) on a tiny model: what they forget, what they keep, what each setting
// does (algorithm.md 5.5). The losses and gradients inside have suites of their own.
#include "data/loader.h"
#include "forgetting/lora_step.h"
#include "forgetting/tiny_task.h"

namespace lethe::testing {
namespace {

// --------------------------------------------------------------------------------------- the
// promise

void a_task_forgets_its_class_and_keeps_the_others(void**) {
  for (const Json& spec : {kTinyVit, kTinyFace}) {
    for (MethodKind method : {MethodKind::kGsLora, MethodKind::kGsLoraPlusPlus}) {
      const auto base = trained_base(spec);
      ForgetConfig config = ForgetConfig::defaults_for(method, base->classifier().spec().head);
      config.rank = 4;
      config.data_ratio = 1;
      config.forget_batch = config.retain_batch = 10;
      config.max_steps = 300;
      const ForgetTask task = task_of(config, {1}, spec);
      const ForgetResult result = run(task);
      const Weights after = merged(task.start, *result.lora);
      const double acc_f = accuracy(*base, after, {1}), acc_r = accuracy(*base, after, {0, 2, 3});
      assert_true(accuracy(*base, base->weights(), {1}) >= 90);
      if (acc_f > 4 || acc_r < 95) {
        fail_msg("%s: Acc_f %g, Acc_r %g", base->classifier().spec().arch.c_str(), acc_f, acc_r);
      }
    }
  }
}

/// Base, earlier adapters and data are only read; what the task leaves is the adapter alone.
void trap_training_never_edits_the_base(void**) {
  const ForgetTask task = task_of(quick());
  const Digest fingerprint = task.base->fingerprint();
  Weights before;
  for (const auto& [name, tensor] : task.start) before[name] = tensor.clone();
  const ForgetResult result = run(task);
  for (const auto& [name, tensor] : before) {
    assert_true(at::equal(task.start.at(name), tensor));
    assert_true(at::equal(task.base->weights().at(name), tensor));
  }
  const BaseModel again(task.base->model_ptr(), task.base->weights(), at::kCPU);
  assert_true(again.fingerprint() == fingerprint);
  assert_true(result.lora->values().any().item<bool>());
}

void equal_seeds_give_equal_bytes(void**) {
  for (double dropout : {0.0, 0.2}) {
    ForgetConfig config = quick();
    config.dropout = dropout;
    const at::Tensor first = values_after(config);
    assert_true(at::equal(values_after(config), first));
    config.seed = 2;
    assert_false(at::equal(values_after(config), first));
  }
}

void dropout_is_the_models_unless_it_is_set(void**) {
  const auto values = [](double dropout) {
    ForgetConfig config = quick(4);
    config.dropout = dropout;
    return run(task_of(config, {1}, kTinyFace)).lora->values();
  };
  assert_true(at::equal(values(-1), values(0.1)));  // the face model's own
  assert_false(at::equal(values(-1), values(0)));
}

/// Section 5.3 written out: an epoch visits every retain sample once, the forget loader is cycled
/// beside it and starts anew with each epoch, the rate of the epoch holds for all its steps.
void a_task_is_the_loop_of_the_paper(void**) {
  ForgetConfig config = quick(0);
  config.epochs = 3;
  config.structure_weight = 0.01;
  config.structure_start_epoch = 1;
  config.method = MethodKind::kGsLora;
  config.forget_batch = 6;
  // An epoch: 20 retain samples as 8, 8, 4; of 20 to forget 6, 6, 6, and the last two not.
  const ForgetTask task = task_of(config, {1, 2});
  const at::Tensor actual = run(task).lora->values();

  const Classifier& model = task.base->classifier();
  const auto stream = [](const char* name) { return RandomStream(1337, name); };
  LoraParameters lora(model.adapter_sites(), 2, 0.5, Grouping::kBlock, at::kCPU);
  lora.initialise(5, stream("task 0 init"));
  LoraStep step(model, task.start, lora, config, nullptr);
  GroupSparseAdamW optimizer(lora);
  Loader retain(20, 8, stream("task 0 retain order")), forget(20, 6, stream("task 0 forget order"));
  for (int epoch = 0; epoch < 3; ++epoch) {
    const double rate = 1e-5 + 0.5 * (1e-2 - 1e-5) * (1 + std::cos(M_PI * epoch / 3));
    forget.restart();
    for (int s = 0; s < 3; ++s) {
      const Batch f = task.forget.batch(forget.next()), r = task.retain.batch(retain.next());
      step.run(step.prefix(f.images), f.labels, step.prefix(r.images), r.labels);
      optimizer.step({rate, 0.05, epoch >= 1 ? 0.01 : 0, 0});
    }
    assert_true(retain.at_epoch_start());
  }
  expect_near(actual, lora.values(), 1e-3);  // prefixes are computed in other batches here
}

// ------------------------------------------------------------------------------------- the samples

void data_ratio_and_few_shot_draw_what_they_say(void**) {
  const struct {
    double ratio;
    int32_t few_shot;
    int64_t forget, retain;
  } cases[] = {{1, 0, 20, 20}, {0.25, 0, 5, 5}, {0.19, 0, 3, 3},
               {1, 3, 6, 6},   {0.01, 3, 6, 6},  // few_shot replaces the ratio
               {1, 50, 20, 20}};
  for (const auto& c : cases) {
    ForgetConfig config = quick(2);
    config.data_ratio = c.ratio;
    config.few_shot = c.few_shot;
    const ForgetResult result = run(task_of(config, {0, 3}));
    assert_int_equal(result.forget_samples, c.forget);
    assert_int_equal(result.retain_samples, c.retain);
  }
  ForgetConfig config = quick();
  config.data_ratio = 0.05;  // half a sample of the 10 to forget
  expect_error(Code::kInvalidArgument, "data_ratio", [&] { run(task_of(config)); });
}

void epochs_are_passes_over_the_retain_samples(void**) {
  ForgetConfig config = quick(0);
  config.epochs = 3;
  int64_t calls = 0;
  const ForgetResult result = run(task_of(config), [&](const Progress& p) {
    assert_int_equal(p.step, ++calls);
    assert_int_equal(p.total_steps, 12);  // 30 retain samples: 4 batches of at most 8
    assert_int_equal(p.groups_total, 2);
    assert_true(std::isfinite(p.loss) && p.eta_seconds >= 0 && p.seconds > 0);
    assert_true(p.acc_f >= 0 && p.acc_f <= 100 && p.acc_r >= 0 && p.acc_r <= 100);
    return true;
  });
  assert_int_equal(calls, 12);
  assert_int_equal(result.last.step, 12);
  config.max_steps = 5;
  assert_int_equal(run(task_of(config)).last.total_steps, 5);
}

/// Retained classes without replay data, and classes that earlier tasks forgot, are simply not
/// there.
void missing_classes_do_not_appear(void**) {
  ForgetTask task = task_of(quick(100));
  task.config.prototype_retain_weight = 0.01;
  task.retain = task.retain.drop_classes({3});
  const ForgetResult result = run(task);
  assert_int_equal(result.retain_samples, 20);
  const Weights after = merged(task.start, *result.lora);
  assert_true(accuracy(*task.base, after, {1}) <= 4);
  assert_true(accuracy(*task.base, after, {0, 2}) >= 95);
}

// -------------------------------------------------------------------------------------- later
// tasks

/// With B = 0 the first step moves no A, so one step without decay shows the draw itself.
void trap_later_tasks_draw_a_as_the_reference_does(void**) {
  const auto drawn = [](int64_t index, LoraInit init) {
    ForgetConfig config = quick(1);
    config.lora_init = init;
    config.weight_decay = config.structure_weight = 0;
    config.rank = 64;  // enough numbers to come near the bound
    ForgetTask task = task_of(config);
    task.index = index;
    const ForgetResult result = run(task);
    return result.lora->a(0).clone();
  };
  const auto expect_bound = [](const at::Tensor& a, double a_squared) {
    const double bound = std::sqrt(6.0 / ((1 + a_squared) * static_cast<double>(a.size(1))));
    expect_close(a.abs().max().item<double>() / bound, 1, 0.01);
  };
  const at::Tensor first = drawn(0, LoraInit::kReference), later = drawn(1, LoraInit::kReference);
  expect_bound(first, 5);
  expect_bound(later, 50);
  expect_bound(drawn(1, LoraInit::kKaiming), 5);
  assert_true(at::equal(drawn(0, LoraInit::kKaiming), first));
  assert_true(deviation(later * std::sqrt(51.0 / 6.0), first) > 0.1);  // not the same draw, scaled
}

void trap_the_scale_is_one_over_the_rank(void**) {
  ForgetConfig config = quick(1);
  config.rank = 8;
  expect_close(run(task_of(config)).lora->scale(), 0.125);
  config.lora_alpha = 4;
  expect_close(run(task_of(config)).lora->scale(), 0.5);
}

void prototypes_of_the_original_or_of_the_task_start(void**) {
  const auto values = [](PrototypeSource source, const Weights* start) {
    ForgetConfig config = quick();
    config.prototype_source = source;
    config.prototype_retain_weight = 0.1;
    ForgetTask task = task_of(config);
    if (start) task.start = *start;
    return run(task).lora->values();
  };
  const at::Tensor first = values(PrototypeSource::kOriginal, nullptr);
  assert_true(at::equal(values(PrototypeSource::kTaskStart, nullptr), first));
  const ForgetTask earlier = task_of(quick(60), {2});
  const Weights start = merged(earlier.start, *run(earlier).lora);
  assert_false(at::equal(values(PrototypeSource::kTaskStart, &start),
                         values(PrototypeSource::kOriginal, &start)));
}

/// L_prototype of a first step that sees all samples, while B is 0 and embeddings are the base's,
/// from prototypes that are mean embeddings of `network` (4.6 to 4.8).
double prototype_loss(const ForgetTask& task, const Weights& network) {
  const Classifier& model = task.base->classifier();
  const auto distance = [&](const Dataset& set) {
    const Batch batch = set.batch(0, set.size());
    const at::Tensor shown = model.embed(network, batch.images).to(at::kDouble);
    const at::Tensor log_q =
        at::log_softmax(model.embed(task.start, batch.images).to(at::kDouble), 1);
    double sum = 0;
    for (int64_t i = 0; i < set.size(); ++i) {
      const at::Tensor prototype =
          shown.index_select(0, batch.labels.eq(set.label(i)).nonzero().squeeze(1)).mean(0);
      const at::Tensor log_p = at::log_softmax(prototype, 0);
      sum += (log_p.exp() * (log_p - log_q[i])).sum().item<double>();
    }
    return sum / static_cast<double>(set.size());
  };
  return task.config.prototype_forget_weight *
             std::max(0.0, task.config.prototype_bound - distance(task.forget)) +
         task.config.prototype_retain_weight * distance(task.retain);
}

void prototypes_of_a_random_network(void**) {
  ForgetConfig config = quick(1);
  config.forget_batch = 10;
  config.retain_batch = 30;
  config.prototype_retain_weight = 0.1;
  std::vector<double> random_losses;
  for (const int64_t seed : {1337, 2}) {
    config.seed = seed;
    config.prototype_source = PrototypeSource::kRandomNetwork;
    const ForgetTask task = task_of(config);
    const Weights network = task.base->classifier().random_weights(
        RandomStream(static_cast<uint64_t>(seed), "prototype network"));
    random_losses.push_back(run(task).last.loss_prototype);
    expect_close(random_losses.back(), prototype_loss(task, network), 1e-5);

    config.prototype_source = PrototypeSource::kOriginal;
    const ForgetTask original = task_of(config);
    const double loss = run(original).last.loss_prototype;
    expect_close(loss, prototype_loss(original, original.base->weights()), 1e-5);
    assert_true(std::abs(loss - random_losses.back()) > 1e-3);
  }
  assert_true(std::abs(random_losses[0] - random_losses[1]) > 1e-3);

  config = quick();
  config.prototype_source = PrototypeSource::kRandomNetwork;
  const at::Tensor values = values_after(config);
  assert_true(at::equal(values_after(config), values));
  config.prototype_source = PrototypeSource::kOriginal;
  assert_false(at::equal(values_after(config), values));
}

void gs_lora_is_gs_lora_plus_plus_without_prototypes(void**) {
  ForgetConfig with_prototypes = quick(), plain = quick(), zero = quick();
  plain.method = MethodKind::kGsLora;
  zero.prototype_forget_weight = zero.prototype_retain_weight = 0;
  const ForgetResult result = run(task_of(plain));
  assert_true(std::isnan(result.last.loss_prototype));
  assert_true(at::equal(result.lora->values(), values_after(zero)));
  assert_false(at::equal(result.lora->values(), values_after(with_prototypes)));
}

// ------------------------------------------------------------------------------------ weight
// average

/// Check 15 (1, then 2 and 3: 1.29 for d = .9) on the adapters themselves. With a constant learning
/// rate a run of fewer epochs is a prefix of a longer one, which gives the values at each epoch's
/// end.
void trap_reference_ema_is_a_no_op_and_ours_is_not(void**) {
  ForgetConfig config = quick(0);
  config.min_learning_rate = config.learning_rate;
  const auto after = [&](int32_t epochs) {
    config.epochs = epochs;
    return values_after(config);
  };
  const at::Tensor one = after(1), two = after(2), three = after(3);
  config.average_decay = 0.9;
  config.average_start_epoch = 0;
  const at::Tensor averaged = after(3);
  expect_near(averaged, 0.81 * one + 0.09 * two + 0.1 * three, 1e-6);
  expect_close(0.81 * 1 + 0.09 * 2 + 0.1 * 3, 1.29, 1e-12);
  assert_true(deviation(averaged, three) > 1e-3);
  assert_true(deviation(averaged, one) > 1e-3);
  config.average_start_epoch = 1;
  expect_near(after(3), 0.9 * two + 0.1 * three, 1e-6);
  config.average_start_epoch = 3;  // never begins
  assert_true(at::equal(after(3), three));
}

// -------------------------------------------------------------------------------------------
// savings

/// Losses of every step and the values in the end, with one saving left out at a time.
void savings_change_a_run_by_rounding_only(void**) {
  for (const Json& spec : {kTinyVit, kTinyFace}) {
    ForgetConfig config = quick(6);
    config.dropout = 0;
    const auto trained = [&](std::vector<double>& losses) {
      const ForgetResult result = run(task_of(config, {1}, spec), [&](const Progress& p) {
        losses.push_back(p.loss);
        return true;
      });
      return result.lora->values().clone();
    };
    std::vector<double> expected;
    const at::Tensor values = trained(expected);
    for (int32_t saving : {kFastOnePass, kFastClassToken, kFastPrefixCache, kFastFusedAttention,
                           kFastFoldedLora, kFastAll}) {
      config.fast = kFastAll & ~saving;
      std::vector<double> losses;
      const at::Tensor without = trained(losses);
      for (size_t s = 0; s < expected.size(); ++s) expect_close(losses[s], expected[s], 1e-4);
      expect_near(without, values, 1e-2, lethe::str("without ", saving));
    }
    config.fast = kFastAll;
    config.prefix_cache_bytes = 0;  // the same as no cache
    std::vector<double> losses;
    const at::Tensor uncached = trained(losses);
    for (size_t s = 0; s < expected.size(); ++s) expect_close(losses[s], expected[s], 1e-4);
    expect_near(uncached, values, 1e-2, "no cache");
  }
}

/// Under dropout a cached prefix would be one mask for the whole run.
void trap_the_cache_is_off_under_dropout(void**) {
  ForgetConfig config = quick();
  config.dropout = 0.2;
  const at::Tensor expected = values_after(config);
  config.prefix_cache_bytes = 0;
  assert_true(at::equal(values_after(config), expected));
  config.fast = kFastAll & ~kFastPrefixCache;
  assert_true(at::equal(values_after(config), expected));
}

// ----------------------------------------------------------------------------------------------
// ends

void the_bound_is_reported_when_it_is_reached(void**) {
  ForgetConfig config = quick(2);
  assert_false(run(task_of(config)).bound_reached);
  config.forget_bound = 1e-9;
  const ForgetResult result = run(task_of(config));
  assert_true(result.bound_reached && result.last.loss_forget == 0);
}

void cancelling_takes_effect_within_the_step(void**) {
  for (int64_t at_step : {1, 3}) {
    int64_t calls = 0;
    expect_error(Code::kCancelled, lethe::str("step ", at_step, " of 12"), [&] {
      run(task_of(quick()), [&](const Progress&) { return ++calls < at_step; });
    });
    assert_int_equal(calls, at_step);
  }
}

void numbers_that_blow_up_name_their_step(void**) {
  ForgetConfig config = quick();
  config.learning_rate = 1e30;
  expect_error(Code::kNumeric, "step 2", [&] { run(task_of(config)); });
  config.max_steps = 1;  // no later loss would show it
  config.weight_decay = 1e30;
  expect_error(Code::kNumeric, "step 1", [&] { run(task_of(config)); });
  ForgetTask task = task_of(quick());
  task.start["encoder.ln.bias"] = at::full({16}, NAN);
  expect_error(Code::kNumeric, "step 1", [&] { run(task); });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_task_forgets_its_class_and_keeps_the_others),
      cmocka_unit_test(trap_training_never_edits_the_base),
      cmocka_unit_test(equal_seeds_give_equal_bytes),
      cmocka_unit_test(dropout_is_the_models_unless_it_is_set),
      cmocka_unit_test(a_task_is_the_loop_of_the_paper),
      cmocka_unit_test(data_ratio_and_few_shot_draw_what_they_say),
      cmocka_unit_test(epochs_are_passes_over_the_retain_samples),
      cmocka_unit_test(missing_classes_do_not_appear),
      cmocka_unit_test(trap_later_tasks_draw_a_as_the_reference_does),
      cmocka_unit_test(trap_the_scale_is_one_over_the_rank),
      cmocka_unit_test(prototypes_of_the_original_or_of_the_task_start),
      cmocka_unit_test(prototypes_of_a_random_network),
      cmocka_unit_test(gs_lora_is_gs_lora_plus_plus_without_prototypes),
      cmocka_unit_test(trap_reference_ema_is_a_no_op_and_ours_is_not),
      cmocka_unit_test(savings_change_a_run_by_rounding_only),
      cmocka_unit_test(trap_the_cache_is_off_under_dropout),
      cmocka_unit_test(the_bound_is_reported_when_it_is_reached),
      cmocka_unit_test(cancelling_takes_effect_within_the_step),
      cmocka_unit_test(numbers_that_blow_up_name_their_step),
  };
  return cmocka_run_group_tests_name("GS-LoRA", tests, nullptr, nullptr);
}
