// The group-sparse term: its value, its step, its exact zeros (algorithm.md 4.3,
// performance.md 1.6).
#pragma once

#include <vector>

#include "adapters/lora.h"

namespace lethe {

/// |theta_g|_2 of every group, in order. L_structure is their sum.
std::vector<double> group_norms(const LoraParameters& lora);

/// |g + alpha theta_g / |theta_g||_2 over all groups: the norm of the whole loss's gradient, from
/// lora.gradients() and L_structure's part.
double gradient_norm(const LoraParameters& lora, double structure_weight);

/// AdamW over the flat buffer with the group lasso inside (decoupled weight decay; Loshchilov &
/// Hutter 2019), one pass over memory:
///   g <- g + alpha theta_g / max(|theta_g|, eps)      (subgradient form; zero at zero)
///   g <- g min(1, clip / (|g| + 1e-6))                (over all groups, where clip > 0)
///   theta <- theta (1 - lr wd) - lr m^ / (sqrt(v^) + 1e-8)
///   theta_g <- theta_g max(0, 1 - lr prox / |theta_g|) (proximal form, after the step)
/// A group that the proximal step sets to zero loses its moments and stays zero.
class GroupSparseAdamW {
 public:
  explicit GroupSparseAdamW(LoraParameters& lora);

  struct Step {
    double learning_rate;
    double weight_decay;
    double structure_weight = 0;  ///< alpha of the subgradient form
    double proximal_weight = 0;   ///< strength of the proximal form
    int64_t proximal_group = -1;  ///< the one group that it acts on; -1: all
    double clip = 0;              ///< largest gradient_norm(); 0: any
  };
  /// One update from lora.gradients(), which are scaled where they are clipped.
  void step(const Step& settings);

  /// Groups that are exactly zero.
  int64_t dead_groups() const;
  bool dead(size_t group) const { return dead_[group]; }

  /// Where it stands, in memory of its own: one set to it goes on exactly alike.
  struct State {
    at::Tensor first_moment, second_moment;
    std::vector<bool> dead;
    int64_t steps;
  };
  State state() const;
  /// Throws kCorrupt unless `state` is one of these groups.
  void restore(const State& state);

 private:
  LoraParameters& lora_;
  at::Tensor first_moment_, second_moment_;
  std::vector<bool> dead_;
  int64_t steps_ = 0;
};

/// What a group does to the weights it sits on, for deciding whether it is zero.
struct GroupEffect {
  double norm;      ///< |theta_g|_2
  double effect;    ///< sqrt(sum over its sites of |scale B A|_F^2)
  double relative;  ///< effect / sqrt(sum over its sites of |W|_F^2)
};

/// Effects of all groups; `weights` holds the frozen W. |BA|_F^2 = tr((A A^T)(B^T B)): BA is never
/// formed (performance.md 1.6). A matrix group is judged by its site's product.
std::vector<GroupEffect> group_effects(const LoraParameters& lora, const Weights& weights);

}  // namespace lethe
