// Public namings of ViT checkpoints and how they map to torchvision's.
#pragma once

#include "storage/safetensors.h"

namespace lethe {

/// Renames timm ("blocks.0.attn.qkv.weight"), Hugging Face ("vit.encoder.layer.0.attention...") and
/// torchvision's older names ("mlp.linear_1") to torchvision's own. Which one it is, is told by the
/// name of the patch embedding; other names stay. Hugging Face keeps q, k and v apart: they are
/// stacked in that order. Throws kInvalidArgument when two tensors stand for one.
Weights to_torchvision_names(Weights weights, int64_t depth);

}  // namespace lethe
