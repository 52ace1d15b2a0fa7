// Reading a PyTorch state dict (.pt, .pth) without running it: the zip container and an allow-list
// of pickle instructions that can only build dictionaries, numbers, strings and tensors.
#pragma once

#include <string>
#include <string_view>

#include "storage/safetensors.h"

namespace lethe {

/// True when a file that begins with `head` (9 bytes or more decide) is a zip archive or a pickle
/// and not safetensors.
bool looks_like_torch_pickle(std::string_view head);

/// The tensors of a plain `torch.save(model.state_dict())`: those of the dictionary itself or, when
/// it holds none, of the one under its key "state_dict" or "model". Other values are skipped. Each
/// tensor is contiguous and has its own memory, whatever views and storages the file shares.
///
/// kUnsupported for a pickle that names any callable outside the allow-list (the message says
/// which; nothing of it runs), for compressed archives and for legacy files (before PyTorch 1.6, no
/// zip); kCorrupt for a damaged file, kLimitExceeded beyond `limits`. `what` names the file in
/// messages.
Weights parse_torch_state_dict(std::string_view bytes, std::string_view what,
                               const Limits& limits = {});

/// read_file() and parse_torch_state_dict().
Weights read_torch_state_dict(const std::string& path, const Limits& limits = {});

}  // namespace lethe
