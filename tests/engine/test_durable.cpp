// An engine on a folder: what it accepted outlives it, and goes on as if nothing had happened.
#include <sys/wait.h>

#include <atomic>
#include <fstream>
#include <set>

#include "data/sources.h"
#include "engine/small_task.h"
#include "storage/file.h"

namespace lethe::testing {
namespace {

namespace fs = std::filesystem;

/// The same time whenever a test runs, so that adapters of two runs are equal to the byte.
int64_t fixed_time() { return 1'800'000'000'000; }

EngineOptions options_in(const TemporaryFolder& folder) {
  EngineOptions options = small_options();
  options.folder = folder / "engine";
  options.checkpoint_seconds = 0;
  options.now_ms = fixed_time;
  return options;
}

EngineOptions paused(EngineOptions options) {
  options.paused = true;
  return options;
}

std::string bytes_of(const std::shared_ptr<const Adapter>& adapter) {
  return serialize_adapter_file(adapter->to_file());
}

std::vector<std::string> files_in(const TemporaryFolder& folder, const char* kind) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder / "engine" + "/" + kind)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

/// What two tasks leave that nothing disturbs.
const std::vector<std::string>& undisturbed() {
  static const std::vector<std::string> adapters = [] {
    EngineOptions options = small_options();
    options.now_ms = fixed_time;
    Engine engine(trained_model(), options);
    const auto first = engine.enqueue(small_request("a", {1}, 30));
    const auto second = engine.enqueue(small_request("b", {2}, 30));
    expect_state(*first, JobState::kSucceeded);
    expect_state(*second, JobState::kSucceeded);
    return std::vector{bytes_of(first->result().adapter), bytes_of(second->result().adapter)};
  }();
  return adapters;
}

void expect_undisturbed(Engine& engine) {
  for (const char* id : {"a", "b"}) expect_state(*engine.find(id), JobState::kSucceeded);
  assert_true(bytes_of(engine.find("a")->result().adapter) == undisturbed()[0]);
  assert_true(bytes_of(engine.find("b")->result().adapter) == undisturbed()[1]);
}

// --------------------------------------------------------------------------------- going on

void queued_tasks_outlive_the_engine(void**) {
  const TemporaryFolder folder;
  {
    Engine engine(trained_model(), paused(options_in(folder)));
    engine.enqueue(small_request("a", {1}, 30));
    engine.enqueue(small_request("b", {2}, 30));
  }
  Engine engine(trained_model(), options_in(folder));
  assert_true(engine.wait_idle(kLong));
  expect_undisturbed(engine);
}

void a_running_task_goes_on_from_its_checkpoint(void**) {
  const TemporaryFolder folder;
  {
    // The worker asks for the time after each step: there it can be held.
    std::mutex mutex;
    std::condition_variable changed;
    std::shared_ptr<Job> held;
    bool is_held = false, go_on = false;
    EngineOptions options = paused(options_in(folder));
    options.now_ms = [&] {
      std::unique_lock lock(mutex);
      if (held && held->status().progress.step >= 3) {
        is_held = true;
        changed.notify_all();
        changed.wait(lock, [&] { return go_on; });
      }
      return fixed_time();
    };
    Engine engine(trained_model(), options);
    const auto job = engine.enqueue(small_request("a", {1}, 30));
    engine.enqueue(small_request("b", {2}, 30));
    {
      const std::lock_guard lock(mutex);
      held = job;
    }
    engine.resume();  // like close(), not under the lock: the queue asks for the time under its own
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return is_held; });
    }
    assert_false(engine.close(std::chrono::milliseconds(0)));
    {
      const std::lock_guard lock(mutex);
      go_on = true;
    }
    changed.notify_all();
    assert_true(engine.close(kLong));
    assert_int_equal(static_cast<int>(job->status().state), static_cast<int>(JobState::kQueued));
    expect_error(Code::kState, "goes on when the folder is opened", [&] { job->wait(kLong); });
    expect_error(Code::kState, "the task is kept", [&] { engine.wait_idle(kLong); });
  }
  const auto model = trained_model();
  Engine engine(model, paused(options_in(folder)));
  const TaskRecord task = engine.journal().tasks().at(0);
  assert_int_equal(task.step, 3);
  engine.resume();
  assert_true(engine.wait_idle(kLong));
  expect_undisturbed(engine);
  assert_int_equal(files_in(folder, "checkpoints").size(), 0);
}

void a_checkpoint_of_another_state_is_not_used(void**) {
  const TemporaryFolder folder;
  {
    Engine engine(trained_model(), options_in(folder));
    const auto job = engine.enqueue(endless_request("a", {1}));
    wait_for_step(*job);
  }
  // Another task comes first now, so the one that was interrupted begins anew on what it leaves.
  Engine engine(trained_model(), paused(options_in(folder)));
  ForgetRequest urgent = small_request("urgent", {3}, 10);
  urgent.options.priority = 1;
  const auto first = engine.enqueue(urgent);
  const auto job = engine.find("a");
  engine.resume();
  expect_state(*first, JobState::kSucceeded);
  wait_for_step(*job);
  assert_true(job->status().progress.step < 1'000'000);
  job->cancel();
  expect_state(*job, JobState::kCancelled);
}

