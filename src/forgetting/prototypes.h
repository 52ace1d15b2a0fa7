// Class prototypes: the mean embedding of a class's training samples (algorithm.md 4.6).
#pragma once

#include <functional>

#include "data/dataset.h"
#include "models/classifier.h"

namespace lethe {

/// P [C, D]: for every class with samples in one of `sets`, the mean of their embeddings under
/// `weights`, without dropout. Rows of other classes are zero. `cancelled` is asked between
/// batches; true throws kCancelled.
at::Tensor class_prototypes(const Classifier& model, const Weights& weights,
                            const std::vector<const Dataset*>& sets, int64_t batch = 250,
                            const std::function<bool()>& cancelled = {});

}  // namespace lethe
