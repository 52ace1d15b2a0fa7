// The figures of results.json as tables show them: one row a method, over all seeds.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "../cli/figures.h"
#include "fields.h"

namespace experiments {

/// A figure over the seeds for which it exists.
struct Figure {
  double mean;
  double deviation;  ///< sample standard deviation; 0 with one seed
  size_t count;      ///< seeds, at least 1
};

struct TableRow {
  std::string id, label;
};

/// Shown where there is no figure.
inline constexpr const char* kNone = "\u2014";

/// Acc_r (AP_r) this many points under the base's on the same classes is over-forgetting.
inline constexpr double kOverForgetting = 10;

/// A head with a margin has each accuracy twice: with the margin at the true class and without.
enum class Measure {
  kProtocol,  ///< the one that the protocol's key "margin" asks for
  kOther
};

/// Reads a results document (results.h). It must outlive this.
class Tables {
 public:
  explicit Tables(const Json& results);

  const std::vector<std::string>& steps() const { return steps_; }
  const std::vector<TableRow>& rows() const { return rows_; }
  size_t seed_count() const { return seeds_; }
  bool has_missing() const { return missing_; }
  /// Whether the protocol asks for accuracies with the head's margin.
  bool has_margin() const { return margin_; }
  /// Whether some task has figures of Measure::kOther.
  bool has_other() const;
  /// Accuracies or AP; "_f" and so on follow.
  const cli::FigureNames& names() const { return names_; }

  /// `metric` of a row in a step; of "run" too. Nothing when no seed has it.
  std::optional<Figure> figure(size_t row, size_t step, const std::string& metric) const;
  /// acc_f, acc_r, acc_m (ap_f ...) of the base on the classes of a step; kOther: as the first row
  /// that has it tells.
  std::optional<double> base(size_t step, const std::string& metric,
                             Measure measure = Measure::kProtocol) const;
  bool over_forgets(size_t row, size_t step, Measure measure = Measure::kProtocol) const;
  /// Metrics beyond accuracies, AP, counts and times that some row has: the main ones of audits.
  /// Name order.
  std::vector<std::string> further_metrics() const;
  /// The groups of a row's first seed in a step: [{"name", "kept", "relative"}]; null: none.
  const Json& groups(size_t row, size_t step) const;
  /// What became of tasks that did not succeed: "SCRUB, seed 1, 80-20: failed: ...".
  std::vector<std::string> failures() const;

  /// "H / Acc_r / Acc_f / Acc_o / Acc_m" as the paper prints a cell of this step: Acc_o from the
  /// second step on, Acc_m where classes are missing; AP for Acc of a detector. `row` absent: the
  /// base's.
  std::string cell(std::optional<size_t> row, size_t step,
                   Measure measure = Measure::kProtocol) const;
  /// The same for the heading.
  std::string cell_heading(size_t step) const;
  /// One figure a step, " / " between them; one alone when all steps agree.
  std::string over_steps(size_t row, const std::string& metric, int decimals) const;

 private:
  std::vector<std::string> cell_parts(size_t step) const;
  std::string named(const std::string& metric, Measure measure) const;

  const Json& results_;
  cli::FigureNames names_;
  std::vector<std::string> steps_;
  std::vector<bool> has_past_;
  std::vector<TableRow> rows_;
  size_t seeds_ = 0;
  bool missing_ = false;
  bool margin_;
};

/// "71.20", "71.20 ± 0.31" with several seeds, kNone without a figure.
std::string shown(const std::optional<Figure>& figure, int decimals);
std::string shown(const std::optional<double>& value, int decimals);
std::string fixed(double value, int decimals);

}  // namespace experiments
