// The settings structs of lethe.h and the library's own, field by field.
#pragma once

#include "forgetting/config.h"
#include "lethe/lethe.h"

namespace lethe::capi {

/// A caller's settings; not NULL. Values are taken as they are: validate() judges them.
ForgetConfig read_forget_config(const lethe_forget_config* config);
PretrainConfig read_pretrain_config(const lethe_pretrain_config* config);

}  // namespace lethe::capi
