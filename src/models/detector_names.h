// Names of a Deformable DETR's tensors: the published code's own, and how Hugging Face's map to
// them.
#pragma once

#include <string>
#include <vector>

#include "models/detector_spec.h"
#include "models/model.h"

namespace lethe {

/// Before a ResNet's own names.
inline const std::string kBackbone = "backbone.0.body.";

/// "transformer.encoder.layers.I." and "transformer.decoder.layers.I.".
std::string encoder_layer_name(int64_t i);
std::string decoder_layer_name(int64_t i);

/// How many pairs of heads there are: one, or one a decoder layer and one for proposals.
int64_t head_count(const DetectorSpec& spec);

/// Whether a checkpoint is a ResNet alone, as torchvision writes it: "conv1.weight", "bn1.bias",
/// "layer1.0.conv1.weight" and so on, and nothing of a detector.
bool is_plain_resnet(const Weights& checkpoint);

/// A checkpoint's tensors under the published names: Hugging Face's are mapped, q, k and v that it
/// keeps apart stacked, a head that is listed under several names taken once. A ResNet alone gets
/// the backbone's names, without its classifier ("fc.") and its counters ("num_batches_tracked").
/// Other names stay.
/// Throws kInvalidArgument naming a tensor that has other values under another name.
Weights to_detector_names(const DetectorSpec& spec, Weights weights);

}  // namespace lethe
