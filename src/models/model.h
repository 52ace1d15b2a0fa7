// An architecture: pure functions of named weights. It holds no weights itself, so the base, every
// snapshot and every training view share one object and, where equal, their tensors. What it
// computes is said by its two kinds: Classifier (classifier.h) and DeformableDetr.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "models/head_kind.h"
#include "models/names.h"
#include "storage/safetensors.h"
#include "support/json.h"
#include "support/random.h"

namespace lethe {

/// Name and shape of a weight, under the architecture's own state-dict names.
struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
};

/// A linear map that may carry LoRA: `out` rows of the tensor `weight`, from row `row` on.
struct AdapterSite {
  std::string name;
  std::string layer;  ///< "fc1", "fc2": what the spec's adapter_layers selects; "q", "k", "v"
  int64_t block;
  int64_t in, out;
  std::string weight = name + ".weight";
  int64_t row = 0;

  /// Its rows [out, in] of the tensor, a view.
  at::Tensor rows(const Weights& weights) const;
  /// The tensor `w` with these rows instead of its own; memory of `w` is never written.
  at::Tensor replace_rows(const at::Tensor& w, const at::Tensor& rows) const;
};

/// q, k and v of the qkv weight `weight` [3 inner, dim] of block `block`, named `name` + ".q" and
/// so on.
std::vector<AdapterSite> qkv_sites(const std::string& name, const std::string& weight,
                                   int64_t block, int64_t dim, int64_t inner);

/// What every architecture can say of its weights: adapters, stacks, checkpoints and engines need
/// no more.
class Model {
 public:
  virtual ~Model() = default;

  /// As text; what lethe_model_create takes.
  virtual Json spec_json() const = 0;
  /// The architecture's name, for messages.
  virtual std::string arch() const = 0;
  virtual int64_t classes() const = 0;
  /// Blocks (layers) that adapters can sit in, numbered from 0.
  virtual int64_t blocks() const = 0;
  /// Of these, the ones before a decoder: all, but of a detector.
  virtual int64_t encoder_blocks() const { return blocks(); }
  /// What defaults and gates of a task depend on.
  virtual HeadKind head_kind() const = 0;

  /// Every weight, in name order.
  virtual std::vector<TensorSpec> tensors() const = 0;
  /// The architecture's initialisation, float32 on the CPU.
  virtual Weights random_weights(RandomStream stream) const = 0;
  /// Renames a checkpoint's tensors from other public namings to this architecture's own, so that
  /// check_weights() can compare them. Unknown names stay as they are.
  virtual Weights rename(Weights weights) const = 0;
  /// Which of the namings that rename() understands a checkpoint has.
  virtual Naming naming_of(const Weights& checkpoint) const = 0;
  /// All of them.
  virtual std::vector<Naming> namings() const = 0;
  /// The inverse of rename(): own names to those of `naming` (not kOriginal). Throws kUnsupported
  /// when it is none of namings().
  virtual Weights rename_to(Naming naming, Weights weights) const;
  /// The FFN linears that can carry LoRA, block by block, fc1 before fc2.
  virtual std::vector<AdapterSite> adapter_sites() const = 0;
  /// The q, k and v rows of every block's qkv weight, block by block: "<qkv>.q" and so on. Empty
  /// where attention carries no LoRA.
  virtual std::vector<AdapterSite> attention_sites() const = 0;
  /// adapter_sites() and attention_sites(): whatever an adapter may sit on.
  std::vector<AdapterSite> all_sites() const;

  /// Throws kInvalidArgument naming the first weight that is missing, extra, misshapen or not
  /// finite.
  void check_weights(const Weights& weights) const;
  /// A checkpoint as this model's weights: renamed, LoRA tensors of merged checkpoints left out
  /// (algorithm.md 2.5), float32, contiguous, checked. `naming` (may be null) is told which it had.
  Weights import_weights(Weights checkpoint, Naming* naming = nullptr) const;
};

/// Architectures by name. Adding one is a file and a line in registry.cpp.
std::vector<std::string> architecture_names();
/// The spec of the published model of that architecture. Throws kNotFound naming the known ones.
Json default_spec(const std::string& arch);
/// From a spec, whose "arch" is required. Throws kNotFound, kInvalidArgument.
std::shared_ptr<const Model> make_model(const Json& spec);

}  // namespace lethe
