#include "protocol.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "python_shuffle.h"

namespace experiments {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Failure(LETHE_E_INVALID_ARGUMENT, message);
}

constexpr int64_t kOrderSeed = 1337;  // of the paper's runs
constexpr int64_t kMostClasses = 1'000'000;

/// A file name without surprises: it becomes a folder's.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name.front() != '.' &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             "._+-") == std::string::npos;
}

/// `pair`: what the two paths are; "": there is one.
std::vector<std::string> read_paths(Fields& data, const char* key, const std::string& pair) {
  if (pair.empty()) return {data.text(key)};
  const Json& list = data.list(key);
  const bool texts = std::all_of(list.begin(), list.end(), [](auto& p) { return p.is_string(); });
  if (list.size() != 2 || !texts) {
    refuse(std::string("data: \"") + key + "\" must be [" + pair + "]");
  }
  return list.get<std::vector<std::string>>();
}

DataPlan read_data(const Json& json, const fs::path& folder) {
  Fields data(json, "data");
  DataPlan plan;
  plan.kind = data.text("kind");
  const std::map<std::string, std::string> paths = {
      {"idx", "images, labels"}, {"image_folder", ""}, {"coco", "annotations, image folder"}};
  if (!paths.contains(plan.kind)) {
    refuse("data: \"kind\" must be \"idx\", \"image_folder\" or \"coco\", not \"" + plan.kind +
           "\"");
  }
  plan.root = folder / (data.has("root") ? data.text("root") : "");
  plan.train = read_paths(data, "train", paths.at(plan.kind));
  plan.test = read_paths(data, "test", paths.at(plan.kind));
  plan.by_id = data.has("labels");
  if (plan.by_id && (plan.kind != "coco" || data.text("labels") != "id")) {
    refuse("data: \"labels\" is of the kind \"coco\" alone and can only be \"id\"");
  }
  if (data.has("transform")) plan.transform = data.object("transform");
  plan.class_count = data.integer("class_count");
  if (plan.class_count < 2 || plan.class_count > kMostClasses) {
    refuse("data: \"class_count\" must be 2 to 1000000, not " + std::to_string(plan.class_count));
  }
  plan.test_per_class = data.has("test_per_class") ? data.integer("test_per_class") : 0;
  if (plan.test_per_class < 0) refuse("data: \"test_per_class\" must not be negative");
  if (data.has("prepare")) plan.prepare = data.text("prepare");
  data.finish();
  return plan;
}

/// A recipe file says how a model was made: its spec, how images become input, its pre-training.
void read_recipe(const fs::path& file, ModelPlan& plan, DataPlan& data) {
  const Json recipe = read_json(file);
  Fields fields(recipe, file.filename().string());
  plan.spec = fields.object("spec");
  if (fields.has("pretrain")) plan.pretrain = fields.value("pretrain");
  if (fields.has("transform") && data.transform.is_null())
    data.transform = fields.object("transform");
}

Json read_spec(const Json& spec, const fs::path& folder) {
  if (spec.is_object()) return spec;
  if (spec.is_string()) return read_json(folder / spec.get<std::string>());
  refuse("model: \"spec\" must be an object or the path of a JSON file, not " + spec.dump());
}

ModelPlan read_model(const Json& json, const fs::path& folder, DataPlan& data) {
  Fields model(json, "model");
  ModelPlan plan;
  if (model.has("recipe")) {
    read_recipe(folder / model.text("recipe"), plan, data);
  } else {
    plan.spec = read_spec(model.value("spec"), folder);
    if (model.has("pretrain")) plan.pretrain = model.value("pretrain");
  }
  if (plan.pretrain.is_null()) plan.pretrain = Json::array();
  if (plan.pretrain.is_object()) plan.pretrain = Json::array({plan.pretrain});
  if (!plan.pretrain.is_array()) {
    refuse("model: \"pretrain\" must be an object of settings or a list of them");
  }
  if (model.has("weights")) plan.weights = folder / model.text("weights");
  if (model.has("start")) plan.start = folder / model.text("start");
  if (model.has("head_rows")) {
    Fields rows(model.object("head_rows"), "head_rows");
    plan.head_order = folder / rows.text("order");
    rows.finish();
  }
  if (!plan.start.empty() && plan.pretrain.empty()) {
    refuse("model: \"start\" is where pre-training begins; name its settings as \"pretrain\"");
  }
  if (plan.weights.empty() && plan.pretrain.empty()) {
    refuse(
        "model names neither \"weights\" nor \"pretrain\"; an untrained model has nothing to "
        "forget");
  }
  model.finish();
  return plan;
}

