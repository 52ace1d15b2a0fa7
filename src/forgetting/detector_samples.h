// The images of a detection data set as a training step takes them.
#pragma once

#include <ATen/core/Generator.h>
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

  /// The first `layers` encoder layers, 1 or more, carry no LoRA and have no dropout: from now on
  /// images come as these layers of `weights` (which outlive the object) leave them, and that is
  /// what is kept. Before the first at().
  void begin_after(int64_t layers, const Weights& weights);
  /// Every image is flipped, resized and cropped anew, as `chance` (which outlives the object) has
  /// it; nothing is kept. Before the first at().
  void augment(at::Generator& chance);

  /// The images at these positions, with their objects, on the device. Throws what
  /// DetectionDataset::sample() throws.
  DetectorInput at(const std::vector<int64_t>& positions);

  int64_t bytes() const { return kept_bytes_; }  ///< kept so far

 private:
  DetectionSample sample(int64_t position) const;
  DetectorInput compute(const std::vector<int64_t>& positions) const;
  void share_places(Pyramid& pyramid);

  const DetectionDataset& dataset_;
  const DeformableDetr& model_;
  const ResNet& backbone_;
  c10::Device device_;
  int64_t budget_, kept_bytes_ = 0;
  int64_t encoder_layers_ = 0;  ///< that are computed here
  const Weights* weights_ = nullptr;
  at::Generator* chance_ = nullptr;
  std::vector<DetectorInput> kept_;  ///< by position; without maps: not yet. Empty: nothing is kept
  Pyramid places_;                   ///< positions, padding and ratios of any one encoded image
};

}  // namespace lethe
