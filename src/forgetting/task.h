// One forget task as a method sees it, and what the method gives back.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "adapters/adapter.h"
#include "data/dataset.h"
#include "forgetting/config.h"
#include "forgetting/training_state.h"

namespace lethe {

/// Where training stands; the fields of lethe_progress. Figures that do not exist are NaN.
struct Progress {
  int64_t step = 0, total_steps = 0;
  double loss = NAN, loss_retain = NAN, loss_forget = NAN, loss_structure = NAN,
         loss_prototype = NAN;
  double acc_f = NAN, acc_r = NAN;
  double seconds = 0, eta_seconds = NAN;
  int32_t groups_live = 0, groups_total = 0;
};

/// Told of every finished step on the training thread; false asks to stop, and training ends at
/// once with kCancelled.
using Observer = std::function<bool(const Progress&)>;

/// How a run is saved and taken up again. The default does neither.
struct Checkpoints {
  /// Asked after every step, before the observer; true: `save` gets the state after that step.
  std::function<bool()> due;
  std::function<void(const TrainingState&)> save;
  /// What an earlier run of the same task saved. The result is then the one that the earlier run
  /// would have had, bit for bit on the CPU with the same number of threads.
  std::optional<TrainingState> resume;
};

struct ForgetTask {
  std::shared_ptr<const BaseModel> base;
  Weights start;      ///< base plus earlier adapters, frozen
  int64_t index = 0;  ///< number of adapters beneath: 0 for the first task
  std::vector<int64_t> classes;
  Dataset forget, retain;  ///< all samples; the method draws its part (data_ratio, few_shot)
  ForgetConfig config;
  /// Asked between batches of what comes before the first step; true throws kCancelled.
  std::function<bool()> cancelled = {};
};

struct ForgetResult {
  std::unique_ptr<LoraParameters> lora;  ///< zeroed groups hold zeros
  std::vector<AdapterGroup> groups;
  Progress last;                                   ///< figures of the last step
  bool bound_reached = false;                      ///< the forget loss was 0 at some step
  int64_t forget_samples = 0, retain_samples = 0;  ///< drawn for training
};

/// A way to forget. Stateless; one object serves all tasks.
class Method {
 public:
  virtual ~Method() = default;
  /// Trains. Throws kNumeric (NaN or infinity in a loss, with the step), kCancelled.
  /// kCorrupt: `checkpoints.resume` is not of this task.
  virtual ForgetResult run(const ForgetTask& task, const Observer& observer,
                           const Checkpoints& checkpoints) const = 0;
};

/// The method of a kind; a new one is a file and a line in method.cpp.
const Method& method_of(MethodKind kind);

}  // namespace lethe
