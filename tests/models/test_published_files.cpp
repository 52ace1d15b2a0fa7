// Checkpoints as large as the published ones, under each project's own names and shapes: written to
// a file, read and imported. One file at a time; the names and shapes here are the projects', not
// this library's.
#include "models/tiny_models.h"
#include "storage/safetensors.h"

namespace lethe::testing {
namespace {

/// What a file lists.
struct Listing {
  std::vector<TensorSpec> tensors;

  void add(const std::string& name, const std::vector<int64_t>& shape) {
    tensors.push_back({name, shape});
  }
  /// A linear, a convolution or a norm: its weight, and a bias of as many numbers as rows.
  void layer(const std::string& name, const std::vector<int64_t>& shape) {
    add(name + ".weight", shape);
    add(name + ".bias", {shape[0]});
  }
  int64_t numbers() const {
    int64_t sum = 0;
    for (const TensorSpec& t : tensors) sum += c10::multiply_integers(t.shape);
    return sum;
  }
  /// A tensor's contents: its place in the list, and in every 2003rd number how many such numbers
  /// there are before it: nothing that float16 could not hold.
  at::Tensor contents(const std::string& name) const {
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].name != name) continue;
      at::Tensor all = at::full(tensors[i].shape, static_cast<double>(i), at::kFloat);
      const at::Tensor some = all.view(-1).slice(0, 0, all.numel(), 2003);
      some.copy_(at::arange(some.numel()));
      return all;
    }
    fail_msg("the list has no %s", name.c_str());
    return {};
  }
};

/// The list as a file, read again. The file is gone when this returns.
Weights through_a_file(const Listing& list, at::ScalarType type) {
  const TemporaryFolder folder;
  const std::string path = folder / "model.safetensors";
  {
    Weights contents;
    for (const TensorSpec& t : list.tensors) contents[t.name] = list.contents(t.name).to(type);
    write_safetensors(path, contents);
  }
  return read_safetensors(path).tensors;
}

/// As weights of the published model of `arch`.
Weights loaded(const Listing& list, const char* arch, Naming expected = Naming::kOwn,
               at::ScalarType type = at::kFloat) {
  Weights file = through_a_file(list, type);
  assert_int_equal(file.size(), list.tensors.size());
  Naming naming;
  Weights weights = make_model({{"arch", arch}})->import_weights(std::move(file), &naming);
  assert_int_equal(static_cast<int>(naming), static_cast<int>(expected));
  return weights;
}

void expect_contents(const Weights& weights, const std::string& name, const at::Tensor& expected) {
  if (!at::equal(weights.at(name), expected)) fail_msg("%s has other contents", name.c_str());
}

constexpr int64_t kDim = 768, kMlp = 3072, kDepth = 12, kVitNumbers = 86'567'656;

/// torchvision's vit_b_16 as it is downloaded, with the older names of the MLP.
Listing torchvision_vit() {
  Listing list;
  list.add("class_token", {1, 1, kDim});
  list.layer("conv_proj", {kDim, 3, 16, 16});
  list.add("encoder.pos_embedding", {1, 197, kDim});
  for (int64_t i = 0; i < kDepth; ++i) {
    const std::string block = lethe::str("encoder.layers.encoder_layer_", i, ".");
    list.layer(block + "ln_1", {kDim});
    list.add(block + "self_attention.in_proj_weight", {3 * kDim, kDim});
    list.add(block + "self_attention.in_proj_bias", {3 * kDim});
    list.layer(block + "self_attention.out_proj", {kDim, kDim});
    list.layer(block + "ln_2", {kDim});
    list.layer(block + "mlp.linear_1", {kMlp, kDim});
    list.layer(block + "mlp.linear_2", {kDim, kMlp});
  }
  list.layer("encoder.ln", {kDim});
  list.layer("heads.head", {1000, kDim});
  return list;
}

/// timm's vit_base_patch16_224.
Listing timm_vit() {
  Listing list;
  list.add("cls_token", {1, 1, kDim});
  list.add("pos_embed", {1, 197, kDim});
  list.layer("patch_embed.proj", {kDim, 3, 16, 16});
  for (int64_t i = 0; i < kDepth; ++i) {
    const std::string block = lethe::str("blocks.", i, ".");
    list.layer(block + "norm1", {kDim});
    list.layer(block + "attn.qkv", {3 * kDim, kDim});
    list.layer(block + "attn.proj", {kDim, kDim});
    list.layer(block + "norm2", {kDim});
    list.layer(block + "mlp.fc1", {kMlp, kDim});
    list.layer(block + "mlp.fc2", {kDim, kMlp});
  }
  list.layer("norm", {kDim});
  list.layer("head", {1000, kDim});
  return list;
}

/// Hugging Face's ViTForImageClassification, google/vit-base-patch16-224.
Listing hugging_face_vit() {
  Listing list;
  list.add("vit.embeddings.cls_token", {1, 1, kDim});
  list.add("vit.embeddings.position_embeddings", {1, 197, kDim});
  list.layer("vit.embeddings.patch_embeddings.projection", {kDim, 3, 16, 16});
  for (int64_t i = 0; i < kDepth; ++i) {
    const std::string block = lethe::str("vit.encoder.layer.", i, ".");
    for (const char* part : {"query", "key", "value"}) {
      list.layer(block + "attention.attention." + part, {kDim, kDim});
    }
    list.layer(block + "attention.output.dense", {kDim, kDim});
    list.layer(block + "intermediate.dense", {kMlp, kDim});
    list.layer(block + "output.dense", {kDim, kMlp});
    list.layer(block + "layernorm_before", {kDim});
    list.layer(block + "layernorm_after", {kDim});
  }
  list.layer("vit.layernorm", {kDim});
  list.layer("classifier", {1000, kDim});
  return list;
}

