// What every source of detection data does with the values it read. `what` names the record in
// messages.
#pragma once

#include <optional>
#include <string>

#include "data/detection_dataset.h"

namespace lethe {

/// The file `name` inside `folder`, which exists. Throws kCorrupt for a name that is empty,
/// absolute or has "..": annotations from elsewhere must not make the library read other files;
/// kNotFound.
std::string image_path(const std::string& folder, const std::string& name, const std::string& what);

/// 1 to 1,000,000 pixels a side. Throws kCorrupt.
ImageSize checked_size(double height, double width, const std::string& what);

/// The part of a box inside its image; nothing where the box or that part has no area. Throws
/// kCorrupt when a value is not finite, a side is negative, or the box lies outside the image.
std::optional<BoxCorners> box_inside(const BoxCorners& box, ImageSize size,
                                     const std::string& what);

}  // namespace lethe
