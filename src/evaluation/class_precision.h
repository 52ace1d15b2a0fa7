// Average precision of every category on one data set: what ClassAccuracy (accuracy.h) is for
// classifiers.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/detection_dataset.h"
#include "evaluation/accuracy.h"
#include "models/deformable_detr.h"

namespace lethe {

/// By label, of all classes of the model.
struct ClassPrecision {
  /// 0 to 1, NaN of a category without objects: COCO's mean over the IoU thresholds 0.50, 0.55 ...
  /// 0.95, and at 0.50.
  std::vector<double> ap, ap50;
  std::vector<int64_t> total;  ///< objects, crowds not counted

  /// 100 times the mean of `ap` over those of these labels that have objects; nothing when none
  /// has.
  std::optional<double> percent(const std::vector<int64_t>& classes) const;
  std::optional<double> percent() const;  ///< over all labels
  /// The same of `ap50`.
  std::optional<double> percent50(const std::vector<int64_t>& classes) const;
  std::optional<double> percent50() const;
};

/// The precision of detections of which those of unknown categories (labels of the model that the
/// data set has not) are left out, in pixels of the original images, 100 an image at most.
/// `options.batch` counts images, of which at most 16 are taken at a time; margin and forward mean
/// nothing here. The model has as many classes as the data set has categories, or more. Throws
/// kInvalidArgument when it has fewer, kUnsupported when it has no backbone, kCancelled, what
/// DetectionDataset::sample() throws, and kInvalidArgument when the model says NaN of a box.
ClassPrecision class_precision(const DeformableDetr& model, const Weights& weights,
                               const DetectionDataset& dataset,
                               const EvaluationOptions& options = {});

}  // namespace lethe
