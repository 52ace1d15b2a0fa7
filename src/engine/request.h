// What a host asks of an engine, and what that means for a model in a given state.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "data/any_dataset.h"
#include "engine/live_model.h"
#include "engine/task_options.h"
#include "forgetting/config.h"

namespace lethe {

/// A forget task. With `retain` absent, `forget` holds both kinds and is divided by `classes`.
/// `Data`: Dataset for image classifiers, DetectionDataset for detectors.
template <typename Data>
struct ForgetRequestOn {
  std::string request_id;  ///< "" : one is made
  std::vector<int64_t> classes;
  ForgetConfig config;
  Data forget;
  std::optional<Data> retain, validation;
  TaskOptions options = {};
};
using ForgetRequest = ForgetRequestOn<Dataset>;
using DetectorForgetRequest = ForgetRequestOn<DetectionDataset>;

/// Training of the base weights.
template <typename Data>
struct PretrainRequestOn {
  std::string request_id;
  PretrainConfig config;
  Data train;
  std::optional<Data> validation;
  TaskOptions options = {};
};
using PretrainRequest = PretrainRequestOn<Dataset>;
using DetectorPretrainRequest = PretrainRequestOn<DetectionDataset>;

using Request =
    std::variant<ForgetRequest, PretrainRequest, DetectorForgetRequest, DetectorPretrainRequest>;

// The templates below are compiled for both kinds of data in request.cpp.

/// SHA-256 (hexadecimal) of everything asked but the id: equal requests give equal digests, also
/// with classes in another order. Reads every pixel of a data set that has no content digest yet.
template <typename Data>
std::string request_digest(const ForgetRequestOn<Data>& request);
template <typename Data>
std::string request_digest(const PretrainRequestOn<Data>& request);

/// A forget request made definite against a state of the model.
template <typename Data>
struct ForgetPlanOn {
  std::vector<int64_t> classes;   ///< ascending
  std::vector<int64_t> past;      ///< forgotten in the base or by the enabled adapters, ascending
  std::vector<int64_t> retained;  ///< all others
  std::vector<int64_t> missing;   ///< retained ones without training samples
  Data forget, retain;            ///< training samples of `classes` and of `retained` only
  std::vector<Data> measured;     ///< what gate and report look at
  bool held_out;                  ///< `measured` is the validation set, not the training sets
};
using ForgetPlan = ForgetPlanOn<Dataset>;

/// Divides and checks. Throws
///   kInvalidArgument  no class, one twice, none left to retain, one that an enabled adapter
///   forgot;
///                     an empty set, sets whose labels contradict `classes`, images or class counts
///                     that do not fit the model, a setting out of range or one that draws no
///                     sample
///   kNotFound         a class that the model does not have, or that has no sample
///   kUnsupported      data or a method that this kind of model does not take
template <typename Data>
ForgetPlanOn<Data> plan_forgetting(const ForgetRequestOn<Data>& request, const Snapshot& snapshot);

/// Throws kState when the model has adapters, kInvalidArgument as above.
template <typename Data>
void check_pretraining(const PretrainRequestOn<Data>& request, const Snapshot& snapshot);

}  // namespace lethe
