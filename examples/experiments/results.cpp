#include "results.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "render.h"

namespace experiments {
namespace {

constexpr const char* kSchema = "lethe-experiments-1";

/// What must be equal for results to belong together.
Json identity(const Json& protocol) {
  Json same = protocol;
  for (const char* key : {"title", "methods", "seeds"}) same.erase(key);
  return same;
}

size_t position(const Protocol& protocol, const Json& entry) {
  const std::string id = entry.at("id");
  const auto row = std::find_if(protocol.rows.begin(), protocol.rows.end(),
                                [&](const Row& r) { return r.id == id; });
  const auto seed = std::find(protocol.seeds.begin(), protocol.seeds.end(), entry.at("seed"));
  return static_cast<size_t>(row - protocol.rows.begin()) * (protocol.seeds.size() + 1) +
         static_cast<size_t>(seed - protocol.seeds.begin());
}

/// Writes origin_of() each task into the document.
void fill_origins(Json& run) {
  for (auto& [key, task] : run.at("tasks").items()) {
    Json origin = origin_of(run, key);
    task["origin"] = std::move(origin);
  }
}

}  // namespace

Json new_results(const Protocol& protocol) {
  Json steps = Json::array();
  for (const Step& step : protocol.steps) {
    steps.push_back({{"name", step.name},
                     {"forget", step.forget},
                     {"retained", step.retained},
                     {"past", step.past},
                     {"missing", step.missing}});
  }
  return {{"schema", kSchema},
          {"name", protocol.name},
          {"title", protocol.title},
          {"protocol", protocol.source},
          {"order", protocol.order},
          {"steps", steps},
          {"base", nullptr},
          {"rows", Json::array()},
          {"run", {{"tasks", Json::object()}}}};
}

SplitMetrics split_metrics(const Json& metrics) {
  SplitMetrics split{Json::object(), Json::object()};
  for (const auto& [name, value] : metrics.items()) {
    const bool of_run =
        name.find("seconds") != std::string::npos || name.find("memory") != std::string::npos;
    (of_run ? split.run : split.figures)[name] = value;
  }
  return split;
}

void put_task(Json& results, const Protocol& protocol, const Row& row, int64_t seed, size_t step,
              Json task) {
  Json& rows = results.at("rows");
  auto found = std::find_if(rows.begin(), rows.end(), [&](const Json& entry) {
    return entry.at("id") == row.id && entry.at("seed") == seed;
  });
  if (found == rows.end()) {
    Json entry = {{"id", row.id},
                  {"method", row.method},
                  {"label", row.label},
                  {"seed", seed},
                  {"tasks", Json::array()}};
    for (size_t i = 0; i < protocol.steps.size(); ++i) entry["tasks"].push_back(nullptr);
    const auto place = std::find_if(rows.begin(), rows.end(), [&](const Json& other) {
      return position(protocol, other) > position(protocol, entry);
    });
    found = rows.insert(place, std::move(entry));
  }
  found->at("tasks").at(step) = std::move(task);
}

Json task_of(const Json& results, const Row& row, int64_t seed, size_t step) {
  for (const Json& entry : results.at("rows")) {
    if (entry.at("id") == row.id && entry.at("seed") == seed) return entry.at("tasks").at(step);
  }
  return nullptr;
}

std::string task_key(const std::string& row_id, int64_t seed, const std::string& step) {
  return row_id + "-" + std::to_string(seed) + "/" + step;
}

Json origin_in(const Json& run) {
  const Json environment = run.value("environment", Json::object());
  Json origin = Json::object();
  for (const char* key : {"command", "commit", "device", "threads", "machine"}) {
    origin[key] = run.value(key, Json());
  }
  for (const char* key : {"version", "libtorch"}) origin[key] = environment.value(key, Json());
  return origin;
}

Json origin_of(const Json& run, const std::string& key) {
  const Json& tasks = run.at("tasks");
  const auto task = tasks.find(key);
  if (task != tasks.end() && task->contains("origin")) return task->at("origin");
  Json origin = origin_in(run);
  origin["shared"] = true;
  return origin;
}

Json load_results(const Protocol& protocol, const fs::path& folder) {
  Json fresh = new_results(protocol);
  const fs::path file = folder / "results.json";
  if (!fs::exists(file)) return fresh;
  Json old = read_json(file);
  if (!old.is_object() || old.value("schema", "") != kSchema ||
      identity(old.at("protocol")) != identity(protocol.source)) {
    throw Failure(LETHE_E_STATE, folder.string() +
                                     " holds results of another protocol; name another --out, or "
                                     "remove the folder");
  }
  for (const char* kept : {"base", "run"}) fresh[kept] = old.at(kept);
  fill_origins(fresh.at("run"));
  for (const Json& entry : old.at("rows")) {  // of rows and seeds that the protocol still has
    for (const Row& row : protocol.rows) {
      const int64_t seed = entry.at("seed");
      if (entry.at("id") != row.id || entry.at("method") != row.method) continue;
      if (std::count(protocol.seeds.begin(), protocol.seeds.end(), seed) == 0) continue;
      for (size_t i = 0; i < protocol.steps.size(); ++i) {
        put_task(fresh, protocol, row, seed, i, entry.at("tasks").at(i));
      }
    }
  }
  return fresh;
}

void write_results(const Json& results, const fs::path& folder) {
  write_file(folder / "results.json", results.dump(1) + "\n");
  write_file(folder / "results.csv", csv_of(results));
  write_file(folder / "results.md", markdown_of(results));
  write_file(folder / "results.html", html_of(results));
}

std::string first_difference(const Json& a, const Json& b) {
  Json left = a, right = b;
  left.erase("run");
  right.erase("run");
  const Json patch = Json::diff(left, right);
  if (patch.empty()) return "";
  const std::string path = patch.front().at("path");
  const auto shown = [&](const Json& document) {
    const Json::json_pointer pointer(path);
    if (!document.contains(pointer)) return std::string("nothing");
    const std::string text = document.at(pointer).dump();
    return text.size() <= 60 ? text : text.substr(0, 57) + "...";
  };
  return path + ": " + shown(left) + " and " + shown(right);
}

void write_file(const fs::path& file, const std::string& content) {
  const fs::path half = file.string() + ".part";
  std::ofstream stream(half, std::ios::binary);
  stream << content;
  stream.close();
  std::error_code error;
  if (stream) fs::rename(half, file, error);
  if (!stream || error) {
    throw Failure(LETHE_E_IO, "cannot write " + file.string() +
                                  "; check that its folder may be written and the disk has room");
  }
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || ::access(folder.c_str(), W_OK) != 0) {
    throw Failure(LETHE_E_IO, "cannot write to the folder " + folder.string() + " (" +
                                  (error ? error.message() : "no permission") +
                                  "); name another --out");
  }
}

}  // namespace experiments
