// One task or training run: its state, its figures, its result.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "adapters/adapter.h"
#include "engine/failure.h"
#include "engine/report.h"
#include "engine/task_options.h"
#include "engine/timed_wait.h"
#include "forgetting/method.h"
#include "support/error.h"

namespace lethe {

/// Values as in lethe.h (lethe_job_state).
enum class JobState : int32_t {
  kQueued = 1,
  kAwaitingData = 2,
  kRunning = 3,
  kCommitting = 4,
  kSucceeded = 5,
  kRejected = 6,
  kFailed = 7,
  kCancelled = 8
};
inline bool ended(JobState state) { return state >= JobState::kSucceeded; }
const char* name_of(JobState state);  ///< such as "running"

/// What a job left when it ended.
struct JobResult {
  std::shared_ptr<const Adapter> adapter;  ///< forget task that succeeded
  std::shared_ptr<const Report> report;    ///< also of a rejected one
};

/// How a job ended.
struct JobEnd {
  JobState state;
  JobResult result;
  std::optional<Code> error;
  std::string message;  ///< "" when it succeeded
};

/// The end of a job that was asked to stop when `progress` was made.
JobEnd cancelled_end(const Progress& progress);

/// Thread-safe. The engine's worker moves it on; hosts look, wait and cancel.
class Job {
 public:
  Job(int64_t id, std::string request_id, std::string request_digest, TaskOptions options = {});

  /// One that ended in an earlier run of the engine; `recall` finds what it left.
  static std::shared_ptr<Job> recalled(int64_t id, std::string request_id,
                                       std::string request_digest, JobEnd end,
                                       std::function<JobResult()> recall);

  int64_t id() const { return id_; }
  const std::string& request_id() const { return request_id_; }
  /// Digest of what was asked: tells a repeated request from another one under the same id.
  const std::string& request_digest() const { return request_digest_; }
  const TaskOptions& options() const { return options_; }

  struct Status {
    JobState state;
    Progress progress;
    std::optional<Code> error;
  };
  Status status() const;
  /// "" unless it failed, was rejected or cancelled. The reference stays valid: it is written once.
  const std::string& error_message() const;
  /// Both null before the end, and when the job failed or was cancelled. Of a recalled job: reads
  /// what was kept, and throws what reading throws; nobody waits for it meanwhile.
  JobResult result() const;

  /// False when `timeout` passed before the job ended. Throws the failure of interrupt().
  bool wait(Timeout timeout) const;
  void cancel() { cancelled_ = true; }
  bool cancel_requested() const { return cancelled_; }

  /// The engine's side.
  void set_state(JobState state);
  void set_progress(const Progress& progress);
  /// Awaiting data, for this reason; set_state() takes the reason away.
  void await_data(Code reason);
  void finish(JobEnd end);
  /// The model was sealed: what the job left but its report is gone.
  void drop_adapter();
  /// This engine will not end the job, for this reason: those who wait for it need not.
  void interrupt(std::shared_ptr<const Failure> reason) noexcept;

 private:
  const int64_t id_;
  const std::string request_id_, request_digest_;
  const TaskOptions options_;
  std::atomic<bool> cancelled_{false};
  mutable std::mutex mutex_;
  mutable std::condition_variable ended_;
  Status status_{JobState::kQueued, {}, {}};
  std::string message_;
  std::shared_ptr<const Failure> interrupted_;
  JobResult result_;
  std::function<JobResult()> recall_;  ///< never set once the job is shared
};

}  // namespace lethe
