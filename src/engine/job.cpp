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

Job::Job(int64_t id, std::string request_id, std::string request_digest)
    : id_(id), request_id_(std::move(request_id)), request_digest_(std::move(request_digest)) {}

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
  const std::lock_guard lock(mutex_);
  return result_;
}

bool Job::wait(Timeout timeout) const {
  std::unique_lock lock(mutex_);
  return wait_until_ready(ended_, lock, timeout, [this] { return ended(status_.state); });
}

void Job::set_state(JobState state) {
  const std::lock_guard lock(mutex_);
  status_.state = state;
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
