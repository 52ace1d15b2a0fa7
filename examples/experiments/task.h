// One task of one row: its settings, its data, its figures.
#pragma once

#include "base.h"

namespace experiments {

/// Throws INVALID_ARGUMENT, naming row and task, when the library refuses settings of any row:
/// before hours have been spent on the others.
void check_all_settings(const Protocol& protocol, const cli::Model& base);

/// Figures with the head's margin at the true class, as the paper measures: "acc_f_margin" becomes
/// acc_f, which becomes plain_acc_f, and over_forgetting follows acc_r. Of single classes there are
/// plain figures only: "acc_class.3" becomes "plain_acc_class.3". Without "..._margin" nothing
/// changes.
Json with_margin(const Json& metrics);

struct TaskRequest {
  const Row& row;
  int64_t seed;
  size_t step;
  size_t number;      ///< 1, 2, ... on its model: the request is "task-<number>"
  const Json& known;  ///< what results.json says of it already; null: nothing
};

struct TaskOutcome {
  Json task;     ///< for put_task (results.h)
  Json run;      ///< its times and memory
  bool ran_now;  ///< in this process, at least the end of it
};

/// A model of its own with an engine on a folder that keeps what was accepted.
class TaskRunner {
 public:
  /// Throws cli::Failure: the folder is in use, of another base, damaged.
  TaskRunner(const Protocol& protocol, const Images& images, const cli::Model& base,
             const RunOptions& options, const fs::path& folder);

  /// Runs the task, or reads what it left when it has ended. Throws Interrupted; STATE when the
  /// folder has the task with other settings or data.
  TaskOutcome run(const TaskRequest& request);

 private:
  cli::Job enqueue(const TaskRequest& request, const std::string& id);
  void find_lost_data(const cli::Job& job);

  const Protocol& protocol_;
  const Images& images_;
  const RunOptions& options_;
  fs::path folder_;
  cli::Model model_;
  cli::Engine engine_;
};

}  // namespace experiments
