#include "engine/worker.h"

#include <chrono>

#include "engine/failure.h"
#include "engine/pretrain_job.h"
#include "engine/records.h"
#include "support/threads.h"
#include "support/warnings.h"

namespace lethe {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The journal, or a file that it is to name, cannot be written.
struct Halted {
  std::exception_ptr cause;
};

/// Whether the same may succeed when it is tried again: disk, lock or memory are wanting.
bool may_pass(const std::exception_ptr& exception) noexcept {
  try {
    const Code code = describe_failure(exception).code;
    return code == Code::kIo || code == Code::kBusy || code == Code::kOutOfMemory;
  } catch (...) {
    return true;
  }
}

/// Throws Halted for what may pass, and anything else as it is.
template <typename Body>
void or_halt(const Body& body) {
  try {
    body();
  } catch (...) {
    const auto exception = std::current_exception();
    if (may_pass(exception)) throw Halted{exception};
    throw;
  }
}

/// How a job ends that threw.
JobEnd failed_end(const Job& job, const std::exception_ptr& exception) {
  Failure failure = describe_failure(exception);
  if (failure.code == Code::kCancelled) return cancelled_end(job.status().progress);
  return {JobState::kFailed, {}, failure.code, std::move(failure.message)};
}

std::string deadline_message(const TaskOptions& options) {
  return lethe::str("the deadline ", utc_text(options.deadline_ms),
                    " has passed; the model is as before. Ask again with a later one");
}

void check_deadline(const TaskOptions& options, int64_t now_ms) {
  const bool passed = options.deadline_ms > 0 && now_ms >= options.deadline_ms;
  if (passed) throw Error(Code::kLimitExceeded, deadline_message(options));
}

/// How a job ends that is overdue (see QueuedTask).
JobEnd overdue_end(const Job& job) {
  if (job.cancel_requested()) return cancelled_end({});
  return {JobState::kFailed, {}, Code::kLimitExceeded, deadline_message(job.options())};
}

/// `seconds`: of running, all restarts together.
void check_budget(const TaskOptions& options, const Progress& progress, double seconds) {
  const bool last = progress.step == progress.total_steps;
  require(last || options.max_steps == 0 || progress.step < options.max_steps, Code::kLimitExceeded,
          "the task may take ", options.max_steps, " steps and needs ", progress.total_steps,
          "; the model is as before. Allow more, or set fewer epochs");
  require(last || options.max_seconds == 0 || seconds < options.max_seconds, Code::kLimitExceeded,
          "the time of ", options.max_seconds, " seconds was over after step ", progress.step,
          " of ", progress.total_steps, "; the model is as before. Allow more");
}

Json report_json(const JobEnd& end) {
  return end.result.report ? end.result.report->json : Json::object();
}

}  // namespace

void Worker::run() noexcept {
  try {
    work();
  } catch (const Halted& halted) {
    stop(halted.cause);
  } catch (...) {
    stop(std::current_exception());
  }
  queue_.interrupt_unfinished();
  model_.release();
  archive_.close();
  queue_.worker_ended();
}

void Worker::work() {
  const ThreadBudget budget(settings_.threads);
  const TorchWarnings warnings(&log_);
  while (auto task = queue_.take(settings_.now_ms)) {
    if (task->overdue) {
      conclude(*task->job, overdue_end(*task->job));
    } else {
      perform(std::move(*task));
    }
  }
}

void Worker::stop(const std::exception_ptr& cause) noexcept {
  try {
    const Failure reason = describe_failure(cause);
    queue_.halt(reason);
    log_.write(LogLevel::kError, "engine",
               "the engine stops, its journal cannot be written: ", reason.message);
  } catch (...) {  // there is no memory to say why
    queue_.halt();
  }
}

void Worker::perform(QueuedTask task) {
  Job& job = *task.job;
  Outcome outcome;
  try {
    if (job.cancel_requested()) {
      outcome.end = cancelled_end({});
    } else {
      check_deadline(job.options(), settings_.now_ms());
      enter(job, JobState::kRunning);
      if (!task.request) {
        task.request = read_request(archive_.journal().task(job.id()), archive_);
      }
      outcome =
          std::visit([&](const auto& request) { return perform(job, request); }, *task.request);
    }
  } catch (const Halted&) {
    throw;
  } catch (const DataMissing& missing) {
    or_halt([&] { archive_.journal().await_data(job.id(), missing.code(), missing.what()); });
    queue_.await_data(task.job, {missing.code(), missing.what()});
    return;
  } catch (...) {
    outcome.end = failed_end(job, std::current_exception());
    if (queue_.keeping() && outcome.end.state == JobState::kCancelled && !job.cancel_requested()) {
      keep_for_later(job);
      return;
    }
  }
  if (outcome.recorded) {
    show_end(job, std::move(outcome.end));
  } else {
    conclude(job, std::move(outcome.end));
  }
}

template <typename Data>
Worker::Outcome Worker::perform(Job& job, const ForgetRequestOn<Data>& request) {
  const auto snapshot = model_.snapshot();
  ForgetOutcome outcome = run_forgetting(
      request, *snapshot, context_for(job, request.config.progress_interval, *snapshot));
  if (!outcome.adapter) {
    return {{JobState::kRejected, {nullptr, outcome.report}, Code::kRejected, outcome.rejection}};
  }
  enter(job, JobState::kCommitting);
  JobEnd end{JobState::kSucceeded, {outcome.adapter, outcome.report}, {}, {}};
  model_.publish(outcome.adapter, [&](const Snapshot& next, Change) {
    const auto keeping = archive_.keeping();
    or_halt([&] { archive_.keep(*outcome.adapter); });
    const ModelRecord model = describe_model(next);
    record_end(job, end, next, &model);
  });
  return {std::move(end), /*recorded=*/true};
}

