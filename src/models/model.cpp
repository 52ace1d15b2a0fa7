#include "models/model.h"

#include <ATen/ATen.h>

#include "support/error.h"

namespace lethe {

at::Tensor AdapterSite::rows(const Weights& weights) const {
  return weights.at(weight).narrow(0, row, out);
}

at::Tensor AdapterSite::replace_rows(const at::Tensor& w, const at::Tensor& rows) const {
  return out == w.size(0) ? rows : at::slice_scatter(w, rows, 0, row, row + out);
}

std::vector<AdapterSite> qkv_sites(const std::string& name, const std::string& weight,
                                   int64_t block, int64_t dim, int64_t inner) {
  return {{name + ".q", "q", block, dim, inner, weight, 0},
          {name + ".k", "k", block, dim, inner, weight, inner},
          {name + ".v", "v", block, dim, inner, weight, 2 * inner}};
}

std::vector<AdapterSite> Model::all_sites() const {
  std::vector<AdapterSite> sites = adapter_sites();
  const std::vector<AdapterSite> attention = attention_sites();
  sites.insert(sites.end(), attention.begin(), attention.end());
  return sites;
}

at::Tensor Model::embed(const Weights& weights, const at::Tensor& images,
                        const ForwardOptions& options) const {
  return encode(tokens(weights, images), transformer(weights), options);
}

int64_t Model::block_by_prefix(const std::string& weight, const std::string& blocks,
                               const std::string& norm, const std::string& head) const {
  if (weight.starts_with(head)) return spec_.depth + 1;
  if (weight.starts_with(norm)) return spec_.depth;
  if (!weight.starts_with(blocks)) return -1;
  return std::stoll(weight.substr(blocks.size()));
}

void Model::check_weights(const Weights& weights) const {
  for (const TensorSpec& expected : tensors()) {
    const auto found = weights.find(expected.name);
    require(found != weights.end(), Code::kInvalidArgument, "the weights lack the tensor \"",
            expected.name, "\" of shape ", at::IntArrayRef(expected.shape),
            "; load a checkpoint of this architecture (", spec_.arch, ")");
    require(found->second.sizes() == at::IntArrayRef(expected.shape), Code::kInvalidArgument,
            "the tensor \"", expected.name, "\" has shape ", found->second.sizes(),
            ", the model spec asks for ", at::IntArrayRef(expected.shape));
    require(at::isfinite(found->second).all().item<bool>(), Code::kCorrupt, "the tensor \"",
            expected.name, "\" holds NaN or infinity");
  }
  const auto specs = tensors();
  for (const auto& [name, tensor] : weights) {
    bool known = false;
    for (const TensorSpec& expected : specs) known = known || expected.name == name;
    require(known, Code::kInvalidArgument, "the weights hold the tensor \"", name,
            "\", which the model spec does not have; check depth, head and arch");
  }
}

Weights Model::rename_to(Naming naming, Weights weights) const {
  require(naming == Naming::kOwn, Code::kUnsupported, "the architecture ", spec_.arch, " has no ",
          naming_name(naming), " names; use its own");
  return weights;
}

Weights Model::import_weights(Weights checkpoint, Naming* naming) const {
  Weights plain;
  for (auto& [name, tensor] : checkpoint) {
    // A checkpoint saved in evaluation mode lists LoRA tensors next to weights that already contain
    // them; adding them again would apply them twice (section 2.5).
    if (name.ends_with(".lora_A") || name.ends_with(".lora_B")) continue;
    require(tensor.is_floating_point(), Code::kInvalidArgument, "the tensor \"", name,
            "\" is not of a floating-point type; weights are float32, float16 or bfloat16");
    const std::string prefix = "module.";  // left by data-parallel training
    const std::string plain_name = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
    require(plain.emplace(plain_name, tensor.to(at::kFloat).contiguous()).second,
            Code::kInvalidArgument, "the checkpoint holds the tensor \"", plain_name,
            "\" with and without the prefix \"", prefix, "\"");
  }
  if (naming) *naming = naming_of(plain);
  Weights weights = rename(std::move(plain));
  check_weights(weights);
  return weights;
}

void Model::check_images(at::IntArrayRef shape) const {
  const bool fits = shape.size() == 4 && shape[1] == spec_.channels &&
                    shape[2] == spec_.image_size && shape[3] == spec_.image_size;
  require(fits, Code::kInvalidArgument, "images have shape ", shape, ", the model takes [N, ",
          spec_.channels, ", ", spec_.image_size, ", ", spec_.image_size,
          "]; resize, crop, pad or change channels with the data set's transform");
}

}  // namespace lethe
