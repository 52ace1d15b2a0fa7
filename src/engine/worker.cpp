#include "engine/worker.h"

#include <chrono>

#include "engine/failure.h"
#include "engine/pretrain_job.h"
#include "support/threads.h"
#include "support/warnings.h"

namespace lethe {
namespace {

/// How a job ends that threw.
JobEnd failed_end(const Job& job, const std::exception_ptr& exception) {
  Failure failure = describe_failure(exception);
  if (failure.code == Code::kCancelled) return cancelled_end(job.status().progress);
  return {JobState::kFailed, {}, failure.code, std::move(failure.message)};
}

}  // namespace

void Worker::run() {
  const ThreadBudget budget(threads_);
  const TorchWarnings warnings(&log_);
  while (auto task = queue_.take()) {
    try {
      perform(*task);
    } catch (...) {
      // Only telling of the end can fail here, for want of memory; the next job may fare better.
    }
  }
  model_.release();
  queue_.worker_ended();
}

void Worker::perform(const QueuedTask& task) {
  Job& job = *task.job;
  if (job.cancel_requested()) {
    queue_.finish(job, cancelled_end({}));
    return;
  }
  JobEnd end;
  try {
    queue_.enter(job, JobState::kRunning);
    end = std::visit([&](const auto& request) { return perform(job, request); }, task.request);
  } catch (...) {
    end = failed_end(job, std::current_exception());
  }
  queue_.finish(job, std::move(end));
}

JobEnd Worker::perform(Job& job, const ForgetRequest& request) {
  const auto snapshot = model_.snapshot();
  ForgetOutcome outcome =
      run_forgetting(request, *snapshot, context_for(job, request.config.progress_interval));
  if (!outcome.adapter) {
    return {JobState::kRejected, {nullptr, outcome.report}, Code::kRejected, outcome.rejection};
  }
  queue_.enter(job, JobState::kCommitting);
  model_.publish(outcome.adapter);
  return {JobState::kSucceeded, {outcome.adapter, outcome.report}, {}, {}};
}

JobEnd Worker::perform(Job& job, const PretrainRequest& request) {
  const auto snapshot = model_.snapshot();
  PretrainOutcome outcome =
      run_pretraining(request, *snapshot, context_for(job, request.config.progress_interval));
  queue_.enter(job, JobState::kCommitting);
  model_.replace_base(std::move(outcome.weights));
  return {JobState::kSucceeded, {nullptr, outcome.report}, {}, {}};
}

RunContext Worker::context_for(Job& job, int32_t progress_interval) {
  const auto began = std::chrono::steady_clock::now();
  const auto go_on = [this, &job] {
    queue_.end_cancelled();
    return !job.cancel_requested();
  };
  const auto observe = [this, &job, began, progress_interval, go_on](Progress progress) {
    const auto elapsed = std::chrono::steady_clock::now() - began;
    progress.seconds = std::chrono::duration<double>(elapsed).count();
    job.set_progress(progress);
    if (progress.step % progress_interval == 0 || progress.step == progress.total_steps) {
      events_.push({true, job.id(), JobState::kRunning, progress});
    }
    return go_on();
  };
  return {job.request_id(), job.request_digest(),        threads_, accuracies_,
          observe,          [go_on] { return !go_on(); }, {}};
}

}  // namespace lethe
