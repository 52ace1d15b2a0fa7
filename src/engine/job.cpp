#include "engine/job.h"

namespace lethe {

JobEnd cancelled_end(const Progress& progress) {
  const std::string when = progress.step == 0
                               ? "before its first step"
                               : str("after step ", progress.step, " of ", progress.total_steps);
  return {JobState::kCancelled,
          {},
          Code::kCancelled,
          "the task was cancelled " + when + "; the model is as before"};
}

const char* name_of(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "queued";
    case JobState::kAwaitingData:
      return "awaiting data";
    case JobState::kRunning:
      return "running";
    case JobState::kCommitting:
      return "committing";
    case JobState::kSucceeded:
      return "succeeded";
    case JobState::kRejected:
      return "rejected";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

Job::Job(int64_t id, std::string request_id, std::string request_digest, TaskOptions options)
    : id_(id),
      request_id_(std::move(request_id)),
      request_digest_(std::move(request_digest)),
      options_(options) {}

std::shared_ptr<Job> Job::recalled(int64_t id, std::string request_id, std::string request_digest,
                                   JobEnd end, std::function<JobResult()> recall) {
  auto job = std::make_shared<Job>(id, std::move(request_id), std::move(request_digest));
  job->finish(std::move(end));
  job->recall_ = std::move(recall);
  return job;
}

Job::Status Job::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

const std::string& Job::error_message() const {
  static const std::string kNone;
  const std::lock_guard lock(mutex_);
  return ended(status_.state) ? message_ : kNone;
}

JobResult Job::result() const {
  if (recall_) return recall_();
  const std::lock_guard lock(mutex_);
  return result_;
}

bool Job::wait(Timeout timeout) const {
  std::unique_lock lock(mutex_);
  const auto over = [this] { return ended(status_.state) || interrupted_; };
  if (!wait_until_ready(ended_, lock, timeout, over)) return false;
  if (!ended(status_.state)) throw Error(interrupted_->code, interrupted_->message);
  return true;
}

void Job::set_state(JobState state) {
  const std::lock_guard lock(mutex_);
  status_.state = state;
  status_.error.reset();
}

void Job::await_data(Code reason) {
  const std::lock_guard lock(mutex_);
  status_.state = JobState::kAwaitingData;
  status_.error = reason;
}

void Job::drop_adapter() {
  const std::lock_guard lock(mutex_);
  result_.adapter.reset();
}

void Job::interrupt(std::shared_ptr<const Failure> reason) noexcept {
  const std::lock_guard lock(mutex_);
  interrupted_ = std::move(reason);
  ended_.notify_all();
}

void Job::set_progress(const Progress& progress) {
  const std::lock_guard lock(mutex_);
  status_.progress = progress;
}

void Job::finish(JobEnd end) {
  const std::lock_guard lock(mutex_);
  message_ = std::move(end.message);
  result_ = std::move(end.result);
  status_.error = end.error;
  status_.state = end.state;
  ended_.notify_all();
}

}  // namespace lethe