Classes read_order(Fields& tasks, int64_t class_count) {
  if (!tasks.has("order") || tasks.value("order") == "paper") {
    const int64_t seed = tasks.has("order_seed") ? tasks.integer("order_seed") : kOrderSeed;
    if (seed < 0) refuse("tasks: \"order_seed\" must not be negative");
    return python_shuffled(class_count, static_cast<uint64_t>(seed));
  }
  const Json& list = tasks.list("order");
  const bool numbers =
      std::all_of(list.begin(), list.end(), [](auto& c) { return c.is_number_integer(); });
  Classes order = numbers ? list.get<Classes>() : Classes();
  Classes sorted = order;
  std::sort(sorted.begin(), sorted.end());
  bool complete = static_cast<int64_t>(sorted.size()) == class_count;
  for (size_t i = 0; complete && i < sorted.size(); ++i) {
    complete = sorted[i] == static_cast<int64_t>(i);
  }
  if (!complete) {
    refuse("tasks: \"order\" must be \"paper\" or list each class from 0 to " +
           std::to_string(class_count - 1) + " once");
  }
  return order;
}

void read_tasks(const Json& json, int64_t missing, Protocol& protocol) {
  Fields tasks(json, "tasks");
  protocol.order = read_order(tasks, protocol.data.class_count);
  protocol.independent = tasks.has("single");
  if (protocol.independent) {
    for (const Json& forget : tasks.list("single")) {
      if (!forget.is_number_integer()) refuse("tasks: \"single\" must list numbers of classes");
      protocol.steps.push_back(single_step(protocol.order, forget, missing));
    }
    if (protocol.steps.empty())
      refuse("tasks: \"single\" is empty; name how many classes to forget");
  } else {
    const int64_t first = tasks.integer("first"), per_task = tasks.integer("per_task");
    const int64_t count = tasks.integer("count");
    protocol.steps = continual_steps(protocol.order, first, per_task, count, missing);
    if (count == 1) protocol.steps = {single_step(protocol.order, per_task, missing)};
  }
  tasks.finish();
}

/// What detectors do not have.
void check_detection(const Protocol& protocol, const Json& order) {
  if (!protocol.data.transform.is_null()) {
    refuse(
        "data: \"transform\" is of images with labels; a detector resizes images as its spec says");
  }
  if (!protocol.model.head_order.empty()) refuse("model: \"head_rows\" are of image classifiers");
  if (protocol.margin) refuse("\"margin\" is of heads with a margin, detectors have none");
  if (!order.is_array()) {
    refuse(
        "tasks: \"order\" of data of the kind \"coco\" must list its classes; the paper's order of "
        "COCO is another shuffle (numpy's, seed 123), which the runner does not have");
  }
}

/// A list among a row's settings has one value a step.
void check_lists(const Json& settings, const std::string& where, size_t steps) {
  for (const auto& [name, value] : settings.items()) {
    if (!value.is_array() || value.size() == steps) continue;
    refuse(where + ": the list of \"" + name + "\" has " + std::to_string(value.size()) +
           " values, there are " + std::to_string(steps) + " tasks");
  }
}

