// The thread that works an engine's jobs off, one after the other.
#pragma once

#include "engine/archive.h"
#include "engine/forget_job.h"
#include "engine/job_queue.h"

namespace lethe {

struct WorkerSettings {
  int threads;                      ///< compute threads; 0: all processors
  double checkpoint_seconds;        ///< between checkpoints of a running task
  std::function<int64_t()> now_ms;  ///< UTC, milliseconds since 1970
};

/// Runs on its own thread; nothing that goes wrong in a job leaves it. What it works on outlives
/// it.
///
/// Every state is in the journal before the job shows it. When the journal or a file that it is to
/// name cannot be written, the worker stops and leaves the rest for a later run of the engine: what
/// cannot be made durable must not be done. But where another try would fail in the same way, as
/// for content that no file can hold, the task ends FAILED. Only a checkpoint may fail, for it
/// merely saves time.
class Worker {
 public:
  Worker(LiveModel& model, JobQueue& queue, EventQueue& events, Archive& archive, Log& log,
         WorkerSettings settings)
      : model_(model),
        queue_(queue),
        events_(events),
        archive_(archive),
        log_(log),
        settings_(std::move(settings)) {}

  /// Until the queue gives no more; then gives the model and the folder free and ends the queue.
  void run() noexcept;

 private:
  /// How a job ended, and whether the journal knows it already.
  struct Outcome {
    JobEnd end;
    bool recorded = false;
  };

  void work();
  void stop(const std::exception_ptr& cause) noexcept;
  void perform(QueuedTask task);
  template <typename Data>
  Outcome perform(Job& job, const ForgetRequestOn<Data>& request);
  template <typename Data>
  Outcome perform(Job& job, const PretrainRequestOn<Data>& request);
  void keep_for_later(Job& job);
  void end_overdue();
  /// Writes and shows an end; whatever goes wrong with that halts.
  void conclude(Job& job, JobEnd end);
  /// Only when its data and checkpoint are gone from the folder does a job show its end.
  void show_end(Job& job, JobEnd end);

  void enter(Job& job, JobState state);
  void record_end(const Job& job, const JobEnd& end, const Snapshot& snapshot,
                  const ModelRecord* model);

  RunContext context_for(Job& job, int32_t progress_interval, const Snapshot& snapshot);
  Checkpoints checkpoints_for(Job& job, const Snapshot& snapshot, const TaskRecord& task);

  LiveModel& model_;
  JobQueue& queue_;
  EventQueue& events_;
  Archive& archive_;
  Log& log_;
  const WorkerSettings settings_;
  ScoreCache scores_;
};

}  // namespace lethe
