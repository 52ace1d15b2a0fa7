#include "tables.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "results.h"

namespace experiments {
namespace {

const Json kNull;

/// Of audits the heading figures; advantages, true positive rates, counts and the base's stay in
/// results.csv.
bool is_further(const std::string& name) {
  for (const char* known : {"h", "steps", "forget_samples", "retain_samples", "tunable_ratio",
                            "zero_group_ratio", "over_forgetting"}) {
    if (name == known) return false;
  }
  for (const char* family : {"acc_", "ap_", "ap50_", "h_", "plain_", "groups_"}) {
    if (name.starts_with(family)) return false;
  }
  for (const char* detail : {"_before", "_start", "_advantage", "_tpr", "_members"}) {
    if (name.ends_with(detail)) return false;
  }
  return true;
}

/// A member that is a number.
std::optional<double> number_at(const Json& object, const std::string& name) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

std::string joined(const std::vector<std::string>& texts) {
  std::string line;
  for (const std::string& text : texts) line += (line.empty() ? "" : " / ") + text;
  return line;
}

/// Without a deviation of 0: what is a fact and not a measurement has none.
std::string plainly_shown(std::optional<Figure> figure, int decimals) {
  if (figure && figure->deviation == 0) figure->count = 1;
  return shown(figure, decimals);
}

}  // namespace

std::string fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  const std::string shown = text;
  const bool zero = shown.find_first_not_of("-0.") == std::string::npos;
  return zero && shown.front() == '-' ? shown.substr(1) : shown;
}

std::string shown(const std::optional<double>& value, int decimals) {
  return value ? fixed(*value, decimals) : kNone;
}

std::string shown(const std::optional<Figure>& figure, int decimals) {
  if (!figure) return kNone;
  const std::string mean = fixed(figure->mean, decimals);
  return figure->count == 1 ? mean : mean + " \u00b1 " + fixed(figure->deviation, decimals);
}

Tables::Tables(const Json& results)
    : results_(results),
      names_(cli::figures_in(results.at("base"))),
      margin_(results.at("protocol").value("margin", false)) {
  for (const Json& step : results.at("steps")) {
    steps_.push_back(step.at("name"));
    has_past_.push_back(!step.at("past").empty());
    missing_ = missing_ || !step.at("missing").empty();
  }
  std::set<int64_t> seeds;
  for (const Json& entry : results.at("rows")) {
    seeds.insert(entry.at("seed").get<int64_t>());
    const std::string id = entry.at("id");
    const bool known =
        std::any_of(rows_.begin(), rows_.end(), [&](const TableRow& row) { return row.id == id; });
    if (!known) rows_.push_back({id, entry.at("label")});
  }
  seeds_ = seeds.size();
}

std::optional<Figure> Tables::figure(size_t row, size_t step, const std::string& metric) const {
  const Json& runs = results_.at("run").at("tasks");
  std::vector<double> values;
  for (const Json& entry : results_.at("rows")) {
    if (entry.at("id") != rows_[row].id) continue;
    const Json& task = entry.at("tasks").at(step);
    if (task.is_null()) continue;
    const auto ran = runs.find(task_key(entry.at("id"), entry.at("seed"), steps_[step]));
    std::optional<double> value = number_at(task.at("metrics"), metric);
    if (!value && ran != runs.end()) value = number_at(*ran, metric);
    if (value) values.push_back(*value);
  }
  if (values.empty()) return std::nullopt;
  const auto count = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  for (const double v : values) squares += (v - sum / count) * (v - sum / count);
  return Figure{sum / count, values.size() > 1 ? std::sqrt(squares / (count - 1)) : 0,
                values.size()};
}

/// What results.json calls a figure: of kOther "plain_acc_f", or "acc_f_margin".
std::string Tables::named(const std::string& metric, Measure measure) const {
  if (measure == Measure::kProtocol) return metric;
  return margin_ ? "plain_" + metric : metric + "_margin";
}

bool Tables::has_other() const {
  const std::string h = named("h", Measure::kOther);
  for (size_t row = 0; row < rows_.size(); ++row) {
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (figure(row, i, h)) return true;
    }
  }
  return false;
}

std::optional<double> Tables::base(size_t step, const std::string& metric, Measure measure) const {
  if (measure == Measure::kOther) {
    for (size_t row = 0; row < rows_.size(); ++row) {
      const auto told = figure(row, step, named(metric + "_before", measure));
      if (told) return told->mean;
    }
    return std::nullopt;
  }
  const Json& base = results_.at("base");
  if (base.is_null()) return std::nullopt;
  return number_at(base.at("steps").at(step), metric);
}

bool Tables::over_forgets(size_t row, size_t step, Measure measure) const {
  const std::string metric = names_.key + "_r";
  const auto now = figure(row, step, named(metric, measure));
  const auto before = base(step, metric, measure);
  return now && before && *before - now->mean > kOverForgetting;
}

std::vector<std::string> Tables::further_metrics() const {
  std::set<std::string> names;
  for (const Json& entry : results_.at("rows")) {
    for (const Json& task : entry.at("tasks")) {
      if (task.is_null() || !task.at("metrics").is_object()) continue;
      for (const auto& [name, value] : task.at("metrics").items()) {
        if (is_further(name)) names.insert(name);
      }
    }
  }
  return {names.begin(), names.end()};
}

const Json& Tables::groups(size_t row, size_t step) const {
  for (const Json& entry : results_.at("rows")) {
    if (entry.at("id") != rows_[row].id) continue;
    const Json& task = entry.at("tasks").at(step);
    if (!task.is_null() && !task.at("groups").empty()) return task.at("groups");
  }
  return kNull;
}

std::vector<std::string> Tables::failures() const {
  std::vector<std::string> list;
  for (const Json& entry : results_.at("rows")) {
    for (size_t i = 0; i < steps_.size(); ++i) {
      const Json& task = entry.at("tasks").at(i);
      if (task.is_null() || task.at("state") == "succeeded") continue;
      list.push_back(entry.at("label").get<std::string>() + ", seed " + entry.at("seed").dump() +
                     ", " + steps_[i] + ": " + task.at("state").get<std::string>() + ": " +
                     task.at("message").get<std::string>());
    }
  }
  return list;
}

std::vector<std::string> Tables::cell_parts(size_t step) const {
  std::vector<std::string> parts = {"_r", "_f"};
  if (has_past_[step]) parts.push_back("_o");
  if (missing_) parts.push_back("_m");
  return parts;
}

std::string Tables::cell_heading(size_t step) const {
  std::vector<std::string> texts = {"H"};
  for (const std::string& part : cell_parts(step)) texts.push_back(names_.shown + part);
  return joined(texts);
}

std::string Tables::cell(std::optional<size_t> row, size_t step, Measure measure) const {
  const auto text = [&](const std::string& metric) {
    return row ? shown(figure(*row, step, named(metric, measure)), 2)
               : shown(base(step, metric, measure), 2);
  };
  std::vector<std::string> texts = {text("h")};
  for (const std::string& part : cell_parts(step)) texts.push_back(text(names_.key + part));
  return joined(texts);
}

std::string Tables::over_steps(size_t row, const std::string& metric, int decimals) const {
  std::vector<std::string> texts;
  for (size_t i = 0; i < steps_.size(); ++i) {
    texts.push_back(plainly_shown(figure(row, i, metric), decimals));
  }
  const bool alike = std::all_of(texts.begin(), texts.end(),
                                 [&](const std::string& text) { return text == texts.front(); });
  return alike ? texts.front() : joined(texts);
}

}  // namespace experiments