void the_model_gets_its_stack_back(void**) {
  const TemporaryFolder folder;
  at::Tensor one, both;
  {
    const auto model = trained_model();
    Engine engine(model, options_in(folder));
    expect_state(*engine.enqueue(small_request("a", {1})), JobState::kSucceeded);
    one = scores(*model, small_images());
    expect_state(*engine.enqueue(small_request("b", {2})), JobState::kSucceeded);
    both = scores(*model, small_images());
  }
  assert_false(at::equal(one, both));
  {
    const auto model = trained_model();
    Engine engine(model, options_in(folder));
    assert_true(at::equal(scores(*model, small_images()), both));
    const std::string a = "a";
    model->rollback_to(&a);  // also what the host changes is kept
  }
  const auto model = trained_model();
  Engine engine(model, options_in(folder));
  assert_true(at::equal(scores(*model, small_images()), one));
  assert_non_null(engine.find("b")->result().adapter.get());  // its adapter is there, if unused
}

void jobs_of_earlier_runs_are_remembered(void**) {
  const TemporaryFolder folder;
  std::string adapter, report;
  {
    Engine engine(trained_model(), options_in(folder));
    const auto job = engine.enqueue(small_request("a", {1}));
    expect_state(*job, JobState::kSucceeded);
    adapter = bytes_of(job->result().adapter);
    report = job->result().report->json.dump();
    ForgetRequest hard = small_request("strict", {2}, 1);
    hard.config.gate_max_acc_f = 0;
    expect_state(*engine.enqueue(hard), JobState::kRejected);
  }
  Engine engine(trained_model(), options_in(folder));
  assert_int_equal(engine.jobs().size(), 2);
  const auto job = engine.enqueue(small_request("a", {1}));  // asked again: the same job
  assert_int_equal(job->id(), 1);
  expect_state(*job, JobState::kSucceeded);
  assert_string_equal(bytes_of(job->result().adapter).c_str(), adapter.c_str());
  assert_string_equal(job->result().report->json.dump().c_str(), report.c_str());
  expect_error(Code::kExists, "belongs to another request",
               [&] { engine.enqueue(small_request("a", {3})); });
  const auto strict = engine.find("strict");
  assert_int_equal(static_cast<int>(*strict->status().error), static_cast<int>(Code::kRejected));
  assert_true(strict->error_message().find("the gate allows") != std::string::npos);
  assert_null(strict->result().adapter.get());
  assert_true(strict->result().report->metrics.contains("acc_f"));
  const auto next = engine.enqueue(small_request("", {3}));
  assert_int_equal(next->id(), 3);
  expect_state(*next, JobState::kSucceeded);
}

void pretrained_weights_are_kept(void**) {
  const TemporaryFolder folder;
  at::Tensor trained;
  {
    const auto model = small_live_model();
    Engine engine(model, options_in(folder));
    expect_state(*engine.enqueue(small_pretraining("base", 20)), JobState::kSucceeded);
    expect_state(*engine.enqueue(small_request("a", {1})), JobState::kSucceeded);
    trained = scores(*model, small_images());
  }
  const auto model = small_live_model();  // with the weights of before
  Engine engine(model, options_in(folder));
  assert_true(at::equal(scores(*model, small_images()), trained));
}

void an_interrupted_pretraining_goes_on(void**) {
  const auto train = [](const TemporaryFolder& folder, bool interrupt) {
    const auto model = small_live_model();
    auto engine = std::make_unique<Engine>(model, options_in(folder));
    auto job = engine->enqueue(small_pretraining("base", 60));
    if (interrupt) {
      wait_for_step(*job);
      engine.reset();
      engine = std::make_unique<Engine>(small_live_model(), options_in(folder));
      job = engine->find("base");
    }
    expect_state(*job, JobState::kSucceeded);
    return engine->journal().model()->base;
  };
  const TemporaryFolder calm, rough;
  assert_string_equal(train(calm, false).c_str(), train(rough, true).c_str());
}

// ------------------------------------------------------------------------------------- data

/// small_set() as an IDX pair in `folder`.
Dataset idx_set(const TemporaryFolder& folder, int64_t per_class, uint64_t seed,
                const std::string& name = "set") {
  const Dataset set = small_set(per_class, seed);
  const at::Tensor pixels = set.pixels();
  const auto n = static_cast<uint8_t>(set.size());
  std::string images("\0\0\x08\x03\0\0\0N\0\0\0\x08\0\0\0\x08", 16);
  std::string labels("\0\0\x08\x01\0\0\0N", 8);
  images[7] = labels[7] = static_cast<char>(n);
  images.append(reinterpret_cast<const char*>(pixels.const_data_ptr()), pixels.numel());
  for (int64_t i = 0; i < set.size(); ++i) labels += static_cast<char>(set.label(i));
  write_file_atomically(folder / name + ".images", {images});
  write_file_atomically(folder / name + ".labels", {labels});
  return read_idx(folder / name + ".images", folder / name + ".labels", {}, 4);
}

ForgetRequest idx_request(const TemporaryFolder& folder, const std::string& id) {
  ForgetRequest request = small_request(id, {1}, 10);
  const Dataset all = idx_set(folder, 10, 1);
  request.forget = all.keep_classes({1});
  request.retain = all.drop_classes({1}).few_shot(7, 3);  // neither whole nor in one piece
  request.validation = idx_set(folder, 5, 2, "valid");
  return request;
}

