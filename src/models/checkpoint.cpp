#include "models/checkpoint.h"

#include <ATen/ATen.h>

#include <set>

#include "support/error.h"

namespace lethe {

Weights plain_weights(Weights checkpoint) {
  Weights plain;
  for (auto& [name, tensor] : checkpoint) {
    if (name.ends_with(".lora_A") || name.ends_with(".lora_B")) continue;
    if (name.ends_with(".num_batches_tracked")) continue;
    require(tensor.is_floating_point(), Code::kInvalidArgument, "the tensor \"", name,
            "\" is not of a floating-point type; weights are float32, float16 or bfloat16");
    const std::string prefix = "module.";
    const std::string plain_name = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
    require(plain.emplace(plain_name, tensor.to(at::kFloat).contiguous()).second,
            Code::kInvalidArgument, "the checkpoint holds the tensor \"", plain_name,
            "\" with and without the prefix \"", prefix, "\"");
  }
  return plain;
}

void check_tensors(const std::vector<TensorSpec>& expected, const Weights& weights,
                   const std::string& arch) {
  std::set<std::string> known;
  for (const TensorSpec& spec : expected) {
    known.insert(spec.name);
    const auto found = weights.find(spec.name);
    require(found != weights.end(), Code::kInvalidArgument, "the weights lack the tensor \"",
            spec.name, "\" of shape ", at::IntArrayRef(spec.shape),
            "; load a checkpoint of this architecture (", arch, ")");
    require(found->second.sizes() == at::IntArrayRef(spec.shape), Code::kInvalidArgument,
            "the tensor \"", spec.name, "\" has shape ", found->second.sizes(),
            ", the model spec asks for ", at::IntArrayRef(spec.shape));
    require(at::isfinite(found->second).all().item<bool>(), Code::kCorrupt, "the tensor \"",
            spec.name, "\" holds NaN or infinity");
  }
  for (const auto& [name, tensor] : weights) {
    require(known.contains(name), Code::kInvalidArgument, "the weights hold the tensor \"", name,
            "\", which the model spec does not have; check depth, head and arch");
  }
}

}  // namespace lethe
