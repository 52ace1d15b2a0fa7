// One forget task as a method sees it, and what the method gives back.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "adapters/adapter.h"
#include "data/dataset.h"
#include "data/detection_dataset.h"
#include "forgetting/config.h"
#include "forgetting/training_state.h"
#include "support/error.h"

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

/// A batch's accuracy in percent, blended into the running one (NaN: none yet).
inline double running_accuracy(double mean, double now) {
  return std::isnan(mean) ? now : 0.9 * mean + 0.1 * now;
}

inline void set_times(Progress& progress, double seconds) {
  progress.seconds = seconds;
  progress.eta_seconds = seconds / static_cast<double>(progress.step) *
                         static_cast<double>(progress.total_steps - progress.step);
}

/// What `body` returns; a kNumeric error of a part of it names the step too.
template <typename Body>
auto at_step(int64_t step, const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    if (error.code() != Code::kNumeric) throw;
    fail(error.code(), "at step ", step, ": ", error.what(), "; lower the learning rate");
  }
}

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

/// What a task left to later ones of the same engine.
struct EarlierTask {
  std::string method;
  Weights start;       ///< the weights that it began with
  Weights importance;  ///< ForgetResult::importance; empty for other methods
};

/// `Data`: of a classifier's task Dataset, of a detector's DetectionDataset, whose objects of other
/// classes are dropped.
template <typename Data>
struct TaskOn {
  std::shared_ptr<const BaseModel> base;
  Weights start;      ///< base plus earlier adapters, frozen
  int64_t index = 0;  ///< number of adapters beneath: 0 for the first task
  std::vector<int64_t> classes;
  Data forget, retain;  ///< all samples; the method draws its part (data_ratio, few_shot)
  ForgetConfig config;
  /// Asked between batches of what comes before the first step; true throws kCancelled.
  std::function<bool()> cancelled = {};
  /// The tasks that the enabled adapters beneath answer, oldest first.
  std::function<std::vector<EarlierTask>()> earlier = {};
};
using ForgetTask = TaskOn<Dataset>;
using DetectorTask = TaskOn<DetectionDataset>;

struct ForgetResult {
  // GS-LoRA(++) leave groups, the others a change of the weights.
  std::unique_ptr<LoraParameters> lora;  ///< zeroed groups hold zeros
  std::vector<AdapterGroup> groups;
  Weights delta;       ///< W after - W before of every tensor that changed, float32
  Weights importance;  ///< what later tasks of the method need of this one (EarlierTask)

  Progress last;                                   ///< figures of the last step
  bool bound_reached = false;                      ///< the forget loss was 0 at some step
  int64_t forget_samples = 0, retain_samples = 0;  ///< drawn for training
  int64_t trained_parameters = 0;                  ///< numbers that training could change
};

}  // namespace lethe
