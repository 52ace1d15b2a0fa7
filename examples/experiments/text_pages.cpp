// results.csv and results.md.
#include "render.h"

namespace experiments {
namespace {

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string cell_of(const std::string& text) {
  std::string safe;
  for (const char c : text) safe += c == '|' ? "\\|" : c == '\n' ? " " : std::string(1, c);
  return safe;
}

std::string line_of(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += " " + cell_of(cell) + " |";
  return line + "\n";
}

std::string table_of(const Grid& grid) {
  std::string text = line_of(grid.heading) + "|";
  for (size_t i = 0; i < grid.heading.size(); ++i) text += i == 0 ? "---|" : "---:|";
  text += "\n";
  for (size_t r = 0; r < grid.rows.size(); ++r) {
    std::vector<std::string> cells = grid.rows[r];
    for (size_t c = 0; c < cells.size(); ++c) {
      if (!grid.flagged.empty() && grid.flagged[r][c]) cells[c] += " \u25bc";
    }
    text += line_of(cells);
  }
  return text + "\n";
}

}  // namespace

std::string csv_of(const Json& results) {
  std::string text = "method,seed,task,metric,value\n";
  for (const Json& entry : results.at("rows")) {
    for (size_t i = 0; i < entry.at("tasks").size(); ++i) {
      const Json& task = entry.at("tasks")[i];
      if (task.is_null() || !task.at("metrics").is_object()) continue;
      const std::string name = results.at("steps").at(i).at("name");
      for (const auto& [metric, value] : task.at("metrics").items()) {
        text += quoted(entry.at("id")) + "," + entry.at("seed").dump() + "," + name + "," +
                quoted(metric) + "," + value.dump() + "\n";
      }
    }
  }
  return text;
}

std::string markdown_of(const Json& results) {
  const Tables tables(results);
  const Grid main = main_grid(tables, Measure::kProtocol), cost = cost_grid(tables);
  const Grid run = run_grid(tables);
  std::string text = "# " + results.at("title").get<std::string>() + "\n\n";
  text += main.caption + ".\n\n" + table_of(main);
  for (const std::string& note : notes_on(tables)) text += "- " + note + "\n";
  if (tables.has_other()) {
    const Grid other = main_grid(tables, Measure::kOther);
    text += "\n## " + other_heading(tables) + "\n\n" + other.caption + ".\n\n" + table_of(other);
    text.pop_back();
  }
  text += "\n## Cost and audits\n\n" + cost.caption + ".\n\n" + table_of(cost);
  text += "## This run\n\n" + run.caption + ".\n\n" + table_of(run);
  for (const std::string& fact : run_facts(results, tables)) text += "- " + fact + "\n";
  return text;
}

}  // namespace experiments
