#include "models/vision_transformer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace lethe {
namespace {

std::string layer_name(int64_t i) {
  return "encoder.layers.encoder_layer_" + std::to_string(i) + ".";
}

}  // namespace

std::vector<TensorSpec> VisionTransformer::tensors() const {
  const ModelSpec& s = spec();
  std::vector<TensorSpec> list = {
      {"class_token", {1, 1, s.dim}},
      {"conv_proj.weight", {s.dim, s.channels, s.patch_size, s.patch_size}},
      {"conv_proj.bias", {s.dim}},
      {"encoder.pos_embedding", {1, s.tokens(), s.dim}},
      {"encoder.ln.weight", {s.dim}},
      {"encoder.ln.bias", {s.dim}},
      {"heads.head.weight", {s.classes, s.dim}}};
  if (s.head == HeadKind::kLinear) list.push_back({"heads.head.bias", {s.classes}});
  for (int64_t i = 0; i < s.depth; ++i) {
    const std::string layer = layer_name(i);
    list.insert(list.end(), {{layer + "ln_1.weight", {s.dim}},
                             {layer + "ln_1.bias", {s.dim}},
                             {layer + "self_attention.in_proj_weight", {3 * s.dim, s.dim}},
                             {layer + "self_attention.in_proj_bias", {3 * s.dim}},
                             {layer + "self_attention.out_proj.weight", {s.dim, s.dim}},
                             {layer + "self_attention.out_proj.bias", {s.dim}},
                             {layer + "ln_2.weight", {s.dim}},
                             {layer + "ln_2.bias", {s.dim}},
                             {layer + "mlp.0.weight", {s.mlp_dim, s.dim}},
                             {layer + "mlp.0.bias", {s.mlp_dim}},
                             {layer + "mlp.3.weight", {s.dim, s.mlp_dim}},
                             {layer + "mlp.3.bias", {s.dim}}});
  }
  std::sort(list.begin(), list.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return list;
}

Weights VisionTransformer::random_weights(RandomStream stream) const {
  at::Generator generator = stream.generator();
  Weights weights;
  for (const TensorSpec& t : tensors()) {
    at::Tensor value = at::zeros(t.shape, at::kFloat);
    const auto xavier = [&] {
      const double bound = std::sqrt(6.0 / static_cast<double>(t.shape[0] + t.shape[1]));
      value.uniform_(-bound, bound, generator);
    };
    const auto is = [&](const char* end) { return t.name.ends_with(end); };
    if (is("ln_1.weight") || is("ln_2.weight") || is("ln.weight")) {
      value.fill_(1);
    } else if (is("conv_proj.weight")) {
      const double fan_in = static_cast<double>(t.shape[1] * t.shape[2] * t.shape[3]);
      value.normal_(0, std::sqrt(1 / fan_in), generator);
    } else if (is("pos_embedding")) {
      value.normal_(0, 0.02, generator);
    } else if (is("mlp.0.bias") || is("mlp.3.bias")) {
      value.normal_(0, 1e-6, generator);
    } else if (is("in_proj_weight") || is("mlp.0.weight") || is("mlp.3.weight") ||
               is("out_proj.weight")) {
      xavier();
    } else if (is("heads.head.weight") && spec().head != HeadKind::kLinear) {
      xavier();  // a cosine head has no direction at zero
    }
    weights[t.name] = value;
  }
  return weights;
}

at::Tensor VisionTransformer::tokens(const Weights& weights, const at::Tensor& images) const {
  check_images(images.sizes());
  const int64_t batch = images.size(0), dim = spec().dim, patch = spec().patch_size;
  const at::Tensor patches =  // [B, D, S/P, S/P] -> [B, N-1, D]
      at::conv2d(images, weights.at("conv_proj.weight"), weights.at("conv_proj.bias"),
                 at::IntArrayRef{patch, patch})
          .flatten(2)
          .transpose(1, 2);
  const at::Tensor first = weights.at("class_token").expand({batch, 1, dim});
  return at::cat({first, patches}, 1) + weights.at("encoder.pos_embedding");
}

Transformer VisionTransformer::transformer(const Weights& weights) const {
  const double eps = spec().layer_norm_eps;
  const auto at = [&](const std::string& name) { return weights.at(name); };
  const auto linear = [&](const std::string& name) {
    return Linear{at(name + ".weight"), at(name + ".bias")};
  };
  const auto norm = [&](const std::string& name) {
    return LayerNorm{at(name + ".weight"), at(name + ".bias"), eps};
  };
  Transformer result{
      {}, norm("encoder.ln"), spec().heads, spec().head_dim, spec().attention_scale()};
  for (int64_t i = 0; i < spec().depth; ++i) {
    const std::string layer = layer_name(i);
    const std::string self = layer + "self_attention.";
    result.blocks.push_back({norm(layer + "ln_1"),
                             {at(self + "in_proj_weight"), at(self + "in_proj_bias")},
                             linear(self + "out_proj"),
                             norm(layer + "ln_2"),
                             linear(layer + "mlp.0"),
                             linear(layer + "mlp.3")});
  }
  return result;
}

Head VisionTransformer::head(const Weights& weights) const {
  const auto bias = weights.find("heads.head.bias");
  return Head(spec(), weights.at("heads.head.weight"),
              bias == weights.end() ? at::Tensor() : bias->second);
}

Weights VisionTransformer::rename(Weights weights) const {
  return to_torchvision_names(std::move(weights), spec().depth);
}

Naming VisionTransformer::naming_of(const Weights& checkpoint) const {
  return naming_of_vit(checkpoint);
}

std::vector<Naming> VisionTransformer::namings() const {
  return {Naming::kOwn, Naming::kTimm, Naming::kHuggingFace};
}

Weights VisionTransformer::rename_to(Naming naming, Weights weights) const {
  return from_torchvision_names(std::move(weights), spec().depth, naming);
}

int64_t VisionTransformer::block_of(const std::string& weight) const {
  return block_by_prefix(weight, "encoder.layers.encoder_layer_", "encoder.ln.", "head");
}

std::vector<AdapterSite> VisionTransformer::adapter_sites() const {
  std::vector<AdapterSite> sites;
  for (int64_t i = 0; i < spec().depth; ++i) {
    for (const std::string& layer : spec().adapter_layers) {
      const bool first = layer == "fc1";
      sites.push_back({layer_name(i) + (first ? "mlp.0" : "mlp.3"), layer, i,
                       first ? spec().dim : spec().mlp_dim, first ? spec().mlp_dim : spec().dim});
    }
  }
  return sites;
}

std::vector<AdapterSite> VisionTransformer::attention_sites() const {
  std::vector<AdapterSite> sites;
  for (int64_t i = 0; i < spec().depth; ++i) {
    const std::string name = layer_name(i) + "self_attention";
    const auto block =
        qkv_sites(name, name + ".in_proj_weight", i, spec().dim, spec().heads * spec().head_dim);
    sites.insert(sites.end(), block.begin(), block.end());
  }
  return sites;
}

}  // namespace lethe
