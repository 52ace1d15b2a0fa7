// What an experiment ran on, for the member "run" of results.json.
#pragma once

#include "fields.h"

namespace experiments {

/// {"cpu", "cores", "memory_bytes"}; what the system does not tell is null.
Json describe_machine();

/// The commit of the git work tree that the process stands in; "" when there is none.
std::string git_commit();

/// From here on the process's largest resident memory is counted anew, where the system can do
/// that.
void reset_peak_memory();

}  // namespace experiments
