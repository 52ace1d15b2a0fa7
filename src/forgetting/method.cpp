#include "forgetting/gs_lora.h"
#include "support/error.h"

namespace lethe {

const Method& method_of(MethodKind kind) {
  static const GsLora gs_lora;
  switch (kind) {
    case MethodKind::kGsLora:
    case MethodKind::kGsLoraPlusPlus:
      return gs_lora;
  }
  fail(Code::kUnsupported, "there is no method number ", static_cast<int32_t>(kind));
}

}  // namespace lethe
