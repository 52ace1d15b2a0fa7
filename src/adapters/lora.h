// The LoRA matrices of one task in one flat buffer, ordered so that every group is one range.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "models/model.h"

namespace lethe {

/// Values as in lethe.h (lethe_grouping).
enum class Grouping : int32_t { kBlock = 1, kLora = 2, kMatrix = 3 };

/// One unit of group sparsity: a range of the flat buffer (algorithm.md 3.6).
struct LoraGroup {
  std::string name;           ///< "block 0", "<site>", "<site>.lora_A"
  int64_t begin, end;         ///< elements of the flat buffer
  std::vector<size_t> sites;  ///< sites with a matrix in it
};

/// Which linears carry LoRA (algorithm.md 3.2): those of adapter_sites(), in all blocks, in the
/// encoder's or in the decoder's; or attention_sites(). Values as in lethe.h.
enum class LoraPosition : int32_t { kFfn = 1, kAttention = 2, kEncoder = 3, kDecoder = 4 };

/// The model's sites of that position from block `first_block` on. Throws kUnsupported when the
/// model has none at that position, and as sites_from().
std::vector<AdapterSite> lora_sites(const Model& model, LoraPosition position,
                                    int64_t first_block = 0);

/// Those of `sites` that are in block `first_block` or later. Throws kInvalidArgument naming the
/// allowed range when there are none or `first_block` is negative.
std::vector<AdapterSite> sites_from(std::vector<AdapterSite> sites, int64_t first_block);

/// A [r, in] and B [out, r] of every site: y = x W^T + b + scale x A^T B^T (eq. of section 3.1).
///
/// Layout: site by site (block by block, fc1 before fc2), A before B. All three groupings are
/// ranges of it, so the group norm, its gradient and the optimizer run over one array.
class LoraParameters {
 public:
  LoraParameters(std::vector<AdapterSite> sites, int64_t rank, double scale, Grouping grouping,
                 c10::Device device);

  /// A ~ U(-bound, bound) with bound = sqrt(6 / ((1 + a_squared) in)); B = 0. `a_squared` is 5 in
  /// loralib's first initialisation, 50 in the reference's later tasks (section 3.4).
  void initialise(double a_squared, RandomStream stream);

  /// `weights` with W + scale B A at every site; the others are shared.
  Weights merged_into(Weights weights) const;

  const std::vector<AdapterSite>& sites() const { return sites_; }
  const std::vector<LoraGroup>& groups() const { return groups_; }
  /// The lowest block with LoRA; 0 without sites.
  int64_t first_block() const;
  int64_t rank() const { return rank_; }
  double scale() const { return scale_; }
  Grouping grouping() const { return grouping_; }

  at::Tensor& values() { return values_; }  ///< float32 [count]
  const at::Tensor& values() const { return values_; }
  at::Tensor& gradients() { return gradients_; }  ///< float32 [count]
  const at::Tensor& gradients() const { return gradients_; }

  /// Views into values() or gradients(), of site `i`.
  at::Tensor a(size_t i) const { return view(values_, i, /*b=*/false); }
  at::Tensor b(size_t i) const { return view(values_, i, /*b=*/true); }
  at::Tensor grad_a(size_t i) const { return view(gradients_, i, /*b=*/false); }
  at::Tensor grad_b(size_t i) const { return view(gradients_, i, /*b=*/true); }

 private:
  at::Tensor view(const at::Tensor& flat, size_t i, bool b) const;

  std::vector<AdapterSite> sites_;
  std::vector<int64_t> offsets_;  ///< of A of each site
  std::vector<LoraGroup> groups_;
  int64_t rank_;
  double scale_;
  Grouping grouping_;
  at::Tensor values_, gradients_;
};

}  // namespace lethe
