#include "adapters/lora_network.h"

#include <algorithm>

#include "adapters/autograd_lora_network.h"
#include "adapters/lora_transformer.h"

namespace lethe {

std::unique_ptr<LoraNetwork> make_lora_network(const Classifier& model, const Weights& weights,
                                               LoraParameters& lora, StepSavings savings,
                                               double dropout, at::Generator generator) {
  const auto& sites = lora.sites();
  const bool ffn = std::all_of(sites.begin(), sites.end(), [](const AdapterSite& site) {
    return site.layer == "fc1" || site.layer == "fc2";
  });
  if (ffn) {
    return std::make_unique<LoraTransformer>(model.transformer(weights), lora, savings, dropout,
                                             std::move(generator));
  }
  return std::make_unique<AutogradLoraNetwork>(model, weights, lora, savings, dropout,
                                               std::move(generator));
}

}  // namespace lethe
