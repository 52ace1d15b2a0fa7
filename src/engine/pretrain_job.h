// How a pre-training run goes from data to new base weights and their figures.
#pragma once

#include "engine/forget_job.h"

namespace lethe {

struct PretrainOutcome {
  Weights weights;  ///< of the new base; the caller replaces the old one
  std::shared_ptr<const Report> report;
};

/// Checks and runs a request on `snapshot`. Metrics of the report, over the validation set or,
/// without one, the training set: acc, acc_class.N (of detectors ap, ap_class.N, ap50); and steps,
/// seconds, loss (of the last step). For both kinds of data (in pretrain_job.cpp).
template <typename Data>
PretrainOutcome run_pretraining(const PretrainRequestOn<Data>& request, const Snapshot& snapshot,
                                const RunContext& context);

}  // namespace lethe
