#include "engine/job_queue.h"

#include <algorithm>

#include "support/error.h"

namespace lethe {
namespace {

constexpr std::chrono::milliseconds kLookUp{20};  // how soon a paused queue notices a cancelled job

Failure halted_by(const Failure& reason) {
  return {reason.code, "the engine has stopped, its journal cannot be written: " + reason.message +
                           "; unfinished tasks go on when the folder is opened again"};
}

}  // namespace

JobQueue::JobQueue(LiveModel& model, EventQueue& events, Log& log)
    : model_(model),
      events_(events),
      log_(log),
      no_memory_(std::make_shared<const Failure>(
          halted_by({Code::kOutOfMemory, "there is not enough memory"}))),
      closed_with_jobs_(std::make_shared<const Failure>(
          Failure{Code::kState,
                  "the engine was closed; the task is kept and goes on when the folder is opened "
                  "again"})) {}

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
  const std::lock_guard lock(mutex_);
  for (size_t n = jobs_.size() + 1;; ++n) {
    const std::string id = "task-" + std::to_string(n);
    if (!by_id_.contains(id) && std::find(taken.begin(), taken.end(), id) == taken.end()) return id;
  }
}

void JobQueue::require_open() const {
  const std::lock_guard lock(mutex_);
  if (halted_) throw Error(halted_->code, halted_->message);
  require(!closed_, Code::kState, "the engine is closed; create another one for new tasks");
}

bool JobQueue::add(QueuedTask task) {
  const std::lock_guard lock(mutex_);
  Job& job = *task.job;
  jobs_.push_back(task.job);
  by_id_.emplace(job.request_id(), task.job);
  events_.push({false, job.id(), JobState::kQueued, {}});
  if (interrupted_) {
    job.interrupt(interrupted_);
    return false;
  }
  queue_.push_back(std::move(task));
  ++unfinished_;
  changed_.notify_all();
  return true;
}

void JobQueue::recall(std::shared_ptr<Job> job) {
  const std::lock_guard lock(mutex_);
  by_id_.emplace(job->request_id(), job);
  jobs_.push_back(std::move(job));
}

std::vector<std::shared_ptr<Job>> JobQueue::waiting() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Job>> jobs;
  for (const QueuedTask& task : waiting_) jobs.push_back(task.job);
  return jobs;
}

bool JobQueue::hold(const Job& job) {
  const std::lock_guard lock(mutex_);
  for (const QueuedTask& task : waiting_) {
    if (task.job.get() == &job) held_ = &job;
  }
  return held_ == &job;
}

void JobQueue::let_go() {
  const std::lock_guard lock(mutex_);
  held_ = nullptr;
}

bool JobQueue::put_back(QueuedTask task) {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<Job> job = task.job;
  queue_.push_back(std::move(task));
  std::erase_if(waiting_, [&](const QueuedTask& other) { return other.job == job; });
  job->set_state(JobState::kQueued);
  events_.push({false, job->id(), JobState::kQueued, job->status().progress});
  if (interrupted_) return false;  // and so was the job
  ++unfinished_;
  changed_.notify_all();
  return true;
}

void JobQueue::pause() {
  const std::lock_guard lock(mutex_);
  paused_ = true;
}

void JobQueue::resume() {
  const std::lock_guard lock(mutex_);
  paused_ = false;
  changed_.notify_all();
}

bool JobQueue::paused() const {
  const std::lock_guard lock(mutex_);
  return paused_;
}

bool JobQueue::is_overdue(const QueuedTask& task, int64_t now_ms) const {
  const int64_t deadline = task.job->options().deadline_ms;
  return task.job.get() != held_ &&
         (task.job->cancel_requested() || (deadline > 0 && now_ms >= deadline));
}

std::optional<QueuedTask> JobQueue::take_overdue_locked(int64_t now_ms) {
  for (auto* tasks : {&queue_, &waiting_}) {
    const auto found = std::find_if(tasks->begin(), tasks->end(), [&](const QueuedTask& task) {
      return is_overdue(task, now_ms);
    });
    if (found == tasks->end()) continue;
    QueuedTask task = std::move(*found);
    tasks->erase(found);
    task.overdue = true;
    return task;
  }
  return std::nullopt;
}

std::optional<QueuedTask> JobQueue::take_overdue(int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  return take_overdue_locked(now_ms);
}

