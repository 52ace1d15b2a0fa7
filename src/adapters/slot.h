// Memory that a training step uses again in the next one.
#pragma once

#include <ATen/ATen.h>

namespace lethe {

/// get() gives a tensor of the asked shape over memory that only grows: allocating hundreds of
/// megabytes anew each step costs page faults worth a fifth of it. The last get()'s tensor is
/// overwritten.
class Slot {
 public:
  at::Tensor get(at::IntArrayRef shape, const at::TensorOptions& options) {
    int64_t count = 1;
    for (int64_t n : shape) count *= n;
    if (!memory_.defined() || memory_.numel() < count) memory_ = at::empty({count}, options);
    return memory_.narrow(0, 0, count).view(shape);
  }

 private:
  at::Tensor memory_;
};

}  // namespace lethe
