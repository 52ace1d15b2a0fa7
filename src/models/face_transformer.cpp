#include "models/face_transformer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace lethe {
namespace {

std::string layer_name(int64_t i) { return "transformer.layers." + std::to_string(i) + "."; }

}  // namespace

std::vector<TensorSpec> FaceTransformer::tensors() const {
  const ModelSpec& s = spec();
  const int64_t inner = s.heads * s.head_dim;
  std::vector<TensorSpec> list = {
      {"pos_embedding", {1, s.tokens(), s.dim}},
      {"cls_token", {1, 1, s.dim}},
      {"patch_to_embedding.weight", {s.dim, s.patch_size * s.patch_size * s.channels}},
      {"patch_to_embedding.bias", {s.dim}},
      {"mlp_head.0.weight", {s.dim}},
      {"mlp_head.0.bias", {s.dim}},
      {"loss.weight", {s.classes, s.dim}}};
  if (s.head == HeadKind::kLinear) list.push_back({"loss.bias", {s.classes}});
  for (int64_t i = 0; i < s.depth; ++i) {
    const std::string attention = layer_name(i) + "0.fn.", ffn = layer_name(i) + "1.fn.";
    list.insert(list.end(), {{attention + "norm.weight", {s.dim}},
                             {attention + "norm.bias", {s.dim}},
                             {attention + "fn.to_qkv.weight", {3 * inner, s.dim}},
                             {attention + "fn.to_out.0.weight", {s.dim, inner}},
                             {attention + "fn.to_out.0.bias", {s.dim}},
                             {ffn + "norm.weight", {s.dim}},
                             {ffn + "norm.bias", {s.dim}},
                             {ffn + "fn.net.0.weight", {s.mlp_dim, s.dim}},
                             {ffn + "fn.net.0.bias", {s.mlp_dim}},
                             {ffn + "fn.net.3.weight", {s.dim, s.mlp_dim}},
                             {ffn + "fn.net.3.bias", {s.dim}}});
  }
  std::sort(list.begin(), list.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return list;
}

Weights FaceTransformer::random_weights(RandomStream stream) const {
  at::Generator generator = stream.generator();
  Weights weights;
  double bound = 0;  // of the linear at hand; its bias precedes its weight in name order
  const auto specs = tensors();
  for (const TensorSpec& t : specs) {
    at::Tensor value = at::zeros(t.shape, at::kFloat);
    const bool norm = t.name.find("norm.") != std::string::npos || t.name.starts_with("mlp_head");
    if (t.name == "pos_embedding" || t.name == "cls_token") {
      value.normal_(0, 1, generator);
    } else if (norm) {
      value.fill_(t.name.ends_with("weight") ? 1 : 0);
    } else if (t.name == "loss.weight") {
      bound = std::sqrt(6.0 / static_cast<double>(t.shape[0] + t.shape[1]));
      value.uniform_(-bound, bound, generator);
    } else if (t.name != "loss.bias") {  // PyTorch's default for linears: U(+-1/sqrt(in))
      const std::string weight = t.name.substr(0, t.name.rfind('.')) + ".weight";
      const auto of = std::find_if(specs.begin(), specs.end(),
                                   [&](const TensorSpec& s) { return s.name == weight; });
      bound = 1 / std::sqrt(static_cast<double>(of->shape[1]));
      value.uniform_(-bound, bound, generator);
    }
    weights[t.name] = value;
  }
  return weights;
}

at::Tensor patchify(const at::Tensor& images, int64_t patch) {
  const int64_t batch = images.size(0), channels = images.size(1), side = images.size(2) / patch;
  // [B, C, row, P, column, P] -> [B, row, column, P, P, C]
  return images.reshape({batch, channels, side, patch, side, patch})
      .permute({0, 2, 4, 3, 5, 1})
      .reshape({batch, side * side, patch * patch * channels});
}

at::Tensor overlapping_patches(const at::Tensor& images, int64_t patch, int64_t stride,
                               int64_t padding) {
  return at::im2col(images, {patch, patch}, /*dilation=*/{1, 1}, {padding, padding},
                    {stride, stride})
      .transpose(1, 2);
}

at::Tensor FaceTransformer::tokens(const Weights& weights, const at::Tensor& images) const {
  check_images(images.sizes());
  const ModelSpec& s = spec();
  const at::Tensor pixels =
      s.overlapping_patches()
          ? overlapping_patches(images, s.patch_size, s.patch_stride, s.patch_padding)
          : patchify(images, s.patch_size);
  const at::Tensor patches = at::linear(pixels, weights.at("patch_to_embedding.weight"),
                                        weights.at("patch_to_embedding.bias"));
  const at::Tensor first = weights.at("cls_token").expand({images.size(0), 1, spec().dim});
  return at::cat({first, patches}, 1) + weights.at("pos_embedding");
}

Transformer FaceTransformer::transformer(const Weights& weights) const {
  const double eps = spec().layer_norm_eps;
  const auto at = [&](const std::string& name) { return weights.at(name); };
  const auto linear = [&](const std::string& name) {
    return Linear{at(name + ".weight"), at(name + ".bias")};
  };
  const auto norm = [&](const std::string& name) {
    return LayerNorm{at(name + ".weight"), at(name + ".bias"), eps};
  };
  Transformer result{
      {}, norm("mlp_head.0"), spec().heads, spec().head_dim, spec().attention_scale()};
  for (int64_t i = 0; i < spec().depth; ++i) {
    const std::string attention = layer_name(i) + "0.fn.", ffn = layer_name(i) + "1.fn.";
    result.blocks.push_back({norm(attention + "norm"),
                             {at(attention + "fn.to_qkv.weight"), {}},
                             linear(attention + "fn.to_out.0"),
                             norm(ffn + "norm"),
                             linear(ffn + "fn.net.0"),
                             linear(ffn + "fn.net.3")});
  }
  return result;
}

Head FaceTransformer::head(const Weights& weights) const {
  const auto bias = weights.find("loss.bias");
  return Head(spec(), weights.at("loss.weight"),
              bias == weights.end() ? at::Tensor() : bias->second);
}

int64_t FaceTransformer::block_of(const std::string& weight) const {
  return block_by_prefix(weight, "transformer.layers.", "mlp_head.", "loss.");
}

std::vector<AdapterSite> FaceTransformer::adapter_sites() const {
  std::vector<AdapterSite> sites;
  for (int64_t i = 0; i < spec().depth; ++i) {
    for (const std::string& layer : spec().adapter_layers) {
      const bool first = layer == "fc1";
      sites.push_back({layer_name(i) + "1.fn.fn.net." + (first ? "0" : "3"), layer, i,
                       first ? spec().dim : spec().mlp_dim, first ? spec().mlp_dim : spec().dim});
    }
  }
  return sites;
}

std::vector<AdapterSite> FaceTransformer::attention_sites() const {
  std::vector<AdapterSite> sites;
  for (int64_t i = 0; i < spec().depth; ++i) {
    const std::string name = layer_name(i) + "0.fn.fn.to_qkv";
    const auto block =
        qkv_sites(name, name + ".weight", i, spec().dim, spec().heads * spec().head_dim);
    sites.insert(sites.end(), block.begin(), block.end());
  }
  return sites;
}

}  // namespace lethe
