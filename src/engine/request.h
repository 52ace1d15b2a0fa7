// What a host asks of an engine, and what that means for a model in a given state.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "data/dataset.h"
#include "engine/live_model.h"
#include "engine/task_options.h"
#include "forgetting/config.h"

namespace lethe {

/// A forget task. With `retain` absent, `forget` holds both kinds and is divided by `classes`.
struct ForgetRequest {
  std::string request_id;  ///< "" : one is made
  std::vector<int64_t> classes;
  ForgetConfig config;
  Dataset forget;
  std::optional<Dataset> retain, validation;
  TaskOptions options = {};
};

/// Training of the base weights.
struct PretrainRequest {
  std::string request_id;
  PretrainConfig config;
  Dataset train;
  std::optional<Dataset> validation;
  TaskOptions options = {};
};

using Request = std::variant<ForgetRequest, PretrainRequest>;

/// SHA-256 (hexadecimal) of everything asked but the id: equal requests give equal digests, also
/// with classes in another order. Reads every pixel of a data set that has no content digest yet.
std::string request_digest(const ForgetRequest& request);
std::string request_digest(const PretrainRequest& request);

/// A forget request made definite against a state of the model.
struct ForgetPlan {
  std::vector<int64_t> classes;   ///< ascending
  std::vector<int64_t> past;      ///< forgotten in the base or by the enabled adapters, ascending
  std::vector<int64_t> retained;  ///< all others
  std::vector<int64_t> missing;   ///< retained ones without training samples
  Dataset forget, retain;         ///< training samples of `classes` and of `retained` only
  std::vector<Dataset> measured;  ///< what gate and report look at
  bool held_out;                  ///< `measured` is the validation set, not the training sets
};

/// Divides and checks. Throws
///   kInvalidArgument  no class, one twice, none left to retain, one that an enabled adapter
///   forgot;
///                     an empty set, sets whose labels contradict `classes`, images or class counts
///                     that do not fit the model, a setting out of range or one that draws no
///                     sample
///   kNotFound         a class that the model does not have, or that has no sample
ForgetPlan plan_forgetting(const ForgetRequest& request, const Snapshot& snapshot);

/// Throws kState when the model has adapters, kInvalidArgument as above.
void check_pretraining(const PretrainRequest& request, const Snapshot& snapshot);

}  // namespace lethe
