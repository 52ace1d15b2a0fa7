// A base model: an architecture and pre-trained weights that never change once they are loaded.
#pragma once

#include <c10/core/Device.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "models/classifier.h"
#include "models/deformable_detr.h"
#include "storage/digest.h"

namespace lethe {

/// Where a base's weights come from: what they compute does not depend on it.
struct BaseOrigin {
  Naming naming = Naming::kOwn;    ///< of the checkpoint; never kOriginal
  std::vector<int64_t> forgotten;  ///< classes that adapters forgot before they were merged into it
};

/// Immutable; shared by every snapshot made on it.
class BaseModel {
 public:
  /// `weights`: checked, float32; moved to `device`.
  BaseModel(std::shared_ptr<const Model> model, Weights weights, c10::Device device,
            BaseOrigin origin = {});

  const Model& model() const { return *model_; }
  /// The model as what it is. Throw kUnsupported when it is the other kind.
  const Classifier& classifier() const;
  const DeformableDetr& detector() const;
  const std::shared_ptr<const Model>& model_ptr() const { return model_; }
  const Weights& weights() const { return weights_; }
  c10::Device device() const { return device_; }
  const BaseOrigin& origin() const { return origin_; }

  /// SHA-256 over the canonical spec (without seed and dropout, which do not change what the
  /// weights compute) and the sorted list of name, dtype, shape and content digest of every tensor.
  const Digest& fingerprint() const { return fingerprint_; }
  /// SHA-256 over names, dtypes and shapes alone: tells "other weights" from "another model".
  const Digest& names_digest() const { return names_digest_; }

  /// What `compute` makes of this base, under a name that says all else it depends on. The last 64
  /// MiB of results are kept, for every task of every model on this base. Thread-safe.
  at::Tensor derived(const std::string& name, const std::function<at::Tensor()>& compute) const;

 private:
  std::shared_ptr<const Model> model_;
  Weights weights_;
  c10::Device device_;
  BaseOrigin origin_;
  Digest fingerprint_, names_digest_;
  mutable std::mutex derived_mutex_;
  mutable std::deque<std::pair<std::string, at::Tensor>> derived_;  ///< oldest first
  mutable size_t derived_bytes_ = 0;
};

/// "cpu", "cuda" or "cuda:N". Loads the CUDA part when asked for; throws kInvalidArgument for other
/// text, kDevice with the reason when the device cannot be used.
c10::Device parse_device(const std::string& text);

}  // namespace lethe
