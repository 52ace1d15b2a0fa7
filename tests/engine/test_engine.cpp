#include "engine/engine.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <set>

#include "engine/small_task.h"
#include "support/threads.h"
#include "test.h"

namespace lethe::testing {
namespace {

using std::chrono::milliseconds;

// --------------------------------------------------------------------------------- queue and ids

void jobs_run_in_order_of_arrival(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  std::vector<std::shared_ptr<Job>> jobs;
  for (int64_t c : {1, 2, 3}) jobs.push_back(engine.enqueue(small_request("", {c}, 5)));
  assert_true(engine.wait_idle(kLong));
  assert_true(states_of(drain(engine)).find("1:5") != std::string::npos);
  for (int i = 0; i < 3; ++i) {
    assert_true(jobs[i]->status().state == JobState::kSucceeded);
    assert_int_equal(jobs[i]->id(), i + 1);
    assert_true(jobs[i]->request_id() == str("task-", i + 1));
    assert_true(model->snapshot()->stack[i].adapter->classes()[0] == i + 1);
  }
  assert_int_equal(engine.jobs().size(), 3);
  assert_ptr_equal(engine.find("task-2").get(), jobs[1].get());
  expect_error(Code::kNotFound, "task-9", [&] { engine.find("task-9"); });
}

void every_state_is_told_once_and_in_order(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  engine.enqueue(small_request("", {1}, 12))->wait(kLong);
  engine.wait_idle(kLong);
  const std::vector<Event> events = drain(engine);
  assert_string_equal(states_of(events).c_str(), "1:1 1:3 1:4 1:5 ");
  int64_t steps = 0;
  double seconds = 0;
  for (const Event& event : events) {
    if (!event.progress_only) continue;
    assert_true(event.state == JobState::kRunning);
    assert_int_equal(event.progress.step, ++steps);
    assert_int_equal(event.progress.total_steps, 12);
    assert_true(std::isfinite(event.progress.loss));
    assert_true(event.progress.seconds >= seconds);
    seconds = event.progress.seconds;
  }
  assert_int_equal(steps, 12);
  assert_int_equal(events.back().progress.step, 12);
}

void progress_is_told_at_the_interval_and_at_the_end(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  ForgetRequest request = small_request("", {1}, 12);
  request.config.progress_interval = 5;
  engine.enqueue(request)->wait(kLong);
  std::vector<int64_t> steps;
  for (const Event& event : drain(engine)) {
    if (event.progress_only) steps.push_back(event.progress.step);
  }
  assert_true(steps == std::vector<int64_t>({5, 10, 12}));
}

void a_repeated_request_is_the_same_job(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  const auto job = engine.enqueue(small_request("req-1", {1}, 3));
  assert_ptr_equal(engine.enqueue(small_request("req-1", {1}, 3)).get(), job.get());
  expect_state(*job, JobState::kSucceeded);
  // Also after it ended, when its classes are forgotten and its adapter bears the id.
  assert_ptr_equal(engine.enqueue(small_request("req-1", {1}, 3)).get(), job.get());
  assert_int_equal(engine.jobs().size(), 1);
  expect_error(Code::kExists, "req-1", [&] { engine.enqueue(small_request("req-1", {2}, 3)); });
  expect_error(Code::kExists, "req-1", [&] { engine.enqueue(small_pretraining("req-1")); });
  model->rollback_to(nullptr);  // a repeated request holds nothing
}

void many_threads_with_one_id_get_one_job(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  std::vector<std::shared_ptr<Job>> jobs(4);
  std::vector<std::thread> threads;
  for (auto& job : jobs) {
    threads.emplace_back([&] { job = engine.enqueue(small_request("req-1", {1}, 3)); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& job : jobs) assert_ptr_equal(job.get(), jobs[0].get());
  expect_state(*jobs[0], JobState::kSucceeded);
  assert_int_equal(engine.jobs().size(), 1);
  model->rollback_to(nullptr);
}

void made_ids_avoid_those_of_jobs_and_adapters(void**) {
  const auto model = trained_model();
  const auto base = model->snapshot()->base;
  model->attach(small_adapter(*base, {}, "task-2", {3}, 1));
  Engine engine(model, small_options());
  engine.enqueue(small_request("task-1", {1}, 2));
  expect_error(Code::kExists, "task-2", [&] { engine.enqueue(small_request("task-2", {1}, 2)); });
  const auto made = engine.enqueue(small_request("", {2}, 2));
  assert_true(made->request_id() == "task-3");
}

void ids_must_be_text(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  for (const std::string& id : {std::string(129, 'x'), std::string("\xff\xfe"), std::string("a\tb"),
                                std::string("a\0b", 3)}) {
    expect_error(Code::kInvalidArgument, "request id",
                 [&] { engine.enqueue(small_request(id, {1}, 2)); });
  }
  assert_true(engine.jobs().empty());
  engine.enqueue(small_request("Löschung 7 / " + std::string(100, 'x'), {1}, 2));
}

void a_refused_request_changes_nothing(void**) {
  const auto model = trained_model();
  const auto before = model->snapshot();
  Engine engine(model, small_options());
  expect_error(Code::kNotFound, "class 9", [&] { engine.enqueue(small_request("r", {9})); });
  ForgetRequest out_of_range = small_request("r", {1});
  out_of_range.config.rank = -1;
  expect_error(Code::kInvalidArgument, "rank", [&] { engine.enqueue(out_of_range); });
  assert_true(engine.jobs().empty());
  assert_true(drain(engine).empty());
  assert_true(engine.wait_idle(milliseconds(0)));
  assert_ptr_equal(model->snapshot().get(), before.get());
  model->rollback_to(nullptr);  // and the model is free
}

void a_class_forgotten_by_then_fails_the_later_task_only(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  engine.enqueue(small_request("req-1", {1}, 3));
  const auto second = engine.enqueue(small_request("req-2", {1, 2}, 3));
  const auto third = engine.enqueue(small_request("req-3", {3}, 3));
  expect_state(*second, JobState::kFailed);
  assert_true(second->status().error == Code::kInvalidArgument);
  assert_true(second->error_message().find("class 1 is forgotten already") != std::string::npos);
  expect_state(*third, JobState::kSucceeded);
}

void pretraining_after_a_forget_task_fails(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  engine.enqueue(small_request("req-1", {1}, 3));
  const auto job = engine.enqueue(small_pretraining("base"));
  expect_state(*job, JobState::kFailed);
  assert_true(job->status().error == Code::kState);
  expect_error(Code::kState, "adapters", [&] { engine.enqueue(small_pretraining("again")); });
}

void a_diverging_run_fails_with_the_numeric_code(void**) {
  const auto model = trained_model();
  const auto before = model->snapshot();
  Engine engine(model, small_options());
  PretrainRequest request = small_pretraining("base", 50);
  at::Tensor images = at::full({8, 1, 8, 8}, 3e38f);
  request.train = Dataset(images, at::arange(8, at::kLong).remainder(4), 4, {}, {});
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kFailed);
  assert_true(job->status().error == Code::kNumeric);
  assert_ptr_equal(model->snapshot().get(), before.get());
  expect_state(*engine.enqueue(small_request("next", {1}, 2)), JobState::kSucceeded);
}

// -------------------------------------------------------------------------------------- cancelling

void cancelling_a_running_job_leaves_nothing_and_the_next_runs(void**) {
  const auto model = trained_model();
  const auto before = model->snapshot();
  Engine engine(model, small_options());
  const auto endless = engine.enqueue(endless_request("req-1", {1}));
  const auto next = engine.enqueue(small_request("req-2", {2}, 3));
  wait_for_step(*endless);
  assert_ptr_equal(model->snapshot().get(), before.get());
  endless->cancel();
  const int64_t asked_at = endless->status().progress.step;
  expect_state(*endless, JobState::kCancelled);
  assert_true(endless->status().progress.step <= asked_at + 2);  // the step it was in
  assert_true(endless->status().error == Code::kCancelled);
  assert_true(endless->error_message().find("cancelled") != std::string::npos);
  assert_null(endless->result().adapter.get());
  assert_null(endless->result().report.get());
  expect_state(*next, JobState::kSucceeded);
  assert_int_equal(model->snapshot()->stack.size(), 1);
  assert_true(next->result().adapter->parents().empty());
}

void a_queued_job_is_cancelled_before_its_turn(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  const auto endless = engine.enqueue(endless_request("req-1", {1}));
  const auto second = engine.enqueue(small_request("req-2", {2}, 3));
  const auto third = engine.enqueue(small_request("req-3", {3}, 3));
  wait_for_step(*endless);
  second->cancel();
  expect_state(*second, JobState::kCancelled);  // while the first still runs
  assert_true(endless->status().state == JobState::kRunning);
  assert_true(third->status().state == JobState::kQueued);
  endless->cancel();
  expect_state(*third, JobState::kSucceeded);
  engine.wait_idle(kLong);
  assert_true(states_of(drain(engine)).find("2:8 ") != std::string::npos);
}

void cancelling_an_ended_job_does_nothing(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  const auto job = engine.enqueue(small_request("req-1", {1}, 2));
  expect_state(*job, JobState::kSucceeded);
  job->cancel();
  assert_true(job->status().state == JobState::kSucceeded);
  assert_int_equal(model->snapshot()->stack.size(), 1);
}

void a_cancelled_pretraining_keeps_the_base(void**) {
  const auto model = small_live_model();
  const auto before = model->snapshot();
  Engine engine(model, small_options());
  const auto job = engine.enqueue(small_pretraining("base", 1'000'000'000));
  wait_for_step(*job);
  job->cancel();
  expect_state(*job, JobState::kCancelled);
  assert_ptr_equal(model->snapshot().get(), before.get());
}

// -------------------------------------------------------------------------- the model meanwhile

void the_model_is_the_engines_while_jobs_are_unfinished(void**) {
  const auto model = trained_model();
  const auto base = model->snapshot()->base;
  const auto adapter = small_adapter(*base, {}, "mine", {3}, 1);
  Engine engine(model, small_options());
  const auto job = engine.enqueue(endless_request("req-1", {1}));
  expect_error(Code::kState, "queued or running", [&] { model->attach(adapter); });
  expect_error(Code::kState, "queued or running", [&] { model->rollback_to(nullptr); });
  expect_error(Code::kState, "queued or running", [&] { model->load_weights(base->weights()); });
  wait_for_step(*job);
  expect_error(Code::kState, "queued or running", [&] { model->set_stack({{adapter}}, false); });
  job->cancel();
  expect_state(*job, JobState::kCancelled);
  model->attach(adapter);  // at once: whoever saw the job end may change the model
  // The next task stands on it.
  const auto next = engine.enqueue(small_request("req-2", {1}, 2));
  expect_state(*next, JobState::kSucceeded);
  assert_true(next->result().adapter->parents() == std::vector<std::string>({adapter->id()}));
}

void predictions_go_on_during_training(void**) {
  const auto model = trained_model();
  const at::Tensor images = small_images();
  const ThreadBudget one_thread(1);
  const at::Tensor before = scores(*model, images);
  Engine engine(model, small_options());
  const auto job = engine.enqueue(endless_request("req-1", {1}));
  wait_for_step(*job);
  for (int i = 0; i < 20; ++i) assert_true(at::equal(scores(*model, images), before));
  assert_true(job->status().state == JobState::kRunning);
}

void training_leaves_the_hosts_thread_settings(void**) {
  const int before = at::get_num_threads();
  Engine engine(trained_model(), small_options());
  engine.enqueue(small_request("", {1}, 2))->wait(kLong);
  assert_int_equal(at::get_num_threads(), before);
}

// ------------------------------------------------------------------------------------- the end

void closing_cancels_all_and_ends_the_events(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  const auto running = engine.enqueue(endless_request("req-1", {1}));
  const auto queued = engine.enqueue(small_request("req-2", {2}, 3));
  wait_for_step(*running);
  assert_true(engine.close(kLong));
  assert_true(engine.close(milliseconds(0)));  // again is fine
  assert_true(running->status().state == JobState::kCancelled);
  assert_true(queued->status().state == JobState::kCancelled);
  assert_string_equal(states_of(drain(engine)).substr(0, 4).c_str(), "1:1 ");
  Event event{};
  assert_true(engine.next_event({}, event) == Engine::Take::kEnd);
  expect_error(Code::kState, "closed", [&] { engine.enqueue(small_request("req-3", {3}, 3)); });
  assert_ptr_equal(engine.enqueue(small_request("req-2", {2}, 3)).get(), queued.get());
  Engine next(model, small_options());  // the model is free again
  expect_state(*next.enqueue(small_request("req-1", {1}, 2)), JobState::kSucceeded);
}

void a_closing_that_takes_too_long_says_so(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  ForgetRequest request = endless_request("req-1", {1});
  const auto job = engine.enqueue(request);
  wait_for_step(*job);
  while (!engine.close(milliseconds(0))) {  // false until the step is over
  }
  assert_true(ended(job->status().state));
}

void jobs_outlive_their_engine(void**) {
  std::shared_ptr<Job> done, running;
  {
    Engine engine(trained_model(), small_options());
    done = engine.enqueue(small_request("req-1", {1}, 2));
    running = engine.enqueue(endless_request("req-2", {2}));
    wait_for_step(*running);
  }  // waits for the step, not for the task
  assert_true(done->status().state == JobState::kSucceeded);
  assert_non_null(done->result().adapter.get());
  assert_true(running->status().state == JobState::kCancelled);
  running->cancel();
  assert_true(running->wait(milliseconds(0)));
}

void readers_that_wait_are_let_go_at_the_end(void**) {
  const auto model = trained_model();
  auto engine = std::make_unique<Engine>(model, small_options());
  std::atomic<int> states{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      Event event{};
      while (engine->next_event({}, event) == Engine::Take::kEvent) states += !event.progress_only;
    });
  }
  engine->enqueue(small_request("", {1}, 5))->wait(kLong);
  engine->close({});
  for (std::thread& reader : readers) reader.join();
  assert_int_equal(states.load(), 4);
}

void a_slow_reader_still_learns_every_state(void**) {
  EngineOptions options = small_options();
  options.event_capacity = 16;
  const auto model = trained_model();
  Engine engine(model, options);
  for (int64_t c : {1, 2}) engine.enqueue(small_request("", {c}, 40));
  assert_true(engine.wait_idle(kLong));
  const std::vector<Event> events = drain(engine);
  assert_true(events.size() <= 16);
  std::multiset<std::string> expected = {"1:1", "1:3", "1:4", "1:5", "2:1", "2:3", "2:4", "2:5"};
  std::multiset<std::string> seen;
  for (const Event& event : events) {
    if (!event.progress_only) seen.insert(str(event.job_id, ':', static_cast<int>(event.state)));
  }
  assert_true(seen == expected);
}

void one_engine_a_model(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  expect_error(Code::kBusy, "engine", [&] { Engine second(model, {}); });
  Engine on_a_clone(model->clone(), {});
}

void options_are_checked_before_the_model_is_claimed(void**) {
  const auto model = trained_model();
  EngineOptions few_events, few_threads;
  few_events.event_capacity = 15;
  few_threads.threads = -1;
  expect_error(Code::kInvalidArgument, "event_capacity", [&] { Engine e(model, few_events); });
  expect_error(Code::kInvalidArgument, "threads", [&] { Engine e(model, few_threads); });
  Engine engine(model, small_options());
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest queue[] = {cmocka_unit_test(jobs_run_in_order_of_arrival),
                              cmocka_unit_test(every_state_is_told_once_and_in_order),
                              cmocka_unit_test(progress_is_told_at_the_interval_and_at_the_end),
                              cmocka_unit_test(a_repeated_request_is_the_same_job),
                              cmocka_unit_test(many_threads_with_one_id_get_one_job),
                              cmocka_unit_test(made_ids_avoid_those_of_jobs_and_adapters),
                              cmocka_unit_test(ids_must_be_text),
                              cmocka_unit_test(a_refused_request_changes_nothing),
                              cmocka_unit_test(a_class_forgotten_by_then_fails_the_later_task_only),
                              cmocka_unit_test(pretraining_after_a_forget_task_fails),
                              cmocka_unit_test(a_diverging_run_fails_with_the_numeric_code)};
  const CMUnitTest cancelling[] = {
      cmocka_unit_test(cancelling_a_running_job_leaves_nothing_and_the_next_runs),
      cmocka_unit_test(a_queued_job_is_cancelled_before_its_turn),
      cmocka_unit_test(cancelling_an_ended_job_does_nothing),
      cmocka_unit_test(a_cancelled_pretraining_keeps_the_base)};
  const CMUnitTest meanwhile[] = {
      cmocka_unit_test(the_model_is_the_engines_while_jobs_are_unfinished),
      cmocka_unit_test(predictions_go_on_during_training),
      cmocka_unit_test(training_leaves_the_hosts_thread_settings)};
  const CMUnitTest the_end[] = {cmocka_unit_test(closing_cancels_all_and_ends_the_events),
                                cmocka_unit_test(a_closing_that_takes_too_long_says_so),
                                cmocka_unit_test(jobs_outlive_their_engine),
                                cmocka_unit_test(readers_that_wait_are_let_go_at_the_end),
                                cmocka_unit_test(a_slow_reader_still_learns_every_state),
                                cmocka_unit_test(one_engine_a_model),
                                cmocka_unit_test(options_are_checked_before_the_model_is_claimed)};
  int failed = cmocka_run_group_tests_name("queue", queue, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("cancelling", cancelling, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("model meanwhile", meanwhile, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("end of an engine", the_end, nullptr, nullptr);
  return failed;
}
