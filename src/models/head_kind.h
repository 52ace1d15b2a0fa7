// What a model's last layer is.
#pragma once

#include <cstdint>

namespace lethe {

/// Values as in lethe.h (lethe_head). kDetection: a sigmoid a class and a box a query.
enum class HeadKind : int32_t { kLinear = 1, kCosFace = 2, kArcFace = 3, kDetection = 4 };

}  // namespace lethe