template <typename Data>
Worker::Outcome Worker::perform(Job& job, const PretrainRequestOn<Data>& request) {
  const auto snapshot = model_.snapshot();
  PretrainOutcome outcome = run_pretraining(
      request, *snapshot, context_for(job, request.config.progress_interval, *snapshot));
  enter(job, JobState::kCommitting);
  JobEnd end{JobState::kSucceeded, {nullptr, outcome.report}, {}, {}};
  model_.replace_base(std::move(outcome.weights), [&](const Snapshot& next, Change) {
    const auto keeping = archive_.keeping();
    or_halt([&] { archive_.keep(*next.base); });
    const ModelRecord model = describe_model(next);
    record_end(job, end, next, &model);
  });
  return {std::move(end), /*recorded=*/true};
}

void Worker::keep_for_later(Job& job) {
  enter(job, JobState::kQueued);
  const Progress progress = job.status().progress;
  log_.write(LogLevel::kInfo, "engine", "task ", job.request_id(), ": stopped after step ",
             progress.step, " of ", progress.total_steps, "; it is kept");
}

void Worker::end_overdue() {
  while (const auto task = queue_.take_overdue(settings_.now_ms())) {
    conclude(*task->job, overdue_end(*task->job));
  }
}

void Worker::conclude(Job& job, JobEnd end) {
  try {
    record_end(job, end, *model_.snapshot(), nullptr);
    show_end(job, std::move(end));
  } catch (const Halted&) {
    throw;
  } catch (...) {
    throw Halted{std::current_exception()};
  }
}

void Worker::show_end(Job& job, JobEnd end) {
  try {
    archive_.clean();
  } catch (...) {  // what is left over goes with the next task, or when the folder is opened
    log_.write(
        LogLevel::kWarning, "engine", "task ", job.request_id(),
        ": its files are not removed yet: ", describe_failure(std::current_exception()).message);
  }
  queue_.finish(job, std::move(end));
}

void Worker::enter(Job& job, JobState state) {
  or_halt([&] { archive_.journal().enter(job.id(), state, settings_.now_ms()); });
  queue_.enter(job, state);
}

void Worker::record_end(const Job& job, const JobEnd& end, const Snapshot& snapshot,
                        const ModelRecord* model) {
  or_halt([&] {
    Journal& journal = archive_.journal();
    const Json report = report_json(end);
    Journal::End record{end.state, end.error, end.message, {}, {}, settings_.now_ms()};
    if (end.result.report) record.report = report.dump();
    if (end.result.adapter) record.adapter_id = end.result.adapter->id();
    const Json receipt =
        describe_end(journal.task(job.id()), record, snapshot, report, settings_.threads);
    journal.finish(
        job.id(), record,
        [&](int64_t number, const std::string& previous) {
          return sign_receipt(receipt, number, previous, archive_.key());
        },
        model);
  });
}

Checkpoints Worker::checkpoints_for(Job& job, const Snapshot& snapshot, const TaskRecord& task) {
  Checkpoints checkpoints;
  if (!archive_.durable()) return checkpoints;
  const Json facts = {{"request", job.request_digest()},
                      {"state", hex(state_fingerprint(*snapshot.base, snapshot.stack))},
                      {"lethe", library_version()}};
  checkpoints.resume = archive_.saved(job.id(), facts);
  const auto saved_at = std::make_shared<Clock::time_point>(Clock::now());
  checkpoints.due = [this, saved_at] {
    return queue_.keeping() || queue_.paused() ||
           seconds_since(*saved_at) >= settings_.checkpoint_seconds;
  };
  const double seconds_before = task.seconds;
  checkpoints.save = [this, &job, facts, saved_at, seconds_before,
                      began = Clock::now()](const TrainingState& state) {
    *saved_at = Clock::now();
    try {
      archive_.save(job.id(), state, facts);
      // Not of the job: that hears of the step afterwards.
      const Json& progress = state.values().at("progress");
      archive_.journal().checkpoint(job.id(), progress.at("step"), progress.at("total_steps"),
                                    seconds_before + seconds_since(began));
    } catch (...) {
      log_.write(LogLevel::kWarning, "engine", "task ", job.request_id(),
                 ": no checkpoint: ", describe_failure(std::current_exception()).message);
    }
  };
  return checkpoints;
}

RunContext Worker::context_for(Job& job, int32_t progress_interval, const Snapshot& snapshot) {
  const TaskRecord task = archive_.journal().task(job.id());
  const auto began = Clock::now();
  const auto go_on = [this, &job] {
    end_overdue();
    check_deadline(job.options(), settings_.now_ms());
    return !job.cancel_requested() && !queue_.keeping();
  };
  const auto observe = [this, &job, began, progress_interval, go_on,
                        seconds_before = task.seconds](Progress progress) {
    progress.seconds = seconds_before + seconds_since(began);
    job.set_progress(progress);
    if (progress.step % progress_interval == 0 || progress.step == progress.total_steps) {
      events_.push({true, job.id(), JobState::kRunning, progress});
    }
    check_budget(job.options(), progress, progress.seconds);
    queue_.wait_while_paused(job, [this] { end_overdue(); });
    return go_on();
  };
  return {job.request_id(),
          job.request_digest(),
          utc_text(task.created_ms),
          settings_.threads,
          scores_,
          observe,
          [go_on] { return !go_on(); },
          checkpoints_for(job, snapshot, task)};
}

}  // namespace lethe
