// Any exception as a code and one sentence, for the places that no exception may leave.
#pragma once

#include <exception>
#include <string>

#include "support/error.h"

namespace lethe {

struct Failure {
  Code code;
  std::string message;  ///< one line
};

/// Lethe's own errors keep their code; memory and device failures of LibTorch are told apart from
/// defects, which become kInternal.
Failure describe_failure(const std::exception_ptr& exception);

}  // namespace lethe
