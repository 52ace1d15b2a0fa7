// An architecture: pure functions of named weights. It holds no weights itself, so the base, every
// snapshot and every training view share one object and, where equal, their tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "models/heads.h"
#include "models/names.h"
#include "models/spec.h"
#include "models/transformer.h"
#include "storage/safetensors.h"
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

class Model {
 public:
  explicit Model(ModelSpec spec) : spec_(std::move(spec)) {}
  virtual ~Model() = default;

  const ModelSpec& spec() const { return spec_; }

  /// Every weight, in name order.
  virtual std::vector<TensorSpec> tensors() const = 0;
  /// The architecture's initialisation, float32 on the CPU.
  virtual Weights random_weights(RandomStream stream) const = 0;
  /// Images float32 [B, C, S, S] to tokens [B, N, D]: patches, class token first, positions added.
  virtual at::Tensor tokens(const Weights& weights, const at::Tensor& images) const = 0;
  virtual Transformer transformer(const Weights& weights) const = 0;
  virtual Head head(const Weights& weights) const = 0;
  /// Renames a checkpoint's tensors from other public namings to this architecture's own, so that
  /// check_weights() can compare them. Unknown names stay as they are.
  virtual Weights rename(Weights weights) const = 0;
  /// Which of the namings that rename() understands a checkpoint has.
  virtual Naming naming_of(const Weights& checkpoint) const { return Naming::kOwn; }
  /// All of them.
  virtual std::vector<Naming> namings() const { return {Naming::kOwn}; }
  /// The inverse of rename(): own names to those of `naming` (not kOriginal). Throws kUnsupported
  /// when it is none of namings().
  virtual Weights rename_to(Naming naming, Weights weights) const;
  /// Where a weight lies: block 0..depth-1, -1 before the blocks, depth after them, depth + 1 in
  /// the head.
  virtual int64_t block_of(const std::string& weight) const = 0;
  /// The FFN linears that can carry LoRA, block by block, fc1 before fc2.
  virtual std::vector<AdapterSite> adapter_sites() const = 0;
  /// The q, k and v rows of every block's qkv weight, block by block: "<qkv>.q" and so on.
  virtual std::vector<AdapterSite> attention_sites() const = 0;
  /// adapter_sites() and attention_sites(): whatever an adapter may sit on.
  std::vector<AdapterSite> all_sites() const;

  /// Images to embeddings [B, D].
  at::Tensor embed(const Weights& weights, const at::Tensor& images,
                   const ForwardOptions& options = {}) const;
  /// Throws kInvalidArgument naming the first weight that is missing, extra, misshapen or not
  /// finite.
  void check_weights(const Weights& weights) const;
  /// A checkpoint as this model's weights: renamed, LoRA tensors of merged checkpoints left out
  /// (algorithm.md 2.5), float32, contiguous, checked. `naming` (may be null) is told which it had.
  Weights import_weights(Weights checkpoint, Naming* naming = nullptr) const;
  /// Images must be float32 [B, C, S, S]; throws kInvalidArgument naming both shapes.
  void check_images(at::IntArrayRef shape) const;

 protected:
  /// block_of() by what the names of the blocks (a number follows), of the norm after them and of the
  /// head begin with.
  int64_t block_by_prefix(const std::string& weight, const std::string& blocks,
                          const std::string& norm, const std::string& head) const;

 private:
  ModelSpec spec_;
};

/// Architectures by name. Adding one is a file and a line in registry.cpp.
std::vector<std::string> architecture_names();
std::shared_ptr<const Model> make_model(const ModelSpec& spec);

}  // namespace lethe
