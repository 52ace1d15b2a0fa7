#include "base.h"

#include <algorithm>
#include <cmath>

#include "../cli/figures.h"
#include "follow.h"
#include "head_rows.h"
#include "results.h"

namespace experiments {
namespace {

using cli::check;
using cli::out;

cli::Dataset read_split(const Protocol& protocol, const std::vector<std::string>& files,
                        lethe_runtime* runtime) {
  const DataPlan& data = protocol.data;
  for (const std::string& file : files) {
    if (fs::exists(data.root / file)) continue;
    throw Failure(LETHE_E_NOT_FOUND,
                  "there is no " + (data.root / file).lexically_normal().string() +
                      (data.prepare.empty() ? "; name the folder of the data with --data"
                                            : "; prepare the data with:  " + data.prepare));
  }
  const std::string transform = data.transform.is_null() ? "" : data.transform.dump();
  const char* steps = transform.empty() ? nullptr : transform.c_str();
  cli::Dataset set;
  const auto path = [&](size_t i) { return (data.root / files.at(i)).string(); };
  if (data.kind == "idx") {
    check(lethe_dataset_from_idx(runtime, path(0).c_str(), path(1).c_str(), data.class_count, steps,
                                 out(set)));
  } else if (data.kind == "coco") {
    const auto read = data.by_id ? lethe_dataset_from_coco_ids : lethe_dataset_from_coco;
    check(read(runtime, path(0).c_str(), path(1).c_str(), out(set)));
  } else {
    check(lethe_dataset_from_image_folder(runtime, path(0).c_str(), steps, out(set)));
  }
  return set;
}

Json describe(const cli::Dataset& set) {
  cli::Buffer json;
  check(lethe_dataset_info_json(set.get(), out(json)));
  return cli::json_of(json);
}

void check_class_count(const Protocol& protocol, const Json& described, const char* name) {
  const int64_t count = described.at("class_count");
  if (count == protocol.data.class_count) return;
  throw Failure(LETHE_E_INVALID_ARGUMENT,
                std::string("the ") + name + " split has " + std::to_string(count) +
                    " classes, the protocol says " + std::to_string(protocol.data.class_count));
}

/// Names of the classes; empty where the data has numbers only.
std::vector<std::string> class_names(const Json& described) {
  if (!described.contains("categories")) return described.at("class_names");
  std::vector<std::string> names;
  for (const Json& category : described.at("categories")) names.push_back(category.at("name"));
  return names;
}

/// A class is a number, its place among the names: both splits must have the same ones.
void check_same_classes(const Json& train, const Json& test) {
  const std::vector<std::string> learnt = class_names(train), tested = class_names(test);
  for (size_t i = 0; i < std::min(learnt.size(), tested.size()); ++i) {
    if (learnt[i] == tested[i]) continue;
    throw Failure(LETHE_E_INVALID_ARGUMENT,
                  "class " + std::to_string(i) + " is \"" + learnt[i] +
                      "\" in the training split and \"" + tested[i] +
                      "\" in the test split; both must have the same classes");
  }
}

/// The settings of pre-training by name: lethe.h has no JSON form of them.
lethe_pretrain_config pretrain_config(const Json& settings) {
  lethe_pretrain_config config;
  check(lethe_pretrain_config_init(&config, sizeof config));
  Fields fields(settings, "pretrain");
  const auto set = [&](const char* name, auto& field) {
    if (!fields.has(name)) return;
    const Json& value = fields.value(name);
    if (value.is_boolean()) {
      field = value.get<bool>();
    } else {
      field = static_cast<std::decay_t<decltype(field)>>(fields.number(name));
    }
  };
  set("epochs", config.epochs);
  set("warmup_epochs", config.warmup_epochs);
  set("batch", config.batch);
  set("learning_rate", config.learning_rate);
  set("min_learning_rate", config.min_learning_rate);
  set("weight_decay", config.weight_decay);
  set("label_smoothing", config.label_smoothing);
  set("dropout", config.dropout);
  set("flip", config.flip);
  set("shift", config.shift);
  set("erase", config.erase);
  set("average_decay", config.average_decay);
  set("max_steps", config.max_steps);
  set("seed", config.seed);
  set("progress_interval", config.progress_interval);
  fields.finish();
  return config;
}

cli::Model make_model(const Protocol& protocol, const RunOptions& options, lethe_runtime* runtime) {
  cli::Model model;
  check(lethe_model_create(runtime, protocol.model.spec.dump().c_str(), options.device.c_str(),
                           out(model)));
  return model;
}

/// Trains the base in a folder of its own and leaves the weights in `weights`.
void pretrain(const Protocol& protocol, const Images& images, const RunOptions& options,
              const fs::path& weights, lethe_runtime* runtime) {
  const cli::Model model = make_model(protocol, options, runtime);
  if (!protocol.model.start.empty()) {
    check(lethe_model_load_weights(model.get(), protocol.model.start.c_str(), nullptr));
  }
  const fs::path folder = options.out / "journal" / "pretrain";
  make_folder(folder.parent_path());
  lethe_engine_options engine_options;
  check(lethe_engine_options_init(&engine_options, sizeof engine_options));
  engine_options.threads = options.threads;
  const std::string path = folder.string();
  engine_options.folder = path.c_str();
  cli::Engine engine;
  check(lethe_engine_create(model.get(), &engine_options, out(engine)));
  for (size_t i = 0; i < protocol.model.pretrain.size(); ++i) {
    const lethe_pretrain_config config = pretrain_config(protocol.model.pretrain[i]);
    const std::string id = "pretrain-" + std::to_string(i + 1);
    cli::Job job;
    check(lethe_engine_enqueue_pretraining(engine.get(), id.c_str(), &config, images.train.get(),
                                           images.test.get(), out(job)));
    follow(engine.get(), job.get(), "pre-training", options.quiet);
    lethe_job_status_info info{};
    info.struct_size = sizeof info;
    check(lethe_job_status(job.get(), &info));
    if (info.state != LETHE_JOB_SUCCEEDED) throw Failure(info.error, lethe_job_error(job.get()));
  }
  lethe_export_options half;
  check(lethe_export_options_init(&half, sizeof half));
  half.dtype = LETHE_F16;
  check(lethe_model_export_merged(model.get(), weights.c_str(), &half));
}

std::string hex(const uint8_t* bytes, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += "0123456789abcdef"[bytes[i] >> 4];
    text += "0123456789abcdef"[bytes[i] & 15];
  }
  return text;
}

}  // namespace

