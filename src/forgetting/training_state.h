// Where a training run stands, in a form that can be kept and taken up by another process.
#pragma once

#include <ATen/core/Generator.h>

#include <string>

#include "data/loader.h"
#include "storage/safetensors.h"
#include "support/json.h"

namespace lethe {

struct Progress;

/// Named tensors and small values. Only the code that wrote a state reads it; the getters throw
/// kCorrupt for what is missing or of another shape or type, so a state of another task is noticed.
class TrainingState {
 public:
  TrainingState() = default;
  TrainingState(Weights tensors, Json values)
      : tensors_(std::move(tensors)), values_(std::move(values)) {}

  const Weights& tensors() const { return tensors_; }  ///< on the CPU, in memory of their own
  const Json& values() const { return values_; }

  void put(const std::string& name, const at::Tensor& tensor);
  void put(const std::string& name, int64_t value) { values_[name] = value; }
  void put(const std::string& name, const Loader& loader);
  void put(const std::string& name, const at::Generator& generator);
  void put(const std::string& name, const RandomStream& stream) { values_[name] = stream.state(); }
  void put(const std::string& name, const Progress& progress);

  bool has(const std::string& name) const { return tensors_.contains(name); }
  const at::Tensor& tensor(const std::string& name) const;
  int64_t integer(const std::string& name) const;

  /// Into something of the same shape, size or kind.
  void restore(const std::string& name, at::Tensor& tensor) const;
  void restore(const std::string& name, Loader& loader) const;
  void restore(const std::string& name, at::Generator& generator) const;
  void restore(const std::string& name, RandomStream& stream) const;
  void restore(const std::string& name, Progress& progress) const;

 private:
  const Json& value(const std::string& name) const;

  Weights tensors_;
  Json values_ = Json::object();
};

}  // namespace lethe
