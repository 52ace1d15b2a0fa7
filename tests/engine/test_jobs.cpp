// The parts of an engine that need no training: jobs, events, failures, the gate, reports.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <limits>
#include <new>
#include <set>
#include <thread>

#include "engine/event_queue.h"
#include "engine/failure.h"
#include "engine/gate.h"
#include "engine/job.h"
#include "engine/report.h"
#include "test.h"

namespace lethe::testing {
namespace {

using std::chrono::milliseconds;

// ------------------------------------------------------------------------------------------ jobs

void a_new_job_is_queued_and_left_nothing(void**) {
  const Job job(3, "req", "digest");
  assert_int_equal(job.id(), 3);
  assert_true(job.status().state == JobState::kQueued);
  assert_false(job.status().error.has_value());
  assert_true(job.error_message().empty());
  assert_null(job.result().report.get());
  assert_true(std::isnan(job.status().progress.loss));
}

void waiting_for_a_job_ends_with_the_job(void**) {
  Job job(1, "req", "digest");
  assert_false(job.wait(milliseconds(0)));
  assert_false(job.wait(milliseconds(-5)));
  assert_false(job.wait(milliseconds(5)));
  std::atomic<int> early{0};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back([&job, &early, i] {
      // A limit that overflows the clock must not return at once.
      job.wait(i == 0 ? Timeout() : Timeout(milliseconds(std::numeric_limits<int64_t>::max())));
      early += !ended(job.status().state);
    });
  }
  std::this_thread::sleep_for(milliseconds(5));
  job.set_state(JobState::kRunning);
  job.finish({JobState::kFailed, {}, Code::kNumeric, "step 3: NaN"});
  for (std::thread& waiter : waiters) waiter.join();
  assert_int_equal(early.load(), 0);
  assert_true(job.wait(milliseconds(0)));
  assert_true(job.status().error == Code::kNumeric);
  assert_true(job.error_message() == "step 3: NaN");
}

void a_cancelled_flag_stays(void**) {
  Job job(1, "req", "digest");
  assert_false(job.cancel_requested());
  job.cancel();
  job.cancel();
  assert_true(job.cancel_requested());
  job.finish({JobState::kSucceeded, {}, {}, {}});  // nearly done jobs may still succeed
  assert_true(job.status().state == JobState::kSucceeded);
}

// ---------------------------------------------------------------------------------------- events

Event progress_event(int64_t step) {
  Progress progress;
  progress.step = step;
  return {true, 1, JobState::kRunning, progress};
}
Event state_event(int64_t job) { return {false, job, JobState::kRunning, {}}; }

void events_come_in_order_and_then_end(void**) {
  EventQueue events(16);
  Event event{};
  assert_true(events.next(milliseconds(0), event) == EventQueue::Take::kTimeout);
  events.push(state_event(1));
  events.push(progress_event(1));
  events.push(state_event(2));
  events.close();
  assert_true(events.next({}, event) == EventQueue::Take::kEvent);
  assert_int_equal(event.job_id, 1);
  assert_true(events.next({}, event) == EventQueue::Take::kEvent);
  assert_true(event.progress_only);
  assert_true(events.next({}, event) == EventQueue::Take::kEvent);
  assert_int_equal(event.job_id, 2);
  assert_true(events.next({}, event) == EventQueue::Take::kEnd);
  assert_true(events.next(milliseconds(0), event) == EventQueue::Take::kEnd);
}

void a_slow_reader_loses_old_progress_and_no_state(void**) {
  EventQueue events(16);
  for (int64_t job = 0; job < 10; ++job) {
    events.push(state_event(job));
    for (int64_t step = 1; step <= 100; ++step) events.push(progress_event(1000 * job + step));
  }
  for (int64_t job = 10; job < 40; ++job) events.push(state_event(job));  // beyond the capacity
  events.push(progress_event(1));  // there is no room and nothing to give way
  events.close();
  std::vector<int64_t> jobs;
  Event event{};
  while (events.next({}, event) == EventQueue::Take::kEvent) {
    assert_false(event.progress_only);
    jobs.push_back(event.job_id);
  }
  assert_int_equal(jobs.size(), 40);
  for (int64_t job = 0; job < 40; ++job) assert_int_equal(jobs[job], job);
}

void the_newest_progress_survives(void**) {
  EventQueue events(16);
  events.push(state_event(1));
  for (int64_t step = 1; step <= 100; ++step) events.push(progress_event(step));
  Event event{};
  events.next({}, event);
  assert_false(event.progress_only);
  for (int64_t step = 86; step <= 100; ++step) {
    assert_true(events.next(milliseconds(0), event) == EventQueue::Take::kEvent);
    assert_int_equal(event.progress.step, step);
  }
  assert_true(events.next(milliseconds(0), event) == EventQueue::Take::kTimeout);
}

void each_event_goes_to_one_reader(void**) {
  EventQueue events(100'000);
  std::mutex mutex;
  std::multiset<int64_t> seen;
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      Event event{};
      for (;;) {
        const EventQueue::Take take = events.next(milliseconds(1), event);
        if (take == EventQueue::Take::kEnd) return;
        const std::lock_guard lock(mutex);
        if (take == EventQueue::Take::kEvent) seen.insert(event.job_id);
      }
    });
  }
  for (int64_t job = 1; job <= 2000; ++job) events.push(state_event(job));
  events.close();
  for (std::thread& reader : readers) reader.join();
  assert_int_equal(seen.size(), 2000);
  assert_int_equal(std::set<int64_t>(seen.begin(), seen.end()).size(), 2000);
}

