// What pre-training is whatever the model: the state of a run and the loop that takes its steps.
#pragma once

#include <ATen/core/Generator.h>

#include <functional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "forgetting/adamw.h"
#include "forgetting/config.h"
#include "forgetting/task.h"

namespace lethe {

/// All that changes from step to step. A run that is saved and restored goes on as if it had never
/// stopped, bit for bit on the CPU with the same number of threads.
struct PretrainRun {
  /// Copies `start`, float32 weights on one device; `trained`: whether a weight of that name is
  /// trained. The others stay as they are. `samples`: of the data set, at least 1. `config` must be
  /// valid.
  PretrainRun(const Weights& start, const std::function<bool(const std::string&)>& trained,
              int64_t samples, const PretrainConfig& config);

  Weights weights;                 ///< the trained ones require gradients
  std::vector<std::string> names;  ///< of the trained ones, as the optimizer has them
  Weights averaged;                ///< of the trained ones; empty where config.average_decay is 0
  AdamW optimizer;
  Loader order;
  RandomStream augmentation;
  at::Generator dropout;
  Progress progress;  ///< step: of those that are done

  TrainingState save() const;
  /// Throws kCorrupt when `state` is not one of a run like this.
  void restore(const TrainingState& state);

 private:
  template <typename Visit>
  void visit_tensors(const Visit& visit) const;
};

/// Takes all steps of `run`, resumed where `checkpoints` say so, and returns the trained weights:
/// their running average where config.average_decay is not 0. Nothing of them requires gradients.
/// `loss_of`: the loss of the next batch, a scalar with its graph; it may set figures of its own in
/// run.progress, whose other fields are set here (loss and loss_retain are the loss). `clip`: the
/// largest norm of all gradients together, larger ones are scaled down to it; 0: none. Throws
/// kNumeric naming the step when a loss is NaN or infinite, kCancelled.
Weights take_pretrain_steps(PretrainRun& run, const PretrainConfig& config, double clip,
                            const std::function<at::Tensor(PretrainRun&)>& loss_of,
                            const Observer& observer, const Checkpoints& checkpoints);

}  // namespace lethe