std::vector<Row> read_rows(const Json& list, size_t steps) {
  std::vector<Row> rows;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = "methods[" + std::to_string(i) + "]";
    Fields fields(list[i], where);
    Row row;
    row.method = fields.text("name");
    row.id = fields.has("id") ? fields.text("id") : row.method;
    row.label = fields.has("label") ? fields.text("label") : row.id;
    row.settings = fields.has("settings") ? fields.object("settings") : Json::object();
    fields.finish();
    if (!is_plain_name(row.id)) {
      refuse(where + ": the id \"" + row.id + "\" names a folder; use letters, digits and . _ + -");
    }
    for (const Row& other : rows) {
      if (other.id == row.id) {
        refuse(where + ": \"" + row.id + "\" is there already; give each row an \"id\" of its own");
      }
    }
    check_lists(row.settings, where, steps);
    rows.push_back(std::move(row));
  }
  if (rows.empty()) refuse("methods is empty; name at least one");
  return rows;
}

std::vector<int64_t> read_seeds(const Json& list) {
  std::vector<int64_t> seeds;
  for (const Json& seed : list) {
    if (!seed.is_number_integer() || std::count(seeds.begin(), seeds.end(), seed) > 0) {
      refuse("seeds must list integers, each once");
    }
    seeds.push_back(seed);
  }
  if (seeds.empty()) refuse("seeds is empty; name at least one");
  return seeds;
}

}  // namespace

Json read_json(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream || text.str().empty()) {
    throw Failure(LETHE_E_NOT_FOUND, "cannot read " + file.string() + "; check its path");
  }
  try {
    return Json::parse(text.str(), nullptr, true, /*ignore_comments=*/true);
  } catch (const Json::parse_error& error) {
    throw Failure(LETHE_E_CORRUPT, file.string() + " is no JSON: " + error.what());
  }
}

Protocol read_protocol(const fs::path& file) {
  const Json source = read_json(file);
  try {
    return parse_protocol(source, file.parent_path());
  } catch (const Failure& failure) {
    throw Failure(failure.status, file.string() + ": " + failure.what());
  }
}

Protocol parse_protocol(const Json& source, const fs::path& folder) {
  Fields fields(source, "the protocol");
  Protocol protocol;
  protocol.source = source;
  protocol.name = fields.text("name");
  if (!is_plain_name(protocol.name)) {
    refuse("\"name\" is \"" + protocol.name + "\"; use letters, digits and . _ + -");
  }
  protocol.title = fields.has("title") ? fields.text("title") : protocol.name;
  protocol.data = read_data(fields.object("data"), folder);
  protocol.model = read_model(fields.object("model"), folder, protocol.data);
  const int64_t missing = fields.has("missing") ? fields.integer("missing") : 0;
  read_tasks(fields.object("tasks"), missing, protocol);
  protocol.margin = fields.has("margin") && fields.flag("margin");
  if (protocol.data.kind == "coco") {
    check_detection(protocol, source.at("tasks").value("order", Json()));
  }
  protocol.settings = Json::object();
  if (fields.has("few_shot")) protocol.settings["few_shot"] = fields.integer("few_shot");
  if (fields.has("data_ratio")) protocol.settings["data_ratio"] = fields.number("data_ratio");
  if (fields.has("settings")) protocol.settings.update(fields.object("settings"));
  check_lists(protocol.settings, "settings", protocol.steps.size());
  protocol.rows = read_rows(fields.list("methods"), protocol.steps.size());
  protocol.seeds =
      fields.has("seeds") ? read_seeds(fields.list("seeds")) : std::vector<int64_t>{kOrderSeed};
  const int64_t threads = fields.has("threads") ? fields.integer("threads") : 0;
  if (threads < 0 || threads > 4096) refuse("\"threads\" must be 0 (all processors) to 4096");
  protocol.threads = static_cast<int>(threads);
  fields.finish();
  return protocol;
}

Json settings_of(const Protocol& protocol, const Row& row, size_t step, int64_t seed) {
  Json settings = {{"gate_max_acc_f", -1}, {"gate_max_acc_r_drop", -1}};
  for (const Json* layer : {&protocol.settings, &row.settings}) {
    for (const auto& [name, value] : layer->items()) {
      settings[name] = value.is_array() ? value.at(step) : value;
    }
  }
  settings["seed"] = seed;
  return settings;
}

}  // namespace experiments
