// The ordered adapters of a base model and the weights they give: W = W0 + sum_i c_i s_i B_i A_i.
#pragma once

#include "adapters/adapter.h"

namespace lethe {

struct StackEntry {
  std::shared_ptr<const Adapter> adapter;
  double scale = 1;  ///< c_i; 0: listed but disabled
};
using Stack = std::vector<StackEntry>;

/// Effective weights. Always summed anew from the untouched base in stack order, in float32 and
/// each tensor on one thread, so equal stacks give equal bits, whoever asks; tensors that no
/// adapter changes are shared with the base. The stack has passed check_stack().
Weights merge(const BaseModel& base, const Stack& stack);

/// Throws when `adapter` cannot be put on top of `below`:
///   kBaseMismatch   made for another base (names both fingerprints and, where the shapes tell, the
///                   first tensor that does not fit), or, unless `allow_unverified`, trained on
///                   another state than the enabled adapters of `below` give
///   kExists         it, or another one of the same request id, is there already
void check_on_top(const BaseModel& base, const Stack& below, const Adapter& adapter,
                  bool allow_unverified = false);

/// check_on_top() for every entry. A scale must be finite (kInvalidArgument) and, unless
/// `allow_unverified`, 1 (kBaseMismatch): no task was trained on anything else.
void check_stack(const BaseModel& base, const Stack& stack, bool allow_unverified = false);

/// Throws kBaseMismatch unless the enabled adapters give a state that a task left: all have scale 1
/// and each was trained on exactly those beneath it. What is disabled does not count.
void check_verified(const BaseModel& base, const Stack& stack);

/// Digest of base plus enabled adapters and scales; that of the base when none is enabled.
Digest state_fingerprint(const BaseModel& base, const Stack& stack);

/// The enabled adapters' ids, oldest first.
std::vector<std::string> enabled_ids(const Stack& stack);

/// The classes that the base lost in a merge and those that the enabled adapters forgot, in this
/// order, each once.
std::vector<int64_t> forgotten_classes(const BaseModel& base, const Stack& stack);

}  // namespace lethe
