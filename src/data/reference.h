// Data sets as text: where the samples can be read again, which of them, and what they must be
// then.
//
//   {"origin": {"kind": "idx" | "image_folder", ...} , "selection": [[begin, end], ...],
//    "digest": content digest}
//
// Positions are those of the whole set that the origin names; a selection's order is kept.
#pragma once

#include <string>

#include "data/dataset.h"

namespace lethe {

/// The reference of a set whose source can be read again. Throws kUnsupported for one from arrays.
Json refer_to(const Dataset& dataset);

/// Reads the set again. What read_idx() and read_image_folder() throw; kCorrupt when the content is
/// not that of the reference any more, or the reference itself is damaged.
Dataset open_reference(const Json& reference);

/// A set as one safetensors file: pixels, labels and what belongs to them. Written atomically.
void write_dataset(const std::string& path, const Dataset& dataset);
/// Throws kNotFound, kIo, kCorrupt.
Dataset read_dataset(const std::string& path);

}  // namespace lethe
