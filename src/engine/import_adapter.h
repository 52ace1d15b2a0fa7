// Adapters that other projects trained, as ours.
#pragma once

#include <string>
#include <vector>

#include "engine/live_model.h"
#include "storage/limits.h"

namespace lethe {

/// A folder of PEFT's LoRA format (adapters/peft.h) as the adapter of a request that made the state
/// of `snapshot` forget `classes`. Throws kInvalidArgument for a bad request id, no class or one
/// named twice, kNotFound for a class that the model does not have; otherwise as read_peft().
std::shared_ptr<const Adapter> import_peft(const Snapshot& snapshot, const std::string& folder,
                                           const std::string& request_id,
                                           const std::vector<int64_t>& classes,
                                           const Limits& limits = {});

}  // namespace lethe
