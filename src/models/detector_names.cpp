#include "models/detector_names.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "models/names.h"
#include "support/error.h"

namespace lethe {
namespace {

std::vector<NameRule> hugging_face_rules(const DetectorSpec& spec) {
  std::vector<NameRule> rules = {
      {"model.backbone.conv_encoder.model.", kBackbone},
      {"model.input_proj.", "input_proj."},
      {"model.level_embed", "transformer.level_embed"},
      {"model.query_position_embeddings.", "query_embed."},
      {"model.reference_points.", "transformer.reference_points."},
      {"model.enc_output", "transformer.enc_output"},
      {"model.pos_trans", "transformer.pos_trans"},
      {"model.decoder.bbox_embed.", "transformer.decoder.bbox_embed."},
      {"model.decoder.class_embed.", "transformer.decoder.class_embed."}};
  for (int64_t i = 0; i < spec.encoder_layers; ++i) {
    const std::string from = str("model.encoder.layers.", i, "."), to = encoder_layer_name(i);
    rules.insert(rules.end(), {{from + "self_attn_layer_norm.", to + "norm1."},
                               {from + "final_layer_norm.", to + "norm2."},
                               {from + "self_attn.", to + "self_attn."},
                               {from + "fc1.", to + "linear1."},
                               {from + "fc2.", to + "linear2."}});
  }
  for (int64_t i = 0; i < spec.decoder_layers; ++i) {
    const std::string from = str("model.decoder.layers.", i, "."), to = decoder_layer_name(i);
    rules.insert(rules.end(), {{from + "encoder_attn_layer_norm.", to + "norm1."},
                               {from + "self_attn_layer_norm.", to + "norm2."},
                               {from + "final_layer_norm.", to + "norm3."},
                               {from + "encoder_attn.", to + "cross_attn."},
                               {from + "self_attn.qkv.", to + "self_attn.in_proj_"},
                               {from + "self_attn.", to + "self_attn."},
                               {from + "fc1.", to + "linear1."},
                               {from + "fc2.", to + "linear2."}});
  }
  return rules;
}

/// Hugging Face keeps q, k and v of the decoder's self-attention apart.
void stack_qkv(Weights& weights, int64_t layers) {
  for (int64_t i = 0; i < layers; ++i) {
    const std::string attention = str("model.decoder.layers.", i, ".self_attn.");
    for (const std::string kind : {"weight", "bias"}) {
      stack_rows(weights,
                 {attention + "q_proj." + kind, attention + "k_proj." + kind,
                  attention + "v_proj." + kind},
                 attention + "qkv." + kind);
    }
  }
}

/// A ResNet's own file as a detector's backbone.
Weights as_backbone(const Weights& resnet) {
  Weights backbone;
  for (const auto& [name, tensor] : resnet) {
    if (name.starts_with("fc.") || name.ends_with(".num_batches_tracked")) continue;
    const bool known =
        name.starts_with("conv1.") || name.starts_with("bn1.") || name.starts_with("layer");
    backbone.emplace(known ? kBackbone + name : name, tensor);
  }
  return backbone;
}

/// The name that a head's tensor is kept under: refinement lists heads in the decoder too, and
/// without it one head serves all layers.
std::string head_name(std::string name, const DetectorSpec& spec) {
  const std::string decoder = "transformer.decoder.";
  for (const std::string head : {"class_embed.", "bbox_embed."}) {
    if (name.starts_with(decoder + head)) name.erase(0, decoder.size());
    if (!spec.refine_boxes && name.starts_with(head)) {
      const size_t end = name.find('.', head.size());
      if (end != std::string::npos) name.replace(head.size(), end - head.size(), "0");
    }
  }
  return name;
}

}  // namespace

std::string encoder_layer_name(int64_t i) { return str("transformer.encoder.layers.", i, "."); }
std::string decoder_layer_name(int64_t i) { return str("transformer.decoder.layers.", i, "."); }

int64_t head_count(const DetectorSpec& spec) {
  if (!spec.refine_boxes) return 1;
  return spec.decoder_layers + (spec.two_stage ? 1 : 0);
}

bool is_plain_resnet(const Weights& checkpoint) {
  const auto of_detector = [](const Weights::value_type& entry) {
    const std::string& name = entry.first;
    return name.starts_with("backbone.") || name.starts_with("transformer.") ||
           name.starts_with("model.");
  };
  return checkpoint.contains("conv1.weight") &&
         std::none_of(checkpoint.begin(), checkpoint.end(), of_detector);
}

Weights to_detector_names(const DetectorSpec& spec, Weights checkpoint) {
  if (is_plain_resnet(checkpoint)) return as_backbone(checkpoint);
  stack_qkv(checkpoint, spec.decoder_layers);
  Weights weights;
  for (const auto& [name, tensor] :
       rename_prefixes(std::move(checkpoint), hugging_face_rules(spec))) {
    const std::string kept = head_name(name, spec);
    const auto [entry, fresh] = weights.emplace(kept, tensor);
    require(fresh || at::equal(entry->second, tensor), Code::kInvalidArgument, "the tensor \"",
            name, "\" stands for \"", kept,
            "\", which the checkpoint holds with other values; check \"refine_boxes\"");
  }
  return weights;
}

}  // namespace lethe
