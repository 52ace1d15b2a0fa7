// How one forget task runs from data to adapter: train, drop zero groups, measure, gate, build.
#pragma once

#include "engine/report.h"
#include "engine/request.h"
#include "engine/score_cache.h"
#include "forgetting/method.h"

namespace lethe {

/// What a run needs to know besides its request.
struct RunContext {
  std::string request_id, request_digest;
  std::string created_utc;  ///< when it was asked, ISO 8601
  int threads = 0;
  ScoreCache& scores;
  Observer observer;                ///< told of every training step; false stops
  std::function<bool()> cancelled;  ///< asked while measuring; true throws kCancelled
  Checkpoints checkpoints;          ///< of the training; the default: none
};

struct ForgetOutcome {
  std::shared_ptr<const Adapter> adapter;  ///< null when rejected
  std::shared_ptr<const Report> report;
  std::string rejection;  ///< the figures and the likely cause (see judge())
};

/// Acc_r (AP_r) more than this many points under the base's on the same classes is over-forgetting:
/// what gate_max_acc_r_drop allows unless it is set. A line of Lethe's own.
inline constexpr double kOverForgetting = 10;

/// Plans and runs a request on `snapshot`. Trains nothing into the model: the caller publishes.
///
/// Metrics of the report, of the state with the task's adapter unless said otherwise, on the
/// validation set or else the training sets (`+`: higher is better, `-`: lower). Accuracies and H
/// are defined in evaluation/accuracy.h, the rest here.
// clang-format off
///   acc_f            -  0 to 100  classes of this task
///   acc_r            +  0 to 100  classes that no task forgot
///   acc_o            -  0 to 100  classes of earlier tasks
///   acc_m            +  0 to 100  retained classes without training samples
///   acc_class.N         0 to 100  each class with samples
///   acc_f_before, acc_r_before, acc_m_before   the same of the base
///   acc_f_start, acc_r_start      of this task's start, with the adapters before it
///   h                +  0 to 100  h_mean(acc_r, acc_f_before, acc_f): "before" is the base, as in
///                                 the paper's tables (algorithm.md 6.2)
///   h_start          +  0 to 100  h_mean(acc_r, acc_f_start, acc_f): "before" is the task's start,
///                                 as in the running H of the paper's code
///   ..._margin                    these but acc_class.N with the head's margin at the true class,
///                                 where it has one: what the paper's tables show (2.2)
///   over_forgetting  -  0 to 100  max(0, acc_r_before - acc_r) in points; Lethe's own
///   groups_kept, groups_total     of methods with LoRA: groups that are left, and all
///   zero_group_ratio +  0 to 100  100 (1 - groups_kept / groups_total); what zero_threshold drops
///                                 is zero before anything is measured (the paper's figure of this
///                                 name, whose threshold is not known, 6.4)
///   tunable_ratio    -  0 to 100  100 numbers that training could change / numbers of the base
///                                 (6.3); of LIRF not all that the paper counts, see lirf.cpp
///   seconds          -  above 0   wall-clock time of the run up to the last accuracy: drawing,
///                                 training, measuring, but neither margins nor audits
///   peak_memory_mib  -  above 0   the most that was resident of the process since it began
///   steps, forget_samples, retain_samples   of training; the samples are those drawn
// clang-format on
/// and what audit.h names. Of detectors "ap" stands for "acc" in every name, the COCO AP in percent
/// (evaluation/class_precision.h), and "ap50" for the AP at the IoU 0.50; there are no margins and
/// no audits.
///
/// The report's JSON also says "over_forgets": whether over_forgetting is above kOverForgetting.
///
/// For both kinds of data (in forget_job.cpp).
template <typename Data>
ForgetOutcome run_forgetting(const ForgetRequestOn<Data>& request, const Snapshot& snapshot,
                             const RunContext& context);

}  // namespace lethe
