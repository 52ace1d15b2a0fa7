#include "forgetting/assignment.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "support/error.h"

namespace lethe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kNone = -1;

/// Pairs every one of `few` sources with one of `many` sinks, few <= many. The sources are added
/// one by one; each time the pairs change along the cheapest path from the new source to a free
/// sink, in costs reduced by the dual variables, which keeps every reduced cost at 0 or above.
class Solver {
 public:
  Solver(std::vector<double> costs, int64_t few, int64_t many)
      : costs_(std::move(costs)),
        few_(few),
        many_(many),
        source_dual_(few, 0),
        sink_dual_(many, 0),
        sink_of_(few, kNone),
        source_of_(many, kNone),
        distance_(many),
        before_(many),
        open_(many) {}

  /// The sink of every source.
  const std::vector<int64_t>& solve() {
    for (int64_t source = 0; source < few_; ++source) {
      const int64_t sink = find_path(source);
      move_duals(source);
      change_pairs(source, sink);
    }
    for (const double dual : source_dual_) require_sum(dual);
    for (const double dual : sink_dual_) require_sum(dual);
    return sink_of_;
  }

 private:
  /// Finite costs have finite sums, and so there is always a path, unless the sums overflow.
  static void require_sum(double sum) {
    require(std::isfinite(sum), Code::kNumeric,
            "the costs of an assignment are too large to be added up in double");
  }

  /// Dijkstra over the sinks: distance_, before_ (the source that each is reached from), the
  /// sources and sinks visited, and the free sink that is nearest.
  int64_t find_path(int64_t source) {
    std::fill(distance_.begin(), distance_.end(), kInfinity);
    visited_sources_.clear();
    visited_sinks_.clear();
    // Backwards, as scipy does: taken from the front to the back, ties then give row i column i.
    std::iota(open_.rbegin(), open_.rend(), int64_t{0});
    int64_t left = many_;
    reach_ = 0;
    while (true) {
      visited_sources_.push_back(source);
      int64_t nearest = kNone;
      double lowest = kInfinity;
      for (int64_t k = 0; k < left; ++k) {
        const int64_t sink = open_[k];
        const double through =
            reach_ + costs_[source * many_ + sink] - source_dual_[source] - sink_dual_[sink];
        if (through < distance_[sink]) {
          distance_[sink] = through;
          before_[sink] = source;
        }
        // Of sinks equally near a free one, because it ends the search.
        if (distance_[sink] < lowest || (distance_[sink] == lowest && source_of_[sink] == kNone)) {
          lowest = distance_[sink];
          nearest = k;
        }
      }
      require_sum(lowest);
      reach_ = lowest;
      const int64_t sink = open_[nearest];
      visited_sinks_.push_back(sink);
      if (source_of_[sink] == kNone) return sink;
      source = source_of_[sink];
      open_[nearest] = open_[--left];
    }
  }

  void move_duals(int64_t start) {
    for (const int64_t source : visited_sources_) {
      source_dual_[source] += source == start ? reach_ : reach_ - distance_[sink_of_[source]];
    }
    for (const int64_t sink : visited_sinks_) sink_dual_[sink] -= reach_ - distance_[sink];
  }

  /// From the free sink back to the new source: each source on the path moves one sink on.
  void change_pairs(int64_t start, int64_t sink) {
    while (true) {
      const int64_t source = before_[sink];
      source_of_[sink] = source;
      std::swap(sink_of_[source], sink);
      if (source == start) return;
    }
  }

  std::vector<double> costs_;  ///< [few, many]
  int64_t few_, many_;
  std::vector<double> source_dual_, sink_dual_;
  std::vector<int64_t> sink_of_, source_of_;
  std::vector<double> distance_;
  std::vector<int64_t> before_, open_, visited_sources_, visited_sinks_;
  double reach_ = 0;  ///< distance of the sink visited last
};

}  // namespace

Assignment assign(const double* costs, int64_t rows, int64_t columns, int64_t stride) {
  require(rows >= 0 && columns >= 0 && stride >= columns, Code::kInvalidArgument,
          "an assignment of ", rows, " rows and ", columns, " columns with stride ", stride,
          " was asked for; sizes must be 0 or more, the stride at least the columns");
  const bool turned = rows > columns;
  const int64_t few = std::min(rows, columns), many = std::max(rows, columns);
  std::vector<double> table(few * many);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t column = 0; column < columns; ++column) {
      const double cost = costs[row * stride + column];
      require(std::isfinite(cost), Code::kNumeric, "the cost of row ", row, " and column ", column,
              " is ", std::isnan(cost) ? "NaN" : "infinite", "; only finite costs can be compared");
      table[turned ? column * many + row : row * many + column] = cost;
    }
  }
  Solver solver(std::move(table), few, many);
  const std::vector<int64_t>& other = solver.solve();

  Assignment result{std::vector<int64_t>(few), std::vector<int64_t>(few)};
  std::iota(result.rows.begin(), result.rows.end(), int64_t{0});
  if (!turned) {
    result.columns = other;
    return result;
  }
  result.columns = result.rows;
  std::sort(result.columns.begin(), result.columns.end(),
            [&](int64_t a, int64_t b) { return other[a] < other[b]; });
  for (int64_t k = 0; k < few; ++k) result.rows[k] = other[result.columns[k]];
  return result;
}

}  // namespace lethe
