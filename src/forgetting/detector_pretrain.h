// Pre-training of object detectors: makes base weights by the losses of Deformable DETR, as the
// detectors of the experiments are made (algorithm.md 8.1, 8.4).
#pragma once

#include "data/detection_dataset.h"
#include "forgetting/task.h"
#include "models/deformable_detr.h"

namespace lethe {

/// Throws kInvalidArgument for a setting that does not fit, kUnsupported when the model has no
/// backbone.
void check_detector_pretraining(const DeformableDetr& model, const PretrainConfig& config);

/// Trains from `start` (float32, on the model's device) and returns the trained weights. The loss
/// is L_retain of detection_losses.h, summed over all decoder layers where the spec has
/// auxiliary_losses, and over the proposals of a two-stage model. The norm of all gradients
/// together is held to 0.1.
///
/// `config`: batch counts images; flip mirrors each image or not, augment flips, resizes and crops
/// it as DETR's training does (augmented_for()); shift, erase and label_smoothing are nothing that
/// boxes and sigmoids have and must be 0. In the progress, loss and loss_retain
/// are the loss; acc_r stays NaN. An image without objects teaches that there is none.
///
/// All weights are trained, the gains and biases of the backbone's normalisations too, but for
/// their frozen statistics (running_mean, running_var). The published code freezes gains and biases
/// as well, since it starts from a trained backbone; one that starts from random weights has no
/// other biases.
///
/// Throws what check_detector_pretraining() throws; kInvalidArgument for an empty data set, or one
/// with more categories than the model has classes; kNumeric naming the step, kCancelled, and what
/// DetectionDataset::sample() throws.
Weights pretrain_detector(const DeformableDetr& model, const Weights& start,
                          const DetectionDataset& train, const PretrainConfig& config,
                          const Observer& observer, const Checkpoints& checkpoints = {});

}  // namespace lethe
