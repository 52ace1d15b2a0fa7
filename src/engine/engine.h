// The queue of forget tasks of one model and the thread that works them off.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

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
};

/// Thread-safe. Jobs run one after the other in order of arrival.
class Engine {
 public:
  /// Claims the model (kBusy when another engine has it) and starts the worker.
  Engine(std::shared_ptr<LiveModel> model, const EngineOptions& options);
  /// Closes and waits for the worker, which stops within one training step.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Checks everything that can be checked now, then queues. The same id and request again: the
  /// same job. When a task's turn comes it is checked again, against the model as it is then: a
  /// class that an earlier task of the queue forgot makes it fail. Throws kExists for an id that
  /// another request or an adapter of the model bears, kState after close(), otherwise as
  /// plan_forgetting() and check_pretraining().
  std::shared_ptr<Job> enqueue(ForgetRequest request);
  std::shared_ptr<Job> enqueue(PretrainRequest request);

  /// Progress events of a slow reader give way to newer ones; state changes are never lost.
  using Take = EventQueue::Take;
  Take next_event(Timeout timeout, Event& event) { return events_.next(timeout, event); }

  bool wait_idle(Timeout timeout) const { return jobs_.wait_idle(timeout); }
  std::vector<std::shared_ptr<Job>> jobs() const { return jobs_.jobs(); }
  /// Throws kNotFound.
  std::shared_ptr<Job> find(const std::string& request_id) const { return jobs_.find(request_id); }

  /// Takes no more jobs, cancels all, waits for the worker; then the model is free for another
  /// engine. False when `timeout` passed first.
  bool close(Timeout timeout);

 private:
  template <typename AnyRequest, typename Check>
  std::shared_ptr<Job> check_and_add(AnyRequest request, const Check& check);

  std::shared_ptr<LiveModel> model_;
  std::shared_ptr<Log> log_;
  EventQueue events_;
  JobQueue jobs_;
  std::thread worker_;
};

}  // namespace lethe