void data_in_files_is_read_again(void**) {
  const TemporaryFolder folder, calm;
  std::string expected;
  {
    Engine engine(trained_model(), options_in(calm));
    const auto job = engine.enqueue(idx_request(folder, "a"));
    expect_state(*job, JobState::kSucceeded);
    expected = bytes_of(job->result().adapter);
  }
  { Engine(trained_model(), paused(options_in(folder))).enqueue(idx_request(folder, "a")); }
  assert_int_equal(files_in(folder, "data").size(), 0);  // nothing is copied
  Engine engine(trained_model(), options_in(folder));
  expect_state(*engine.find("a"), JobState::kSucceeded);
  assert_true(bytes_of(engine.find("a")->result().adapter) == expected);
}

void arrays_are_kept_until_the_task_ends(void**) {
  const TemporaryFolder folder;
  {
    Engine engine(trained_model(), paused(options_in(folder)));
    engine.enqueue(small_request("a", {1}));
    ForgetRequest other = small_request("b", {2});  // of the same arrays
    engine.enqueue(other);
    assert_int_equal(files_in(folder, "data").size(), 2);
  }
  Engine engine(trained_model(), options_in(folder));
  expect_state(*engine.find("b"), JobState::kSucceeded);
  assert_int_equal(files_in(folder, "data").size(), 0);  // gone before the job shows its end
}

