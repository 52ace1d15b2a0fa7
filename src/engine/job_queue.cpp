#include "engine/job_queue.h"

#include <algorithm>

#include "support/error.h"

namespace lethe {
namespace {

const char* name_of(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return "queued";
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

}  // namespace

std::shared_ptr<Job> JobQueue::repeated(const std::string& request_id,
                                        const std::string& digest) const {
  const auto found = by_id_.find(request_id);
  if (found == by_id_.end()) return nullptr;
  require(found->second->request_digest() == digest, Code::kExists, "the request id ",
          in_quotes(request_id), " belongs to another request; choose a new one");
  return found->second;
}

std::shared_ptr<Job> JobQueue::find_repeated(const std::string& request_id,
                                             const std::string& digest) const {
  const std::lock_guard lock(mutex_);
  return repeated(request_id, digest);
}

std::string JobQueue::free_id(const std::vector<std::string>& taken) const {
  for (size_t n = jobs_.size() + 1;; ++n) {
    const std::string id = "task-" + std::to_string(n);
    if (!by_id_.contains(id) && std::find(taken.begin(), taken.end(), id) == taken.end()) return id;
  }
}

JobQueue::Added JobQueue::add(Request request, std::string request_id, const std::string& digest,
                              const std::vector<std::string>& taken) {
  const std::lock_guard lock(mutex_);
  if (const auto job = repeated(request_id, digest)) return {job, false};
  require(!closed_, Code::kState, "the engine is closed; create another one for new tasks");
  if (request_id.empty()) request_id = free_id(taken);
  const auto job =
      std::make_shared<Job>(static_cast<int64_t>(jobs_.size()) + 1, request_id, digest);
  jobs_.push_back(job);
  by_id_.emplace(request_id, job);
  queue_.push_back({job, std::move(request)});
  ++unfinished_;
  events_.push({false, job->id(), JobState::kQueued, {}});
  changed_.notify_all();
  return {job, true};
}

std::optional<QueuedTask> JobQueue::take() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return closed_ || !queue_.empty(); });
  if (queue_.empty()) return std::nullopt;
  QueuedTask task = std::move(queue_.front());
  queue_.pop_front();
  return task;
}

void JobQueue::end_cancelled() {
  std::vector<QueuedTask> cancelled;
  {
    const std::lock_guard lock(mutex_);
    const auto split =
        std::stable_partition(queue_.begin(), queue_.end(),
                              [](const QueuedTask& task) { return !task.job->cancel_requested(); });
    std::move(split, queue_.end(), std::back_inserter(cancelled));
    queue_.erase(split, queue_.end());
  }
  for (const QueuedTask& task : cancelled) finish(*task.job, cancelled_end({}));
}

void JobQueue::enter(Job& job, JobState state) {
  job.set_state(state);
  events_.push({false, job.id(), state, job.status().progress});
  log_.write(LogLevel::kInfo, "engine", "task ", job.request_id(), ": ", name_of(state));
}

void JobQueue::finish(Job& job, JobEnd end) {
  const JobState state = end.state;
  model_.end_task();
  job.finish(std::move(end));
  events_.push({false, job.id(), state, job.status().progress});
  {
    const std::lock_guard lock(mutex_);
    --unfinished_;
    changed_.notify_all();
  }
  const bool good = state == JobState::kSucceeded || state == JobState::kCancelled;
  log_.write(good ? LogLevel::kInfo : LogLevel::kWarning, "engine", "task ", job.request_id(), ": ",
             name_of(state), good ? "" : ": ", good ? "" : job.error_message());
}

void JobQueue::worker_ended() {
  events_.close();
  const std::lock_guard lock(mutex_);
  worker_ended_ = true;
  changed_.notify_all();
}

std::vector<std::shared_ptr<Job>> JobQueue::jobs() const {
  const std::lock_guard lock(mutex_);
  return jobs_;
}

std::shared_ptr<Job> JobQueue::find(const std::string& request_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(request_id);
  require(found != by_id_.end(), Code::kNotFound, "no job of the request ", in_quotes(request_id),
          " was queued in this engine");
  return found->second;
}

bool JobQueue::wait_idle(Timeout timeout) const {
  std::unique_lock lock(mutex_);
  return wait_until_ready(changed_, lock, timeout, [this] { return unfinished_ == 0; });
}

void JobQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& job : jobs_) job->cancel();
  changed_.notify_all();
}

bool JobQueue::wait_worker(Timeout timeout) const {
  std::unique_lock lock(mutex_);
  return wait_until_ready(changed_, lock, timeout, [this] { return worker_ended_; });
}

}  // namespace lethe
