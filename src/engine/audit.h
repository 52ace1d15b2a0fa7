// What a report says beyond accuracy: whether the forgotten can still be told, matched, probed or
// soon relearnt. Each figure is defined where it is computed (evaluation/,
// forgetting/relearning.h).
#pragma once

#include "engine/live_model.h"
#include "engine/report.h"
#include "engine/request.h"

namespace lethe {

/// The audits that the settings ask for, of the state `after` the task; "_before" in a name: of the
/// base. Those that need held-out samples are absent without a validation set. AUCs from 0 to 1,
/// all else in percent unless it counts something.
///
///   mia_ATTACK_auc, _advantage, _tpr   ATTACK: loss, entropy, modified_entropy; members: up to
///   1000
///                                      training samples to be forgotten, non-members: up to 1000
///                                      held-out ones of the same classes
///   mia_members, mia_non_members       how many
///   verification_auc_r, _tar_r, _eer_r retained identities among themselves, TAR at FAR 1 %
///   verification_auc_f, _tar_f, _eer_f forgotten identities of this task, by their own threshold
///   verification_tar_f_at_r            these at the threshold that the retained ones set
///   probe_f, probe_r                   a linear probe on frozen embeddings: forgotten, retained
///   classes relearning_steps, relearning_reached   until half of the base's accuracy is back from
///   4 shots
/// Throws kCancelled.
Metrics audit(const ForgetRequest& request, const ForgetPlan& plan, const Snapshot& base,
              const Snapshot& after, const std::function<bool()>& cancelled);

}  // namespace lethe
