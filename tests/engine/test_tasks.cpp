// Forget tasks and pre-training from data to figures.
#include <set>

#include "engine/small_task.h"
#include "evaluation/accuracy.h"
#include "test.h"

namespace lethe::testing {
namespace {

// ------------------------------------------------------------------------------------- one task

void pretraining_replaces_the_base(void**) {
  const auto model = small_live_model();
  const auto before = model->snapshot();
  Engine engine(model, small_options());
  const auto job = engine.enqueue(small_pretraining(""));
  expect_state(*job, JobState::kSucceeded);
  assert_true(job->request_id() == "task-1");
  assert_false(model->snapshot()->base->fingerprint() == before->base->fingerprint());
  assert_null(job->result().adapter.get());
  const Metrics& metrics = job->result().report->metrics;
  assert_true(metrics.at("acc") > 90);
  assert_int_equal(metrics.at("steps"), 150);
  assert_true(metrics.contains("acc_class.3") && metrics.contains("loss") &&
              metrics.contains("seconds"));
}

void a_forget_task_leaves_an_adapter_on_the_model(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  ForgetRequest request = small_request("req-1", {1}, 60);
  request.config.gate_max_acc_f = 5;
  request.config.gate_max_acc_r_drop = 20;
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kSucceeded);
  assert_true(job->error_message().empty());
  assert_false(job->status().error.has_value());

  const JobResult result = job->result();
  const auto snapshot = model->snapshot();
  assert_int_equal(snapshot->stack.size(), 1);
  assert_ptr_equal(snapshot->stack[0].adapter.get(), result.adapter.get());
  assert_true(result.adapter->request_id() == "req-1");
  assert_true(result.adapter->classes() == std::vector<int64_t>({1}));
  assert_true(result.adapter->manifest().at("task_id") == job->request_digest());
  assert_true(same_bits(snapshot->weights, merge(*snapshot->base, {{result.adapter}})));

  const Metrics& m = result.report->metrics;
  assert_true(m.at("acc_f") <= 5);
  assert_true(m.at("acc_f_before") > 80);
  expect_close(m.at("acc_f_start"), m.at("acc_f_before"));
  expect_close(m.at("h"), h_mean(m.at("acc_r"), m.at("acc_f_before"), m.at("acc_f")));
  for (const char* name : {"acc_r", "acc_r_before", "acc_r_start", "h_start", "groups_kept",
                           "groups_total", "steps", "seconds", "forget_samples", "retain_samples",
                           "acc_class.0", "acc_class.1", "acc_class.2", "acc_class.3"}) {
    if (!m.contains(name)) fail_msg("the report lacks %s", name);
  }
  assert_false(m.contains("acc_o"));  // there was no earlier task
  assert_false(m.contains("acc_m"));  // every retained class has samples
  assert_int_equal(m.at("steps"), 60);
  assert_int_equal(m.at("forget_samples"), 10);
  assert_int_equal(m.at("retain_samples"), 30);
  assert_true(result.report->json.at("adapter_id") == result.adapter->id());
  expect_close(result.adapter->manifest().at("metrics").at("after").at("acc_f"), m.at("acc_f"));
  expect_close(result.adapter->manifest().at("metrics").at("before").at("acc_f"),
               m.at("acc_f_before"));
}

void the_figures_are_those_of_the_model_afterwards(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  const auto job = engine.enqueue(small_request("req-1", {1}, 30));
  expect_state(*job, JobState::kSucceeded);
  const auto snapshot = model->snapshot();
  const ClassAccuracy measured =
      class_accuracy(snapshot->base->classifier(), snapshot->weights, small_set(5, 2));
  const Metrics& m = job->result().report->metrics;
  expect_close(m.at("acc_f"), *measured.percent({1}));
  expect_close(m.at("acc_r"), *measured.percent({0, 2, 3}));
}

void a_second_task_stands_on_the_first_and_reports_it(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  const auto first = engine.enqueue(small_request("req-1", {1}, 40));
  ForgetRequest request = small_request("req-2", {2}, 40);
  request.retain = request.forget.keep_classes({3});
  request.forget = request.forget.keep_classes({2});
  const auto second = engine.enqueue(request);
  expect_state(*second, JobState::kSucceeded);
  const JobResult result = second->result();
  assert_true(result.adapter->parents() ==
              std::vector<std::string>({first->result().adapter->id()}));
  const Metrics& m = result.report->metrics;
  const Metrics& m1 = first->result().report->metrics;
  assert_true(m.contains("acc_o"));
  assert_true(m.contains("acc_m"));  // class 0 is retained without samples
  expect_close(m.at("acc_m"), m.at("acc_class.0"));
  expect_close(m.at("acc_o"), m.at("acc_class.1"));
  expect_close(m.at("acc_f_start"), m1.at("acc_class.2"));  // the first one's after
  assert_true(m.at("acc_f_before") > 80);                   // the base's
  assert_int_equal(model->snapshot()->stack.size(), 2);
}

void equal_training_gives_an_equal_adapter(void**) {
  std::set<std::string> ids;
  for (const char* name : {"one", "two"}) {
    const auto model = trained_model();
    Engine engine(model, small_options());
    const auto job = engine.enqueue(small_request(name, {1}, 10));
    expect_state(*job, JobState::kSucceeded);
    ids.insert(job->result().adapter->id());
  }
  assert_int_equal(ids.size(), 1);
}

// ---------------------------------------------------------------------------------------- gate

void a_missed_gate_leaves_every_bit_of_the_model(void**) {
  const auto model = trained_model();
  const auto before = model->snapshot();
  Engine engine(model, small_options());
  ForgetRequest request = small_request("req-1", {1}, 1);  // one step forgets nothing
  request.config.learning_rate = 1e-4;
  request.config.zero_threshold = 0;
  request.config.gate_max_acc_f = 5;
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kRejected);
  assert_true(job->status().error == Code::kRejected);
  assert_true(job->error_message().find("the gate allows 5 %") != std::string::npos);
  assert_null(job->result().adapter.get());
  assert_true(job->result().report->metrics.at("acc_f") > 5);
  assert_true(job->result().report->json.at("rejection") == job->error_message());
  assert_ptr_equal(model->snapshot().get(), before.get());
}

void groups_that_all_collapse_are_a_rejection(void**) {
  const auto model = trained_model();
  const auto before = model->snapshot();
  Engine engine(model, small_options());
  ForgetRequest request = small_request("req-1", {1}, 20);
  request.config.sparsity = Sparsity::kProximal;
  request.config.proximal_weight = 1e5;
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kRejected);
  assert_true(job->error_message().find("every group") != std::string::npos);
  const Metrics& m = job->result().report->metrics;
  assert_int_equal(m.at("groups_kept"), 0);
  expect_close(m.at("acc_f"), m.at("acc_f_start"));
  assert_ptr_equal(model->snapshot().get(), before.get());
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tasks[] = {cmocka_unit_test(pretraining_replaces_the_base),
                              cmocka_unit_test(a_forget_task_leaves_an_adapter_on_the_model),
                              cmocka_unit_test(the_figures_are_those_of_the_model_afterwards),
                              cmocka_unit_test(a_second_task_stands_on_the_first_and_reports_it),
                              cmocka_unit_test(equal_training_gives_an_equal_adapter)};
  const CMUnitTest gate[] = {cmocka_unit_test(a_missed_gate_leaves_every_bit_of_the_model),
                             cmocka_unit_test(groups_that_all_collapse_are_a_rejection)};
  int failed = cmocka_run_group_tests_name("tasks", tasks, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("missed gates", gate, nullptr, nullptr);
  return failed;
}
