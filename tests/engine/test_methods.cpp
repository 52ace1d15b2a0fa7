// Every method through the engine: queue, gate, adapter, journal, receipt, audits, as GS-LoRA.
#include <set>

#include "engine/small_task.h"
#include "forgetting/method.h"
#include "storage/adapter_file.h"
#include "support/threads.h"

namespace lethe::testing {
namespace {

ForgetRequest request_of(MethodKind method, const std::string& id, std::vector<int64_t> classes,
                         int64_t steps = 30) {
  ForgetRequest request = small_request(id, std::move(classes));
  request.config = ForgetConfig::defaults_for(method, HeadKind::kLinear);
  request.config.data_ratio = 1;
  request.config.forget_batch = request.config.retain_batch = 8;
  request.config.max_steps = steps;
  request.config.warmup_epochs = 0;
  request.config.rank = 2;
  request.config.learning_rate = trains_lora(method) ? 1e-2 : 2e-3;
  request.config.gate_max_acc_f = request.config.gate_max_acc_r_drop = -1;
  request.config.progress_interval = 1;
  return request;
}

/// Two tasks of one method in a row; the second stands on the first, and both can be taken back.
void every_method_leaves_adapters(void**) {
  for (const MethodEntry& entry : methods()) {
    const auto model = trained_model();
    Engine engine(model, small_options());
    const at::Tensor before = scores(*model, small_images());
    std::vector<std::shared_ptr<Job>> jobs;
    for (const int64_t c : {1, 2}) {
      jobs.push_back(engine.enqueue(request_of(entry.kind, str("req-", c), {c})));
      expect_state(*jobs.back(), JobState::kSucceeded);
    }
    assert_true(engine.close(kLong));
    const JobResult result = jobs[1]->result();
    assert_int_equal(result.adapter->is_delta(), !trains_lora(entry.kind));
    assert_true(result.adapter->method() == entry.name);
    assert_int_equal(result.adapter->parents().size(), 1);

    const Metrics& m = result.report->metrics;
    for (const char* name : {"acc_f", "acc_r", "acc_o", "h", "tunable_ratio", "peak_memory_mib",
                             "mia_loss_auc", "mia_loss_auc_before", "over_forgetting"}) {
      if (!m.contains(name)) fail_msg("%s: no %s", entry.name, name);
    }
    assert_int_equal(m.contains("zero_group_ratio"), trains_lora(entry.kind));
    assert_true(m.at("tunable_ratio") > 0 && m.at("tunable_ratio") <= 100);
    assert_true(entry.kind != MethodKind::kRetrain || m.at("tunable_ratio") == 100);

    assert_false(at::equal(scores(*model, small_images()), before));
    model->rollback_to(nullptr);
    assert_true(at::equal(scores(*model, small_images()), before));
  }
}

/// A delta is the trained weights: what was measured is what a file of it gives another model.
void a_delta_adapter_moves_to_another_model(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  const auto job = engine.enqueue(request_of(MethodKind::kEwc, "req-1", {1}));
  expect_state(*job, JobState::kSucceeded);
  assert_true(engine.close(kLong));
  const std::string bytes = serialize_adapter_file(job->result().adapter->to_file());
  const auto other = trained_model();
  other->attach(Adapter::from_file(parse_adapter_file(bytes, "file")));
  assert_true(at::equal(scores(*other, small_images()), scores(*model, small_images())));
  assert_false(job->result().adapter->importance().empty());
}

/// What later EWC tasks need of earlier ones comes from their adapters, so also after a restart.
void penalties_of_earlier_tasks_survive_a_restart(void**) {
  const auto second_digest = [](bool restart) {
    const TemporaryFolder folder;
    EngineOptions options = small_options();
    options.folder = folder.path() + "/engine";
    auto model = trained_model();
    auto engine = std::make_unique<Engine>(model, options);
    expect_state(*engine->enqueue(request_of(MethodKind::kEwc, "req-1", {1})),
                 JobState::kSucceeded);
    if (restart) {
      assert_true(engine->close(kLong));
      engine.reset();
      model = trained_model();
      engine = std::make_unique<Engine>(model, options);
    }
    const auto job = engine->enqueue(request_of(MethodKind::kEwc, "req-2", {2}));
    expect_state(*job, JobState::kSucceeded);
    return job->result().adapter->id();
  };
  const std::string undisturbed = second_digest(false);
  assert_true(second_digest(true) == undisturbed);
}

void the_gate_speaks_of_the_method(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  auto request = request_of(MethodKind::kFineTune, "req-1", {1}, 3);
  request.config.gate_max_acc_f = 5;
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kRejected);
  assert_true(job->error_message().find("epochs") != std::string::npos);
  assert_true(job->error_message().find("group") == std::string::npos);
  assert_int_equal(model->snapshot()->stack.size(), 0);
}

void audits_are_measured_when_asked(void**) {
  const auto metrics_of = [](int32_t audits, bool held_out) {
    const auto model = trained_model();
    Engine engine(model, small_options());
    auto request = request_of(MethodKind::kGsLoraPlusPlus, "req-1", {1});
    request.config.audits = audits;
    if (!held_out) request.validation.reset();
    const auto job = engine.enqueue(request);
    expect_state(*job, JobState::kSucceeded);
    return job->result().report->metrics;
  };
  const std::set<std::string> figures = {"mia_loss_auc",
                                         "verification_auc_r",
                                         "verification_auc_r_before",
                                         "verification_tar_r",
                                         "probe_f",
                                         "probe_r",
                                         "probe_f_before",
                                         "relearning_steps",
                                         "relearning_reached",
                                         "mia_lira_auc",
                                         "mia_loss_auc_retrain",
                                         "mia_loss_gap"};
  const Metrics all = metrics_of(kAuditAll, true);
  for (const std::string& name : figures) {
    if (!all.contains(name)) fail_msg("no %s", name.c_str());
  }
  expect_close(all.at("mia_loss_gap"),
               std::abs(all.at("mia_loss_auc") - all.at("mia_loss_auc_retrain")), 1e-12);
  assert_true(all.at("probe_f_before") >= 50);  // the base's embeddings know the class
  for (const auto& metrics : {metrics_of(0, true), metrics_of(kAuditAll, false)}) {
    for (const std::string& name : figures) assert_false(metrics.contains(name));
  }
}

void a_block_that_does_not_exist(void**) {
  Engine engine(trained_model(), small_options());
  auto request = request_of(MethodKind::kGsLora, "req-1", {1});
  request.config.first_block = 2;
  expect_error(Code::kInvalidArgument, "first_block is 2", [&] { engine.enqueue(request); });
}

}  // namespace
}  // namespace lethe::testing

int main() {
  const lethe::ThreadBudget one(1);
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_method_leaves_adapters),
      cmocka_unit_test(a_delta_adapter_moves_to_another_model),
      cmocka_unit_test(penalties_of_earlier_tasks_survive_a_restart),
      cmocka_unit_test(the_gate_speaks_of_the_method),
      cmocka_unit_test(audits_are_measured_when_asked),
      cmocka_unit_test(a_block_that_does_not_exist),
  };
  return cmocka_run_group_tests_name("methods", tests, nullptr, nullptr);
}
