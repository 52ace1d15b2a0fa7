#include "engine/task_options.h"

#include <cmath>
#include <limits>
#include <tuple>

#include "support/error.h"

namespace lethe {

void TaskOptions::validate() const {
  require(priority >= -1000 && priority <= 1000, Code::kInvalidArgument, "priority is ", priority,
          ", allowed is -1000 to 1000");
  require(deadline_ms >= 0, Code::kInvalidArgument, "deadline_ms is ", deadline_ms,
          ", allowed are milliseconds since 1970, or 0 for none");
  require(std::isfinite(max_seconds) && max_seconds >= 0, Code::kInvalidArgument, "max_seconds is ",
          max_seconds, ", allowed is 0 (no limit) and more");
  require(max_steps >= 0, Code::kInvalidArgument, "max_steps of the task is ", max_steps,
          ", allowed is 0 (no limit) and more");
}

bool runs_before(const TaskOptions& a, int64_t a_id, const TaskOptions& b, int64_t b_id) {
  const auto rank = [](const TaskOptions& options, int64_t id) {
    const int64_t deadline =
        options.deadline_ms > 0 ? options.deadline_ms : std::numeric_limits<int64_t>::max();
    return std::tuple(-options.priority, deadline, id);
  };
  return rank(a, a_id) < rank(b, b_id);
}

}  // namespace lethe
