// Works a protocol off: every method with every seed, task after task, in journals that survive.
#pragma once

#include "base.h"

namespace experiments {

struct Experiment {
  Protocol protocol;
  RunOptions options;
  std::string command;            ///< for the record
  std::string commit;             ///< for the record; "": unknown
  std::vector<std::string> only;  ///< ids of the rows to run; empty: all
};

/// Runs what has not ended yet and leaves results.json, .csv, .md and .html in the folder, renewed
/// after every task. A row whose task fails or is rejected ends there: later tasks would start from
/// another state than the paper's. Returns whether every task succeeded. Throws Interrupted,
/// cli::Failure.
bool run_experiment(const Experiment& experiment);

}  // namespace experiments
