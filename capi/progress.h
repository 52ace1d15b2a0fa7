// Figures and times of jobs in the types of lethe.h.
#pragma once

#include "engine/timed_wait.h"
#include "forgetting/task.h"
#include "lethe/lethe.h"

namespace lethe::capi {

inline lethe_progress to_struct(const Progress& progress) {
  lethe_progress out{};
  out.step = progress.step;
  out.total_steps = progress.total_steps;
  out.loss = progress.loss;
  out.loss_retain = progress.loss_retain;
  out.loss_forget = progress.loss_forget;
  out.loss_structure = progress.loss_structure;
  out.loss_prototype = progress.loss_prototype;
  out.acc_f = progress.acc_f;
  out.acc_r = progress.acc_r;
  out.seconds = progress.seconds;
  out.eta_seconds = progress.eta_seconds;
  out.groups_live = progress.groups_live;
  out.groups_total = progress.groups_total;
  return out;
}

/// Negative is for ever.
inline Timeout timeout_of(int64_t timeout_ms) {
  if (timeout_ms < 0) return std::nullopt;
  return std::chrono::milliseconds(timeout_ms);
}

}  // namespace lethe::capi
