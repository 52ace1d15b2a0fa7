// What the base model says of a task's samples: the teacher of LwF, DER, FDR, SCRUB and LIRF. It
// never changes, so it is asked once (algorithm.md 10).
#pragma once

#include "data/dataset.h"
#include "models/base_model.h"

namespace lethe {

/// Embeddings [n, D] of the base for all samples of `dataset`, without dropout, on the base's
/// device. Tasks of every model on this base share them. `cancelled` is asked between batches; true
/// throws kCancelled.
at::Tensor teacher_embeddings(const BaseModel& base, const Dataset& dataset,
                              const std::function<bool()>& cancelled);

/// The attention of the tokens [B, N, D] that leave block `depth` - 1: the mean over tokens of x^2,
/// brought to unit length, entries under 0.005 set to zero; [B, D] (LIRFtrain.py, at()).
at::Tensor token_attention(const at::Tensor& tokens);

/// token_attention() after the base's first `depth` blocks, for all samples; likewise shared.
at::Tensor teacher_attention(const BaseModel& base, const Dataset& dataset, int64_t depth,
                             const std::function<bool()>& cancelled);

/// The rows of a table [n, D] at these positions.
at::Tensor rows(const at::Tensor& table, const std::vector<int64_t>& positions);

}  // namespace lethe