void changed_data_is_refused_and_may_be_given_again(void**) {
  const TemporaryFolder folder, copies;
  Dataset forget = idx_request(copies, "a").forget;
  { Engine(trained_model(), paused(options_in(folder))).enqueue(idx_request(folder, "a")); }
  idx_set(folder, 10, 99);  // other pixels under the same name
  {
    Engine engine(trained_model(), options_in(folder));
    assert_true(engine.wait_idle(kLong));  // a job that awaits data keeps nobody waiting
    const auto job = engine.find("a");
    while (job->status().state != JobState::kAwaitingData) {
      assert_false(ended(job->status().state));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    assert_int_equal(static_cast<int>(*job->status().error), static_cast<int>(Code::kCorrupt));
    ForgetRequest other = small_request("b", {2}, 1);
    other.config.gate_max_acc_f = 0;
    expect_state(*engine.enqueue(other), JobState::kRejected);  // the queue goes on meanwhile
    expect_error(Code::kNotFound, "no job waits for data", [&] { engine.bind(small_set(3, 7)); });
    const ForgetRequest again = idx_request(copies, "a");
    assert_int_equal(engine.bind(again.forget), 0);  // the retain set is still missing
    assert_int_equal(engine.bind(*again.retain), 1);
    expect_state(*job, JobState::kSucceeded);
  }
}

/// The job "a", when the engine has found out that its data is gone.
std::shared_ptr<Job> awaiting(Engine& engine) {
  const auto job = engine.find("a");
  while (job->status().state != JobState::kAwaitingData) {
    assert_false(ended(job->status().state));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return job;
}

void a_job_that_awaits_data_can_be_cancelled(void**) {
  const TemporaryFolder folder;
  { Engine(trained_model(), paused(options_in(folder))).enqueue(idx_request(folder, "a")); }
  fs::remove(folder / "set.images");
  {
    const auto model = trained_model();
    Engine engine(model, options_in(folder));
    const auto job = awaiting(engine);
    job->cancel();
    expect_state(*job, JobState::kCancelled);
    assert_true(engine.journal().receipt("a").has_value());
    model->rollback_to(nullptr);  // the model counts no task of it, neither one nor minus one
    expect_error(Code::kNotFound, "no job waits for data", [&] { engine.bind(small_set(3, 7)); });
    expect_state(*engine.enqueue(small_request("b", {2})), JobState::kSucceeded);
    assert_true(engine.wait_idle(kLong));
    model->rollback_to(nullptr);
  }
  Engine engine(trained_model(), options_in(folder));
  expect_state(*engine.find("a"), JobState::kCancelled);
}

void a_deadline_passes_while_data_is_awaited(void**) {
  const TemporaryFolder folder;
  std::atomic<int64_t> now{1000};
  EngineOptions options = options_in(folder);
  options.now_ms = [&] { return now.load(); };
  {
    Engine engine(trained_model(), paused(options));
    ForgetRequest request = idx_request(folder, "a");
    request.options.deadline_ms = 5000;
    engine.enqueue(request);
  }
  fs::remove(folder / "set.images");
  Engine engine(trained_model(), options);
  const auto job = awaiting(engine);
  const auto running = engine.enqueue(endless_request("b", {2}));  // nor does it wait for others
  wait_for_step(*running);
  now = 6000;
  expect_state(*job, JobState::kFailed);
  assert_int_equal(static_cast<int>(*job->status().error), static_cast<int>(Code::kLimitExceeded));
  assert_true(job->error_message().find("has passed") != std::string::npos);
  running->cancel();
  expect_state(*running, JobState::kCancelled);
}

void whoever_hears_the_log_may_enqueue(void**) {
  const TemporaryFolder folder, copies;
  { Engine(trained_model(), paused(options_in(folder))).enqueue(idx_request(folder, "a")); }
  idx_set(folder, 10, 99);
  EngineOptions options = options_in(folder);
  options.log = std::make_shared<Log>();
  std::shared_ptr<Job> asked;
  Engine engine(trained_model(), options);
  const auto job = awaiting(engine);
  options.log->set(LogLevel::kInfo, [&](LogLevel, const char*, const char* message) {
    if (std::string(message) == "task a: queued") asked = engine.enqueue(small_request("b", {2}));
  });
  const ForgetRequest again = idx_request(copies, "a");
  assert_int_equal(engine.bind(again.forget), 0);
  assert_null(asked.get());
  assert_int_equal(engine.bind(*again.retain), 1);  // within it the line, and so the other request
  assert_non_null(asked.get());
  expect_state(*job, JobState::kSucceeded);
  expect_state(*asked, JobState::kSucceeded);
  options.log->close();
}

void data_that_is_put_back_is_found_when_the_folder_is_opened(void**) {
  const TemporaryFolder folder;
  { Engine(trained_model(), paused(options_in(folder))).enqueue(idx_request(folder, "a")); }
  fs::rename(folder / "set.images", folder / "away");
  {
    Engine engine(trained_model(), options_in(folder));
    const auto job = engine.find("a");
    while (job->status().state != JobState::kAwaitingData) std::this_thread::yield();
    assert_int_equal(static_cast<int>(*job->status().error), static_cast<int>(Code::kNotFound));
    assert_true(engine.journal().tasks().at(0).message.find("set.images") != std::string::npos);
  }
  fs::rename(folder / "away", folder / "set.images");
  Engine engine(trained_model(), options_in(folder));
  expect_state(*engine.find("a"), JobState::kSucceeded);
}

void the_folder_holds_no_image_of_a_finished_task(void**) {
  const TemporaryFolder folder;
  const Dataset set = small_set(10, 1);
  {
    Engine engine(trained_model(), options_in(folder));
    ForgetRequest request = small_request("a", {1});
    request.forget = set;
    expect_state(*engine.enqueue(request), JobState::kSucceeded);
  }
  // No image, whole or by rows, raw or as floats, in any file that is left.
  const at::Tensor pixels = set.pixels();
  std::set<std::string> needles;
  for (int64_t i = 0; i < set.size(); ++i) {
    const at::Tensor image = pixels[i].contiguous();
    needles.emplace(static_cast<const char*>(image.const_data_ptr()), 16);
    const at::Tensor floats = set.batch(i, i + 1).images.contiguous();
    needles.emplace(static_cast<const char*>(floats.const_data_ptr()), 32);
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder / "engine")) {
    if (!entry.is_regular_file()) continue;
    const std::string bytes = read_file(entry.path(), 1 << 30);
    for (const std::string& needle : needles) {
      assert_true(bytes.find(needle) == std::string::npos);
    }
  }
}

// -------------------------------------------------------------------- what cannot be written

void a_long_request_is_read_again(void**) {
  const TemporaryFolder folder;
  { Engine(trained_model(), paused(options_in(folder))).enqueue(small_request("a", {1})); }
  {
    Database journal(folder / "engine/journal.db", "the journal");
    std::string request;
    {
      Statement row = journal.prepare("SELECT request FROM task");
      assert_true(row.next());
      request = row.text(0);
    }
    // Longer than any text from outside may be, as the ranges of a large selection are.
    request.insert(1, "\"padding\":\"" + std::string(17 << 20, 'x') + "\",");
    journal.prepare("UPDATE task SET request = ?").bind(request).run();
  }
  Engine engine(trained_model(), options_in(folder));
  expect_state(*engine.find("a"), JobState::kSucceeded);
}

void an_end_that_never_can_be_written_fails_its_task_alone(void**) {
  const TemporaryFolder folder;
  { Engine(trained_model(), options_in(folder)); }
  Database(folder / "engine/journal.db", "the journal")
      .run(
          "CREATE TRIGGER never BEFORE UPDATE ON task WHEN NEW.state = 5 AND NEW.request_id = 'a' "
          "BEGIN SELECT RAISE(ABORT, 'it is refused'); END");
  const auto model = trained_model();
  Engine engine(model, options_in(folder));
  const auto job = engine.enqueue(small_request("a", {1}));
  expect_state(*job, JobState::kFailed);
  assert_true(job->error_message().find("it is refused") != std::string::npos);
  assert_true(model->snapshot()->stack.empty());
  assert_int_equal(files_in(folder, "adapters").size(), 0);
  expect_state(*engine.enqueue(small_request("b", {2})), JobState::kSucceeded);
}

void a_seal_counts_although_files_stay(void**) {
  const TemporaryFolder folder;
  at::Tensor sealed;
  {
    const auto model = trained_model();
    Engine engine(model, options_in(folder));
    expect_state(*engine.enqueue(small_request("a", {1})), JobState::kSucceeded);
    fs::remove_all(folder / "engine/data");  // so the folder cannot be cleaned
    model->seal();
    assert_true(model->snapshot()->stack.empty());
    assert_null(engine.find("a")->result().adapter.get());
    assert_true(engine.journal().receipt("seal").has_value());
    sealed = scores(*model, small_images());
  }
  const auto model = trained_model();
  Engine engine(model, options_in(folder));
  assert_true(model->snapshot()->stack.empty());
  assert_true(at::equal(scores(*model, small_images()), sealed));
}

void a_checkpoint_tells_its_own_step(void**) {
  const TemporaryFolder folder;
  Engine engine(trained_model(), options_in(folder));
  ForgetRequest request = endless_request("a", {1});
  request.options.max_steps = 1;
  expect_state(*engine.enqueue(request), JobState::kFailed);
  const TaskRecord task = engine.journal().tasks().at(0);
  assert_int_equal(task.step, 1);
  assert_int_equal(task.total_steps, 1'000'000'000);
}

void a_job_that_comes_after_the_worker_is_interrupted(void**) {
  const auto model = small_live_model();
  EventQueue events(16);
  Log log;
  JobQueue queue(*model, events, log);
  queue.halt({Code::kIo, "the disk is full"});
  queue.halt();  // the reason stays
  queue.interrupt_unfinished();
  const auto job = std::make_shared<Job>(1, "late", "digest");
  assert_false(queue.add({job, {}}));
  expect_error(Code::kIo, "the disk is full", [&] { job->wait(kLong); });
  assert_true(queue.wait_idle(std::chrono::milliseconds(0)));  // it is not counted
  assert_true(queue.find("late") == job);

  JobQueue poor(*model, events, log);
  poor.halt();
  expect_error(Code::kOutOfMemory, "not enough memory", [&] { poor.require_open(); });
}

// ---------------------------------------------------------------------------------- refusals

void a_folder_serves_one_engine(void**) {
  const TemporaryFolder folder;
  Engine engine(trained_model(), options_in(folder));
  expect_error(Code::kBusy, lethe::str("process ", getpid()),
               [&] { Engine(trained_model(), options_in(folder)); });
  assert_true(engine.close(kLong));
  Engine next(trained_model(), options_in(folder));  // closing gave it free
}

void another_process_is_named(void**) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "engine");
  int ready[2], done[2];
  assert_int_equal(pipe(ready) | pipe(done), 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    const FolderLock lock(folder / "engine");
    (void)!write(ready[1], &byte, 1);
    (void)!read(done[0], &byte, 1);
    _exit(0);
  }
  char byte = 0;
  assert_int_equal(read(ready[0], &byte, 1), 1);
  expect_error(Code::kBusy, lethe::str("process ", child),
               [&] { Engine(trained_model(), options_in(folder)); });
  assert_int_equal(*FolderLock::holder(folder / "engine"), child);
  assert_int_equal(write(done[1], &byte, 1), 1);
  waitpid(child, nullptr, 0);
  assert_false(FolderLock::holder(folder / "engine").has_value());
  Engine engine(trained_model(), options_in(folder));  // its death gave the folder free
}

