// results.json as people and other programs read it. Equal results give equal text, but for the
// part headed "This run" (times, memory, machine).
#pragma once

#include <string>

#include "tables.h"

namespace experiments {

/// Long form: method,seed,task,metric,value. Nothing of "run".
std::string csv_of(const Json& results);
/// Tables in the paper's shape.
std::string markdown_of(const Json& results);
/// One page that needs nothing else: tables and figures, for light and dark screens.
std::string html_of(const Json& results);

/// A table that both pages show.
struct Grid {
  std::string caption;
  std::vector<std::string> heading;
  std::vector<std::vector<std::string>> rows;   ///< the first cell names the row
  std::vector<std::vector<bool>> flagged = {};  ///< over-forgetting; empty: nothing is
};

/// H, Acc_r, Acc_f and so on: the base, then the methods.
Grid main_grid(const Tables& tables, Measure measure);
/// The heading of main_grid() with Measure::kOther: "With the head's margin".
std::string other_heading(const Tables& tables);
/// What the methods cost and leave: steps, tunable and zero-group ratio, audits.
Grid cost_grid(const Tables& tables);
/// Seconds and memory of the tasks.
Grid run_grid(const Tables& tables);
/// Sentences on what made the tasks: machine, library, commit, command. Where they have several
/// origins, one of each, which begins with the rows it belongs to.
std::vector<std::string> run_facts(const Json& results, const Tables& tables);
/// Sentences that explain the main table.
std::vector<std::string> notes_on(const Tables& tables);

/// The picture parts of the page.
std::string html_style();
std::string figure_h(const Tables& tables);
std::string figure_scatter(const Tables& tables);
std::string figure_groups(const Tables& tables);
std::string escaped(const std::string& text);

}  // namespace experiments
