// The queue of forget tasks of one model and the thread that works them off.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/archive.h"
#include "engine/event_queue.h"
#include "engine/job.h"
#include "engine/job_queue.h"
#include "engine/live_model.h"
#include "engine/request.h"
#include "support/log.h"

namespace lethe {

struct EngineOptions {
  int threads = 0;            ///< compute threads of a task; 0: all processors
  int event_capacity = 1024;  ///< events kept for a slow reader, at least 16
  std::shared_ptr<Log> log;   ///< hears of state changes and LibTorch's warnings; null: nobody does
  std::string folder;         ///< of the archive; "": in memory
  double checkpoint_seconds = 30;  ///< a running task is saved this often; 0: after every step
  std::optional<SigningKey::Seed> signing_seed;  ///< of receipts; absent: made
  bool paused = false;                           ///< starts paused
  std::function<int64_t()> now_ms;  ///< UTC, milliseconds since 1970; absent: the system's clock
};

/// Thread-safe. Jobs run one after the other: by priority, deadline, arrival.
class Engine {
 public:
  /// Claims the model (kBusy when another engine has it), opens the archive, gives the model the
  /// stack that is kept there, queues what had not ended and starts the worker. Throws what
  /// Archive() throws; kBaseMismatch when the archive belongs to another base, kState when the
  /// model carries adapters that the archive does not.
  Engine(std::shared_ptr<LiveModel> model, const EngineOptions& options);
  /// Closes and waits for the worker, which stops within one training step.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Checks everything that can be checked now, then queues. The same id and request again: the
  /// same job. When a task's turn comes it is checked again, against the model as it is then: a
  /// class that an earlier task of the queue forgot makes it fail. Throws kExists for an id that
  /// another request or an adapter of the model bears, kState after close(), otherwise as
  /// plan_forgetting() and check_pretraining(). When it returns the journal knows the job.
  std::shared_ptr<Job> enqueue(Request request);

  /// Progress events of a slow reader give way to newer ones; state changes are never lost.
  using Take = EventQueue::Take;
  Take next_event(Timeout timeout, Event& event) { return events_.next(timeout, event); }

  /// False when `timeout` passed first; throws when the engine was closed or stopped with tasks
  /// kept.
  bool wait_idle(Timeout timeout) const { return jobs_.wait_idle(timeout); }
  void pause() { jobs_.pause(); }
  void resume() { jobs_.resume(); }
  /// Gives data to jobs that await it and queues those that lack no other; how many. kNotFound: no
  /// job waits for it.
  int64_t bind(const AnyDataset& dataset);

  const Journal& journal() const { return archive_->journal(); }
  const PublicKey& public_key() const { return archive_->key().public_key(); }

  std::vector<std::shared_ptr<Job>> jobs() const { return jobs_.jobs(); }
  int64_t job_count() const { return jobs_.size(); }
  /// In order of arrival. Throws kNotFound.
  std::shared_ptr<Job> job_at(int64_t index) const { return jobs_.at(index); }
  /// Throws kNotFound.
  std::shared_ptr<Job> find(const std::string& request_id) const { return jobs_.find(request_id); }

  /// Takes no more jobs, cancels all or, with a folder, keeps them; waits for the worker. Then
  /// model and folder are free for another engine. False when `timeout` passed first.
  bool close(Timeout timeout);

 private:
  template <typename AnyRequest>
  std::shared_ptr<Job> check_and_add(AnyRequest request);
  std::vector<std::shared_ptr<Job>> put_back(const AnyDataset& dataset);
  void close_queue();
  void restore_model();
  void restore_jobs();
  void record_change(const Snapshot& next, Change change);

  const std::shared_ptr<Archive> archive_;  ///< shared with the jobs of earlier runs
  std::shared_ptr<LiveModel> model_;
  std::shared_ptr<Log> log_;
  std::function<int64_t()> now_ms_;
  EventQueue events_;
  JobQueue jobs_;
  /// One request at a time enters journal and queue. Locked before the model's writers, and these
  /// before the archive's files.
  std::mutex enqueue_mutex_;
  std::thread worker_;
};

}  // namespace lethe