// -------------------------------------------------------------------------------------- failures

Failure of(const std::function<void()>& body) {
  try {
    body();
  } catch (...) {
    return describe_failure(std::current_exception());
  }
  return {};
}

void every_exception_has_a_code_and_one_line(void**) {
  assert_true(of([] { fail(Code::kNumeric, "NaN at step 3"); }).code == Code::kNumeric);
  assert_true(of([] { fail(Code::kNumeric, "NaN at step 3"); }).message == "NaN at step 3");
  assert_true(of([] { throw std::bad_alloc(); }).code == Code::kOutOfMemory);
  assert_true(of([] { throw std::runtime_error("x"); }).code == Code::kInternal);
  assert_true(of([] { throw 3; }).code == Code::kInternal);
  const Failure torch = of([] { TORCH_CHECK(false, "size mismatch\nin detail"); });
  assert_true(torch.code == Code::kInternal);
  assert_true(torch.message.find("size mismatch") != std::string::npos);
  assert_true(torch.message.find('\n') == std::string::npos);
  assert_true(of([] {
                TORCH_CHECK(false, "[enforce fail] DefaultCPUAllocator: can't allocate memory");
              }).code == Code::kOutOfMemory);
  assert_true(of([] { TORCH_CHECK(false, "CUDA error: no kernel image"); }).code == Code::kDevice);
}

void the_allocator_of_the_tensors_is_recognised(void**) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  skip();  // their allocators end the process instead
#endif
  const Failure failure = of([] { at::empty({int64_t{1} << 50}, at::kByte); });
  assert_true(failure.code == Code::kOutOfMemory);
}

// ------------------------------------------------------------------------------------------ gate

GateFigures passing() {
  GateFigures figures;
  figures.acc_f = 1;
  figures.acc_r = 88;
  figures.acc_r_base = 90;
  figures.groups_kept = 4;
  figures.groups_total = 6;
  figures.largest_effect = 0.1;
  figures.training_acc_f = 2;
  figures.bound_reached = false;
  figures.steps = 20;
  return figures;
}

void expect_words(const std::string& text, const std::vector<const char*>& words) {
  for (const char* word : words) {
    if (text.find(word) == std::string::npos) fail_msg("\"%s\" lacks \"%s\"", text.c_str(), word);
  }
  assert_true(text.find('\n') == std::string::npos);
}

void a_good_task_passes_the_gate(void**) {
  assert_true(judge(passing(), {}).empty());
  GateFigures at_the_limit = passing();
  at_the_limit.acc_f = 5;
  at_the_limit.acc_r = 80;
  assert_true(judge(at_the_limit, {}).empty());
}

