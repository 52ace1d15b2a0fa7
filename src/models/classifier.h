// Image classifiers: a Vision Transformer whose class token a head turns into a score a class.
#pragma once

#include "models/heads.h"
#include "models/model.h"
#include "models/spec.h"
#include "models/transformer.h"

namespace lethe {

class Classifier : public Model {
 public:
  explicit Classifier(ModelSpec spec) : spec_(std::move(spec)) {}

  const ModelSpec& spec() const { return spec_; }
  Json spec_json() const override { return spec_.to_json(); }
  std::string arch() const override { return spec_.arch; }
  int64_t classes() const override { return spec_.classes; }
  int64_t blocks() const override { return spec_.depth; }
  HeadKind head_kind() const override { return spec_.head; }
  Naming naming_of(const Weights&) const override { return Naming::kOwn; }
  std::vector<Naming> namings() const override { return {Naming::kOwn}; }

  /// Images float32 [B, C, S, S] to tokens [B, N, D]: patches, class token first, positions added.
  virtual at::Tensor tokens(const Weights& weights, const at::Tensor& images) const = 0;
  virtual Transformer transformer(const Weights& weights) const = 0;
  virtual Head head(const Weights& weights) const = 0;
  /// Where a weight lies: block 0..depth-1, -1 before the blocks, depth after them, depth + 1 in
  /// the head.
  virtual int64_t block_of(const std::string& weight) const = 0;

  /// Images to embeddings [B, D].
  at::Tensor embed(const Weights& weights, const at::Tensor& images,
                   const ForwardOptions& options = {}) const;
  /// Images must be float32 [B, C, S, S]; throws kInvalidArgument naming both shapes.
  void check_images(at::IntArrayRef shape) const;

 protected:
  /// block_of() by what the names of the blocks (a number follows), of the norm after them and of
  /// the head begin with.
  int64_t block_by_prefix(const std::string& weight, const std::string& blocks,
                          const std::string& norm, const std::string& head) const;

 private:
  ModelSpec spec_;
};

/// Throws kNotFound.
std::shared_ptr<const Classifier> make_classifier(const ModelSpec& spec);

}  // namespace lethe
