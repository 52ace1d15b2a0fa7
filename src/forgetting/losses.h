// The losses of GS-LoRA and GS-LoRA++, in the order of the paper (arXiv 2501.09705; algorithm.md 4):
//
//   L       = L_retain + beta L_forget + alpha L_structure + L_prototype
//   L_retain    = CE(g(h(x_r)), y_r)                                                    (4.1)
//   L_forget    = max(0, BND - CE(g(h(x_f)), y_f))                                      (4.2)
//   L_structure = sum over groups of |theta_g|_2                                        (4.3)
//   L_prototype = w_f max(0, BND_pro - D(x_f)) + w_r D(x_r)                             (4.8)
//   D(x)        = mean over the batch of KL(softmax(P_y) || softmax(h(x)))              (4.7)
//
// h: the network up to the embedding, g: the frozen head, P_y: the class prototype. L_structure needs
// no gradient of autograd's: the optimizer adds it (adapters/group_sparsity.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "forgetting/config.h"
#include "models/heads.h"

namespace lethe {

/// Prototypes as the loss wants them, from class prototypes P [C, D], computed once a task. Rows of
/// classes without a prototype are never read.
struct Prototypes {
  explicit Prototypes(const at::Tensor& prototypes);
  at::Tensor log_probabilities, probabilities;  ///< of softmax(P_c), [C, D]
};

/// D: the mean KL divergence of embeddings [B, D] from their classes' prototypes; labels [B].
at::Tensor prototype_distance(const Prototypes& prototypes, const at::Tensor& embeddings,
                              const at::Tensor& labels);

/// max(0, BND - cross_entropy); the ReLU is on the batch mean, so beyond the bound every sample's
/// gradient is exactly zero.
at::Tensor bounded_forget_loss(const at::Tensor& cross_entropy, double bound);

/// The terms of one step, as scalars on the embeddings' device. Undefined prototype terms are absent.
struct LossTerms {
  at::Tensor ce_retain, ce_forget;
  at::Tensor forget;                            ///< L_forget
  at::Tensor prototype_forget, prototype_retain;  ///< D of each batch
  at::Tensor prototype;                         ///< L_prototype
  at::Tensor trained;                           ///< L without alpha L_structure
  at::Tensor hits_forget, hits_retain;          ///< share of right answers, no gradient
};

/// All terms from the embeddings of both batches. `prototypes` null: GS-LoRA, or both weights zero.
LossTerms losses(const Head& head, const Prototypes* prototypes, const ForgetConfig& config,
                 const at::Tensor& forget_embeddings, const at::Tensor& forget_labels,
                 const at::Tensor& retain_embeddings, const at::Tensor& retain_labels);

}  // namespace lethe
