// The assignment solver against all permutations, a slower solver of another kind, and scipy.
#include "forgetting/assignment.h"

#include <limits>
#include <numeric>

#include "support/random.h"
#include "test.h"

namespace lethe::testing {
namespace {

struct Costs {
  int64_t rows, columns;
  std::vector<double> values;
  double operator()(int64_t row, int64_t column) const { return values[row * columns + column]; }
};

Costs costs_of(int64_t rows, int64_t columns, const std::function<double(int64_t, int64_t)>& cost) {
  Costs c{rows, columns, {}};
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) c.values.push_back(cost(i, j));
  }
  return c;
}

Assignment solve(const Costs& c) { return assign(c.values.data(), c.rows, c.columns, c.columns); }

/// Fails unless these are pairs of rows in ascending order, no column twice, as many as there can
/// be; the sum of their costs.
double checked_total(const Costs& c, const Assignment& a) {
  assert_int_equal(a.rows.size(), std::min(c.rows, c.columns));
  assert_int_equal(a.columns.size(), a.rows.size());
  std::vector<char> taken(c.columns, 0);
  double total = 0;
  for (size_t k = 0; k < a.rows.size(); ++k) {
    assert_true(k == 0 || a.rows[k - 1] < a.rows[k]);
    assert_true(a.rows[k] >= 0 && a.rows[k] < c.rows);
    assert_true(a.columns[k] >= 0 && a.columns[k] < c.columns && !taken[a.columns[k]]);
    taken[a.columns[k]] = 1;
    total += c(a.rows[k], a.columns[k]);
  }
  return total;
}

