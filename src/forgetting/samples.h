// The samples of a task that training sees, and the labels it gives them.
#pragma once

#include "data/dataset.h"
#include "forgetting/task.h"

namespace lethe {

/// Training samples of a task: k of each class, or a share of the pool (algorithm.md 1.5, 1.6).
template <typename Data>
struct TaskSamplesOf {
  Data forget, retain;
};
using TaskSamples = TaskSamplesOf<Dataset>;
using DetectorTaskSamples = TaskSamplesOf<DetectionDataset>;

/// Drawn by the task's seed and index, alike for every method. Throws kInvalidArgument when a set
/// would be empty.
TaskSamples draw_samples(const ForgetTask& task);
/// Images, not objects (algorithm.md 8.3).
DetectorTaskSamples draw_samples(const DetectorTask& task);

/// Labels that forget samples are trained towards by methods that relabel, drawn anew at each call.
/// Form::kCorrected: uniform over the retained classes. Form::kReference: (y + U{1..100}) mod n
/// with n classes to forget, y + 1 mod n where that is y, so only ids 0..n-1, whatever they are
/// (algorithm.md 7, image_iter.py).
class WrongLabels {
 public:
  /// `retained`: the classes of the drawn retain samples.
  WrongLabels(Form form, int64_t forget_classes, std::vector<int64_t> retained,
              RandomStream stream);

  /// For true labels int64 [B] on any device; the result is on the CPU.
  at::Tensor draw(const at::Tensor& labels);

  /// Its state is that of the object.
  RandomStream& stream() { return stream_; }
  const RandomStream& stream() const { return stream_; }

 private:
  Form form_;
  int64_t forget_classes_;
  std::vector<int64_t> retained_;
  RandomStream stream_;
};

}  // namespace lethe
