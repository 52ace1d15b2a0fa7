// The tables of both pages.
#include "render.h"

namespace experiments {
namespace {

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return kNone;
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string base_over_steps(const Tables& tables, const std::string& metric) {
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    const std::string text = tables.over_steps(row, metric + "_before", 3);
    if (text != kNone) return text;
  }
  return kNone;
}

}  // namespace

Grid main_grid(const Json& results, const Tables& tables) {
  Grid grid;
  grid.caption = tables.names().key == "ap"
                     ? "COCO AP in percent on the whole test split after each task"
                     : "Percent of the whole test split after each task";
  grid.heading = {"Method"};
  std::vector<std::string> base = {"Pre-train"};
  for (size_t i = 0; i < tables.steps().size(); ++i) {
    grid.heading.push_back(tables.steps()[i] + ": " + tables.cell_heading(i));
    base.push_back(tables.cell(std::nullopt, i));
  }
  grid.rows = {base};
  grid.flagged = {std::vector<bool>(base.size())};
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    std::vector<std::string> cells = {tables.rows()[row].label};
    std::vector<bool> flags = {false};
    for (size_t i = 0; i < tables.steps().size(); ++i) {
      cells.push_back(tables.cell(row, i));
      flags.push_back(tables.over_forgets(row, i));
    }
    grid.rows.push_back(std::move(cells));
    grid.flagged.push_back(std::move(flags));
  }
  return grid;
}

Grid cost_grid(const Tables& tables) {
  Grid grid;
  grid.caption = "What each method trains and leaves; one figure a task where they differ";
  grid.heading = {"Method", "Tunable, %", "Groups dropped as zero, %"};
  const std::vector<std::string> further = tables.further_metrics();
  grid.heading.insert(grid.heading.end(), further.begin(), further.end());
  if (!further.empty()) {  // what the base has on the same samples is told by any row's tasks
    std::vector<std::string> base = {"Pre-train", kNone, kNone};
    for (const std::string& metric : further) base.push_back(base_over_steps(tables, metric));
    grid.rows.push_back(std::move(base));
  }
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    std::vector<std::string> cells = {tables.rows()[row].label,
                                      tables.over_steps(row, "tunable_ratio", 2),
                                      tables.over_steps(row, "zero_group_ratio", 1)};
    for (const std::string& metric : further) cells.push_back(tables.over_steps(row, metric, 3));
    grid.rows.push_back(std::move(cells));
  }
  return grid;
}

Grid run_grid(const Tables& tables) {
  Grid grid;
  grid.caption = "Time and memory, one figure a task";
  grid.heading = {"Method", "Seconds", "Peak memory, MiB"};
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    grid.rows.push_back({tables.rows()[row].label, tables.over_steps(row, "seconds", 1),
                         tables.over_steps(row, "peak_memory_mib", 0)});
  }
  return grid;
}

std::vector<std::string> run_facts(const Json& results) {
  const Json& run = results.at("run");
  const Json machine = run.value("machine", Json::object());
  const Json environment = run.value("environment", Json::object());
  return {"Machine: " + text_at(machine, "cpu") + ", " + text_at(machine, "cores") +
              " processors, " + text_at(run, "threads") + " threads, " + text_at(run, "device") +
              ".",
          "Library: Lethe " + text_at(environment, "version") + ", LibTorch " +
              text_at(environment, "libtorch") + ", commit " + text_at(run, "commit") + ".",
          "Command: " + text_at(run, "command")};
}

std::vector<std::string> notes_on(const Json& results, const Tables& tables) {
  const Json& protocol = results.at("protocol");
  const std::string name = tables.names().shown, r = name + "_r", f = name + "_f";
  std::vector<std::string> notes = {
      "H = 2 " + r + " Drop / (" + r + " + Drop), Drop = " + f + " of the pre-trained model - " +
      f + ". " + r + ": classes kept; " + f + ": classes of the task; " + name +
      "_o: classes of earlier tasks" +
      (tables.has_missing() ? "; " + name + "_m: kept classes without training samples." : ".")};
  if (tables.names().key == "ap") {
    notes.push_back(
        "AP: the mean over the IoU thresholds 0.50, 0.55 ... 0.95 and over those of the classes "
        "that have objects. results.csv has it at the IoU 0.50 alone, too (ap50).");
  }
  if (protocol.value("margin", false)) {
    notes.push_back("Accuracies are measured with the head's margin at the true class.");
  }
  if (tables.seed_count() > 1) {
    notes.push_back("Mean \u00b1 standard deviation over " + std::to_string(tables.seed_count()) +
                    " seeds; where a seed has no figure, over the others.");
  }
  notes.push_back("\u25bc marks over-forgetting: " + r + " is more than " +
                  fixed(kOverForgetting, 0) +
                  " points under the pre-trained model's on the same classes.");
  for (const std::string& failure : tables.failures()) notes.push_back(failure);
  return notes;
}

}  // namespace experiments
