// What the base model says of a task's samples: the teacher of LwF, DER, FDR, SCRUB and LIRF. It
// never changes, so it is asked once (algorithm.md 10), and tasks of every model on this base share
// its answers.
#pragma once

#include "data/dataset.h"
#include "forgetting/detector_weights.h"
#include "forgetting/task.h"
#include "models/base_model.h"

namespace lethe {

/// The base of `task` on all samples of `set`, one of its drawn sets; without dropout. Making one
/// throws kCancelled when the task's `cancelled` says so between batches.
template <typename Data>
class TeacherOn;

template <>
class TeacherOn<Dataset> {
 public:
  TeacherOn(const ForgetTask& task, const Dataset& set);

  /// Of the samples at these positions, on the base's device: [b, D].
  at::Tensor embeddings(const std::vector<int64_t>& positions) const;
  /// With the head's margin at `labels` [b]: [b, C].
  at::Tensor scores(const std::vector<int64_t>& positions, const at::Tensor& labels) const;

 private:
  Head head_;
  at::Tensor embeddings_;
};
using Teacher = TeacherOn<Dataset>;

/// A detector says Q times C numbers of an image, and others when the image shares its canvas with
/// larger ones. So it is asked once where all images have one size, their answers fit 64 MiB and
/// maps may be kept (kFastPrefixCache); otherwise it is asked again of every batch.
template <>
class TeacherOn<DetectionDataset> {
 public:
  TeacherOn(const DetectorTask& task, const DetectionDataset& set);

  /// Of the images of a part of `set`, of the last decoder layer: [b, Q, C]. The part's maps are
  /// the base's, whose backbone nothing trains.
  at::Tensor logits(const DetectorPart& part) const;

 private:
  const DetectorTask& task_;
  at::Tensor logits_;  ///< [n, Q, C]; undefined: to be asked
};
using DetectorTeacher = TeacherOn<DetectionDataset>;

/// The attention of tokens [B, N, D]: the mean over tokens of x^2, brought to unit length, entries
/// under 0.005 set to zero; [B, D] (LIRFtrain.py, at()).
at::Tensor token_attention(const at::Tensor& tokens);

/// token_attention() after the base's first `depth` blocks, for all samples [n, D]; likewise
/// shared.
at::Tensor teacher_attention(const ForgetTask& task, const Dataset& set, int64_t depth);

/// The rows of a table [n, D] at these positions.
at::Tensor rows(const at::Tensor& table, const std::vector<int64_t>& positions);

}  // namespace lethe