Images read_images(const Protocol& protocol, lethe_runtime* runtime) {
  Images images;
  images.train = read_split(protocol, protocol.data.train, runtime);
  images.test = read_split(protocol, protocol.data.test, runtime);
  const Json train = describe(images.train);
  Json test = describe(images.test);
  check_class_count(protocol, train, "training");
  check_class_count(protocol, test, "test");
  check_same_classes(train, test);
  if (const int64_t most = protocol.data.test_per_class) {
    const cli::Dataset all = std::move(images.test);
    check(
        lethe_dataset_select(all.get(), LETHE_DROP_CLASSES, nullptr, 0, most, 0, out(images.test)));
    test = describe(images.test);
  }
  images.test_count = test.at("histogram").get<std::vector<int64_t>>();
  return images;
}

cli::Dataset keep_classes(const cli::Dataset& dataset, const Classes& classes) {
  cli::Dataset part;
  check(lethe_dataset_select(dataset.get(), LETHE_KEEP_CLASSES, classes.data(), classes.size(), 0,
                             0, out(part)));
  return part;
}

cli::Model make_base(const Protocol& protocol, const Images& images, const RunOptions& options,
                     lethe_runtime* runtime) {
  fs::path weights = protocol.model.weights;
  if (weights.empty() || !fs::exists(weights)) {
    if (protocol.model.pretrain.empty()) {
      throw Failure(LETHE_E_NOT_FOUND, "there are no weights " + weights.string() +
                                           " and the protocol has no recipe to pre-train them");
    }
    weights = options.out / "base.safetensors";
    if (!fs::exists(weights)) pretrain(protocol, images, options, weights, runtime);
  }
  cli::Model model = make_model(protocol, options, runtime);
  if (weights == protocol.model.weights && !protocol.model.head_order.empty()) {
    load_head_rows(runtime, protocol.model.spec, weights, read_lines(protocol.model.head_order),
                   describe(images.train).at("class_names"), model.get());
  } else {
    check(lethe_model_load_weights(model.get(), weights.c_str(), nullptr));
  }
  return model;
}

ClassFigures::ClassFigures(const Json& metrics, const std::vector<int64_t>& samples) {
  const std::string key = cli::figures_in(metrics).key;
  is_accuracy_ = key == "acc";
  for (size_t c = 0; c < samples.size(); ++c) {
    percent_.push_back(metrics.value(key + "_class." + std::to_string(c), 0.0));
    weight_.push_back(is_accuracy_ ? samples[c] : samples[c] > 0);
  }
}

Json ClassFigures::percent(const Classes& classes) const {
  double sum = 0;
  int64_t weights = 0;
  for (const int64_t c : classes) {
    const auto i = static_cast<size_t>(c);
    sum += percent_.at(i) * static_cast<double>(weight_.at(i));
    weights += weight_.at(i);
  }
  if (weights == 0) return nullptr;
  if (is_accuracy_) sum = 100 * std::round(sum / 100);  // right answers are a whole number
  return sum / static_cast<double>(weights);
}

Json evaluate(const lethe_model* model, const Images& images, bool margin, int threads) {
  lethe_evaluate_options options;
  check(lethe_evaluate_options_init(&options, sizeof options));
  options.threads = threads;
  options.margin = margin;
  cli::Report report;
  check(lethe_model_evaluate(model, images.test.get(), &options, out(report)));
  cli::Buffer json;
  check(lethe_report_json(report.get(), out(json)));
  return cli::json_of(json).at("metrics");
}

Json describe_base(const Protocol& protocol, const cli::Model& base, const Images& images,
                   int threads) {
  const Json metrics = evaluate(base.get(), images, protocol.margin, threads);
  const ClassFigures figures(metrics, images.test_count);
  const std::string key = cli::figures_in(metrics).key;
  Json steps = Json::array();
  for (const Step& step : protocol.steps) {
    Json entry = {{key + "_f", figures.percent(step.forget)},
                  {key + "_r", figures.percent(step.retained)}};
    if (!step.missing.empty()) entry[key + "_m"] = figures.percent(step.missing);
    steps.push_back(std::move(entry));
  }
  uint8_t fingerprint[32];
  check(lethe_model_fingerprint(base.get(), fingerprint, nullptr));
  cli::Buffer info;
  check(lethe_model_info_json(base.get(), out(info)));
  return {{"fingerprint", hex(fingerprint, sizeof fingerprint)},
          {"parameters", cli::json_of(info).at("parameters")},
          {key, metrics.at(key)},
          {"steps", std::move(steps)}};
}

}  // namespace experiments
