#include "models/names.h"

#include <ATen/ATen.h>

#include "support/error.h"

namespace lethe {
namespace {

std::vector<NameRule> timm_rules(int64_t depth) {
  std::vector<NameRule> rules = {{"cls_token", "class_token"},
                                 {"pos_embed", "encoder.pos_embedding"},
                                 {"patch_embed.proj.", "conv_proj."},
                                 {"norm.", "encoder.ln."},
                                 {"head.", "heads.head."}};
  for (int64_t i = 0; i < depth; ++i) {
    const std::string from = "blocks." + std::to_string(i) + ".";
    const std::string to = "encoder.layers.encoder_layer_" + std::to_string(i) + ".";
    rules.insert(rules.end(), {{from + "norm1.", to + "ln_1."},
                               {from + "attn.qkv.weight", to + "self_attention.in_proj_weight"},
                               {from + "attn.qkv.bias", to + "self_attention.in_proj_bias"},
                               {from + "attn.proj.", to + "self_attention.out_proj."},
                               {from + "norm2.", to + "ln_2."},
                               {from + "mlp.fc1.", to + "mlp.0."},
                               {from + "mlp.fc2.", to + "mlp.3."}});
  }
  return rules;
}

std::vector<NameRule> hugging_face_rules(int64_t depth) {
  std::vector<NameRule> rules = {{"vit.embeddings.cls_token", "class_token"},
                                 {"vit.embeddings.position_embeddings", "encoder.pos_embedding"},
                                 {"vit.embeddings.patch_embeddings.projection.", "conv_proj."},
                                 {"vit.layernorm.", "encoder.ln."},
                                 {"classifier.", "heads.head."}};
  for (int64_t i = 0; i < depth; ++i) {
    const std::string from = "vit.encoder.layer." + std::to_string(i) + ".";
    const std::string to = "encoder.layers.encoder_layer_" + std::to_string(i) + ".";
    rules.insert(rules.end(),
                 {{from + "layernorm_before.", to + "ln_1."},
                  {from + "attention.attention.qkv.weight", to + "self_attention.in_proj_weight"},
                  {from + "attention.attention.qkv.bias", to + "self_attention.in_proj_bias"},
                  {from + "attention.output.dense.", to + "self_attention.out_proj."},
                  {from + "layernorm_after.", to + "ln_2."},
                  {from + "intermediate.dense.", to + "mlp.0."},
                  {from + "output.dense.", to + "mlp.3."}});
  }
  return rules;
}

/// query, key and value of each layer as one "qkv".
void stack_qkv(Weights& weights, int64_t depth) {
  for (int64_t i = 0; i < depth; ++i) {
    const std::string layer = "vit.encoder.layer." + std::to_string(i) + ".attention.attention.";
    for (const std::string kind : {"weight", "bias"}) {
      stack_rows(weights, {layer + "query." + kind, layer + "key." + kind, layer + "value." + kind},
                 layer + "qkv." + kind);
    }
  }
}

/// The inverse of stack_qkv(). The parts get memory of their own: they go into files.
void split_qkv(Weights& weights, int64_t depth) {
  for (int64_t i = 0; i < depth; ++i) {
    const std::string layer = "vit.encoder.layer." + std::to_string(i) + ".attention.attention.";
    for (const char* kind : {"weight", "bias"}) {
      const auto found = weights.find(layer + "qkv." + kind);
      if (found == weights.end()) continue;
      const std::vector<at::Tensor> parts = found->second.chunk(3, 0);
      weights.erase(found);
      weights[layer + "query." + kind] = parts[0].clone();
      weights[layer + "key." + kind] = parts[1].clone();
      weights[layer + "value." + kind] = parts[2].clone();
    }
  }
}

std::vector<NameRule> inverse(std::vector<NameRule> rules) {
  for (auto& [from, to] : rules) std::swap(from, to);
  return rules;
}

}  // namespace

Weights rename_prefixes(Weights weights, const std::vector<NameRule>& rules) {
  Weights renamed;
  for (auto& [name, tensor] : weights) {
    std::string target = name;
    for (const auto& [from, to] : rules) {
      if (!name.starts_with(from)) continue;
      target = to + name.substr(from.size());
      break;
    }
    require(renamed.emplace(target, tensor).second, Code::kInvalidArgument, "the tensor \"", name,
            "\" stands for \"", target, "\", which the checkpoint holds under another name too");
  }
  return renamed;
}

void stack_rows(Weights& weights, const std::vector<std::string>& parts, const std::string& whole) {
  std::vector<at::Tensor> tensors;
  for (const std::string& part : parts) {
    const auto found = weights.find(part);
    if (found == weights.end()) return;
    if (!tensors.empty() && found->second.sizes() != tensors[0].sizes()) return;
    tensors.push_back(found->second);
  }
  for (const std::string& part : parts) weights.erase(part);
  weights[whole] = at::cat(tensors, 0);
}

const char* naming_name(Naming naming) {
  constexpr const char* kNames[] = {"original", "own", "timm", "Hugging Face"};
  return kNames[static_cast<int>(naming) - 1];
}

Naming naming_of_vit(const Weights& weights) {
  if (weights.contains("patch_embed.proj.weight")) return Naming::kTimm;
  const bool hf = weights.contains("vit.embeddings.patch_embeddings.projection.weight");
  return hf ? Naming::kHuggingFace : Naming::kOwn;
}

Weights to_torchvision_names(Weights weights, int64_t depth) {
  const Naming naming = naming_of_vit(weights);
  if (naming == Naming::kTimm) return rename_prefixes(std::move(weights), timm_rules(depth));
  if (naming == Naming::kHuggingFace) {
    stack_qkv(weights, depth);
    return rename_prefixes(std::move(weights), hugging_face_rules(depth));
  }
  std::vector<NameRule> rules;
  for (int64_t i = 0; i < depth; ++i) {
    const std::string mlp = "encoder.layers.encoder_layer_" + std::to_string(i) + ".mlp.";
    rules.insert(rules.end(), {{mlp + "linear_1.", mlp + "0."}, {mlp + "linear_2.", mlp + "3."}});
  }
  return rename_prefixes(std::move(weights), rules);
}

Weights from_torchvision_names(Weights weights, int64_t depth, Naming naming) {
  require(naming != Naming::kOriginal, Code::kInternal, "original names are asked of a file");
  if (naming == Naming::kOwn) return weights;
  if (naming == Naming::kTimm) {
    return rename_prefixes(std::move(weights), inverse(timm_rules(depth)));
  }
  weights = rename_prefixes(std::move(weights), inverse(hugging_face_rules(depth)));
  split_qkv(weights, depth);
  return weights;
}

}  // namespace lethe
