// Names of a Deformable DETR's tensors: the published code's own, and how Hugging Face's map to
// them.
#pragma once

#include <string>
#include <vector>

#include "models/detector_spec.h"
#include "models/model.h"

namespace lethe {

/// "transformer.encoder.layers.I." and "transformer.decoder.layers.I.".
std::string encoder_layer_name(int64_t i);
std::string decoder_layer_name(int64_t i);

/// How many pairs of heads there are: one, or one a decoder layer and one for proposals.
int64_t head_count(const DetectorSpec& spec);

/// A checkpoint under either naming as weights of the names and shapes `expected`. A head that the
/// checkpoint lists under several names is taken once. Throws kInvalidArgument naming a tensor that
/// is missing, extra or misshapen, or that has other values under another name; kCorrupt for NaN or
/// infinity.
Weights import_detector(const DetectorSpec& spec, const std::vector<TensorSpec>& expected,
                        Weights checkpoint);

}  // namespace lethe
