// The tables of both pages.
#include "render.h"
#include "results.h"

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

std::string joined(const std::vector<std::string>& texts, const char* separator) {
  std::string line;
  for (const std::string& text : texts) line += (line.empty() ? "" : separator) + text;
  return line;
}

/// Names of tasks or rows, and what made them.
struct Made {
  Json origin;
  std::vector<std::string> names;
};

void add(std::vector<Made>& list, const Json& origin, const std::string& name) {
  for (Made& made : list) {
    if (made.origin == origin) return made.names.push_back(name);
  }
  list.push_back({origin, {name}});
}

/// The ended tasks of a row with one seed, by origin.
std::vector<Made> origins_in_row(const Json& results, const Json& entry) {
  std::vector<Made> list;
  for (size_t i = 0; i < entry.at("tasks").size(); ++i) {
    if (entry.at("tasks")[i].is_null()) continue;
    const std::string step = results.at("steps").at(i).at("name");
    const std::string key = task_key(entry.at("id"), entry.at("seed"), step);
    add(list, origin_of(results.at("run"), key), step);
  }
  return list;
}

/// All rows by origin: "EWC*", "EWC*, seed 2"; of a row with several "EWC* (80-20, 60-20)".
std::vector<Made> origins_in(const Json& results, bool seeds) {
  std::vector<Made> all;
  for (const Json& entry : results.at("rows")) {
    const std::vector<Made> own = origins_in_row(results, entry);
    std::string name = entry.at("label");
    if (seeds) name += ", seed " + entry.at("seed").dump();
    for (const Made& made : own) {
      add(all, made.origin, own.size() == 1 ? name : name + " (" + joined(made.names, ", ") + ")");
    }
  }
  return all;
}

std::vector<std::string> facts_on(const Json& origin) {
  if (origin.is_null()) {
    return {"Machine, library, commit and command are not known: the figures are the journal's."};
  }
  std::vector<std::string> facts;
  if (origin.contains("shared")) {
    facts.push_back("What follows is of the last command; rows before it may have had others.");
  }
  const Json machine = origin.at("machine");
  facts.push_back("Machine: " + text_at(machine, "cpu") + ", " + text_at(machine, "cores") +
                  " processors, " + text_at(origin, "threads") + " threads, " +
                  text_at(origin, "device") + ".");
  facts.push_back("Library: Lethe " + text_at(origin, "version") + ", LibTorch " +
                  text_at(origin, "libtorch") + ", commit " + text_at(origin, "commit") + ".");
  facts.push_back("Command: " + text_at(origin, "command"));
  return facts;
}

std::string margin_note(const Tables& tables) {
  const bool margin = tables.has_margin(), other = tables.has_other();
  if (!margin && !other) return "";
  return std::string("Accuracies are measured ") + (margin ? "with" : "without") +
         " the head's margin at the true class" +
         (other ? std::string("; those ") + (margin ? "without" : "with") + " it follow below."
                : ".");
}

}  // namespace

std::string other_heading(const Tables& tables) {
  return tables.has_margin() ? "Without the head's margin" : "With the head's margin";
}

Grid main_grid(const Tables& tables, Measure measure) {
  Grid grid;
  grid.caption = tables.names().key == "ap"
                     ? "COCO AP in percent on the whole test split after each task"
                     : "Percent of the whole test split after each task";
  grid.heading = {"Method"};
  std::vector<std::string> base = {"Pre-train"};
  for (size_t i = 0; i < tables.steps().size(); ++i) {
    grid.heading.push_back(tables.steps()[i] + ": " + tables.cell_heading(i));
    base.push_back(tables.cell(std::nullopt, i, measure));
  }
  grid.rows = {base};
  grid.flagged = {std::vector<bool>(base.size())};
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    std::vector<std::string> cells = {tables.rows()[row].label};
    std::vector<bool> flags = {false};
    for (size_t i = 0; i < tables.steps().size(); ++i) {
      cells.push_back(tables.cell(row, i, measure));
      flags.push_back(tables.over_forgets(row, i, measure));
    }
    grid.rows.push_back(std::move(cells));
    grid.flagged.push_back(std::move(flags));
  }
  return grid;
}

Grid cost_grid(const Tables& tables) {
  Grid grid;
  grid.caption =
      "The steps of each method, what it trains and leaves; one figure a task where they differ";
  grid.heading = {"Method", "Steps", "Tunable, %", "Groups dropped as zero, %"};
  const std::vector<std::string> further = tables.further_metrics();
  grid.heading.insert(grid.heading.end(), further.begin(), further.end());
  if (!further.empty()) {  // what the base has on the same samples is told by any row's tasks
    std::vector<std::string> base = {"Pre-train", kNone, kNone, kNone};
    for (const std::string& metric : further) base.push_back(base_over_steps(tables, metric));
    grid.rows.push_back(std::move(base));
  }
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    std::vector<std::string> cells = {tables.rows()[row].label, tables.over_steps(row, "steps", 0),
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

std::vector<std::string> run_facts(const Json& results, const Tables& tables) {
  const std::vector<Made> origins = origins_in(results, tables.seed_count() > 1);
  if (origins.empty()) return facts_on(origin_in(results.at("run")));
  if (origins.size() == 1) return facts_on(origins.front().origin);
  std::vector<std::string> facts;
  for (const Made& made : origins) {
    facts.push_back(joined(made.names, "; ") + ". " + joined(facts_on(made.origin), " "));
  }
  return facts;
}

std::vector<std::string> notes_on(const Tables& tables) {
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
  if (const std::string note = margin_note(tables); !note.empty()) notes.push_back(note);
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
