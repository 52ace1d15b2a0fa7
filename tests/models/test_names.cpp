// The names of weights in other projects: what comes in under them goes out under them.
#include "models/names.h"
#include "models/tiny_models.h"

namespace lethe::testing {
namespace {

std::vector<std::string> keys(const Weights& weights) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : weights) names.push_back(name);
  return names;
}

/// `name` + ".bias" and ".weight" for names that end in '.'; others as they are. Sorted.
std::vector<std::string> expanded(const std::vector<std::string>& given) {
  std::vector<std::string> names;
  for (const std::string& name : given) {
    if (name.ends_with('.')) {
      names.push_back(name + "bias");
      names.push_back(name + "weight");
    } else {
      names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

void expect_names(const Weights& weights, const std::vector<std::string>& given) {
  const std::vector<std::string> actual = keys(weights), expected = expanded(given);
  for (size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    assert_string_equal(actual[i].c_str(), expected[i].c_str());
  }
  assert_int_equal(actual.size(), expected.size());
}

/// As the projects themselves list them, of a transformer of one block.
void each_project_finds_its_names(void**) {
  const auto model = model_of(with(kTinyVit, {{"depth", 1}}));
  const Weights weights = model->random_weights(RandomStream(1, "names"));
  const std::string layer = "encoder.layers.encoder_layer_0.";
  expect_names(model->rename_to(Naming::kOwn, weights),
               {"class_token", "encoder.pos_embedding", "conv_proj.", layer + "ln_1.",
                layer + "self_attention.in_proj_weight", layer + "self_attention.in_proj_bias",
                layer + "self_attention.out_proj.", layer + "ln_2.", layer + "mlp.0.",
                layer + "mlp.3.", "encoder.ln.", "heads.head."});
  expect_names(model->rename_to(Naming::kTimm, weights),
               {"cls_token", "pos_embed", "patch_embed.proj.", "blocks.0.norm1.",
                "blocks.0.attn.qkv.", "blocks.0.attn.proj.", "blocks.0.norm2.", "blocks.0.mlp.fc1.",
                "blocks.0.mlp.fc2.", "norm.", "head."});
  const std::string hf = "vit.encoder.layer.0.";
  expect_names(
      model->rename_to(Naming::kHuggingFace, weights),
      {"vit.embeddings.cls_token", "vit.embeddings.position_embeddings",
       "vit.embeddings.patch_embeddings.projection.", hf + "layernorm_before.",
       hf + "attention.attention.query.", hf + "attention.attention.key.",
       hf + "attention.attention.value.", hf + "attention.output.dense.", hf + "layernorm_after.",
       hf + "intermediate.dense.", hf + "output.dense.", "vit.layernorm.", "classifier."});
}

void what_goes_out_comes_in_again(void**) {
  for (const Json& spec : {kTinyVit, with(kTinyVit, {{"depth", 11}}), kTinyFace}) {
    const auto model = model_of(spec);
    const Weights weights = model->random_weights(RandomStream(2, "names"));
    for (const Naming naming : model->namings()) {
      Naming told;
      const Weights back = model->import_weights(model->rename_to(naming, weights), &told);
      assert_int_equal(static_cast<int>(told), static_cast<int>(naming));
      assert_int_equal(back.size(), weights.size());
      for (const auto& [name, tensor] : weights) assert_true(at::equal(tensor, back.at(name)));
    }
  }
}

void an_architecture_without_such_names_says_so(void**) {
  const auto model = model_of(kTinyFace);
  assert_int_equal(model->namings().size(), 1);
  const Weights weights = model->random_weights(RandomStream(3, "names"));
  expect_error(Code::kUnsupported, "face_vit has no timm names",
               [&] { model->rename_to(Naming::kTimm, weights); });
  expect_error(Code::kUnsupported, "face_vit has no Hugging Face names",
               [&] { model->rename_to(Naming::kHuggingFace, weights); });
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(each_project_finds_its_names),
      cmocka_unit_test(what_goes_out_comes_in_again),
      cmocka_unit_test(an_architecture_without_such_names_says_so),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