void a_folder_belongs_to_its_base_and_adapters(void**) {
  const TemporaryFolder folder;
  {
    Engine engine(trained_model(), options_in(folder));
    expect_state(*engine.enqueue(small_request("a", {1})), JobState::kSucceeded);
  }
  expect_error(Code::kBaseMismatch, "load the weights that the folder was made with",
               [&] { Engine(small_live_model(), options_in(folder)); });
  const auto model = trained_model();
  {
    Engine engine(model, small_options());
    expect_state(*engine.enqueue(small_request("other", {2})), JobState::kSucceeded);
  }
  expect_error(Code::kState, "the model carries 1 adapters",
               [&] { Engine(model, options_in(folder)); });
  Engine engine(trained_model(), options_in(folder));  // nothing of that harmed it
  assert_int_equal(engine.jobs().size(), 1);
}

void a_model_brings_its_adapters_into_a_new_folder(void**) {
  const TemporaryFolder folder;
  const auto model = trained_model();
  {
    Engine engine(model, small_options());
    expect_state(*engine.enqueue(small_request("a", {1})), JobState::kSucceeded);
  }
  const at::Tensor expected = scores(*model, small_images());
  { Engine(model, options_in(folder)); }
  { Engine(model, options_in(folder)); }  // it carries what the folder keeps
  const auto again = trained_model();
  Engine engine(again, options_in(folder));
  assert_true(at::equal(scores(*again, small_images()), expected));
}

void damaged_and_foreign_journals_are_refused(void**) {
  const auto open = [](const TemporaryFolder& folder) {
    return [&folder] { Engine(trained_model(), options_in(folder)); };
  };
  const auto made = [&](const TemporaryFolder& folder) {
    Engine engine(trained_model(), options_in(folder));
    expect_state(*engine.enqueue(small_request("a", {1}, 5)), JobState::kSucceeded);
  };
  {
    const TemporaryFolder folder;
    made(folder);
    write_file_atomically(folder / "engine/journal.db", {std::string(4096, 'x')});
    expect_error(Code::kCorrupt, "the journal", open(folder));
  }
  {
    const TemporaryFolder folder;
    made(folder);
    fs::resize_file(folder / "engine/journal.db", 0);
    expect_error(Code::kCorrupt, "its journal is empty", open(folder));
  }
  {
    const TemporaryFolder folder;
    made(folder);
    std::string bytes = read_file(folder / "engine/journal.db", 1 << 30);
    std::fill(bytes.begin() + 4096, bytes.begin() + 8192, '\xff');  // the first table's page
    write_file_atomically(folder / "engine/journal.db", {bytes});
    expect_error(Code::kCorrupt, "the journal", open(folder));
  }
  {
    const TemporaryFolder folder;
    fs::create_directory(folder / "engine");
    Database(folder / "engine/journal.db", "another").run("CREATE TABLE cats (name TEXT)");
    expect_error(Code::kCorrupt, "another program", open(folder));
  }
  {
    const TemporaryFolder folder;
    made(folder);
    Database(folder / "engine/journal.db", "newer").run("PRAGMA user_version = 99");
    expect_error(Code::kVersion, "schema 99", open(folder));
    Database(folder / "engine/journal.db", "none").run("PRAGMA user_version = -7");
    expect_error(Code::kCorrupt, "schema -7", open(folder));
  }
  {
    const TemporaryFolder folder;
    made(folder);
    fs::remove_all(folder / "engine/adapters");
    expect_error(Code::kCorrupt, "restore the folder from a backup", open(folder));
  }
  {
    const TemporaryFolder folder;
    expect_error(Code::kIo, "its parent", [&] {
      EngineOptions options = small_options();
      options.folder = folder / "no/such";
      Engine(trained_model(), options);
    });
  }
}

