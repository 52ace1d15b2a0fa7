// AdamW over a list of tensors (Loshchilov & Hutter 2019), for runs that train whole models. Tasks
// that train LoRA groups use GroupSparseAdamW, which works on their one flat buffer.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace lethe {

/// Betas 0.9 and 0.999, eps 1e-8; weight decay is decoupled and applies to tensors of two or more
/// dimensions only (section 5.1).
class AdamW {
 public:
  /// `parameters` are leaves that require gradients; they are updated in place. `rates`: what the
  /// learning rate of each is multiplied by; none: 1.
  explicit AdamW(std::vector<at::Tensor> parameters, std::vector<double> rates = {});

  /// One update from the parameters' gradients, which are then reset. `coupled`: Adam's weight
  /// decay instead, added to the gradient of every parameter.
  void step(double learning_rate, double weight_decay, bool coupled = false);

  /// Where it stands: the moments themselves, to be read or overwritten in place, and the count.
  const std::vector<at::Tensor>& first_moments() const { return first_moment_; }
  const std::vector<at::Tensor>& second_moments() const { return second_moment_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  std::vector<at::Tensor> parameters_, first_moment_, second_moment_;
  std::vector<double> rates_;
  int64_t steps_ = 0;
};

/// Scales the gradients of `parameters` so that their norm, of all together, is at most `limit`.
void clip_gradients(const std::vector<at::Tensor>& parameters, double limit);

}  // namespace lethe
