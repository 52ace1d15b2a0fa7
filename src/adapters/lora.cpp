#include "adapters/lora.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "support/error.h"

namespace lethe {

std::vector<AdapterSite> lora_sites(const Model& model, LoraPosition position,
                                    int64_t first_block) {
  const bool attention = position == LoraPosition::kAttention;
  std::vector<AdapterSite> sites = attention ? model.attention_sites() : model.adapter_sites();
  std::erase_if(sites, [&](const AdapterSite& site) {
    const bool in_encoder = site.block < model.encoder_blocks();
    return (position == LoraPosition::kEncoder && !in_encoder) ||
           (position == LoraPosition::kDecoder && in_encoder);
  });
  require(!sites.empty(), Code::kUnsupported, "the model \"", model.arch(),
          "\" has no linear for LoRA at that lora_position (", attention ? "attention" : "decoder",
          "); choose \"ffn\"");
  return sites_from(std::move(sites), first_block);
}

std::vector<AdapterSite> sites_from(std::vector<AdapterSite> sites, int64_t first_block) {
  int64_t last = 0;
  for (const AdapterSite& site : sites) last = std::max(last, site.block);
  require(first_block >= 0 && first_block <= last, Code::kInvalidArgument,
          "the first block with LoRA is ", first_block, ", allowed is 0 to ", last);
  std::erase_if(sites, [&](const AdapterSite& site) { return site.block < first_block; });
  return sites;
}

LoraParameters::LoraParameters(std::vector<AdapterSite> sites, int64_t rank, double scale,
                               Grouping grouping, c10::Device device)
    : sites_(std::move(sites)), rank_(rank), scale_(scale), grouping_(grouping) {
  int64_t offset = 0;
  const auto add = [&](const std::string& name, size_t site, int64_t count, bool join) {
    if (join && !groups_.empty() && groups_.back().name == name) {
      groups_.back().end += count;
      if (groups_.back().sites.back() != site) groups_.back().sites.push_back(site);
    } else {
      groups_.push_back({name, offset, offset + count, {site}});
    }
    offset += count;
  };
  for (size_t i = 0; i < sites_.size(); ++i) {
    const AdapterSite& site = sites_[i];
    offsets_.push_back(offset);
    const std::string block = "block " + std::to_string(site.block);
    const bool single = grouping_ == Grouping::kMatrix;
    const std::string& name = grouping_ == Grouping::kBlock ? block : site.name;
    add(single ? site.name + ".lora_A" : name, i, rank_ * site.in, !single);
    add(single ? site.name + ".lora_B" : name, i, rank_ * site.out, !single);
  }
  values_ = at::zeros({offset}, at::TensorOptions(at::kFloat).device(device));
  gradients_ = at::zeros_like(values_);
}

void LoraParameters::initialise(double a_squared, RandomStream stream) {
  at::Generator generator = stream.generator();
  values_.zero_();
  for (size_t i = 0; i < sites_.size(); ++i) {
    const double bound = std::sqrt(6.0 / ((1 + a_squared) * static_cast<double>(sites_[i].in)));
    // Drawn on the CPU, so that a seed means the same matrices on every device.
    a(i).copy_(at::empty({rank_, sites_[i].in}, at::kFloat).uniform_(-bound, bound, generator));
  }
}

Weights LoraParameters::merged_into(Weights weights) const {
  for (size_t i = 0; i < sites_.size(); ++i) {
    const AdapterSite& site = sites_[i];
    at::Tensor& w = weights.at(site.weight);
    const at::Tensor rows = at::addmm(site.rows(weights), b(i), a(i), /*beta=*/1, /*alpha=*/scale_);
    w = site.replace_rows(w, rows);
  }
  return weights;
}

int64_t LoraParameters::first_block() const {
  const auto lower = [](const AdapterSite& a, const AdapterSite& b) { return a.block < b.block; };
  const auto first = std::min_element(sites_.begin(), sites_.end(), lower);
  return first == sites_.end() ? 0 : first->block;
}

at::Tensor LoraParameters::view(const at::Tensor& flat, size_t i, bool b) const {
  const AdapterSite& site = sites_.at(i);
  if (!b) return flat.narrow(0, offsets_[i], rank_ * site.in).view({rank_, site.in});
  return flat.narrow(0, offsets_[i] + rank_ * site.in, rank_ * site.out).view({site.out, rank_});
}

}  // namespace lethe
