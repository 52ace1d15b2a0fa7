// A run that is interrupted and taken up again ends as if nothing had happened: bit for bit.
#include "forgetting/tiny_task.h"

namespace lethe::testing {
namespace {

/// As another process would find it.
TrainingState through_a_file(const TrainingState& state) {
  const std::string bytes =
      serialize_safetensors(state.tensors(), {{"values", state.values().dump()}});
  SafetensorsFile file = parse_safetensors(bytes, "state");
  return {std::move(file.tensors), Json::parse(file.metadata.at("values"))};
}

/// Runs `train(observer, checkpoints)` to `step`, as a process that dies there would.
template <typename Train>
TrainingState saved_at(int64_t step, const Train& train) {
  std::optional<TrainingState> state;
  int64_t now = 0;
  Checkpoints checkpoints;
  checkpoints.due = [&] { return ++now == step; };
  checkpoints.save = [&](const TrainingState& saved) { state = through_a_file(saved); };
  const auto until = [&](const Progress& progress) { return progress.step < step; };
  try {
    train(until, checkpoints);
  } catch (const Error& error) {
    if (error.code() != Code::kCancelled) throw;
  }
  assert_true(state.has_value());
  return *state;
}

ForgetResult forget(const ForgetTask& task, const Observer& observer,
                    const Checkpoints& checkpoints = {}) {
  return method_of(task.config.method).run(task, observer, checkpoints);
}

/// Everything that chance, order and history can touch: dropout, both loaders over several epochs,
/// weight averaging, groups that die.
ForgetTask eventful_task() {
  ForgetConfig config = quick(25);
  config.dropout = 0.2;
  config.average_start_epoch = 1;
  config.sparsity = Sparsity::kProximal;
  config.proximal_weight = 7;
  config.grouping = Grouping::kLora;
  return task_of(config, {1, 2});
}

void expect_same(const ForgetResult& a, const ForgetResult& b) {
  assert_true(at::equal(a.lora->values(), b.lora->values()));
  assert_int_equal(a.groups.size(), b.groups.size());
  for (size_t g = 0; g < a.groups.size(); ++g) {
    assert_int_equal(a.groups[g].kept, b.groups[g].kept);
    assert_true(a.groups[g].effect.relative == b.groups[g].effect.relative);
  }
  assert_int_equal(a.last.step, b.last.step);
  assert_true(a.last.loss == b.last.loss && a.last.acc_f == b.last.acc_f &&
              a.last.acc_r == b.last.acc_r && a.last.loss_prototype == b.last.loss_prototype);
  assert_int_equal(a.last.groups_live, b.last.groups_live);
  assert_int_equal(a.bound_reached, b.bound_reached);
}

void a_forget_task_goes_on_as_if_nothing_had_happened(void**) {
  const ForgetTask task = eventful_task();
  const ForgetResult undisturbed = forget(task, go_on);
  assert_true(undisturbed.last.groups_live < undisturbed.last.groups_total);  // some did die,
  assert_true(undisturbed.last.groups_live > 0);                              // not all
  for (const int64_t step : {1, 7, 10, 24, 25}) {
    Checkpoints resumed;
    resumed.resume = saved_at(step, [&](const Observer& observer, const Checkpoints& checkpoints) {
      forget(task, observer, checkpoints);
    });
    int64_t steps = 0;
    const auto count = [&](const Progress&) { return ++steps, true; };
    expect_same(forget(task, count, resumed), undisturbed);
    assert_int_equal(steps, 25 - step);
  }
}

void it_may_be_interrupted_again_and_again(void**) {
  const ForgetTask task = eventful_task();
  const ForgetResult undisturbed = forget(task, go_on);
  Checkpoints at_hand;
  for (int64_t step = 3; step < 25; step += 5) {
    at_hand.resume = saved_at(step == 3 ? 3 : 5, [&](const Observer&, Checkpoints checkpoints) {
      checkpoints.resume = at_hand.resume;
      forget(
          task, [&](const Progress& p) { return p.step < step; }, checkpoints);
    });
  }
  expect_same(forget(task, go_on, at_hand), undisturbed);
}

void saving_changes_nothing(void**) {
  const ForgetTask task = eventful_task();
  Checkpoints always;
  int64_t saved = 0;
  always.due = [] { return true; };
  always.save = [&](const TrainingState&) { ++saved; };
  expect_same(forget(task, go_on, always), forget(task, go_on));
  assert_int_equal(saved, 25);
}

void pretraining_goes_on_as_if_nothing_had_happened(void**) {
  const auto model = model_of(with(kTinyFace, {{"classes", 4}}));  // with dropout
  const Weights start = model->random_weights(RandomStream(1, "start"));
  const Dataset data = patterns(10, 1, 3);
  PretrainConfig config = pretraining(9);
  config.flip = true;
  config.shift = 1;
  config.erase = 0.5;
  for (const double decay : {0.0, 0.9}) {
    config.average_decay = decay;
    const Weights undisturbed = pretrain(*model, start, data, config, go_on);
    for (const int64_t step : {1, 4, 9}) {
      Checkpoints resumed;
      resumed.resume = saved_at(step, [&](const Observer& observer, const Checkpoints& given) {
        pretrain(*model, start, data, config, observer, given);
      });
      const Weights weights = pretrain(*model, start, data, config, go_on, resumed);
      for (const auto& [name, tensor] : undisturbed) {
        assert_true(at::equal(tensor, weights.at(name)));
      }
    }
  }
}

/// With dropout, wrong labels and, for SCRUB, the average of its rounds.
void every_method_goes_on_as_if_nothing_had_happened(void**) {
  for (const MethodEntry& entry : methods()) {
    if (trains_lora(entry.kind)) continue;
    ForgetConfig config = ForgetConfig::defaults_for(entry.kind, HeadKind::kLinear);
    config.data_ratio = 1;
    config.forget_batch = config.retain_batch = 8;
    config.epochs = entry.kind == MethodKind::kScrubS ? 22 : 6;
    config.warmup_epochs = 0;
    config.learning_rate = 1e-3;
    config.dropout = 0.2;
    const ForgetTask task = task_of(config, {1, 2});
    const ForgetResult undisturbed = forget(task, go_on);
    const int64_t steps = undisturbed.last.step;
    for (const int64_t step : {int64_t{1}, steps / 2, steps - 1}) {
      Checkpoints resumed;
      resumed.resume =
          saved_at(step, [&](const Observer& observer, const Checkpoints& checkpoints) {
            forget(task, observer, checkpoints);
          });
      const ForgetResult again = forget(task, go_on, resumed);
      bool same = again.delta.size() == undisturbed.delta.size() && again.last.step == steps;
      for (const auto& [name, tensor] : undisturbed.delta) {
        same = same && at::equal(tensor, again.delta.at(name));
      }
      if (!same) fail_msg("%s after step %d", entry.name, static_cast<int>(step));
    }
  }
}

/// In the training, at its end, and within and between the stages of the search.
void a_search_goes_on_as_if_nothing_had_happened(void**) {
  ForgetTask task = eventful_task();
  task.config.max_steps = 40;  // stages of four steps
  task.config.average_start_epoch = -1;
  task.config.sparsity = Sparsity::kSubgradient;  // no group dies before the search
  task.config.structure_search = StructureSearch::kSparsest;
  task.config.gate_max_acc_f = -1;
  const ForgetResult undisturbed = forget(task, go_on);
  assert_true(undisturbed.last.step > 41);
  for (const int64_t step : {39, 40, 41, 42}) {
    Checkpoints resumed;
    resumed.resume = saved_at(step, [&](const Observer& observer, const Checkpoints& checkpoints) {
      forget(task, observer, checkpoints);
    });
    expect_same(forget(task, go_on, resumed), undisturbed);
  }
}

void a_state_of_another_task_is_refused(void**) {
  const ForgetTask task = eventful_task();
  const TrainingState state =
      saved_at(3, [&](const Observer& observer, const Checkpoints& checkpoints) {
        forget(task, observer, checkpoints);
      });
  const auto refuse = [&](const ForgetTask& other, const TrainingState& given, const char* part) {
    Checkpoints checkpoints;
    checkpoints.resume = given;
    expect_error(Code::kCorrupt, part, [&] { forget(other, go_on, checkpoints); });
  };
  ForgetTask other = task;
  other.config.rank = 4;
  refuse(other, state, "\"lora\" has shape");
  other = task;
  other.config.max_steps = 26;
  refuse(other, state, "step 3 of 25, this task has 26");
  other = task;
  other.forget = other.forget.take({0, 1, 2});
  refuse(other, state, "order");
  refuse(task, TrainingState{}, "has no tensor \"lora\"");
  for (const auto& [name, tensor] : state.tensors()) {
    if (name == "average") continue;  // there is none before its first epoch
    Weights fewer = state.tensors();
    fewer.erase(name);
    refuse(task, {fewer, state.values()}, name.c_str());
  }
  for (const auto& [name, value] : state.values().items()) {
    Json fewer = state.values();
    fewer.erase(name);
    refuse(task, {state.tensors(), fewer}, name.c_str());
  }
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_forget_task_goes_on_as_if_nothing_had_happened),
      cmocka_unit_test(it_may_be_interrupted_again_and_again),
      cmocka_unit_test(saving_changes_nothing),
      cmocka_unit_test(pretraining_goes_on_as_if_nothing_had_happened),
      cmocka_unit_test(every_method_goes_on_as_if_nothing_had_happened),
      cmocka_unit_test(a_search_goes_on_as_if_nothing_had_happened),
      cmocka_unit_test(a_state_of_another_task_is_refused),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
