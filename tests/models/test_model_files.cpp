// What a model takes from outside: specs, checkpoints under public names, device names.
#include "models/base_model.h"
#include "models/tiny_models.h"

namespace lethe::testing {
namespace {

// ----------------------------------------------------------------------------------- model specs

void a_spec_comes_back_from_its_json(void**) {
  const Json full = with(kTinyFace, {{"head", "arcface"},
                                     {"dropout", 0.25},
                                     {"head_scale", 30},
                                     {"adapter_layers", {"fc2"}},
                                     {"seed", 9}});
  const Json json = ModelSpec::from_json(full).to_json();
  assert_true(ModelSpec::from_json(json).to_json() == json);
  assert_int_equal(json.size(), 18);
  for (const auto& [key, value] : full.items()) assert_true(json.at(key) == value);
  expect_close(json.at("head_margin"), 0.5);  // ArcFace's own, when the spec names none
  expect_close(ModelSpec::from_json(with(kTinyFace, {{"head", "linear"}})).head_margin, 0);
  for (const std::string& arch : architecture_names()) {
    assert_true(make_model({{"arch", arch}})->spec_json() == default_spec(arch));
  }
}

void bad_specs_are_refused_by_name(void**) {
  const struct {
    Json change;
    const char* named;
    Code code = Code::kInvalidArgument;
  } cases[] = {
      {{{"arch", "resnet"}}, "resnet", Code::kNotFound},
      {{{"arch", ""}}, "known are", Code::kNotFound},
      {{{"arch", 3}}, "arch"},
      {{{"depht", 3}}, "depht"},
      {{{"classes", 0}}, "classes"},
      {{{"classes", 1.5}}, "classes"},
      {{{"classes", "ten"}}, "classes"},
      {{{"image_size", 0}}, "image_size"},
      {{{"image_size", int64_t{1} << 40}}, "image_size"},
      {{{"channels", 0}}, "channels"},
      {{{"patch_size", -1}}, "patch_size"},
      {{{"patch_size", 3}}, "not a multiple"},
      {{{"patch_size", 16}}, "not a multiple"},
      {{{"dim", 15}}, "\"dim\" 15"},
      {{{"heads", 3}}, "\"heads\" 3"},
      {{{"heads", 32}}, "\"heads\" 32"},
      {{{"head_dim", 4}}, "\"head_dim\" 4"},
      {{{"depth", 0}}, "depth"},
      {{{"mlp_dim", nullptr}}, "mlp_dim"},
      {{{"dropout", 0.95}}, "dropout"},
      {{{"dropout", -0.1}}, "dropout"},
      {{{"layer_norm_eps", 0}}, "layer_norm_eps"},
      {{{"head", "softmax"}}, "softmax"},
      {{{"head_scale", 0}}, "head_scale"},
      {{{"head_margin", 2}}, "head_margin"},
      {{{"attention_scale", "depth"}}, "attention_scale"},
      {{{"adapter_layers", Json::array()}}, "adapter_layers"},
      {{{"adapter_layers", {"fc3"}}}, "fc3"},
      {{{"adapter_layers", {"fc1", "fc1"}}}, "once"},
      {{{"adapter_layers", "fc1"}}, "adapter_layers"},
      {{{"seed", -1}}, "seed"},
  };
  for (const auto& c : cases) {
    expect_error(c.code, c.named, [&] { ModelSpec::from_json(with(kTinyVit, c.change)); });
  }
  expect_error(Code::kInvalidArgument, "", [] { ModelSpec::from_json(Json::array()); });
  expect_error(Code::kNotFound, "known are", [] { ModelSpec::from_json(Json::object()); });
  // Only the face model chooses the width of its heads.
  assert_int_equal(ModelSpec::from_json(with(kTinyFace, {{"head_dim", 7}})).head_dim, 7);
}

void a_fingerprint_tells_what_the_weights_compute(void**) {
  const auto base = [](const Json& spec, uint64_t seed) {
    const auto model = model_of(spec);
    return BaseModel(model, model->random_weights(RandomStream(seed, "w")), at::kCPU);
  };
  const BaseModel first = base(kTinyVit, 1);
  assert_true(base(with(kTinyVit, {{"seed", 4}, {"dropout", 0.3}}), 1).fingerprint() ==
              first.fingerprint());
  assert_false(base(kTinyVit, 2).fingerprint() == first.fingerprint());
  assert_true(base(kTinyVit, 2).names_digest() == first.names_digest());
  const BaseModel other = base(with(kTinyVit, {{"attention_scale", "dim"}}), 1);
  assert_false(other.fingerprint() == first.fingerprint());
}

void devices_are_named_strictly(void**) {
  assert_true(parse_device("cpu").is_cpu());
  for (const char* text :
       {"", "gpu", "CPU", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "cuda:0 ", "cuda:00000000000"}) {
    expect_error(Code::kInvalidArgument, text, [&] { parse_device(text); });
  }
  expect_error(Code::kDevice, "cuda:999", [] { parse_device("cuda:999"); });
}

// ------------------------------------------------------------------------------------ checkpoints

using Renaming = std::vector<std::pair<std::string, std::string>>;

/// Every tensor with the given parts of its name replaced.
Weights renamed(const Weights& weights, const Renaming& renaming) {
  Weights result;
  for (const auto& [old_name, tensor] : weights) {
    std::string name = old_name;
    for (const auto& [from, to] : renaming) {
      const size_t found = name.find(from);
      if (found != std::string::npos) name.replace(found, from.size(), to);
    }
    result[name] = tensor;
  }
  assert_int_equal(result.size(), weights.size());
  return result;
}

const Renaming kOldTorchvision = {{"mlp.0.", "mlp.linear_1."}, {"mlp.3.", "mlp.linear_2."}};
const Renaming kTimm = {{"class_token", "cls_token"},
                        {"encoder.pos_embedding", "pos_embed"},
                        {"conv_proj.", "patch_embed.proj."},
                        {"encoder.ln.", "norm."},
                        {"heads.head.", "head."},
                        {"encoder.layers.encoder_layer_", "blocks."},
                        {".ln_1.", ".norm1."},
                        {".ln_2.", ".norm2."},
                        {"self_attention.in_proj_", "attn.qkv."},
                        {"self_attention.out_proj.", "attn.proj."},
                        {"mlp.0.", "mlp.fc1."},
                        {"mlp.3.", "mlp.fc2."}};
const Renaming kHuggingFace = {{"class_token", "vit.embeddings.cls_token"},
                               {"encoder.pos_embedding", "vit.embeddings.position_embeddings"},
                               {"conv_proj.", "vit.embeddings.patch_embeddings.projection."},
                               {"encoder.ln.", "vit.layernorm."},
                               {"heads.head.", "classifier."},
                               {"encoder.layers.encoder_layer_", "vit.encoder.layer."},
                               {".ln_1.", ".layernorm_before."},
                               {".ln_2.", ".layernorm_after."},
                               {"self_attention.out_proj.", "attention.output.dense."},
                               {"mlp.0.", "intermediate.dense."},
                               {"mlp.3.", "output.dense."}};

/// Hugging Face's names, where q, k and v are tensors of their own.
Weights as_hugging_face(const Weights& weights) {
  Weights result;
  for (const auto& [name, tensor] : renamed(weights, kHuggingFace)) {
    const size_t found = name.find("self_attention.in_proj_");
    if (found == std::string::npos) {
      result[name] = tensor;
      continue;
    }
    const auto parts = tensor.chunk(3, 0);
    const std::string kind = name.substr(name.rfind('_') + 1);
    const char* names[] = {"query.", "key.", "value."};
    for (int i = 0; i < 3; ++i) {
      result[name.substr(0, found) + "attention.attention." + names[i] + kind] = parts[i];
    }
  }
  return result;
}

void expect_same(const Weights& actual, const Weights& expected) {
  assert_int_equal(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) assert_true(at::equal(actual.at(name), tensor));
}

/// Depth 12: block 1 must not be taken for blocks 10 and 11.
struct Deep {
  std::shared_ptr<const Classifier> model = model_of(with(kTinyVit, {{"depth", 12}}));
  Weights weights = model->random_weights(RandomStream(3, "deep"));
};

void public_names_of_a_vit_give_equal_embeddings(void**) {
  const Deep deep;
  const at::Tensor images = images_for(*deep.model);
  const at::Tensor expected = deep.model->embed(deep.weights, images);
  for (const Weights& checkpoint :
       {deep.weights, renamed(deep.weights, kOldTorchvision), renamed(deep.weights, kTimm),
        as_hugging_face(deep.weights), renamed(renamed(deep.weights, kTimm), {{"", "module."}})}) {
    const Weights imported = deep.model->import_weights(checkpoint);
    expect_same(imported, deep.weights);
    assert_true(at::equal(deep.model->embed(imported, images), expected));
  }
}

void trap_merged_reference_checkpoints_are_not_applied_twice(void**) {
  const auto model = model_of(kTinyFace);
  const Weights weights = model->random_weights(RandomStream(1, "w"));
  Weights checkpoint =
      weights;  // evaluation mode: weights that contain B A, and A and B beside them
  for (const AdapterSite& site : model->adapter_sites()) {
    checkpoint[site.name + ".lora_A"] = at::ones({2, site.in});
    checkpoint[site.name + ".lora_B"] = at::ones({site.out, 2});
  }
  expect_same(model->import_weights(checkpoint), weights);
  expect_same(model->import_weights(renamed(checkpoint, {{"", "module."}})), weights);
}

/// The reference's ablations of depth 12 and 18, as its code saves them: every block counts.
void deeper_face_models_load(void**) {
  for (const Json& tiny : {kTinyFace, kTinyFaces}) {
    for (int64_t depth : {12, 18}) {
      const auto model = model_of(with(tiny, {{"depth", depth}}));
      const Weights weights = model->random_weights(RandomStream(3, "deep"));
      Weights checkpoint = renamed(weights, {{"", "module."}});
      checkpoint["module.transformer.layers.11.1.fn.fn.net.0.lora_A"] = at::ones({2, 12});
      checkpoint["module.transformer.layers.11.1.fn.fn.net.0.lora_B"] = at::ones({20, 2});
      Weights imported = model->import_weights(checkpoint);
      expect_same(imported, weights);
      const at::Tensor images = images_for(*model);
      const at::Tensor expected = model->embed(weights, images);
      for (int64_t i = 0; i < depth; ++i) {
        const std::string name = lethe::str("transformer.layers.", i, ".1.fn.fn.net.3.bias");
        at::Tensor& bias = imported.at(name);
        bias = bias + at::arange(12);
        assert_true(deviation(model->embed(imported, images), expected) > 1e-3);
        bias = weights.at(name);
      }
      const auto shallow = model_of(with(tiny, {{"depth", depth - 1}}));
      expect_error(Code::kInvalidArgument, "does not have; check depth",
                   [&] { shallow->import_weights(checkpoint); });
    }
  }
}

void other_floating_types_become_float32(void**) {
  const auto model = model_of(kTinyVit);
  const Weights weights = model->random_weights(RandomStream(1, "w"));
  for (at::ScalarType type : {at::kHalf, at::kBFloat16, at::kDouble}) {
    Weights checkpoint, expected;
    for (const auto& [name, tensor] : weights) {
      checkpoint[name] = tensor.to(type);
      expected[name] = tensor.to(type).to(at::kFloat);
    }
    const Weights imported = model->import_weights(checkpoint);
    expect_same(imported, expected);
    for (const auto& [name, tensor] : imported) assert_true(tensor.scalar_type() == at::kFloat);
  }
  Weights strided = weights;  // a view with gaps is taken by value
  const at::Tensor bias = weights.at("conv_proj.bias");
  strided["conv_proj.bias"] = at::stack({bias, bias}, 1).select(1, 0);
  assert_false(strided["conv_proj.bias"].is_contiguous());
  const Weights imported = model->import_weights(strided);
  assert_true(imported.at("conv_proj.bias").is_contiguous());
  expect_same(imported, weights);
}

void bad_checkpoints_are_refused_by_tensor(void**) {
  const Deep deep;
  const std::string site = "encoder.layers.encoder_layer_7.mlp.3.weight";
  const auto expect_refused = [&](const char* named, Weights checkpoint,
                                  Code code = Code::kInvalidArgument) {
    expect_error(code, named, [&] { deep.model->import_weights(std::move(checkpoint)); });
  };
  const auto replaced = [&](const std::string& name, const at::Tensor& tensor) {
    Weights checkpoint = deep.weights;
    checkpoint[name] = tensor;
    return checkpoint;
  };
  expect_refused("lack", {});
  for (const auto& [name, tensor] : deep.weights) {
    Weights missing = deep.weights;
    missing.erase(name);
    expect_refused(("\"" + name + "\"").c_str(), missing);
  }
  expect_refused("\"extra\"", replaced("extra", at::zeros({1})));
  expect_refused("encoder_layer_12.ln_1",
                 replaced("encoder.layers.encoder_layer_12.ln_1.weight", at::zeros({16})));
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{32, 16}, {16, 33}, {16, 32, 1}, {512}, {}, {0, 32}}) {
    expect_refused(site.c_str(), replaced(site, at::zeros(shape)));
    expect_refused("[16, 32]", replaced(site, at::zeros(shape)));
  }
  for (double value : {double{NAN}, double{INFINITY}, -double{INFINITY}}) {
    at::Tensor bad = deep.weights.at(site).clone();
    bad[15][31] = value;
    expect_refused(site.c_str(), replaced(site, bad), Code::kCorrupt);
    expect_refused(site.c_str(), replaced(site, bad.to(at::kHalf)), Code::kCorrupt);
  }
  expect_refused(site.c_str(),  // finite in float64 only
                 replaced(site, at::full({16, 32}, 1e300, at::kDouble)), Code::kCorrupt);
  expect_refused(site.c_str(), replaced(site, at::zeros({16, 32}, at::kLong)));
  expect_refused(site.c_str(), replaced(site, at::zeros({16, 32}, at::kByte)));

