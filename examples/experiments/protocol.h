// What an experiment is: data, model, steps, methods, seeds. Read from JSON; README.md lists the
// keys.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fields.h"
#include "steps.h"

namespace experiments {

namespace fs = std::filesystem;

struct DataPlan {
  std::string kind;  ///< "idx", "image_folder", "coco"
  fs::path root;
  /// Below root: images and labels, one folder, or annotations and the folder of their images.
  std::vector<std::string> train, test;
  bool by_id;      ///< of "coco": classes are the ids of the categories, not their places
  Json transform;  ///< null: none
  int64_t class_count;
  int64_t test_per_class;  ///< for trials: so many test images of each class; 0: all
  std::string prepare;     ///< the command that makes or fetches the data; "": nobody knows
};

struct ModelPlan {
  Json spec;
  fs::path weights;     ///< used when the file exists; "": none
  fs::path start;       ///< weights that pre-training begins with; "": random ones
  fs::path head_order;  ///< names of the weights' outputs, of which the data's classes are taken
  Json pretrain;        ///< otherwise: settings of one run after another; empty: none
};

/// A row of the tables.
struct Row {
  std::string id;  ///< its own among the rows; names its journal
  std::string method, label;
  Json settings;  ///< of lethe_forget_config; a list has one value a step
};

struct Protocol {
  Json source;  ///< as it was read
  std::string name, title;
  DataPlan data;
  ModelPlan model;
  Classes order;
  std::vector<Step> steps;
  bool independent;  ///< each step starts from the base, instead of from the step before
  bool margin;       ///< figures are measured with the head's margin, as the paper's
  Json settings;     ///< of every row: few_shot, data_ratio and the common settings
  std::vector<Row> rows;
  std::vector<int64_t> seeds;
  int threads;
};

/// Reads a file; paths in it are relative to its folder. Throws INVALID_ARGUMENT, NOT_FOUND or
/// CORRUPT with a sentence that names the key.
Protocol read_protocol(const fs::path& file);
/// The same from JSON; `folder` is what its paths are relative to.
Protocol parse_protocol(const Json& source, const fs::path& folder);

/// The settings of a row in a step, over the library's defaults: no quality gate (a method that
/// forgets badly is to be measured, not rejected), then the protocol's, the row's, and the seed.
Json settings_of(const Protocol& protocol, const Row& row, size_t step, int64_t seed);

/// The file's content as JSON. Throws NOT_FOUND, CORRUPT.
Json read_json(const fs::path& file);

}  // namespace experiments
