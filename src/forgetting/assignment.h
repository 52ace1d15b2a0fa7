// The linear assignment problem: who is paired with whom so that the sum of the costs is smallest.
#pragma once

#include <cstdint>
#include <vector>

namespace lethe {

/// Pairs (rows[k], columns[k]), in ascending order of the rows.
struct Assignment {
  std::vector<int64_t> rows, columns;
};

/// min(rows, columns) pairs, no row and no column twice, of the smallest possible sum of
/// costs[row * stride + column]. With more rows than columns some rows stay alone, with fewer some
/// columns. Among sums that are equal it takes the pairs that scipy.optimize.linear_sum_assignment
/// takes (on costs that are all equal: row i with column i), so it is deterministic.
/// Throws kNumeric for a cost that is NaN or infinite, or costs so large that their sums are;
/// kInvalidArgument for a negative size or a stride below `columns`.
///
/// The shortest augmenting path method with dual variables, on the costs in double; time
/// O(min^2 max), memory one copy of the costs. Source: Jonker & Volgenant 1987 in the rectangular
/// form of Crouse 2016.
Assignment assign(const double* costs, int64_t rows, int64_t columns, int64_t stride);

}  // namespace lethe
