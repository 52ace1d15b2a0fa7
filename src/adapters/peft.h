// Hugging Face PEFT's folder of a LoRA adapter: adapter_config.json and adapter_model.safetensors.
//
// PEFT gives each module its own rank r and W += s B A with s = lora_alpha / r, or lora_alpha /
// sqrt(r) with use_rslora; rank_pattern and alpha_pattern say where r and lora_alpha differ. Our
// adapters have one rank and one scaling. So lower ranks are padded with zero rows of A and columns
// of B, which add nothing; the scaling is the largest |s|, and s / scaling goes into B: exactly
// where it is a power of two, so above all where all s are equal, and rounded once to float32
// elsewhere.
#pragma once

#include "adapters/adapter.h"

namespace lethe {

/// Writes both files, each atomically, into `folder`, which is made when it is missing. Modules
/// have the names of `naming`; an adapter knows of no checkpoint, so kOriginal means kOwn. Throws
/// kIo, and kUnsupported when the adapter's architecture is unknown or has no such names, or when
/// it adapts q, k and v apart: they are rows of one module, and PEFT adapts whole ones.
void write_peft(const std::string& folder, const Adapter& adapter, Naming naming);

/// Reads both files for `base`. Modules may have any names that its architecture knows. `facts`
/// holds what a folder does not say: all but task_id, method, config, seed, metrics and data
/// digests. Throws
///   kNotFound, kIo    the folder and its files
///   kCorrupt          malformed, contradictory or not finite
///   kUnsupported      what is more than s B A on linears of a base as published: another method,
///                     DoRA, biases, saved modules, initialisations that change the base
///   kBaseMismatch     a module that cannot carry an adapter here, or a shape that does not fit it
///   kLimitExceeded
std::shared_ptr<const Adapter> read_peft(const std::string& folder, const BaseModel& base,
                                         AdapterFacts facts, const Limits& limits = {});

}  // namespace lethe
