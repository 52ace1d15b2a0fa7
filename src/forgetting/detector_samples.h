// The images of a detection data set as a training step takes them.
#pragma once

#include <c10/core/Device.h>

#include "data/detection_dataset.h"
#include "forgetting/detector_step.h"

namespace lethe {

/// Whether all images have one size, so that a batch adds no padding to them.
bool one_image_size(const DetectionDataset& dataset);

/// Backbone maps depend on no LoRA value: where all images have one size, so that a batch adds no
/// padding to them, they are computed once and kept, as many as fit `budget` bytes. Not
/// thread-safe.
class DetectorSamples {
 public:
  /// References outlive the object. `budget` 0: nothing is kept.
  DetectorSamples(const DetectionDataset& dataset, const DeformableDetr& model,
                  const ResNet& backbone, c10::Device device, int64_t budget);

  /// The images at these positions, with their objects, on the device. Throws what
  /// DetectionDataset::sample() throws.
  DetectorInput at(const std::vector<int64_t>& positions);

  int64_t bytes() const { return kept_bytes_; }  ///< kept so far

 private:
  DetectorInput compute(const std::vector<int64_t>& positions) const;

  const DetectionDataset& dataset_;
  const DeformableDetr& model_;
  const ResNet& backbone_;
  c10::Device device_;
  int64_t budget_, kept_bytes_ = 0;
  std::vector<DetectorInput> kept_;  ///< by position; without maps: not yet. Empty: nothing is kept
};

}  // namespace lethe
