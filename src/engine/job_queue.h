// The jobs of an engine: their order, their names, their way through the states.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
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

/// A job and what it is to do; of one from an earlier run of the engine only the journal knows
/// that.
struct QueuedTask {
  std::shared_ptr<Job> job;
  std::optional<Request> request;
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
  /// A free id "task-N" that is not in `taken` either.
  std::string free_id(const std::vector<std::string>& taken) const;
  /// Throws unless new jobs are taken: kState after close(), the reason after halt().
  void require_open() const;
  /// Queues a task, which the model counts already and the journal knows.
  void add(QueuedTask task);
  /// A job of an earlier run that has ended, or awaits data.
  void recall(std::shared_ptr<Job> job);

  /// Nothing starts until resume(); the running task waits in wait_while_paused().
  void pause();
  void resume();
  bool paused() const;

  /// The worker's side. The task to run next (see runs_before()), waiting for one, or one that was
  /// cancelled or whose deadline has passed before its turn; nothing after close() or halt(), when
  /// all that are to be ended were taken.
  std::optional<QueuedTask> take(const std::function<int64_t()>& now_ms);
  /// The queued tasks that are to be ended before their turn.
  std::vector<QueuedTask> take_overdue(int64_t now_ms);
  /// For as long as the queue is paused and the job is wanted, looking up every few milliseconds.
  void wait_while_paused(const Job& job, const std::function<void()>& look_up);
  void enter(Job& job, JobState state);
  void await_data(Job& job, const Failure& reason);
  void finish(Job& job, JobEnd end);
  /// Queues a task again that awaited data or was taken too early.
  void put_back(QueuedTask task);
  /// Close events and let waiters of wait_worker() go. The worker does nothing after it.
  void worker_ended();

  std::vector<std::shared_ptr<Job>> jobs() const;
  std::shared_ptr<Job> find(const std::string& request_id) const;  ///< throws kNotFound
  bool wait_idle(Timeout timeout) const;

  /// Takes no more jobs. All are cancelled or, with `keep`, left as they are, for a later run of
  /// the engine to go on with.
  void close(bool keep);
  /// Whether close(keep) was called: what runs is to stop where it is.
  bool keeping() const { return keeping_; }
  /// The journal failed: takes and starts nothing any more.
  void halt(const Failure& reason);
  /// Those who wait for jobs that this run of the engine will not end need not.
  void interrupt_unfinished();
  bool wait_worker(Timeout timeout) const;

 private:
  std::shared_ptr<Job> repeated(const std::string& request_id, const std::string& digest) const;

  LiveModel& model_;
  EventQueue& events_;
  Log& log_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<QueuedTask> queue_;
  std::vector<std::shared_ptr<Job>> jobs_;
  std::map<std::string, std::shared_ptr<Job>> by_id_;
  int64_t unfinished_ = 0;  ///< queued and running ones
  bool paused_ = false, closed_ = false, worker_ended_ = false;
  std::atomic<bool> keeping_{false};
  std::optional<Failure> halted_;
  std::optional<Failure> interrupted_;  ///< why jobs are left unfinished
};

}  // namespace lethe
