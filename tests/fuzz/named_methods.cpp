// The methods by name alone, in place of those of src/forgetting/: the readers of settings need no
// more, and the methods themselves would need the whole library.
#include "forgetting/method.h"
#include "support/error.h"

namespace lethe {
namespace {

struct NameOnly final : Method {
  ForgetResult run(const ForgetTask&, const Observer&, const Checkpoints&) const override {
    fail(Code::kInternal, "a reader has run a method");
  }
};

MethodEntry named(MethodKind kind, const char* name) {
  static const NameOnly method;
  return {kind, name, name, method, [](ForgetConfig&, HeadKind) {}};
}

}  // namespace

MethodEntry gs_lora() { return named(MethodKind::kGsLora, "gs-lora"); }
MethodEntry gs_lora_plus_plus() { return named(MethodKind::kGsLoraPlusPlus, "gs-lora++"); }
MethodEntry l2() { return named(MethodKind::kL2, "l2"); }
MethodEntry ewc() { return named(MethodKind::kEwc, "ewc"); }
MethodEntry mas() { return named(MethodKind::kMas, "mas"); }
MethodEntry lwf() { return named(MethodKind::kLwf, "lwf"); }
MethodEntry der() { return named(MethodKind::kDer, "der"); }
MethodEntry der_plus_plus() { return named(MethodKind::kDerPlusPlus, "der++"); }
MethodEntry fdr() { return named(MethodKind::kFdr, "fdr"); }
MethodEntry scrub() { return named(MethodKind::kScrub, "scrub"); }
MethodEntry scrub_s() { return named(MethodKind::kScrubS, "scrub-s"); }
MethodEntry lirf() { return named(MethodKind::kLirf, "lirf"); }
MethodEntry retrain() { return named(MethodKind::kRetrain, "retrain"); }
MethodEntry fine_tune() { return named(MethodKind::kFineTune, "fine-tune"); }
MethodEntry gradient_ascent() { return named(MethodKind::kGradientAscent, "gradient-ascent"); }
MethodEntry salun() { return named(MethodKind::kSalUn, "salun"); }

}  // namespace lethe
