#include "support/code_name.h"

namespace lethe {

const char* code_name(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case Code::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case Code::kIo:
      return "IO";
    case Code::kNotFound:
      return "NOT_FOUND";
    case Code::kExists:
      return "EXISTS";
    case Code::kUnsupported:
      return "UNSUPPORTED";
    case Code::kCorrupt:
      return "CORRUPT";
    case Code::kLimitExceeded:
      return "LIMIT_EXCEEDED";
    case Code::kBaseMismatch:
      return "BASE_MISMATCH";
    case Code::kState:
      return "STATE";
    case Code::kCancelled:
      return "CANCELLED";
    case Code::kBusy:
      return "BUSY";
    case Code::kForked:
      return "FORKED";
    case Code::kDevice:
      return "DEVICE";
    case Code::kNumeric:
      return "NUMERIC";
    case Code::kCallback:
      return "CALLBACK";
    case Code::kVersion:
      return "VERSION";
    case Code::kInternal:
      return "INTERNAL";
    case Code::kRejected:
      return "REJECTED";
  }
  return "UNKNOWN";
}

}  // namespace lethe
