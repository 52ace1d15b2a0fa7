// What selections of labelled and of detection data sets share: lists of positions, and chance.
#pragma once

#include <cstdint>
#include <vector>

#include "support/random.h"

namespace lethe {

/// Throws kInvalidArgument unless `value` lies in [0, 1]; `name` is its name in the message.
void check_share(const char* name, double value);

/// The classes with a count above 0, ascending.
std::vector<int64_t> present_in(const std::vector<int64_t>& histogram);

/// A flag a class. Throws kNotFound for one outside 0 to class_count - 1.
std::vector<bool> class_flags(const std::vector<int64_t>& classes, int64_t class_count);

/// Of `size` positions the first `count` of a random order (all of them where there are fewer).
std::vector<bool> draw_positions(int64_t count, int64_t size, RandomStream stream);

/// Those of `indices` whose flag is `value`, in their order.
std::vector<int64_t> indices_where(const std::vector<int64_t>& indices,
                                   const std::vector<bool>& flags, bool value = true);

}  // namespace lethe
