// The jobs of an engine: their order, their names, their way through the states.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
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
  bool overdue = false;  ///< cancelled or past its deadline before its turn: to be ended, not run
};

/// Thread-safe. Hosts add, find and wait; one worker takes. Every step of a job is told to `events`
/// in the order in which it happened, after the job itself shows it. The model counts a job as a
/// pending task until just before it ends, so a host that saw the last job end may change it.
class JobQueue {
 public:
  /// `log` hears of every state that the worker's side gives a job, on the worker's thread and with
  /// no lock held: whoever hears it may enqueue, bind, look and cancel.
  JobQueue(LiveModel& model, EventQueue& events, Log& log);

  /// The job of this id when it was asked the same, null when there is none; kExists when it was
  /// asked something else.
  std::shared_ptr<Job> find_repeated(const std::string& request_id,
                                     const std::string& digest) const;
  /// A free id "task-N" that is not in `taken` either.
  std::string free_id(const std::vector<std::string>& taken) const;
  /// Throws unless new jobs are taken: kState after close(), the reason after halt().
  void require_open() const;
  /// Queues a task, which the model counts already and the journal knows. False when the worker has
  /// ended: a later run of the engine goes on with it, those who wait for the job need not, and the
  /// model is not to count it.
  bool add(QueuedTask task);
  /// A job of an earlier run that has ended.
  void recall(std::shared_ptr<Job> job);

  // Jobs that await data are neither queued nor counted by the model.

  std::vector<std::shared_ptr<Job>> waiting() const;
  /// Keeps the worker from ending this job, until let_go(); false when it awaits no data (any
  /// more). One job at a time.
  bool hold(const Job& job);
  void let_go();
  /// Queues a held job's task again, whose data is there now; otherwise as add().
  bool put_back(QueuedTask task);

  /// Nothing starts until resume(); the running task waits in wait_while_paused().
  void pause();
  void resume();
  bool paused() const;

  /// The worker's side. The task to run next (see runs_before()), waiting for one, or before it one
  /// that is overdue. Nothing after halt(); after close(), when all that are overdue were taken
  /// and, unless the rest is kept, the queue is empty.
  std::optional<QueuedTask> take(const std::function<int64_t()>& now_ms);
  /// The next task that is overdue, of those that await data too; nothing when there is none.
  std::optional<QueuedTask> take_overdue(int64_t now_ms);
  /// For as long as the queue is paused and the job is wanted, looking up every few milliseconds.
  void wait_while_paused(const Job& job, const std::function<void()>& look_up);
  void enter(Job& job, JobState state);
  void await_data(const std::shared_ptr<Job>& job, const Failure& reason);
  void finish(Job& job, JobEnd end);
  /// Close events and let waiters of wait_worker() go. The worker does nothing after it.
  void worker_ended();

  std::vector<std::shared_ptr<Job>> jobs() const;
  int64_t size() const;                                            ///< jobs there ever were
  std::shared_ptr<Job> at(int64_t index) const;                    ///< throws kNotFound
  std::shared_ptr<Job> find(const std::string& request_id) const;  ///< throws kNotFound
  /// The model was sealed (see Job::drop_adapter()).
  void drop_adapters() noexcept;
  bool wait_idle(Timeout timeout) const;

  /// Takes no more jobs. All are cancelled or, with `keep`, left as they are, for a later run of
  /// the engine to go on with.
  void close(bool keep);
  /// Whether close(keep) was called: what runs is to stop where it is.
  bool keeping() const { return keeping_; }
  /// The journal failed: takes and starts nothing any more.
  void halt(const Failure& reason);
  /// The same for want of memory even for a reason, unless it has halted.
  void halt() noexcept;
  /// Those who wait for jobs that this run of the engine will not end need not.
  void interrupt_unfinished() noexcept;
  bool wait_worker(Timeout timeout) const;

 private:
  std::shared_ptr<Job> repeated(const std::string& request_id, const std::string& digest) const;
  bool is_overdue(const QueuedTask& task, int64_t now_ms) const;
  std::optional<QueuedTask> take_overdue_locked(int64_t now_ms);

  LiveModel& model_;
  EventQueue& events_;
  Log& log_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<QueuedTask> queue_;
  std::deque<QueuedTask> waiting_;  ///< for data
  const Job* held_ = nullptr;       ///< of those that wait
  std::vector<std::shared_ptr<Job>> jobs_;
  std::map<std::string, std::shared_ptr<Job>> by_id_;
  int64_t unfinished_ = 0;  ///< queued and running ones
  bool paused_ = false, closed_ = false, worker_ended_ = false;
  std::atomic<bool> keeping_{false};
  std::shared_ptr<const Failure> halted_;
  std::shared_ptr<const Failure> interrupted_;  ///< why jobs are left unfinished
  /// Reasons for the two above, made while there is memory for them.
  std::shared_ptr<const Failure> no_memory_, closed_with_jobs_;
};

}  // namespace lethe