// ------------------------------------------------------------------------------- scheduling

void priority_then_deadline_then_arrival(void**) {
  Engine engine(trained_model(), paused(small_options()));
  const auto queue = [&](const char* id, int64_t c, int32_t priority, int64_t deadline_ms) {
    ForgetRequest request = small_request(id, {c}, 1);
    request.options = {priority, deadline_ms, 0, 0};
    return engine.enqueue(request)->id();
  };
  const int64_t far = 4'000'000'000'000;
  assert_int_equal(queue("last", 0, -5, 0), 1);
  assert_int_equal(queue("later deadline", 1, 0, far + 1), 2);
  assert_int_equal(queue("deadline", 2, 0, far), 3);
  engine.resume();
  assert_true(engine.wait_idle(kLong));
  std::string order;
  for (const Event& event : drain(engine)) {
    if (!event.progress_only && event.state == JobState::kRunning) {
      order += lethe::str(event.job_id, ' ');
    }
  }
  assert_string_equal(order.c_str(), "3 2 1 ");
}

void budgets_and_deadlines_end_a_task(void**) {
  const auto model = trained_model();
  const at::Tensor before = scores(*model, small_images());
  std::atomic<int64_t> now{1000};
  EngineOptions options = small_options();
  options.now_ms = [&] { return now.load(); };
  Engine engine(model, options);
  const auto expect_limit = [](const Job& job, const char* part) {
    expect_state(job, JobState::kFailed);
    assert_int_equal(static_cast<int>(*job.status().error), static_cast<int>(Code::kLimitExceeded));
    if (job.error_message().find(part) == std::string::npos) {
      fail_msg("%s", job.error_message().c_str());
    }
  };
  ForgetRequest request = endless_request("steps", {1});
  request.options.max_steps = 7;
  auto job = engine.enqueue(request);
  expect_limit(*job, "may take 7 steps");
  assert_int_equal(job->status().progress.step, 7);

  request = endless_request("seconds", {1});
  request.options.max_seconds = 0.05;
  expect_limit(*engine.enqueue(request), "the time of 0.05 seconds was over");

  request = endless_request("deadline", {1});
  request.options.deadline_ms = 2000;
  job = engine.enqueue(request);
  ForgetRequest behind = small_request("behind it", {2}, 1);
  behind.options.deadline_ms = 2500;
  const auto waiting = engine.enqueue(behind);
  wait_for_step(*job);
  now = 500;  // a clock that goes back harms nothing
  now = 3000;
  expect_limit(*job, "the deadline 1970-01-01T00:00:02Z has passed");
  expect_limit(*waiting, "the deadline 1970-01-01T00:00:02Z has passed");

  request = small_request("enough", {1}, 5);
  request.options = {0, 9000, 1000, 5};
  expect_state(*engine.enqueue(request), JobState::kSucceeded);
  const std::string* none = nullptr;
  model->rollback_to(none);
  assert_true(at::equal(scores(*model, small_images()), before));

  for (const TaskOptions& bad : {TaskOptions{1001, 0, 0, 0}, TaskOptions{0, -1, 0, 0},
                                 TaskOptions{0, 0, -1, 0}, TaskOptions{0, 0, 0, -1}}) {
    request.options = bad;
    request.request_id = "bad";
    expect_error(Code::kInvalidArgument, "allowed", [&] { engine.enqueue(request); });
  }
}

void a_paused_engine_waits_and_still_cancels(void**) {
  Engine engine(trained_model(), small_options());
  const auto job = engine.enqueue(endless_request("a", {1}));
  const auto queued = engine.enqueue(small_request("b", {2}, 5));
  wait_for_step(*job);
  engine.pause();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const int64_t step = job->status().progress.step;
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  assert_int_equal(job->status().progress.step, step);
  const auto other = engine.enqueue(small_request("c", {3}, 5));
  other->cancel();
  expect_state(*other, JobState::kCancelled);  // while paused
  engine.resume();
  while (job->status().progress.step == step) std::this_thread::yield();
  engine.pause();
  job->cancel();
  expect_state(*job, JobState::kCancelled);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  assert_int_equal(static_cast<int>(queued->status().state), static_cast<int>(JobState::kQueued));
  engine.resume();
  expect_state(*queued, JobState::kSucceeded);
}

