// Data sets as text: where the samples can be read again, which of them, and what they must be
// then.
//
//   {"origin": {"kind": "idx" | "image_folder" | "coco" | "voc", ...} ,
//    "selection": [[begin, end], ...], "digest": content digest}
//
// COCO's origin has "labels": "id" where the labels are the categories' ids (detection_sources.h).
// Positions are those of the whole set that the origin names; a selection's order is kept. A set
// with boxes that lacks some of its images' objects says which it has: "objects", ranges of all the
// source's.
#pragma once

#include <string>

#include "data/any_dataset.h"

namespace lethe {

/// The reference of a set whose source can be read again. Throws kUnsupported for one from arrays.
Json refer_to(const Dataset& dataset);
Json refer_to(const DetectionDataset& dataset);

/// Reads the set again. What its source throws; kCorrupt when the content is
/// not that of the reference any more, or the reference itself is damaged.
AnyDataset open_reference(const Json& reference);

/// A set as one safetensors file: pixels, labels or boxes, and what belongs to them. Written
/// atomically. Throws kIo; what DetectionDataset::sample() throws.
void write_dataset(const std::string& path, const Dataset& dataset);
void write_dataset(const std::string& path, const DetectionDataset& dataset);
/// Throws kNotFound, kIo, kCorrupt.
AnyDataset read_dataset(const std::string& path);

}  // namespace lethe
