// The thread that works an engine's jobs off, one after the other.
#pragma once

#include "engine/forget_job.h"
#include "engine/job_queue.h"

namespace lethe {

/// Runs on its own thread; nothing that goes wrong in a job leaves it. What it works on outlives
/// it.
class Worker {
 public:
  Worker(LiveModel& model, JobQueue& queue, EventQueue& events, Log& log, int threads)
      : model_(model), queue_(queue), events_(events), log_(log), threads_(threads) {}

  /// Until the queue is closed and empty; then gives the model free and ends the queue.
  void run();

 private:
  void perform(const QueuedTask& task);
  JobEnd perform(Job& job, const ForgetRequest& request);
  JobEnd perform(Job& job, const PretrainRequest& request);
  RunContext context_for(Job& job, int32_t progress_interval);

  LiveModel& model_;
  JobQueue& queue_;
  EventQueue& events_;
  Log& log_;
  const int threads_;
  AccuracyCache accuracies_;
};

}  // namespace lethe
