// A checkpoint's tensors as an architecture's weights: what is the same whatever the architecture.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"

namespace lethe {

/// The floating-point tensors of a checkpoint, float32 and contiguous, without "module." before
/// their names (left by data-parallel training) and without LoRA matrices: a checkpoint saved in
/// evaluation mode lists them beside weights that already contain them (algorithm.md 2.5); nor
/// counters of batch normalisation, which a frozen one does not have. Throws
/// kInvalidArgument naming a tensor of another type, or one that is there twice.
Weights plain_weights(Weights checkpoint);

/// Throws kInvalidArgument naming the first tensor that is missing, misshapen or extra, kCorrupt
/// when one holds NaN or infinity. `arch` is named in the message.
void check_tensors(const std::vector<TensorSpec>& expected, const Weights& weights,
                   const std::string& arch);

}  // namespace lethe
