// What a finished task leaves: the surviving groups or the change of the weights, their manifest,
// their digest.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "adapters/group_sparsity.h"
#include "models/base_model.h"
#include "storage/adapter_file.h"

namespace lethe {

/// One group as it stood at the end of training.
struct AdapterGroup {
  std::string name;
  bool kept;
  GroupEffect effect;
};

/// What the engine knows of a task beyond its weights; goes into the manifest (abi.md 3.2).
struct AdapterFacts {
  std::string request_id;
  std::string task_id;  ///< digest of what was asked, hexadecimal: finds a repeated request
  std::string lethe_version;
  std::string method;
  Json config;  ///< canonical settings
  int64_t seed = 0;
  std::vector<int64_t> classes;          ///< forgotten by this task
  std::vector<std::string> class_names;  ///< of those classes, or empty; not in the manifest
  std::vector<std::string> parents;      ///< adapter ids beneath it, oldest first
  Digest parent_state{};                 ///< state_fingerprint() of the stack it was trained on
  Json metrics;                          ///< {"before": {...}, "after": {...}}
  Json data_digests;                     ///< forget, retain, validation
  Json environment;                      ///< versions, threads
  std::string created_utc;               ///< ISO 8601
};

/// Immutable, shared by models and handles.
class Adapter {
 public:
  /// From a trained task; `groups` in the order of lora.groups(). A site is in the tensors when all
  /// groups with a matrix of it are kept; the other groups are only listed. Throws kInvalidArgument
  /// when nothing is kept or a fact is missing.
  static std::shared_ptr<const Adapter> create(const BaseModel& base, const LoraParameters& lora,
                                               const std::vector<AdapterGroup>& groups,
                                               const AdapterFacts& facts);
  /// From a task that trained the weights themselves: what it added to each, float32 on the CPU,
  /// and what later tasks of its method need. Throws kInvalidArgument when nothing changed.
  static std::shared_ptr<const Adapter> create_delta(const BaseModel& base, const Weights& delta,
                                                     const Weights& importance,
                                                     const AdapterFacts& facts);
  /// From a checkpoint. Throws kCorrupt when the manifest lacks something, contradicts itself or
  /// the tensors; kVersion for another format.
  static std::shared_ptr<const Adapter> from_file(AdapterFile file);
  /// `class_names`: also names the forgotten classes, where the names are known.
  AdapterFile to_file(bool class_names = false) const;

  /// SHA-256 (hexadecimal) over base fingerprint, parents, classes, settings and tensor digests:
  /// equal training gives an equal id, whenever and wherever it ran.
  const std::string& id() const { return id_; }
  const std::string& request_id() const { return request_id_; }
  const Digest& base_fingerprint() const { return base_fingerprint_; }
  const std::vector<std::string>& parents() const { return parents_; }
  const Digest& parent_state() const { return parent_state_; }
  const std::vector<int64_t>& classes() const { return classes_; }
  const Json& manifest() const { return manifest_; }
  double scaling() const { return scaling_; }
  /// Float32 on the CPU: "<site>.lora_A" [r, in] and "<site>.lora_B" [out, r] of the kept groups;
  /// or of a delta, "<weight>.delta" and "<weight>.importance" in the weight's shape.
  const Weights& tensors() const { return tensors_; }
  bool is_delta() const { return delta_; }
  std::string method() const { return manifest_.at("method").get<std::string>(); }
  /// What create_delta() was given.
  Weights importance() const;

 private:
  Adapter() = default;
  static std::shared_ptr<const Adapter> complete(AdapterFile file, const BaseModel& base,
                                                 const AdapterFacts& facts);

  Json manifest_;
  Digest base_fingerprint_{}, parent_state_{};
  Weights tensors_;
  std::string id_, request_id_;
  std::vector<std::string> parents_, class_names_;
  std::vector<int64_t> classes_;
  double scaling_ = 0;
  bool delta_ = false;
};

}  // namespace lethe
