#include "adapters/stack.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "adapters/manifest.h"
#include "support/error.h"
#include "support/threads.h"

namespace lethe {
namespace {

std::string short_hex(const Digest& digest) { return hex(digest).substr(0, 12); }

/// What tells a reader why two bases differ, as far as names and shapes can.
std::string difference(const BaseModel& base, const Adapter& adapter) {
  const std::string theirs = adapter.manifest().at("base").at("names_digest");
  if (theirs == hex(base.names_digest())) {
    return "the architecture is the same, the weights differ; load the weights it was trained on";
  }
  if (adapter.is_delta()) return "the model specs differ; compare the manifest's arch_spec";
  for (const auto& [name, tensor] : adapter.tensors()) {
    const bool b = name.back() == 'B';
    AdapterSite site{name.substr(0, name.size() - 7), "", 0, 0, 0};
    for (const AdapterSite& known : base.model().attention_sites()) {
      if (known.name == site.name) site = known;
    }
    const auto found = base.weights().find(site.weight);
    if (found == base.weights().end()) {
      return lethe::str("this model has no ", in_quotes(site.weight), " for its tensor ",
                        in_quotes(name));
    }
    const at::Tensor w = site.out > 0 ? site.rows(base.weights()) : found->second;
    if (w.dim() != 2 || w.size(b ? 0 : 1) != tensor.size(b ? 0 : 1)) {
      return lethe::str("its tensor ", in_quotes(name), " is ", tensor.sizes(), ", this model's ",
                        in_quotes(site.weight), site.out > 0 ? " has there " : " is ", w.sizes());
    }
  }
  return "the model specs differ; compare the manifest's arch_spec with this model's";
}

void check_delta_fits(const BaseModel& base, const Adapter& adapter) {
  for (const auto& [name, tensor] : adapter.tensors()) {
    const auto found = base.weights().find(name.substr(0, name.rfind('.')));
    require(found != base.weights().end() && found->second.sizes() == tensor.sizes(),
            Code::kBaseMismatch, "the adapter ", in_quotes(adapter.request_id()), "'s tensor ",
            in_quotes(name), " of shape ", tensor.sizes(), " fits no weight of this model");
  }
}

void check_lora_fits(const BaseModel& base, const Adapter& adapter) {
  std::map<std::string, int64_t> expected;  // the dimension that the site fixes
  for (const AdapterSite& site : base.model().all_sites()) {
    expected[lora_tensor_name(site.name, false)] = site.in;
    expected[lora_tensor_name(site.name, true)] = site.out;
  }
  for (const auto& [name, tensor] : adapter.tensors()) {
    const auto found = expected.find(name);
    const int64_t dimension = name.back() == 'B' ? 0 : 1;
    require(found != expected.end() && tensor.size(dimension) == found->second, Code::kBaseMismatch,
            "the adapter ", in_quotes(adapter.request_id()), "'s tensor ", in_quotes(name),
            " of shape ", tensor.sizes(), " fits no layer of this model");
  }
}

/// A manifest can lie: whatever fingerprint it names, its tensors must fit what they are added to.
void check_tensors_fit(const BaseModel& base, const Adapter& adapter) {
  if (adapter.is_delta()) {
    check_delta_fits(base, adapter);
  } else {
    check_lora_fits(base, adapter);
  }
  for (const int64_t c : adapter.classes()) {
    require(c < base.model().classes(), Code::kBaseMismatch, "the adapter ",
            in_quotes(adapter.request_id()), " forgets class ", c,
            ", this model has the classes 0 to ", base.model().classes() - 1);
  }
}

void check_parents(const BaseModel& base, const Stack& below, const Adapter& adapter) {
  const std::vector<std::string> enabled = enabled_ids(below);
  if (adapter.parents() == enabled && adapter.parent_state() == state_fingerprint(base, below)) {
    return;
  }
  const auto listed = [](const std::vector<std::string>& ids) {
    std::string text;
    for (const std::string& id : ids) text += (text.empty() ? "" : ", ") + id.substr(0, 12);
    return text.empty() ? std::string("no adapter") : text;
  };
  fail(Code::kBaseMismatch, "the adapter ", in_quotes(adapter.request_id()),
       " was trained on top of ", listed(adapter.parents()), "; enabled beneath it are ",
       listed(enabled), adapter.parents() == enabled ? " with other scales" : "",
       "; attach what is missing first, or allow an unverified stack");
}

void check_scale(const StackEntry& entry) {
  require(entry.scale == 1, Code::kBaseMismatch, "the scale of the adapter ",
          in_quotes(entry.adapter->request_id()), " is ", entry.scale,
          "; no task was trained on a scale other than 1, so it needs an unverified stack");
}

}  // namespace

Weights merge(const BaseModel& base, const Stack& stack) {
  Weights weights = base.weights();
  std::map<std::string, std::vector<AdapterSite>> sites_of;  // by tensor
  for (const AdapterSite& site : base.model().all_sites()) sites_of[site.weight].push_back(site);
  const auto add_delta = [](const std::string& name, const StackEntry& entry, at::Tensor& w) {
    const auto delta = entry.adapter->tensors().find(str(name, kDeltaSuffix));
    if (delta != entry.adapter->tensors().end()) {
      w = at::add(w, delta->second.to(w.device()), entry.scale);
    }
  };
  const auto add_product = [](const AdapterSite& site, const StackEntry& entry, at::Tensor& w) {
    const auto a = entry.adapter->tensors().find(lora_tensor_name(site.name, false));
    if (a == entry.adapter->tensors().end()) return;
    const at::Tensor& b = entry.adapter->tensors().at(lora_tensor_name(site.name, true));
    const at::Tensor rows = at::addmm(w.narrow(0, site.row, site.out), b.to(w.device()),
                                      a->second.to(w.device()), /*beta=*/1,
                                      /*alpha=*/entry.scale * entry.adapter->scaling());
    w = site.replace_rows(w, rows);
  };
  const auto sum_up = [&](const std::string& name, at::Tensor& w) {
    const auto sites = sites_of.find(name);
    for (const StackEntry& entry : stack) {
      if (entry.scale == 0) continue;
      if (entry.adapter->is_delta()) {
        add_delta(name, entry, w);
      } else if (sites != sites_of.end()) {
        for (const AdapterSite& site : sites->second) add_product(site, entry, w);
      }
    }
  };
  std::vector<Weights::iterator> all;
  for (auto w = weights.begin(); w != weights.end(); ++w) all.push_back(w);
  // Tensors side by side, each on one thread: a sum must not depend on how many threads the caller
  // has, because a rolled-back model repeats its logits bit for bit.
  at::parallel_for(0, static_cast<int64_t>(all.size()), /*grain_size=*/1,
                   [&](int64_t begin, int64_t end) {
                     const ThreadBudget one_thread(1);
                     for (int64_t i = begin; i < end; ++i) {
                       const auto w = all[static_cast<size_t>(i)];
                       sum_up(w->first, w->second);
                     }
                   });
  return weights;
}

void check_on_top(const BaseModel& base, const Stack& below, const Adapter& adapter,
                  bool allow_unverified) {
  require(adapter.base_fingerprint() == base.fingerprint(), Code::kBaseMismatch, "the adapter ",
          in_quotes(adapter.request_id()), " belongs to the base ",
          short_hex(adapter.base_fingerprint()), ", this model's base is ",
          short_hex(base.fingerprint()), ": ", difference(base, adapter));
  check_tensors_fit(base, adapter);
  for (const StackEntry& entry : below) {
    require(entry.adapter->id() != adapter.id(), Code::kExists, "the adapter ",
            in_quotes(adapter.request_id()), " is in the stack already");
    require(entry.adapter->request_id() != adapter.request_id(), Code::kExists,
            "another adapter of the request ", in_quotes(adapter.request_id()),
            " is in the stack already");
  }
  if (!allow_unverified) check_parents(base, below, adapter);
}

void check_stack(const BaseModel& base, const Stack& stack, bool allow_unverified) {
  Stack below;
  for (const StackEntry& entry : stack) {
    require(std::isfinite(entry.scale), Code::kInvalidArgument, "the scale of the adapter ",
            in_quotes(entry.adapter->request_id()), " is ", entry.scale, ", it must be finite");
    if (!allow_unverified) check_scale(entry);
    check_on_top(base, below, *entry.adapter, allow_unverified);
    below.push_back(entry);
  }
}

void check_verified(const BaseModel& base, const Stack& stack) {
  Stack below;
  for (const StackEntry& entry : stack) {
    if (entry.scale == 0) continue;
    check_scale(entry);
    check_parents(base, below, *entry.adapter);
    below.push_back(entry);
  }
}

Digest state_fingerprint(const BaseModel& base, const Stack& stack) {
  Json enabled = Json::array();
  for (const StackEntry& entry : stack) {
    if (entry.scale != 0) enabled.push_back(Json::array({entry.adapter->id(), entry.scale}));
  }
  if (enabled.empty()) return base.fingerprint();
  const Json state = {{"base", hex(base.fingerprint())}, {"adapters", enabled}};
  return sha256(state.dump());
}

std::vector<std::string> enabled_ids(const Stack& stack) {
  std::vector<std::string> ids;
  for (const StackEntry& entry : stack) {
    if (entry.scale != 0) ids.push_back(entry.adapter->id());
  }
  return ids;
}

std::vector<int64_t> forgotten_classes(const BaseModel& base, const Stack& stack) {
  std::vector<int64_t> classes = base.origin().forgotten;
  for (const StackEntry& entry : stack) {
    if (entry.scale == 0) continue;
    for (const int64_t c : entry.adapter->classes()) {
      if (std::find(classes.begin(), classes.end(), c) == classes.end()) classes.push_back(c);
    }
  }
  return classes;
}

}  // namespace lethe
