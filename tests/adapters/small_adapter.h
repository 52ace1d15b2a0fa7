// A tiny vision transformer and adapters on it that no training made, for tests of what holds them.
#pragma once

#include <ATen/ATen.h>

#include "adapters/manifest.h"
#include "adapters/stack.h"

namespace lethe::testing {

inline Json small_spec() {
  return {{"arch", "vit"}, {"classes", 4}, {"image_size", 8}, {"channels", 1}, {"patch_size", 4},
          {"dim", 16},     {"depth", 2},   {"heads", 2},      {"mlp_dim", 32}};
}

/// Random weights, the head's included; equal seeds give equal weights.
inline std::shared_ptr<const BaseModel> small_base(uint64_t seed = 1,
                                                   const Json& spec = small_spec()) {
  auto model = make_classifier(ModelSpec::from_json(spec));
  RandomStream stream(seed, "small base");
  Weights weights = model->random_weights(stream);
  weights["heads.head.weight"].normal_(0, 1, stream.generator());
  return std::make_shared<const BaseModel>(model, std::move(weights), at::kCPU);
}

/// LoRA matrices of all sites, rank 2, with random values.
inline LoraParameters small_lora(const BaseModel& base, uint64_t seed,
                                 Grouping grouping = Grouping::kBlock) {
  LoraParameters lora(base.model().adapter_sites(), 2, 0.25, grouping, at::kCPU);
  lora.values().normal_(0, 0.5, RandomStream(seed, "small lora").generator());
  return lora;
}

/// The same on q, k and v.
inline LoraParameters small_attention_lora(const BaseModel& base, uint64_t seed) {
  LoraParameters lora(base.model().attention_sites(), 2, 0.25, Grouping::kBlock, at::kCPU);
  lora.values().normal_(0, 0.5, RandomStream(seed, "small attention lora").generator());
  return lora;
}

/// The groups of `lora`; those named in `dropped` are not kept.
inline std::vector<AdapterGroup> small_groups(const LoraParameters& lora,
                                              const std::vector<std::string>& dropped = {}) {
  std::vector<AdapterGroup> groups;
  for (const LoraGroup& group : lora.groups()) {
    const bool kept = std::find(dropped.begin(), dropped.end(), group.name) == dropped.end();
    groups.push_back({group.name, kept, {1.5, 0.25, kept ? 0.125 : 0.0}});
  }
  return groups;
}

inline AdapterFacts small_facts(const BaseModel& base, const Stack& below,
                                const std::string& request_id, std::vector<int64_t> classes) {
  AdapterFacts facts;
  facts.request_id = request_id;
  facts.task_id = hex(sha256(request_id));
  facts.lethe_version = "0.1.0";
  facts.method = "gs-lora++";
  facts.config = {{"rank", 2}, {"learning_rate", 0.01}};
  facts.seed = 7;
  facts.classes = std::move(classes);
  facts.parents = enabled_ids(below);
  facts.parent_state = state_fingerprint(base, below);
  facts.metrics = {{"before", {{"acc_f", 90.5}}}, {"after", {{"acc_f", 0.5}}}};
  facts.data_digests = {{"forget", hex(sha256("forget"))}};
  facts.environment = {{"threads", 2}};
  facts.created_utc = "2025-01-31T12:00:00Z";
  return facts;
}

/// An adapter trained, as far as its manifest says, on top of `below`.
inline std::shared_ptr<const Adapter> small_adapter(const BaseModel& base, const Stack& below,
                                                    const std::string& request_id,
                                                    std::vector<int64_t> classes, uint64_t seed) {
  const LoraParameters lora = small_lora(base, seed);
  return Adapter::create(base, lora, small_groups(lora),
                         small_facts(base, below, request_id, std::move(classes)));
}

inline at::Tensor scores(const BaseModel& base, const Weights& weights, const at::Tensor& images) {
  return base.classifier().head(weights).scores(base.classifier().embed(weights, images));
}

inline bool same_bits(const Weights& a, const Weights& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && at::equal(x.second, y.second);
  });
}

}  // namespace lethe::testing