void the_gate_names_figures_cause_and_remedy(void**) {
  GateFigures none_kept = passing();
  none_kept.groups_kept = 0;
  none_kept.largest_effect = 1e-12;
  none_kept.acc_f = 94.35;
  ForgetConfig config;
  config.sparsity = Sparsity::kSubgradient;
  config.structure_weight = 0.01;
  expect_words(judge(none_kept, config),
               {"every group of 6", "94.35 %", "lower structure_weight (0.01)"});

  ForgetConfig proximal = config;
  proximal.sparsity = Sparsity::kProximal;
  proximal.proximal_weight = 0.5;
  expect_words(judge(none_kept, proximal), {"lower proximal_weight (0.5)"});

  GateFigures hardly_begun = none_kept;
  hardly_begun.largest_effect = 5e-4;
  expect_words(judge(hardly_begun, config),
               {"no group of 6", "zero_threshold 0.001", "20 steps", "0.0005", "more steps"});

  GateFigures short_run = passing();
  short_run.acc_f = short_run.training_acc_f = 48.25;
  expect_words(judge(short_run, config), {"48.25 %", "5 %", "last of 20 steps", "max_steps"});

  GateFigures bound = short_run;
  bound.bound_reached = true;
  expect_words(judge(bound, config), {"48.25 %", "raise forget_bound (15)"});

  GateFigures sparse = short_run;
  sparse.groups_kept = 1;
  expect_words(judge(sparse, config), {"5 of 6 groups", "structure_weight"});

  GateFigures dropped = short_run;
  dropped.training_acc_f = 1;
  expect_words(judge(dropped, config), {"2 of 6 groups", "zero_threshold"});

  GateFigures unseen = dropped;
  unseen.groups_kept = 6;
  expect_words(judge(unseen, config), {"1 %", "data_ratio"});

  GateFigures too_much = passing();
  too_much.acc_r = 61.5;
  expect_words(judge(too_much, config), {"90 %", "61.5 %", "10 points", "forget_weight"});

  GateFigures both = too_much;
  both.acc_f = both.training_acc_f = 40;
  expect_words(judge(both, config), {"Acc_f is 40 %", "Acc_r fell"});
}

void a_negative_limit_is_off_and_an_empty_adapter_never_passes(void**) {
  ForgetConfig off;
  off.gate_max_acc_f = off.gate_max_acc_r_drop = -1;
  GateFigures bad = passing();
  bad.acc_f = 100;
  bad.acc_r = 0;
  bad.training_acc_f = NAN;
  assert_true(judge(bad, off).empty());
  bad.groups_kept = 0;
  assert_false(judge(bad, off).empty());
  bad.groups_kept = 1;
  bad.acc_f = NAN;  // a figure that is none does not pass
  assert_false(judge(bad, {}).empty());
}

void a_report_holds_finite_figures_only(void**) {
  const Report report =
      make_report({{"kind", "test"}}, {{"acc", 1.5}, {"h", NAN}, {"x", INFINITY}});
  assert_int_equal(report.metrics.size(), 1);
  assert_true(report.json == Json({{"kind", "test"}, {"metrics", {{"acc", 1.5}}}}));
  assert_true(make_report(Json::object(), {}).json.at("metrics").is_object());
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest jobs[] = {cmocka_unit_test(a_new_job_is_queued_and_left_nothing),
                             cmocka_unit_test(waiting_for_a_job_ends_with_the_job),
                             cmocka_unit_test(a_cancelled_flag_stays)};
  const CMUnitTest events[] = {cmocka_unit_test(events_come_in_order_and_then_end),
                               cmocka_unit_test(a_slow_reader_loses_old_progress_and_no_state),
                               cmocka_unit_test(the_newest_progress_survives),
                               cmocka_unit_test(each_event_goes_to_one_reader)};
  const CMUnitTest failures[] = {cmocka_unit_test(every_exception_has_a_code_and_one_line),
                                 cmocka_unit_test(the_allocator_of_the_tensors_is_recognised)};
  const CMUnitTest gate[] = {
      cmocka_unit_test(a_good_task_passes_the_gate),
      cmocka_unit_test(the_gate_names_figures_cause_and_remedy),
      cmocka_unit_test(a_negative_limit_is_off_and_an_empty_adapter_never_passes),
      cmocka_unit_test(a_report_holds_finite_figures_only)};
  int failed = cmocka_run_group_tests_name("jobs", jobs, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("events", events, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("failures", failures, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("gate and report", gate, nullptr, nullptr);
  return failed;
}
