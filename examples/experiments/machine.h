// What an experiment ran on, for the member "run" of results.json.
#pragma once

#include "fields.h"

namespace experiments {

/// {"cpu", "cores", "memory_bytes"}; what the system does not tell is null.
Json describe_machine();

/// The commit of the git work tree that the process stands in; "" when there is none.
std::string git_commit();

/// The largest resident memory, in bytes, since the last reset (where the system can reset it:
/// Linux with /proc); 0 when it is unknown.
int64_t peak_memory_bytes();
void reset_peak_memory();

}  // namespace experiments
