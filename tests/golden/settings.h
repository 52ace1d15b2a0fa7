// A golden folder's configuration as this library's settings.
#pragma once

#include "forgetting/config.h"
#include "support/json.h"

namespace lethe {

inline ForgetConfig settings_of(const Json& config) {
  ForgetConfig settings;
  settings.forget_bound = config.at("BND");
  settings.forget_weight = config.at("beta");
  settings.structure_weight = config.at("alpha");
  settings.prototype_bound = config.at("BND_pro");
  settings.prototype_forget_weight = config.at("pro_f_weight");
  settings.prototype_retain_weight = config.at("pro_r_weight");
  settings.learning_rate = config.at("lr");
  settings.weight_decay = config.at("weight_decay");
  settings.rank = config.at("lora_rank");
  return settings;
}

}  // namespace lethe