void what_was_cancelled_does_not_run_later(void**) {
  const TemporaryFolder folder;
  std::shared_ptr<Job> job;
  {
    Engine engine(trained_model(), paused(options_in(folder)));
    job = engine.enqueue(small_request("a", {1}));
    job->cancel();
  }
  assert_int_equal(static_cast<int>(job->status().state), static_cast<int>(JobState::kCancelled));
  Engine engine(trained_model(), options_in(folder));
  expect_state(*engine.find("a"), JobState::kCancelled);
}

// --------------------------------------------------------------------------------- receipts

std::string lines_of(const Engine& engine) {
  std::string lines;
  for (const std::string& line : engine.journal().receipts()) lines += line + '\n';
  return lines;
}

void every_end_has_a_receipt(void**) {
  const TemporaryFolder folder;
  PublicKey key;
  std::string lines;
  {
    Engine engine(trained_model(), options_in(folder));
    const auto job = engine.enqueue(small_request("good", {1}));
    expect_state(*job, JobState::kSucceeded);
    ForgetRequest strict = small_request("rejected", {2}, 1);
    strict.config.gate_max_acc_f = 0;
    expect_state(*engine.enqueue(strict), JobState::kRejected);
    const auto cancelled = engine.enqueue(endless_request("cancelled", {2}));
    wait_for_step(*cancelled);
    cancelled->cancel();
    expect_state(*cancelled, JobState::kCancelled);

    const Json receipt = Json::parse(*engine.journal().receipt("good")).at("receipt");
    assert_string_equal(receipt.at("adapter").get<std::string>().c_str(),
                        job->result().adapter->id().c_str());
    assert_string_equal(receipt.at("outcome").get<std::string>().c_str(), "succeeded");
    assert_string_equal(receipt.at("mode").get<std::string>().c_str(), "reversible");
    assert_string_equal(receipt.at("created").get<std::string>().c_str(), "2027-01-15T08:00:00Z");
    assert_true(receipt.at("figures").at("acc_f") == job->result().report->metrics.at("acc_f"));
    assert_true(receipt.at("figures").contains("acc_r_before"));
    assert_true(receipt.at("data").at("forget") == small_set(10, 1).content_digest());
    assert_true(receipt.at("settings") == small_request("good", {1}).config.identity());
    const Json other = Json::parse(*engine.journal().receipt("rejected")).at("receipt");
    assert_string_equal(other.at("code").get<std::string>().c_str(), "REJECTED");
    assert_true(other.at("figures").contains("acc_f"));
    assert_true(other.at("adapter").is_null());
  }
  {
    const auto model = trained_model();
    Engine engine(model, options_in(folder));  // the chain goes on, with the same key
    expect_state(*engine.enqueue(small_request("more", {3}, 5)), JobState::kSucceeded);
    model->rollback_to(nullptr);
    key = engine.public_key();
    lines = lines_of(engine);
  }
  const ChainFindings found = verify_receipts(lines, key);
  assert_int_equal(found.good, 4);
  assert_false(found.first_break.has_value());
  const auto mode = fs::status(folder / "engine/receipt.key").permissions();
  assert_int_equal(static_cast<int>(mode), 0600);
}

void verification_names_the_first_break(void**) {
  EngineOptions options = small_options();
  SigningKey::Seed seed{};
  seed[0] = 7;
  options.signing_seed = seed;
  Engine engine(trained_model(), options);
  for (const int64_t c : {1, 2, 3}) {
    expect_state(*engine.enqueue(small_request(lethe::str("r", c), {c}, 3)), JobState::kSucceeded);
  }
  const std::vector<std::string> good = engine.journal().receipts();
  const PublicKey key = SigningKey(seed).public_key();
  const auto check = [&](const std::vector<std::string>& chain, int64_t broken, const char* reason,
                         const std::optional<PublicKey>& expected) {
    std::string lines;
    for (const std::string& line : chain) lines += line + '\n';
    const ChainFindings found = verify_receipts(lines, expected);
    if (broken == 0) {
      assert_false(found.first_break.has_value());
      return;
    }
    assert_true(found.first_break.has_value());
    assert_int_equal(found.first_break->line, broken);
    assert_int_equal(found.good, broken - 1);
    if (found.first_break->reason.find(reason) == std::string::npos) {
      fail_msg("%s", found.first_break->reason.c_str());
    }
  };
  const auto with_change = [&](size_t i, const std::string& from, const std::string& to) {
    std::vector<std::string> chain = good;
    const size_t at = chain[i].find(from);
    assert_true(at != std::string::npos);
    chain[i].replace(at, from.size(), to);
    return chain;
  };
  check(good, 0, "", key);
  check(good, 0, "", std::nullopt);
  check({}, 0, "", key);
  check(with_change(1, "\"classes\":[2]", "\"classes\":[0]"), 2, "signature does not fit", key);
  check(with_change(1, "\"classes\"", " \"classes\""), 2, "canonical", key);
  check(with_change(2, "\"signature\":\"", "\"signature\":\"zz"), 3, "hexadecimal", key);
  check({good[0], good[2]}, 2, "number is 3", key);
  check({good[1]}, 1, "number is 2", key);
  check({good[0], good[1], "x"}, 3, "", key);
  for (const Json& other : {Json(5), Json(), Json::array({1})}) {
    Json line = Json::parse(good[0]);
    line["receipt"] = other;
    check({line.dump()}, 1, "\"receipt\" is not an object", key);
  }
  SigningKey::Seed other = seed;
  other[0] = 8;
  check(good, 1, "another key", SigningKey(other).public_key());
  // Signed anew from the second on, it does not follow the first any more.
  Json forged = Json::parse(good[1]).at("receipt");
  const std::string line = sign_receipt(forged, 2, hex(Digest{}), SigningKey(seed));
  check({good[0], line}, 2, "does not follow", key);
  std::string cut = good[0];
  assert_int_equal(verify_receipts(cut, key).first_break->line, 1);
  assert_true(verify_receipts(cut, key).first_break->reason.find("cut off") != std::string::npos);
}

