// GS-LoRA and GS-LoRA++: group-sparse LoRA in the FFN linears, a bounded forgetting loss,
// prototypes.
#pragma once

#include "forgetting/task.h"

namespace lethe {

/// Both methods; they differ by the prototype terms alone.
class GsLora final : public Method {
 public:
  ForgetResult run(const ForgetTask& task, const Observer& observer,
                   const Checkpoints& checkpoints) const override;
};

}  // namespace lethe
