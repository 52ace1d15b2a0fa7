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

/// Plans and runs a request on `snapshot`. Trains nothing into the model: the caller publishes.
///
/// Metrics of the report (percent; all of the state with the task's adapter unless said otherwise):
///   acc_f, acc_r           classes of this task; classes that no task forgot
///   acc_o                  classes of earlier tasks
///   acc_f_before, acc_r_before   of the base, acc_f_start, acc_r_start of this task's start
///   acc_m                  retained classes without training samples
///   acc_class.N            each class with samples
///   h, h_start             H-mean with the base's, with the start's Acc_f as "before"
///   ..._margin             all of these with the head's margin at the true class, where it has one
///   over_forgetting        points of Acc_r lost since the base; 0 where none
///   groups_kept, groups_total, zero_group_ratio   of methods with LoRA; the ratio in percent
///   tunable_ratio          numbers that training could change, in percent of the base's
///   peak_memory_mib        the most that the process has had in memory so far
///   steps, seconds, forget_samples, retain_samples
///   and what audit.h names
/// Of detectors "ap" stands for "acc" in every name, the COCO AP in percent, and "ap50" for the AP
/// at the IoU 0.50; there are no margins and no audits.
///
/// For both kinds of data (in forget_job.cpp).
template <typename Data>
ForgetOutcome run_forgetting(const ForgetRequestOn<Data>& request, const Snapshot& snapshot,
                             const RunContext& context);

}  // namespace lethe
