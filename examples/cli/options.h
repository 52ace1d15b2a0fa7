// What every command may be told: the model, the images, how to answer.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "handles.h"

namespace cli {

/// Where images come from: one of these.
struct ImageSource {
  std::string folder;
  std::vector<std::string> idx, coco, coco_ids, voc;  ///< images and labels; annotations and images
  bool empty() const {
    return folder.empty() && idx.empty() && coco.empty() && coco_ids.empty() && voc.empty();
  }
};

struct Options {
  std::string spec, weights, state, device = "cpu";
  std::vector<std::string> adapters;
  int threads = 0;

  ImageSource images, validation;
  std::string transform, class_names;

  bool json = false, quiet = false;
};

/// Declares them, in groups, on the program itself: every command takes them.
void add_options(CLI::App& app, Options& options);

Runtime make_runtime();
/// The model with its weights and, in order, the adapters of --adapter. Adapters of --state are put
/// on by an engine.
Model make_model(const Options& options, lethe_runtime* runtime);
/// --images, --idx, --coco, --coco-ids or --voc.
Dataset make_images(const Options& options, lethe_runtime* runtime);
/// --validation-images and so on, its classes named as those of `images`; null without them.
Dataset make_validation(const Options& options, const Dataset& images, lethe_runtime* runtime);
/// An engine on --state, or in memory without it.
Engine make_engine(const Options& options, lethe_model* model, bool paused);
/// --state; throws when it is missing.
const std::string& require_state(const Options& options);

std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);

/// {"a": 1, "b": "x"} from "a=1" and "b=x"; values that are no JSON are text.
Json settings_from(const std::vector<std::string>& assignments);

}  // namespace cli