  // Two tensors for one place: no silent choice.
  const std::string old = "encoder.layers.encoder_layer_7.mlp.linear_2.weight";
  expect_refused(old.c_str(), replaced(old, deep.weights.at(site)));
  expect_refused(site.c_str(), replaced("module." + site, deep.weights.at(site)));

  // A checkpoint of another depth, head or naming is not half-loaded.
  const auto shallow = model_of(with(kTinyVit, {{"depth", 11}}));
  expect_error(Code::kInvalidArgument, "encoder_layer_11",
               [&] { shallow->import_weights(deep.weights); });
  const auto cosine = model_of(with(kTinyVit, {{"depth", 12}, {"head", "cosface"}}));
  expect_error(Code::kInvalidArgument, "heads.head.bias",
               [&] { cosine->import_weights(deep.weights); });
  Weights torn = as_hugging_face(deep.weights);
  torn.erase("vit.encoder.layer.3.attention.attention.key.weight");
  expect_refused("encoder_layer_3.self_attention.in_proj_weight", torn);
  const auto face = model_of(kTinyFace);
  expect_error(Code::kInvalidArgument, "cls_token", [&] { face->import_weights(deep.weights); });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_spec_comes_back_from_its_json),
      cmocka_unit_test(bad_specs_are_refused_by_name),
      cmocka_unit_test(a_fingerprint_tells_what_the_weights_compute),
      cmocka_unit_test(devices_are_named_strictly),
      cmocka_unit_test(public_names_of_a_vit_give_equal_embeddings),
      cmocka_unit_test(trap_merged_reference_checkpoints_are_not_applied_twice),
      cmocka_unit_test(deeper_face_models_load),
      cmocka_unit_test(other_floating_types_become_float32),
      cmocka_unit_test(bad_checkpoints_are_refused_by_tensor),
  };
  return cmocka_run_group_tests_name("model files", tests, nullptr, nullptr);
}
