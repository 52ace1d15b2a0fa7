// Which classes each step forgets, keeps and replays (the slicing of the paper's code).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace experiments {

using Classes = std::vector<int64_t>;

/// One column of the tables. Classes are in the order of the shuffled list.
struct Step {
  std::string name;  ///< "100-20": so many classes, of which so many are to be forgotten
  Classes forget;    ///< F_t
  Classes retained;  ///< R_t, the missing ones included
  Classes past;      ///< forgotten in earlier steps
  Classes missing;   ///< retained classes without training samples
  Classes replay;    ///< retained classes with them
};

/// Step i (0-based) of `count` retains order[0 : first - i p] and forgets the p classes that
/// follow; what comes after those is past. The first `missing` classes of the order have no
/// samples. Throws INVALID_ARGUMENT when first + p is not the number of classes, or when nothing
/// would be left to replay in the last step.
std::vector<Step> continual_steps(const Classes& order, int64_t first, int64_t per_task,
                                  int64_t count, int64_t missing);

/// The last `forget` classes of the order at once; the last `missing` of those retained have no
/// samples. Throws as above.
Step single_step(const Classes& order, int64_t forget, int64_t missing);

}  // namespace experiments