void a_folder_can_be_looked_at_from_outside(void**) {
  const TemporaryFolder folder;
  expect_error(Code::kNotFound, "holds no journal", [&] { describe_folder(folder.path()); });
  Engine engine(trained_model(), options_in(folder));
  expect_state(*engine.enqueue(small_request("a", {1})), JobState::kSucceeded);
  const auto running = engine.enqueue(endless_request("b", {2}));
  wait_for_step(*running);
  const Json info = describe_folder(folder / "engine");
  assert_int_equal(info.at("holder_pid").get<pid_t>(), getpid());
  assert_int_equal(info.at("jobs").size(), 2);
  assert_true(info.at("jobs")[0].at("state") == "succeeded");
  assert_true(info.at("jobs")[0].at("metrics").contains("acc_f"));
  assert_true(info.at("jobs")[1].at("state") == "running");
  assert_true(info.at("jobs")[1].at("classes") == Json::array({2}));
  assert_true(info.at("adapters")[0].at("request_id") == "a");
  assert_int_equal(info.at("receipts").get<int>(), 1);
  assert_true(receipts_of_folder(folder / "engine") == lines_of(engine));
  // Looking did not let go of the folder.
  expect_error(Code::kBusy, "in use", [&] { Engine(trained_model(), options_in(folder)); });
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest going_on[] = {
      cmocka_unit_test(queued_tasks_outlive_the_engine),
      cmocka_unit_test(a_running_task_goes_on_from_its_checkpoint),
      cmocka_unit_test(a_checkpoint_of_another_state_is_not_used),
      cmocka_unit_test(the_model_gets_its_stack_back),
      cmocka_unit_test(jobs_of_earlier_runs_are_remembered),
      cmocka_unit_test(pretrained_weights_are_kept),
      cmocka_unit_test(an_interrupted_pretraining_goes_on),
  };
  const CMUnitTest data[] = {
      cmocka_unit_test(data_in_files_is_read_again),
      cmocka_unit_test(arrays_are_kept_until_the_task_ends),
      cmocka_unit_test(changed_data_is_refused_and_may_be_given_again),
      cmocka_unit_test(a_job_that_awaits_data_can_be_cancelled),
      cmocka_unit_test(a_deadline_passes_while_data_is_awaited),
      cmocka_unit_test(whoever_hears_the_log_may_enqueue),
      cmocka_unit_test(data_that_is_put_back_is_found_when_the_folder_is_opened),
      cmocka_unit_test(the_folder_holds_no_image_of_a_finished_task),
  };
  const CMUnitTest writing[] = {
      cmocka_unit_test(a_long_request_is_read_again),
      cmocka_unit_test(an_end_that_never_can_be_written_fails_its_task_alone),
      cmocka_unit_test(a_seal_counts_although_files_stay),
      cmocka_unit_test(a_checkpoint_tells_its_own_step),
      cmocka_unit_test(a_job_that_comes_after_the_worker_is_interrupted),
  };
  const CMUnitTest refusals[] = {
      cmocka_unit_test(a_folder_serves_one_engine),
      cmocka_unit_test(another_process_is_named),
      cmocka_unit_test(a_folder_belongs_to_its_base_and_adapters),
      cmocka_unit_test(a_model_brings_its_adapters_into_a_new_folder),
      cmocka_unit_test(damaged_and_foreign_journals_are_refused),
  };
  const CMUnitTest scheduling[] = {
      cmocka_unit_test(priority_then_deadline_then_arrival),
      cmocka_unit_test(budgets_and_deadlines_end_a_task),
      cmocka_unit_test(a_paused_engine_waits_and_still_cancels),
      cmocka_unit_test(what_was_cancelled_does_not_run_later),
  };
  const CMUnitTest receipts[] = {
      cmocka_unit_test(every_end_has_a_receipt),
      cmocka_unit_test(verification_names_the_first_break),
      cmocka_unit_test(a_folder_can_be_looked_at_from_outside),
  };
  return cmocka_run_group_tests(going_on, nullptr, nullptr) +
         cmocka_run_group_tests(data, nullptr, nullptr) +
         cmocka_run_group_tests(writing, nullptr, nullptr) +
         cmocka_run_group_tests(refusals, nullptr, nullptr) +
         cmocka_run_group_tests(scheduling, nullptr, nullptr) +
         cmocka_run_group_tests(receipts, nullptr, nullptr);
}
