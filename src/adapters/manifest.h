// The manifest of an adapter checkpoint: its keys, its checks, the id it yields (abi.md 3.2, 3.3).
//
//   format, lethe_version, created_utc          of the file
//   adapter_id, task_id, request_id             who it is and which request it answers
//   method, method_config, seed                 how it was trained
//   arch_spec, base {fingerprint, names_digest} on which model
//   parents, parent_state_fingerprint           on which adapters
//   classes_forgotten, class_names (optional)   what it makes the model forget
//   scaling                                     W += scaling B A, or W += delta with scaling 1
//   tensors [{name, target, role, shape, dtype, sha256}]
//   metrics {before, after}, data_digests, environment
// format 1, of low rank:
//   rank, alpha                                 scaling = alpha / rank
//   groups {all, selected, norms, effects, relative}
// format 2, of methods that train the weights themselves:
//   kind                                        "delta"
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/digest.h"
#include "storage/safetensors.h"
#include "support/json.h"

namespace lethe {

inline constexpr int64_t kLoraFormat = 1, kDeltaFormat = 2;

/// Whether a text can name a request: 1 to 128 bytes of UTF-8 without control characters.
bool is_request_id(std::string_view text);

/// "<site>.lora_A" and "<site>.lora_B".
std::string lora_tensor_name(const std::string& site, bool b);

/// "<weight>.delta", what is added to a weight, and "<weight>.importance", what later tasks of the
/// same method need to know of it (forgetting/weight_penalty.h).
inline constexpr std::string_view kDeltaSuffix = ".delta", kImportanceSuffix = ".importance";

/// The entries of "tensors", in name order.
Json describe_tensors(const Weights& tensors);

/// The id that the manifest's own content gives: SHA-256 over base, parents, classes, method,
/// settings, scaling and tensor digests. The manifest holds these keys.
std::string derive_adapter_id(const Json& manifest);

/// What the rest of the library needs of a manifest.
struct ManifestFacts {
  std::string adapter_id, request_id;
  Digest base_fingerprint, parent_state;
  std::vector<std::string> parents, class_names;
  std::vector<int64_t> classes;
  double scaling;
  bool delta;  ///< format 2
};

/// Reads and checks everything that can be checked without a model. Unknown keys are left alone: a
/// later version may add some. Throws kCorrupt naming what is wrong, kVersion for another format.
ManifestFacts read_manifest(const Json& manifest, const Weights& tensors);

}  // namespace lethe
