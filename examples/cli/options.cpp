#include "options.h"

#include <fstream>
#include <sstream>

namespace cli {
namespace {

/// JSON itself, or the file that holds it.
std::string json_or_file(const std::string& given) {
  if (given.empty() || given.front() == '{' || given.front() == '[') return given;
  return read_text(given);
}

/// The text's characters, NULL for "".
const char* given(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

Dataset read_boxes(const ImageSource& source, const std::string& class_names,
                   lethe_runtime* runtime) {
  Dataset dataset;
  if (!source.coco.empty()) {
    check(lethe_dataset_from_coco(runtime, source.coco.at(0).c_str(), source.coco.at(1).c_str(),
                                  out(dataset)));
  } else if (!source.coco_ids.empty()) {
    check(lethe_dataset_from_coco_ids(runtime, source.coco_ids.at(0).c_str(),
                                      source.coco_ids.at(1).c_str(), out(dataset)));
  } else {
    check(lethe_dataset_from_voc(runtime, source.voc.at(0).c_str(), source.voc.at(1).c_str(),
                                 given(class_names), out(dataset)));
  }
  return dataset;
}

/// `class_names`: those of --voc, JSON.
Dataset read_images(const ImageSource& source, const std::string& transform,
                    const std::string& class_names, lethe_runtime* runtime) {
  const std::string steps = json_or_file(transform);
  if (source.folder.empty() && source.idx.empty()) {
    if (!steps.empty()) {
      throw Failure(LETHE_E_INVALID_ARGUMENT,
                    "--transform is of images with labels; a detector resizes images with boxes "
                    "as its spec says");
    }
    return read_boxes(source, class_names, runtime);
  }
  Dataset dataset;
  if (!source.folder.empty()) {
    check(lethe_dataset_from_image_folder(runtime, source.folder.c_str(), given(steps),
                                          out(dataset)));
  } else {
    check(lethe_dataset_from_idx(runtime, source.idx.at(0).c_str(), source.idx.at(1).c_str(), 0,
                                 given(steps), out(dataset)));
  }
  return dataset;
}

/// The names of a data set with boxes, as a JSON list.
std::string class_names_of(const Dataset& dataset) {
  Buffer json;
  check(lethe_dataset_info_json(dataset.get(), out(json)));
  Json names = Json::array();
  for (const Json& category : json_of(json).value("categories", Json::array())) {
    names.push_back(category.at("name"));
  }
  return names.dump();
}

/// Each of the five options refuses the others. `prefix`: "--" or "--validation-".
void add_source(CLI::App& app, const std::string& prefix, ImageSource& source,
                const std::string& images, const std::string& idx, const std::string& coco,
                const std::string& coco_ids, const std::string& voc) {
  std::vector<CLI::Option*> added;
  const auto add = [&](CLI::Option* option, const char* type) {
    option->group("Images")->type_name(type);
    for (CLI::Option* other : added) option->excludes(other);
    added.push_back(option);
    return option;
  };
  add(app.add_option(prefix + "images", source.folder, images), "DIR");
  add(app.add_option(prefix + "idx", source.idx, idx), "IMAGES LABELS")->expected(2);
  add(app.add_option(prefix + "coco", source.coco, coco), "ANNOTATIONS IMAGES")->expected(2);
  add(app.add_option(prefix + "coco-ids", source.coco_ids, coco_ids), "ANNOTATIONS IMAGES")
      ->expected(2);
  add(app.add_option(prefix + "voc", source.voc, voc), "ANNOTATIONS IMAGES")->expected(2);
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

  add_source(app, "--", o.images, "Images: a folder with one sub-folder a class",
             "Images: an IDX pair, plain or .gz",
             "Images with boxes, of detectors: COCO's instances and the folder of the images; a "
             "category's class is its place by ascending id",
             "The same, a category's class being its id: for public checkpoints, whose 91 outputs "
             "have COCO's own numbers",
             "The same: Pascal VOC's folder of annotations and that of the images");
  app.add_option("--transform", o.transform,
                 R"(How an image becomes input, such as {"resize":112,"mean":[0.5],"std":[0.5]})")
      ->group("Images")
      ->type_name("FILE|JSON");
  app.add_option(
         "--class-names", o.class_names,
         R"(The classes of --voc in their order, such as ["cat","dog"]; without it all names )"
         "found, in lexicographic order")
      ->group("Images")
      ->type_name("FILE|JSON")
      ->needs(app.get_option("--voc"));
  add_source(app, "--validation-", o.validation,
             "Held-out images for the quality gate and the figures", "The same as an IDX pair",
             "The same as COCO's instances", "The same with ids for classes",
             "The same as Pascal VOC's annotations");
  // One file's classes would mean other categories than the other's.
  app.get_option("--coco")->excludes(app.get_option("--validation-coco-ids"));
  app.get_option("--coco-ids")->excludes(app.get_option("--validation-coco"));

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
  if (o.images.empty()) {
    throw Failure(LETHE_E_INVALID_ARGUMENT,
                  "no images are named; give --images, --idx, --coco, --coco-ids or --voc");
  }
  return read_images(o.images, o.transform, json_or_file(o.class_names), runtime);
}

Dataset make_validation(const Options& o, const Dataset& images, lethe_runtime* runtime) {
  if (o.validation.empty()) return nullptr;
  return read_images(o.validation, o.transform,
                     o.validation.voc.empty() ? "" : class_names_of(images), runtime);
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
