#include "forgetting/method.h"

#include "support/error.h"

namespace lethe {

// Each in the file of its name.
MethodEntry gs_lora();
MethodEntry gs_lora_plus_plus();
MethodEntry l2();
MethodEntry ewc();
MethodEntry mas();
MethodEntry lwf();
MethodEntry der();
MethodEntry der_plus_plus();
MethodEntry fdr();
MethodEntry scrub();
MethodEntry scrub_s();
MethodEntry lirf();
MethodEntry retrain();
MethodEntry fine_tune();
MethodEntry gradient_ascent();
MethodEntry salun();

const std::vector<MethodEntry>& methods() {
  static const std::vector<MethodEntry> all = {gs_lora(),
                                               gs_lora_plus_plus(),
                                               l2(),
                                               ewc(),
                                               mas(),
                                               lwf(),
                                               der(),
                                               der_plus_plus(),
                                               fdr(),
                                               scrub(),
                                               scrub_s(),
                                               lirf(),
                                               retrain(),
                                               fine_tune(),
                                               gradient_ascent(),
                                               salun()};
  return all;
}

const MethodEntry& method_entry(MethodKind kind) {
  std::string known;
  for (const MethodEntry& entry : methods()) {
    if (entry.kind == kind) return entry;
    known +=
        str(known.empty() ? "" : ", ", static_cast<int32_t>(entry.kind), " (", entry.name, ")");
  }
  fail(Code::kUnsupported, "there is no method ", static_cast<int32_t>(kind), "; known are ",
       known);
}

const DetectorMethod& detector_method_of(MethodKind kind) {
  const MethodEntry& entry = method_entry(kind);
  std::string known;
  for (const MethodEntry& other : methods()) {
    if (other.detector) known += str(known.empty() ? "" : ", ", other.name);
  }
  require(entry.detector, Code::kUnsupported, "the method ", entry.name,
          " has no form for detectors; those that have one are ", known);
  return *entry.detector;
}

}  // namespace lethe
