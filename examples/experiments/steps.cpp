#include "steps.h"

#include "../cli/handles.h"

namespace experiments {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw cli::Failure(LETHE_E_INVALID_ARGUMENT, message);
}

Classes slice(const Classes& order, int64_t begin, int64_t end) {
  return {order.begin() + begin, order.begin() + end};
}

std::string name_of(int64_t all, int64_t forget) {
  return std::to_string(all) + "-" + std::to_string(forget);
}

void check_replay(const std::string& name, int64_t retained, int64_t missing) {
  if (missing >= 0 && retained > missing) return;
  refuse("the step " + name + " retains " + std::to_string(retained) + " classes, of which " +
         std::to_string(missing) + " would be missing; at least one must be left to replay");
}

}  // namespace

std::vector<Step> continual_steps(const Classes& order, int64_t first, int64_t per_task,
                                  int64_t count, int64_t missing) {
  const auto all = static_cast<int64_t>(order.size());
  if (per_task < 1 || count < 1 || first < 1 || first + per_task != all) {
    refuse("tasks: first " + std::to_string(first) + " and per_task " + std::to_string(per_task) +
           " must be positive and together the " + std::to_string(all) + " classes, count " +
           std::to_string(count) + " at least 1");
  }
  std::vector<Step> steps;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t retained = first - i * per_task, end = retained + per_task;
    const std::string name = name_of(end, per_task);
    check_replay(name, retained, missing);
    steps.push_back({name, slice(order, retained, end), slice(order, 0, retained),
                     slice(order, end, all), slice(order, 0, missing),
                     slice(order, missing, retained)});
  }
  return steps;
}

Step single_step(const Classes& order, int64_t forget, int64_t missing) {
  const auto all = static_cast<int64_t>(order.size());
  if (forget < 1 || forget >= all) {
    refuse("tasks: single must name 1 to " + std::to_string(all - 1) + " classes to forget, not " +
           std::to_string(forget));
  }
  const int64_t retained = all - forget;
  const std::string name = name_of(all, forget);
  check_replay(name, retained, missing);
  return {name,
          slice(order, retained, all),
          slice(order, 0, retained),
          {},
          slice(order, retained - missing, retained),
          slice(order, 0, retained - missing)};
}

}  // namespace experiments
