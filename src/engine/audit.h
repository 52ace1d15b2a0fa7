// What a report says beyond accuracy: whether the forgotten can still be told, matched, probed or
// soon relearnt. Each figure is defined where it is computed (evaluation/,
// forgetting/relearning.h).
#pragma once

#include "engine/live_model.h"
#include "engine/report.h"
#include "engine/request.h"

namespace lethe {

/// The audits that the settings ask for, of the state `after` the task; "_before" in a name: of the
/// base. All need held-out samples and are absent without a validation set. AUCs from 0 to 1, all
/// else in percent unless it counts something.
// clang-format off
///   mia_ATTACK_auc, _advantage, _tpr    ATTACK: loss, entropy, modified_entropy; up to 1000 training
///                                       samples to be forgotten against up to 1000 held-out ones
///   mia_members, mia_non_members        how many there were
///   mia_lira_auc, _advantage, _tpr      LiRA, with two networks retrained without the forgotten
///                                       ones, as yardstick_settings() says
///   mia_ATTACK_auc_retrain, _gap        the first such network's AUC; the distance from it
///   verification_auc_r, _tar_r, _eer_r  retained identities among themselves, TAR at FAR 1 %
///   verification_auc_f, _tar_f, _eer_f  this task's forgotten ones, by a threshold of their own;
///                                       impostors are each other, of a single one everybody else
///   verification_tar_f_at_r             these at the threshold that the retained ones set
///   probe_f, probe_r                    a linear probe on the embeddings: forgotten, retained classes
///   relearning_steps, _reached          until half of the base's accuracy is back from 4 shots
// clang-format on
/// Throws kCancelled.
Metrics audit(const ForgetRequest& request, const ForgetPlan& plan, const Snapshot& base,
              const Snapshot& after, const std::function<bool()>& cancelled);

/// Retrained network `number`: Retrain with what the task's settings say of data, epochs or steps,
/// retain batch and dropout. Rates, decay and warm-up (at most all epochs) are Retrain's defaults
/// for `head`, or the task's where its method is Retrain. Never Form::kReference, which keeps
/// weights that the forgotten samples shaped. `number` counts the seed on from the task's, so the
/// task's own Retrain is another draw of the same network.
ForgetConfig yardstick_settings(const ForgetConfig& asked, HeadKind head, int64_t number);

}  // namespace lethe
