#include "adapters/adapter.h"

#include <ATen/ATen.h>

#include "adapters/manifest.h"
#include "support/error.h"

namespace lethe {
namespace {

/// A and B of the sites that lie in kept groups only, in memory of their own.
Weights surviving_tensors(const LoraParameters& lora, const std::vector<AdapterGroup>& groups) {
  std::vector<bool> kept(lora.sites().size(), true);
  for (size_t g = 0; g < groups.size(); ++g) {
    for (const size_t site : lora.groups()[g].sites) {
      if (!groups[g].kept) kept[site] = false;
    }
  }
  Weights tensors;
  for (size_t i = 0; i < kept.size(); ++i) {
    if (!kept[i]) continue;
    const std::string& site = lora.sites()[i].name;
    for (const bool b : {false, true}) {
      tensors[lora_tensor_name(site, b)] =
          (b ? lora.b(i) : lora.a(i)).detach().to(at::kCPU).clone(at::MemoryFormat::Contiguous);
    }
  }
  return tensors;
}

Json describe_groups(const std::vector<AdapterGroup>& groups) {
  Json json = {{"all", Json::array()},
               {"selected", Json::array()},
               {"norms", Json::array()},
               {"effects", Json::array()},
               {"relative", Json::array()}};
  for (const AdapterGroup& group : groups) {
    json["all"].push_back(group.name);
    if (group.kept) json["selected"].push_back(group.name);
    json["norms"].push_back(group.effect.norm);
    json["effects"].push_back(group.effect.effect);
    json["relative"].push_back(group.effect.relative);
  }
  return json;
}

Json object_or_empty(const Json& json) { return json.is_null() ? Json::object() : json; }

}  // namespace

std::shared_ptr<const Adapter> Adapter::create(const BaseModel& base, const LoraParameters& lora,
                                               const std::vector<AdapterGroup>& groups,
                                               const AdapterFacts& facts) {
  require(groups.size() == lora.groups().size(), Code::kInternal, groups.size(),
          " groups are described, the task trained ", lora.groups().size());
  AdapterFile file;
  file.tensors = surviving_tensors(lora, groups);
  require(!file.tensors.empty(), Code::kInvalidArgument,
          "no group of the task is kept, so there is no adapter to make of it");
  file.manifest = {{"format", kLoraFormat},
                   {"rank", lora.rank()},
                   {"alpha", lora.scale() * static_cast<double>(lora.rank())},
                   {"scaling", lora.scale()},
                   {"groups", describe_groups(groups)}};
  return complete(std::move(file), base, facts);
}

std::shared_ptr<const Adapter> Adapter::create_delta(const BaseModel& base, const Weights& delta,
                                                     const Weights& importance,
                                                     const AdapterFacts& facts) {
  require(!delta.empty(), Code::kInvalidArgument,
          "the task changed no weight, so there is no adapter to make of it");
  AdapterFile file;
  for (const auto& [name, tensor] : delta) file.tensors[str(name, kDeltaSuffix)] = tensor;
  for (const auto& [name, tensor] : importance) {
    file.tensors[str(name, kImportanceSuffix)] = tensor.to(at::kCPU).contiguous();
  }
  file.manifest = {{"format", kDeltaFormat}, {"kind", "delta"}, {"scaling", 1.0}};
  return complete(std::move(file), base, facts);
}

/// Adds to a file what every adapter says, and reads it: what is written is held to what is read.
std::shared_ptr<const Adapter> Adapter::complete(AdapterFile file, const BaseModel& base,
                                                 const AdapterFacts& facts) {
  file.base_fingerprint = base.fingerprint();
  file.manifest.update(
      Json{{"lethe_version", facts.lethe_version},
           {"created_utc", facts.created_utc},
           {"task_id", facts.task_id},
           {"request_id", facts.request_id},
           {"method", facts.method},
           {"method_config", object_or_empty(facts.config)},
           {"seed", facts.seed},
           {"arch_spec", base.model().spec_json()},
           {"base",
            {{"fingerprint", hex(base.fingerprint())}, {"names_digest", hex(base.names_digest())}}},
           {"parents", facts.parents},
           {"parent_state_fingerprint", hex(facts.parent_state)},
           {"classes_forgotten", facts.classes},
           {"tensors", describe_tensors(file.tensors)},
           {"metrics", facts.metrics.is_null()
                           ? Json{{"before", Json::object()}, {"after", Json::object()}}
                           : facts.metrics},
           {"data_digests", object_or_empty(facts.data_digests)},
           {"environment", object_or_empty(facts.environment)}});
  if (!facts.class_names.empty()) file.manifest["class_names"] = facts.class_names;
  file.manifest["adapter_id"] = derive_adapter_id(file.manifest);
  return from_file(std::move(file));
}

std::shared_ptr<const Adapter> Adapter::from_file(AdapterFile file) {
  ManifestFacts facts = read_manifest(file.manifest, file.tensors);
  require(facts.base_fingerprint == file.base_fingerprint, Code::kCorrupt,
          "the adapter's manifest names the base ", hex(facts.base_fingerprint),
          ", its file header names ", hex(file.base_fingerprint));
  std::shared_ptr<Adapter> adapter(new Adapter);
  adapter->manifest_ = std::move(file.manifest);
  adapter->manifest_.erase("class_names");
  adapter->tensors_ = std::move(file.tensors);
  adapter->base_fingerprint_ = facts.base_fingerprint;
  adapter->parent_state_ = facts.parent_state;
  adapter->id_ = std::move(facts.adapter_id);
  adapter->request_id_ = std::move(facts.request_id);
  adapter->parents_ = std::move(facts.parents);
  adapter->class_names_ = std::move(facts.class_names);
  adapter->classes_ = std::move(facts.classes);
  adapter->scaling_ = facts.scaling;
  adapter->delta_ = facts.delta;
  return adapter;
}

Weights Adapter::importance() const {
  Weights importance;
  for (const auto& [name, tensor] : tensors_) {
    if (!name.ends_with(kImportanceSuffix)) continue;
    importance[name.substr(0, name.size() - kImportanceSuffix.size())] = tensor;
  }
  return importance;
}

AdapterFile Adapter::to_file(bool class_names) const {
  AdapterFile file{manifest_, base_fingerprint_, tensors_};
  if (class_names && !class_names_.empty()) file.manifest["class_names"] = class_names_;
  return file;
}

}  // namespace lethe
