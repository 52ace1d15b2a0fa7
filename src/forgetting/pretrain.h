// Pre-training: makes base weights by cross entropy, as the paper makes its face model
// (section 5.6).
#pragma once

#include "forgetting/task.h"

namespace lethe {

/// Trains all weights from `start` (float32, on the model's device) and returns the trained ones.
/// In the progress, loss_retain is the cross entropy and acc_r the running training accuracy.
/// Throws kNumeric, kCancelled.
Weights pretrain(const Classifier& model, const Weights& start, const Dataset& train,
                 const PretrainConfig& config, const Observer& observer,
                 const Checkpoints& checkpoints = {});

}  // namespace lethe
