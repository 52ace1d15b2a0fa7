// Public namings of ViT checkpoints and how they map to torchvision's, and back.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "storage/safetensors.h"

namespace lethe {

/// Values as in lethe.h (lethe_naming).
enum class Naming : int32_t { kOriginal = 1, kOwn = 2, kTimm = 3, kHuggingFace = 4 };

/// An old prefix of a tensor's name, and the new one.
using NameRule = std::pair<std::string, std::string>;

/// Renames every tensor by the first rule whose old prefix its name starts with. Throws
/// kInvalidArgument when two tensors stand for one.
Weights rename_prefixes(Weights weights, const std::vector<NameRule>& rules);

/// The tensors `parts` as one, `whole`: rows of the first, then of the next. Parts that are
/// incomplete or of unlike shapes stay, to be reported as unknown names.
void stack_rows(Weights& weights, const std::vector<std::string>& parts, const std::string& whole);

/// "timm" and so on, for messages.
const char* naming_name(Naming naming);

/// kTimm, kHuggingFace, or kOwn for everything else: told by the name of the patch embedding.
Naming naming_of_vit(const Weights& weights);

/// Renames timm ("blocks.0.attn.qkv.weight"), Hugging Face ("vit.encoder.layer.0.attention...") and
/// torchvision's older names ("mlp.linear_1") to torchvision's own. Which one it is,
/// naming_of_vit() tells; other names stay. Hugging Face keeps q, k and v apart: they are stacked
/// in that order. Throws kInvalidArgument when two tensors stand for one.
Weights to_torchvision_names(Weights weights, int64_t depth);

/// The inverse: torchvision's own names to those of `naming` (not kOriginal).
Weights from_torchvision_names(Weights weights, int64_t depth, Naming naming);

}  // namespace lethe
