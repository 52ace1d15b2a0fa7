// When a task runs, and how long it may.
#pragma once

#include <cstdint>

namespace lethe {

/// Field by field what lethe_task_options documents. Zero: no limit.
struct TaskOptions {
  int32_t priority = 0;     ///< higher ones first; -1000..1000
  int64_t deadline_ms = 0;  ///< UTC, milliseconds since 1970, by which it must have ended
  double max_seconds = 0;   ///< of running, all restarts together
  int64_t max_steps = 0;    ///< of the optimizer

  /// Throws kInvalidArgument.
  void validate() const;
};

/// Whether `a` (of job `a_id`) is to run before `b`: by priority, deadline, arrival.
bool runs_before(const TaskOptions& a, int64_t a_id, const TaskOptions& b, int64_t b_id);

}  // namespace lethe
