#include "options.h"

#include <fstream>
#include <sstream>

namespace cli {
namespace {

/// JSON itself, or the file that holds it.
std::string json_or_file(const std::string& given) {
  if (given.empty() || given.front() == '{') return given;
  return read_text(given);
}

Dataset read_images(const std::string& folder, const std::vector<std::string>& idx,
                    const std::string& transform, lethe_runtime* runtime) {
  const std::string steps = json_or_file(transform);
  const char* given = steps.empty() ? nullptr : steps.c_str();
  Dataset dataset;
  if (!folder.empty()) {
    check(lethe_dataset_from_image_folder(runtime, folder.c_str(), given, out(dataset)));
  } else {
    check(lethe_dataset_from_idx(runtime, idx.at(0).c_str(), idx.at(1).c_str(), 0, given,
                                 out(dataset)));
  }
  return dataset;
}

}  // namespace

void add_options(CLI::App& app, Options& o) {
  app.add_option("--spec", o.spec, "The model: a JSON file, or the JSON itself")
      ->group("Model")
      ->type_name("FILE|JSON");
  app.add_option("--weights", o.weights,
                 "Its weights: safetensors or .pt, under the names of torchvision, timm, "
                 "Hugging Face or the paper's code")
      ->group("Model")
      ->type_name("FILE");
  app.add_option("--adapter", o.adapters, "An adapter to put on; may be repeated, oldest first")
      ->group("Model")
      ->type_name("FILE.lethe")
      ->allow_extra_args(false);
  app.add_option("--state", o.state, "Folder that keeps tasks, adapters and receipts across runs")
      ->group("Model")
      ->type_name("DIR");
  app.add_option("--device", o.device, "cpu, cuda or cuda:N")->group("Model");
  app.add_option("--threads", o.threads, "Compute threads; 0: all processors")->group("Model");

  auto* folder =
      app.add_option("--images", o.images, "Images: a folder with one sub-folder a class")
          ->group("Images")
          ->type_name("DIR");
  app.add_option("--idx", o.idx, "Images: an IDX pair, plain or .gz")
      ->group("Images")
      ->type_name("IMAGES LABELS")
      ->expected(2)
      ->excludes(folder);
  app.add_option("--transform", o.transform,
                 R"(How an image becomes input, such as {"resize":112,"mean":[0.5],"std":[0.5]})")
      ->group("Images")
      ->type_name("FILE|JSON");
  auto* held_out = app.add_option("--validation-images", o.validation_images,
                                  "Held-out images for the quality gate and the figures")
                       ->group("Images")
                       ->type_name("DIR");
  app.add_option("--validation-idx", o.validation_idx, "The same as an IDX pair")
      ->group("Images")
      ->type_name("IMAGES LABELS")
      ->expected(2)
      ->excludes(held_out);

  app.add_flag("--json", o.json, "Answer with one JSON document on stdout")->group("Output");
  app.add_flag("--quiet", o.quiet, "No progress on stderr")->group("Output");
}

Runtime make_runtime() {
  Runtime runtime;
  check(lethe_runtime_create(nullptr, out(runtime)));
  return runtime;
}

Model make_model(const Options& o, lethe_runtime* runtime) {
  if (o.spec.empty()) {
    throw Failure(LETHE_E_INVALID_ARGUMENT,
                  "no model is named; give --spec, and --weights with what it has learnt");
  }
  Model model;
  check(lethe_model_create(runtime, json_or_file(o.spec).c_str(), o.device.c_str(), out(model)));
  if (!o.weights.empty()) {
    check(lethe_model_load_weights(model.get(), o.weights.c_str(), nullptr));
  }
  for (const std::string& path : o.adapters) {
    Adapter adapter;
    check(lethe_adapter_load(runtime, path.c_str(), nullptr, out(adapter)));
    check(lethe_model_attach(model.get(), adapter.get()));
  }
  return model;
}

Dataset make_images(const Options& o, lethe_runtime* runtime) {
  if (o.images.empty() && o.idx.empty()) {
    throw Failure(LETHE_E_INVALID_ARGUMENT, "no images are named; give --images or --idx");
  }
  return read_images(o.images, o.idx, o.transform, runtime);
}

Dataset make_validation(const Options& o, lethe_runtime* runtime) {
  if (o.validation_images.empty() && o.validation_idx.empty()) return nullptr;
  return read_images(o.validation_images, o.validation_idx, o.transform, runtime);
}

Engine make_engine(const Options& o, lethe_model* model, bool paused) {
  lethe_engine_options options;
  check(lethe_engine_options_init(&options, sizeof options));
  options.threads = o.threads;
  options.folder = o.state.empty() ? nullptr : o.state.c_str();
  options.paused = paused;
  Engine engine;
  check(lethe_engine_create(model, &options, out(engine)));
  return engine;
}

const std::string& require_state(const Options& o) {
  if (o.state.empty()) {
    throw Failure(LETHE_E_INVALID_ARGUMENT, "no folder is named; give --state");
  }
  return o.state;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw Failure(LETHE_E_NOT_FOUND, "cannot read " + path + "; check its path");
  return text.str();
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw Failure(LETHE_E_IO, "cannot write " + path + "; check its folder");
}

Json settings_from(const std::vector<std::string>& assignments) {
  Json settings = Json::object();
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw Failure(LETHE_E_INVALID_ARGUMENT,
                    "the setting \"" + assignment + "\" is not of the form NAME=VALUE");
    }
    const std::string value = assignment.substr(equals + 1);
    const Json parsed = Json::parse(value, nullptr, /*allow_exceptions=*/false);
    settings[assignment.substr(0, equals)] = parsed.is_discarded() ? Json(value) : parsed;
  }
  return settings;
}

}  // namespace cli
