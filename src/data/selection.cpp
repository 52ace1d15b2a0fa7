#include "data/selection.h"

#include <algorithm>

#include "support/error.h"

namespace lethe {

void check_share(const char* name, double value) {
  require(value >= 0 && value <= 1, Code::kInvalidArgument, name, " is ", value,
          ", allowed is 0 to 1");
}

std::vector<int64_t> present_in(const std::vector<int64_t>& histogram) {
  std::vector<int64_t> present;
  for (size_t c = 0; c < histogram.size(); ++c) {
    if (histogram[c] > 0) present.push_back(static_cast<int64_t>(c));
  }
  return present;
}

std::vector<bool> class_flags(const std::vector<int64_t>& classes, int64_t class_count) {
  std::vector<bool> flags(class_count, false);
  for (const int64_t c : classes) {
    require(c >= 0 && c < class_count, Code::kNotFound, "class ", c,
            " is unknown; the data set has the classes 0 to ", class_count - 1);
    flags[c] = true;
  }
  return flags;
}

std::vector<bool> draw_positions(int64_t count, int64_t size, RandomStream stream) {
  const std::vector<int64_t> order = stream.permutation(size);
  std::vector<bool> chosen(size, false);
  for (int64_t k = 0; k < std::min(count, size); ++k) chosen[order[k]] = true;
  return chosen;
}

std::vector<int64_t> indices_where(const std::vector<int64_t>& indices,
                                   const std::vector<bool>& flags, bool value) {
  std::vector<int64_t> chosen;
  for (size_t i = 0; i < indices.size(); ++i) {
    if (flags[i] == value) chosen.push_back(indices[i]);
  }
  return chosen;
}

}  // namespace lethe
