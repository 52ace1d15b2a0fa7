// The stable names of codes, as lethe_status_name gives them.
#pragma once

#include "support/error.h"

namespace lethe {

/// Such as "BASE_MISMATCH"; "UNKNOWN" for what is no code.
const char* code_name(Code code);

}  // namespace lethe
