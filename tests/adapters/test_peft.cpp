// PEFT's folder format: what we write comes back, and what PEFT means by its fields is what we
// read.
#include "adapters/peft.h"

#include "adapters/small_adapter.h"
#include "near.h"
#include "storage/file.h"
#include "test.h"

namespace lethe::testing {
namespace {

constexpr const char* kSite = "encoder.layers.encoder_layer_0.mlp.0";

/// A folder as PEFT writes it: rank `r` on the first FFN linear of block 0 and, when `second` is
/// given, that rank on the second one.
struct Folder {
  TemporaryFolder root;
  Json config = {{"peft_type", "LORA"}, {"r", 2}, {"lora_alpha", 4}, {"bias", "none"}};
  Weights tensors;

  explicit Folder(const BaseModel& base, int64_t r = 2, int64_t second = 0) {
    add(kSite, base.classifier().spec().dim, base.classifier().spec().mlp_dim, r);
    if (second > 0) {
      add("encoder.layers.encoder_layer_0.mlp.3", base.classifier().spec().mlp_dim,
          base.classifier().spec().dim, second);
    }
  }
  void add(const std::string& module, int64_t in, int64_t out, int64_t r) {
    at::Generator generator = RandomStream(in, "peft " + module).generator();
    tensors["base_model.model." + module + ".lora_A.weight"] =
        at::empty({r, in}).normal_(0, 1, generator);
    tensors["base_model.model." + module + ".lora_B.weight"] =
        at::empty({out, r}).normal_(0, 1, generator);
  }
  at::Tensor& tensor(const char* which, const std::string& module = kSite) {
    return tensors.at("base_model.model." + module + ".lora_" + which + ".weight");
  }
  std::shared_ptr<const Adapter> read(const BaseModel& base, const Limits& limits = {}) {
    write_file_atomically(root / "adapter_config.json", {config.dump()});
    write_safetensors(root / "adapter_model.safetensors", tensors);
    AdapterFacts facts = small_facts(base, {}, "req-1", {1});
    return read_peft(root.path(), base, std::move(facts), limits);
  }
  void expect_refused(const BaseModel& base, Code code, const std::string& part) {
    expect_error(code, part, [&] { read(base); });
  }
};

at::Tensor effective(const BaseModel& base, const std::shared_ptr<const Adapter>& adapter,
                     const std::string& site = kSite) {
  return merge(base, {{adapter}}).at(site + ".weight");
}

void what_is_written_comes_back(void**) {
  const auto base = small_base();
  const auto adapter = small_adapter(*base, {}, "req-1", {1}, 1);
  const at::Tensor images =
      at::empty({3, 1, 8, 8}).uniform_(0, 1, RandomStream(1, "peft images").generator());
  const at::Tensor expected = scores(*base, merge(*base, {{adapter}}), images);
  for (const Naming naming :
       {Naming::kOriginal, Naming::kOwn, Naming::kTimm, Naming::kHuggingFace}) {
    const TemporaryFolder folder;
    write_peft(folder / "peft", *adapter, naming);
    const auto back = read_peft(folder / "peft", *base, small_facts(*base, {}, "req-2", {1}));
    assert_true(at::equal(scores(*base, merge(*base, {{back}}), images), expected));
    const Json config = Json::parse(read_file(folder / "peft/adapter_config.json", 1 << 20));
    assert_true(config.at("peft_type") == "LORA" && config.at("r") == 2);
    assert_true(config.at("lora_alpha").get<double>() / 2 == adapter->scaling());
    const std::string module = config.at("target_modules").at(0);
    assert_true(module.find(naming == Naming::kTimm          ? "blocks.0.mlp.fc1"
                            : naming == Naming::kHuggingFace ? "intermediate.dense"
                                                             : "mlp.0") != std::string::npos);
  }
}

void attention_adapters_are_refused(void**) {
  const auto base = small_base();
  const LoraParameters lora = small_attention_lora(*base, 1);
  const auto adapter =
      Adapter::create(*base, lora, small_groups(lora), small_facts(*base, {}, "req-1", {1}));
  const TemporaryFolder root;
  for (const Naming naming : {Naming::kOwn, Naming::kTimm, Naming::kHuggingFace}) {
    expect_error(Code::kUnsupported, "which is some rows of",
                 [&] { write_peft(root / "peft", *adapter, naming); });
  }
  assert_false(std::filesystem::exists(root / "peft"));
}

void scaling_is_read_as_peft_reads_it(void**) {
  const auto base = small_base();
  const at::Tensor w = base->weights().at(std::string(kSite) + ".weight");
  const auto expect = [&](Folder& folder, double scaling) {
    const at::Tensor expected =
        w.to(at::kDouble) +
        scaling * folder.tensor("B").to(at::kDouble).mm(folder.tensor("A").to(at::kDouble));
    expect_near(effective(*base, folder.read(*base)), expected, 1e-6);
  };
  Folder plain(*base);
  expect(plain, 4.0 / 2);
  plain.config["use_rslora"] = true;
  expect(plain, 4 / std::sqrt(2.0));
  Folder by_name(*base, 3);
  by_name.config["rank_pattern"] = {{"mlp.0", 3}};  // PEFT matches the end of the module's name
  expect(by_name, 4.0 / 3);
  by_name.config["alpha_pattern"] = {{"mlp\\.[0-9]", 9}};
  expect(by_name, 9.0 / 3);
  by_name.config["alpha_pattern"] = {{"lp.0", 9}};  // the end begins at a dot
  expect(by_name, 4.0 / 3);
}

void modules_of_different_ranks_become_one_adapter(void**) {
  const auto base = small_base();
  Folder folder(*base, 3, 1);
  folder.config["rank_pattern"] = {{"mlp.0", 3}, {"mlp.3", 1}};
  folder.config["alpha_pattern"] = {{"mlp.3", -2}};
  const auto adapter = folder.read(*base);
  assert_int_equal(adapter->manifest().at("rank").get<int>(), 3);
  const struct {
    std::string site;
    double scaling;
  } cases[] = {{kSite, 4.0 / 3}, {"encoder.layers.encoder_layer_0.mlp.3", -2}};
  for (const auto& [site, scaling] : cases) {
    const at::Tensor product =
        folder.tensor("B", site).to(at::kDouble).mm(folder.tensor("A", site).to(at::kDouble));
    const at::Tensor expected =
        base->weights().at(site + ".weight").to(at::kDouble) + scaling * product;
    expect_near(effective(*base, adapter, site), expected, 1e-6);
  }
}

void half_precision_is_read(void**) {
  const auto base = small_base();
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    Folder folder(*base);
    for (auto& [name, tensor] : folder.tensors) tensor = tensor.to(type);
    const at::Tensor expected =
        base->weights().at(std::string(kSite) + ".weight") +
        2 * folder.tensor("B").to(at::kFloat).mm(folder.tensor("A").to(at::kFloat));
    expect_near(effective(*base, folder.read(*base)), expected, 1e-5);
  }
}

void what_is_more_than_lora_is_refused(void**) {
  const auto base = small_base();
  const std::pair<const char*, Json> changes[] = {
      {"peft_type", "IA3"},       {"bias", "all"},
      {"bias", "lora_only"},      {"use_dora", true},
      {"modules_to_save", {"x"}}, {"init_lora_weights", "pissa"},
      {"lora_bias", true},        {"layer_replication", {{0, 1}}}};
  for (const auto& [key, value] : changes) {
    Folder folder(*base);
    folder.config[key] = value;
    folder.expect_refused(*base, Code::kUnsupported, "adapter_config.json");
  }
  Folder folder(*base);
  folder.tensors["base_model.model.mlp.0.lora_magnitude_vector.weight"] = at::ones({4});
  folder.expect_refused(*base, Code::kUnsupported, "lora_magnitude_vector");
  Folder integers(*base);
  integers.tensor("A") = at::ones({2, 16}, at::kLong);
  integers.expect_refused(*base, Code::kUnsupported, "I64");
}

void what_does_not_fit_is_refused_by_name(void**) {
  const auto base = small_base();
  {
    Folder folder(*base);
    folder.add("encoder.layers.encoder_layer_7.mlp.0", 16, 32, 2);
    folder.expect_refused(*base, Code::kBaseMismatch, "encoder_layer_7");
  }
  {
    Folder folder(*base);
    folder.tensor("A") = at::ones({2, 17});
    folder.expect_refused(*base, Code::kBaseMismatch, "maps 17");
  }
  {
    Folder folder(*base);
    folder.tensor("A") = at::ones({3, 16});
    folder.expect_refused(*base, Code::kCorrupt, "gives it rank 2");
  }
  {
    Folder folder(*base);
    folder.tensor("A")[0][0] = NAN;
    folder.expect_refused(*base, Code::kCorrupt, "NaN");
  }
  {
    Folder folder(*base);
    folder.tensors.erase(std::string("base_model.model.") + kSite + ".lora_B.weight");
    folder.expect_refused(*base, Code::kCorrupt, "lora_B.weight\" is missing");
  }
  {
    Folder folder(*base);
    folder.add("blocks.0.mlp.fc1", 16, 32, 2);  // timm's name of the same linear
    folder.expect_refused(*base, Code::kCorrupt, "are the same linear");
  }
  {
    Folder folder(*base);
    folder.config["r"] = 0;
    folder.expect_refused(*base, Code::kCorrupt, "\"r\"");
    folder.config["r"] = 2;
    folder.config["lora_alpha"] = 0;
    folder.expect_refused(*base, Code::kCorrupt, "does nothing");
    folder.config["lora_alpha"] = 4;
    folder.config["rank_pattern"] = {{"(", 2}};
    folder.expect_refused(*base, Code::kUnsupported, "regular expression");
    folder.config["rank_pattern"] = {{"a{9}", 2}};
    folder.expect_refused(*base, Code::kUnsupported, "braces");
    folder.config["rank_pattern"] = {{"a", 1.5}};
    folder.expect_refused(*base, Code::kCorrupt, "no whole number");
  }
  {
    Folder folder(*base);
    Limits limits;
    limits.file_bytes = 100;
    expect_error(Code::kLimitExceeded, "adapter_model.safetensors",
                 [&] { folder.read(*base, limits); });
  }
  const TemporaryFolder empty;
  expect_error(Code::kNotFound, "adapter_config.json",
               [&] { read_peft(empty.path(), *base, small_facts(*base, {}, "req-1", {1})); });
  const auto adapter = small_adapter(*base, {}, "req-1", {1}, 1);
  expect_error(Code::kIo, "peft", [&] { write_peft(empty / "no/peft", *adapter, Naming::kOwn); });
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_comes_back),
      cmocka_unit_test(attention_adapters_are_refused),
      cmocka_unit_test(scaling_is_read_as_peft_reads_it),
      cmocka_unit_test(modules_of_different_ranks_become_one_adapter),
      cmocka_unit_test(half_precision_is_read),
      cmocka_unit_test(what_is_more_than_lora_is_refused),
      cmocka_unit_test(what_does_not_fit_is_refused_by_name),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