/// The smallest total of all ways to give each row (of the shorter side) a column.
double best_of_all(const Costs& c) {
  const bool turned = c.rows > c.columns;
  const int64_t few = std::min(c.rows, c.columns), many = std::max(c.rows, c.columns);
  std::vector<int64_t> order(many);
  std::iota(order.begin(), order.end(), int64_t{0});
  double best = INFINITY;
  do {
    double total = 0;
    for (int64_t k = 0; k < few; ++k) total += turned ? c(order[k], k) : c(k, order[k]);
    best = std::min(best, total);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

/// The smallest total by minimum cost flow: cheapest augmenting paths by Bellman and Ford over the
/// residual graph, with negative costs and without dual variables. O(min^2 max (min + max)).
double best_flow(const Costs& c) {
  std::vector<int64_t> column_of(c.rows, -1), row_of(c.columns, -1);
  double total = 0;
  for (int64_t pair = 0; pair < std::min(c.rows, c.columns); ++pair) {
    std::vector<double> to_row(c.rows), to_column(c.columns, INFINITY);
    std::vector<int64_t> from(c.columns, -1);
    for (int64_t i = 0; i < c.rows; ++i) to_row[i] = column_of[i] < 0 ? 0 : INFINITY;
    for (bool changed = true; changed;) {
      changed = false;
      for (int64_t i = 0; i < c.rows; ++i) {
        for (int64_t j = 0; j < c.columns; ++j) {
          if (column_of[i] == j || !(to_row[i] + c(i, j) < to_column[j] - 1e-12)) continue;
          to_column[j] = to_row[i] + c(i, j);
          from[j] = i;
          changed = true;
          if (row_of[j] >= 0) to_row[row_of[j]] = to_column[j] - c(row_of[j], j);
        }
      }
    }
    int64_t end = -1;
    for (int64_t j = 0; j < c.columns; ++j) {
      if (row_of[j] < 0 && (end < 0 || to_column[j] < to_column[end])) end = j;
    }
    total += to_column[end];
    for (int64_t j = end; j >= 0;) {
      const int64_t i = from[j], next = column_of[i];
      row_of[j] = i;
      column_of[i] = j;
      j = next;
    }
  }
  return total;
}

double uniform(RandomStream& random) { return static_cast<double>(random.next() >> 11) * 0x1p-53; }

void small_costs_by_hand(void**) {
  // Taking the cheapest first, (0, 0) and (1, 1), costs 1 + 9; the other way round 2 + 3.
  const Costs c{2, 2, {1, 2, 3, 9}};
  const Assignment a = solve(c);
  assert_true(a.columns == std::vector<int64_t>({1, 0}));
  // A third column nobody needs, then a third row nobody takes.
  assert_true(solve({2, 3, {1, 2, 0, 3, 9, 8}}).columns == std::vector<int64_t>({2, 0}));
  const Assignment tall = solve({3, 2, {5, 6, 1, 2, 3, 9}});
  assert_true(tall.rows == std::vector<int64_t>({1, 2}));
  assert_true(tall.columns == std::vector<int64_t>({1, 0}));
  assert_true(solve({1, 1, {-7}}).columns == std::vector<int64_t>({0}));
}

void empty_sides_have_no_pairs(void**) {
  assert_true(assign(nullptr, 0, 0, 0).rows.empty());
  assert_true(assign(nullptr, 0, 5, 5).rows.empty());
  assert_true(assign(nullptr, 5, 0, 0).columns.empty());
}

void equal_costs_pair_row_i_with_column_i(void**) {
  for (const auto& [rows, columns] : {std::pair{4, 4}, {3, 6}, {6, 3}}) {
    const Assignment a = solve(costs_of(rows, columns, [](int64_t, int64_t) { return 2.5; }));
    assert_true(a.rows == std::vector<int64_t>({0, 1, 2, 3}) || a.rows.size() == 3);
    assert_true(a.rows == a.columns);
  }
}

void rows_may_lie_apart(void**) {
  const double values[] = {1, 2, NAN, 3, 9, NAN};  // the third of each row is not a cost
  const Assignment a = assign(values, 2, 2, 3);
  assert_true(a.columns == std::vector<int64_t>({1, 0}));
}

void no_permutation_is_cheaper(void**) {
  RandomStream random(1, "small");
  for (int trial = 0; trial < 400; ++trial) {
    const auto rows = static_cast<int64_t>(1 + random.below(6));
    const auto columns = static_cast<int64_t>(1 + random.below(7));
    const bool ties = random.below(2) == 0;  // whole numbers from -2 to 2
    const Costs c = costs_of(rows, columns, [&](int64_t, int64_t) {
      return ties ? static_cast<double>(random.below(5)) - 2 : uniform(random) * 20 - 10;
    });
    expect_close(checked_total(c, solve(c)), best_of_all(c), 1e-12);
  }
}

void large_sizes_cost_what_a_flow_costs(void**) {
  RandomStream random(2, "large");
  for (int trial = 0; trial < 60; ++trial) {
    const auto rows = static_cast<int64_t>(1 + random.below(40));
    const auto columns = static_cast<int64_t>(1 + random.below(40));
    const uint64_t levels = random.below(3) == 0 ? 4 : 1 << 20;
    const Costs c = costs_of(rows, columns, [&](int64_t, int64_t) {
      return static_cast<double>(random.below(levels)) / 1024 - 100;
    });
    expect_close(checked_total(c, solve(c)), best_flow(c), 1e-12);
  }
}

/// Costs from a formula, so that they need not be stored. Recorded with scipy 1.17.1:
///   i, j = numpy.mgrid[0:rows, 0:columns]
///   c = (i * 7919 + j * 104729 + i * j * 31 + i * i * j * 7) % modulus / 8
///   a, b = scipy.optimize.linear_sum_assignment(c)
///   total = c[a, b].sum()
///   check = sum((k + 1) * (1000 * x + y) for k, (x, y) in enumerate(zip(a, b))) % 1000003
void pairs_and_totals_are_those_of_scipy(void**) {
  const auto made = [](int64_t rows, int64_t columns, int64_t modulus) {
    return costs_of(rows, columns, [&](int64_t i, int64_t j) {
      return static_cast<double>((i * 7919 + j * 104729 + i * j * 31 + i * i * j * 7) % modulus) /
             8;
    });
  };
  assert_true(solve(made(6, 6, 1009)).columns == std::vector<int64_t>({0, 5, 4, 3, 2, 1}));
  assert_true(solve(made(4, 9, 1009)).columns == std::vector<int64_t>({0, 5, 6, 8}));
  const Assignment tall = solve(made(9, 4, 1009));
  assert_true(tall.rows == std::vector<int64_t>({0, 3, 7, 8}));
  assert_true(tall.columns == std::vector<int64_t>({0, 2, 1, 3}));

  struct Recorded {
    int64_t rows, columns, modulus;
    double total;
    int64_t check;
  };
  const Recorded all[] = {
      {6, 6, 1009, 183.125, 70050},    {4, 9, 1009, 19.25, 20060},  {9, 4, 1009, 122.75, 59019},
      {12, 12, 5, 1.125, 572540},  // many ties
      {40, 40, 1009, 222.375, 337005}, {300, 20, 1009, 3.5, 45019}, {20, 300, 1009, 4.875, 694692},
      {100, 100, 7, 1.75, 632273},     {63, 300, 97, 0, 498280},
  };
  for (const Recorded& r : all) {
    const Costs c = made(r.rows, r.columns, r.modulus);
    const Assignment a = solve(c);
    expect_close(checked_total(c, a), r.total, 1e-12);
    int64_t check = 0;
    for (size_t k = 0; k < a.rows.size(); ++k) {
      check += static_cast<int64_t>(k + 1) * (1000 * a.rows[k] + a.columns[k]);
    }
    assert_int_equal(check % 1000003, r.check);
  }
}

void bad_costs_are_refused(void**) {
  const auto refuse = [](std::vector<double> values, const char* part) {
    expect_error(Code::kNumeric, part, [&] { assign(values.data(), 2, 2, 2); });
  };
  refuse({1, 2, NAN, 4}, "row 1 and column 0 is NaN");
  refuse({1, INFINITY, 3, 4}, "row 0 and column 1 is infinite");
  refuse({1, 2, 3, -INFINITY}, "row 1 and column 1 is infinite");
  const double most = std::numeric_limits<double>::max();
  refuse({-most, most, -most, most}, "too large to be added up");
  expect_error(Code::kInvalidArgument, "-1 rows", [] { assign(nullptr, -1, 2, 2); });
  expect_error(Code::kInvalidArgument, "stride 1", [] { assign(nullptr, 0, 2, 1); });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(small_costs_by_hand),
      cmocka_unit_test(empty_sides_have_no_pairs),
      cmocka_unit_test(equal_costs_pair_row_i_with_column_i),
      cmocka_unit_test(rows_may_lie_apart),
      cmocka_unit_test(no_permutation_is_cheaper),
      cmocka_unit_test(large_sizes_cost_what_a_flow_costs),
      cmocka_unit_test(pairs_and_totals_are_those_of_scipy),
      cmocka_unit_test(bad_costs_are_refused),
  };
  return cmocka_run_group_tests_name("assignment", tests, nullptr, nullptr);
}