std::optional<QueuedTask> JobQueue::take(const std::function<int64_t()>& now_ms) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (halted_) return std::nullopt;
    const int64_t now = now_ms();
    if (auto task = take_overdue_locked(now)) return task;
    if (keeping_) return std::nullopt;
    if (!paused_ && !queue_.empty()) {
      const auto next = std::min_element(
          queue_.begin(), queue_.end(), [](const QueuedTask& a, const QueuedTask& b) {
            return runs_before(a.job->options(), a.job->id(), b.job->options(), b.job->id());
          });
      QueuedTask task = std::move(*next);
      queue_.erase(next);
      return task;
    }
    if (queue_.empty() && closed_) return std::nullopt;
    if (queue_.empty() && waiting_.empty()) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, kLookUp);
    }
  }
}

void JobQueue::wait_while_paused(const Job& job, const std::function<void()>& look_up) {
  std::unique_lock lock(mutex_);
  while (paused_ && !closed_ && !job.cancel_requested()) {
    changed_.wait_for(lock, kLookUp);
    lock.unlock();
    look_up();
    lock.lock();
  }
}

void JobQueue::enter(Job& job, JobState state) {
  job.set_state(state);
  events_.push({false, job.id(), state, job.status().progress});
  log_.write(LogLevel::kInfo, "engine", "task ", job.request_id(), ": ", name_of(state));
}

void JobQueue::await_data(const std::shared_ptr<Job>& job, const Failure& reason) {
  model_.end_task();
  {
    // All at once: whoever sees that it awaits data can give it.
    const std::lock_guard lock(mutex_);
    waiting_.push_back({job, {}});
    job->await_data(reason.code);
    events_.push({false, job->id(), JobState::kAwaitingData, job->status().progress});
    --unfinished_;
    changed_.notify_all();
  }
  log_.write(LogLevel::kWarning, "engine", "task ", job->request_id(),
             ": awaits data: ", reason.message);
}

void JobQueue::finish(Job& job, JobEnd end) {
  const JobState state = end.state;
  const bool counted = job.status().state != JobState::kAwaitingData;
  if (counted) model_.end_task();
  job.finish(std::move(end));
  events_.push({false, job.id(), state, job.status().progress});
  {
    const std::lock_guard lock(mutex_);
    if (counted) --unfinished_;
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

int64_t JobQueue::size() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(jobs_.size());
}

std::shared_ptr<Job> JobQueue::at(int64_t index) const {
  const std::lock_guard lock(mutex_);
  require(index >= 0 && index < static_cast<int64_t>(jobs_.size()), Code::kNotFound,
          "there is no job ", index, "; the engine has ", jobs_.size());
  return jobs_[static_cast<size_t>(index)];
}

void JobQueue::drop_adapters() noexcept {
  const std::lock_guard lock(mutex_);
  for (const auto& job : jobs_) job->drop_adapter();
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
  const auto over = [this] { return unfinished_ == 0 || interrupted_; };
  if (!wait_until_ready(changed_, lock, timeout, over)) return false;
  if (unfinished_ > 0) throw Error(interrupted_->code, interrupted_->message);
  return true;
}

void JobQueue::close(bool keep) {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  if (keep) {
    keeping_ = true;
  } else {
    for (const auto& job : jobs_) job->cancel();
  }
  changed_.notify_all();
}

void JobQueue::halt(const Failure& reason) {
  const std::lock_guard lock(mutex_);
  halted_ = std::make_shared<const Failure>(halted_by(reason));
  changed_.notify_all();
}

void JobQueue::halt() noexcept {
  const std::lock_guard lock(mutex_);
  if (!halted_) halted_ = no_memory_;
  changed_.notify_all();
}

void JobQueue::interrupt_unfinished() noexcept {
  std::unique_lock lock(mutex_);
  interrupted_ = halted_ ? halted_ : closed_with_jobs_;
  for (const auto& job : jobs_) {
    if (!ended(job->status().state)) job->interrupt(interrupted_);
  }
  const int64_t pending = unfinished_;
  changed_.notify_all();
  lock.unlock();  // the model's lock comes before this one
  for (int64_t i = 0; i < pending; ++i) model_.end_task();
}

bool JobQueue::wait_worker(Timeout timeout) const {
  std::unique_lock lock(mutex_);
  return wait_until_ready(changed_, lock, timeout, [this] { return worker_ended_; });
}

}  // namespace lethe
