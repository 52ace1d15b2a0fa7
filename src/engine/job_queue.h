// The jobs of an engine: their order, their names, their way through the states.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "engine/event_queue.h"
#include "engine/job.h"
#include "engine/live_model.h"
#include "engine/request.h"
#include "support/log.h"

namespace lethe {

using Request = std::variant<ForgetRequest, PretrainRequest>;

/// A job and what it is to do.
struct QueuedTask {
  std::shared_ptr<Job> job;
  Request request;
};

/// Thread-safe. Hosts add, find and wait; one worker takes. Every step of a job is told to `events`
/// in the order in which it happened, after the job itself shows it. The model counts a job as a
/// pending task until just before it ends, so a host that saw the last job end may change it.
class JobQueue {
 public:
  /// `log` hears of every state but the first, from the worker's thread.
  JobQueue(LiveModel& model, EventQueue& events, Log& log)
      : model_(model), events_(events), log_(log) {}

  /// The job of this id when it was asked the same, null when there is none; kExists when it was
  /// asked something else.
  std::shared_ptr<Job> find_repeated(const std::string& request_id,
                                     const std::string& digest) const;
  /// Queues a request, which the model counts already; a "" id becomes a free "task-N" that is not
  /// in `taken` either. When another thread was faster, as find_repeated(). kState after close().
  struct Added {
    std::shared_ptr<Job> job;
    bool is_new;
  };
  Added add(Request request, std::string request_id, const std::string& digest,
            const std::vector<std::string>& taken);

  /// The worker's side: the next task, waiting for one; nothing after close() when all were taken.
  std::optional<QueuedTask> take();
  /// Ends the queued jobs that were cancelled before their turn.
  void end_cancelled();
  void enter(Job& job, JobState state);
  void finish(Job& job, JobEnd end);
  /// Close events and let waiters of wait_worker() go. The worker does nothing after it.
  void worker_ended();

  std::vector<std::shared_ptr<Job>> jobs() const;
  std::shared_ptr<Job> find(const std::string& request_id) const;  ///< throws kNotFound
  bool wait_idle(Timeout timeout) const;

  /// Takes no more jobs and cancels all.
  void close();
  bool wait_worker(Timeout timeout) const;

 private:
  std::shared_ptr<Job> repeated(const std::string& request_id, const std::string& digest) const;
  std::string free_id(const std::vector<std::string>& taken) const;

  LiveModel& model_;
  EventQueue& events_;
  Log& log_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<QueuedTask> queue_;
  std::vector<std::shared_ptr<Job>> jobs_;
  std::map<std::string, std::shared_ptr<Job>> by_id_;
  int64_t unfinished_ = 0;
  bool closed_ = false, worker_ended_ = false;
};

}  // namespace lethe