/// The paper's face model after a forgetting task of rank 8, from several GPUs.
Listing reference_face() {
  constexpr int64_t kWidth = 512, kInner = 2048, kRank = 8;
  Listing list;
  list.add("module.pos_embedding", {1, 197, kWidth});
  list.add("module.cls_token", {1, 1, kWidth});
  list.layer("module.patch_to_embedding", {kWidth, 192});
  for (int64_t i = 0; i < 6; ++i) {
    const std::string block = lethe::str("module.transformer.layers.", i, ".");
    list.layer(block + "0.fn.norm", {kWidth});
    list.add(block + "0.fn.fn.to_qkv.weight", {3 * kWidth, kWidth});
    list.layer(block + "0.fn.fn.to_out.0", {kWidth, kWidth});
    list.layer(block + "1.fn.norm", {kWidth});
    list.layer(block + "1.fn.fn.net.0", {kInner, kWidth});
    list.add(block + "1.fn.fn.net.0.lora_A", {kRank, kWidth});
    list.add(block + "1.fn.fn.net.0.lora_B", {kInner, kRank});
    list.layer(block + "1.fn.fn.net.3", {kWidth, kInner});
    list.add(block + "1.fn.fn.net.3.lora_A", {kRank, kInner});
    list.add(block + "1.fn.fn.net.3.lora_B", {kWidth, kRank});
  }
  list.layer("module.mlp_head.0", {kWidth});
  list.add("module.loss.weight", {100, kWidth});
  return list;
}

/// Their name in `list`, ours in `weights`.
void expect_contents(const Weights& weights, const Listing& list,
                     const std::vector<std::pair<std::string, std::string>>& names) {
  for (const auto& [theirs, ours] : names) expect_contents(weights, ours, list.contents(theirs));
}

void torchvision_vit_b_16(void**) {
  const Listing list = torchvision_vit();
  assert_int_equal(list.numbers(), kVitNumbers);
  const std::string block = "encoder.layers.encoder_layer_11.";
  expect_contents(
      loaded(list, "vit"), list,
      {{"encoder.pos_embedding", "encoder.pos_embedding"},
       {"conv_proj.weight", "conv_proj.weight"},
       {block + "self_attention.in_proj_weight", block + "self_attention.in_proj_weight"},
       {block + "mlp.linear_1.weight", block + "mlp.0.weight"},
       {block + "mlp.linear_2.bias", block + "mlp.3.bias"},
       {"heads.head.weight", "heads.head.weight"}});
}

void timm_vit_base_patch16_224(void**) {
  const Listing list = timm_vit();
  assert_int_equal(list.numbers(), kVitNumbers);
  const std::string block = "encoder.layers.encoder_layer_10.";
  expect_contents(loaded(list, "vit", Naming::kTimm, at::kHalf), list,
                  {{"pos_embed", "encoder.pos_embedding"},
                   {"patch_embed.proj.weight", "conv_proj.weight"},
                   {"blocks.10.attn.qkv.weight", block + "self_attention.in_proj_weight"},
                   {"blocks.10.attn.proj.bias", block + "self_attention.out_proj.bias"},
                   {"blocks.10.norm2.weight", block + "ln_2.weight"},
                   {"blocks.10.mlp.fc2.weight", block + "mlp.3.weight"},
                   {"head.weight", "heads.head.weight"}});
}

void hugging_face_vit_base(void**) {
  const Listing list = hugging_face_vit();
  assert_int_equal(list.numbers(), kVitNumbers);
  const Weights weights = loaded(list, "vit", Naming::kHuggingFace);
  const std::string theirs = "vit.encoder.layer.11.", ours = "encoder.layers.encoder_layer_11.";
  expect_contents(
      weights, list,
      {{"vit.embeddings.position_embeddings", "encoder.pos_embedding"},
       {theirs + "attention.output.dense.weight", ours + "self_attention.out_proj.weight"},
       {theirs + "layernorm_after.weight", ours + "ln_2.weight"},
       {theirs + "intermediate.dense.weight", ours + "mlp.0.weight"},
       {"classifier.bias", "heads.head.bias"}});
  for (const std::string kind : {"weight", "bias"}) {
    std::vector<at::Tensor> parts;
    for (const char* part : {"query.", "key.", "value."}) {
      parts.push_back(list.contents(theirs + "attention.attention." + part + kind));
    }
    expect_contents(weights, ours + "self_attention.in_proj_" + kind, at::cat(parts));
  }
}

void face_transformer_of_the_reference(void**) {
  const Listing list = reference_face();
  assert_int_equal(list.numbers(), 19'157'504 + 245'760);  // the model and its LoRA
  const std::string block = "transformer.layers.5.", theirs = "module." + block;
  expect_contents(loaded(list, "face_vit"), list,
                  {{"module.pos_embedding", "pos_embedding"},
                   {"module.patch_to_embedding.weight", "patch_to_embedding.weight"},
                   {theirs + "0.fn.fn.to_qkv.weight", block + "0.fn.fn.to_qkv.weight"},
                   {theirs + "1.fn.fn.net.0.weight", block + "1.fn.fn.net.0.weight"},
                   {theirs + "1.fn.fn.net.3.weight", block + "1.fn.fn.net.3.weight"},
                   {"module.mlp_head.0.weight", "mlp_head.0.weight"},
                   {"module.loss.weight", "loss.weight"}});
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(torchvision_vit_b_16),
      cmocka_unit_test(timm_vit_base_patch16_224),
      cmocka_unit_test(hugging_face_vit_base),
      cmocka_unit_test(face_transformer_of_the_reference),
  };
  return cmocka_run_group_tests_name("published_files", tests, nullptr, nullptr);
}
