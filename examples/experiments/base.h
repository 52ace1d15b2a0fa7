// The data of an experiment, and the pre-trained model that every row starts from.
#pragma once

#include "protocol.h"

namespace experiments {

/// Where and how to run.
struct RunOptions {
  fs::path out;
  std::string device = "cpu";
  int threads = 0;
  bool quiet = false;
};

struct Images {
  cli::Dataset train, test;
  std::vector<int64_t> test_count;  ///< of each class
};

/// Throws NOT_FOUND when files are missing, with the command that prepares them, and
/// INVALID_ARGUMENT when a split has another number of classes than the protocol says or both have
/// other classes than each other.
Images read_images(const Protocol& protocol, lethe_runtime* runtime);

/// The samples of these classes.
cli::Dataset keep_classes(const cli::Dataset& dataset, const Classes& classes);

/// With the weights that the protocol names, when that file exists. Otherwise with those of
/// OUT/base.safetensors, which a pre-training job writes first (as float16; every row then starts
/// from the rounded weights). An interrupted pre-training goes on. Throws Interrupted.
cli::Model make_base(const Protocol& protocol, const Images& images, const RunOptions& options,
                     lethe_runtime* runtime);

/// Accuracy or AP by sets of classes.
class ClassFigures {
 public:
  /// Of what lethe_model_evaluate reports, with the samples (objects) of each class.
  ClassFigures(const Json& metrics, const std::vector<int64_t>& samples);
  /// Percent right of all samples of the classes; the mean of the AP of those with objects. Null
  /// when they have none.
  Json percent(const Classes& classes) const;

 private:
  bool is_accuracy_;
  std::vector<double> percent_;  ///< of each class
  std::vector<int64_t> weight_;  ///< of each class in a mean
};

/// Measures a model on the test split: with the head's margin or without, with adapters.
Json evaluate(const lethe_model* model, const Images& images, bool margin, int threads);

/// The member "base" of results.json: {"fingerprint", "parameters", "acc", "steps": [{"acc_f",
/// "acc_r", "acc_m"}]}; of a detector "ap" for "acc".
Json describe_base(const Protocol& protocol, const cli::Model& base, const Images& images,
                   int threads);

}  // namespace experiments
