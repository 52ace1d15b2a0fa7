// Adapters of methods that train the weights themselves: they hold what was added to each weight.
#include "adapters/peft.h"
#include "adapters/small_adapter.h"
#include "test.h"

namespace lethe::testing {
namespace {

const char* const kWeight = "encoder.layers.encoder_layer_1.mlp.0.weight";
const char* const kBias = "encoder.ln.bias";

Weights small_delta(const BaseModel& base, uint64_t seed) {
  Weights delta;
  for (const char* name : {kWeight, kBias}) {
    delta[name] = at::empty_like(base.weights().at(name))
                      .normal_(0, 0.1, RandomStream(seed, name).generator());
  }
  return delta;
}

std::shared_ptr<const Adapter> delta_adapter(const BaseModel& base, const Stack& below,
                                             const std::string& id, uint64_t seed,
                                             const Weights& importance = {}) {
  AdapterFacts facts = small_facts(base, below, id, {static_cast<int64_t>(below.size())});
  facts.method = "ewc";
  return Adapter::create_delta(base, small_delta(base, seed), importance, facts);
}

void a_delta_goes_through_a_file(void**) {
  const auto base = small_base();
  const Weights importance = {{kBias, at::rand_like(base->weights().at(kBias))}};
  const auto adapter = delta_adapter(*base, {}, "req-1", 1, importance);
  assert_true(adapter->is_delta());
  assert_int_equal(adapter->tensors().size(), 3);
  const std::string bytes = serialize_adapter_file(adapter->to_file());
  const auto read = Adapter::from_file(parse_adapter_file(bytes, "delta"));
  assert_true(read->id() == adapter->id());
  assert_true(read->is_delta() && read->method() == "ewc" && read->scaling() == 1);
  assert_true(same_bits(read->tensors(), adapter->tensors()));
  assert_true(same_bits(read->importance(), importance));
  assert_true(read->manifest().at("format") == 2);
  assert_false(read->manifest().contains("rank"));
}

/// W0 + c d for the weights that it names; the others keep the base's memory. It mixes with LoRA.
void deltas_add_up_in_a_stack(void**) {
  const auto base = small_base();
  Stack stack = {{delta_adapter(*base, {}, "a", 1), 1}};
  const auto lora = small_adapter(*base, stack, "b", {2}, 7);
  stack.push_back({lora, 1});
  stack.push_back({delta_adapter(*base, stack, "c", 3), 1});
  check_stack(*base, stack);
  const Weights merged = merge(*base, stack);
  const Weights first = small_delta(*base, 1), last = small_delta(*base, 3);
  const std::string site = "encoder.layers.encoder_layer_1.mlp.0";
  at::Tensor expected = base->weights().at(kWeight) + first.at(kWeight);
  expected = at::addmm(expected, lora->tensors().at(lora_tensor_name(site, true)),
                       lora->tensors().at(lora_tensor_name(site, false)), 1, lora->scaling());
  expected = expected + last.at(kWeight);
  assert_true(at::equal(merged.at(kWeight), expected));
  const at::Tensor bias = base->weights().at(kBias) + first.at(kBias) + last.at(kBias);
  assert_true(at::equal(merged.at(kBias), bias));
  assert_true(merged.at("heads.head.weight").is_same(base->weights().at("heads.head.weight")));

  stack[0].scale = 0;  // disabled; and back without a trace
  assert_true(at::equal(merge(*base, {stack[0]}).at(kBias), base->weights().at(kBias)));
}

void a_delta_for_another_model_is_refused(void**) {
  const auto base = small_base();
  const auto adapter = delta_adapter(*base, {}, "req-1", 1);
  expect_error(Code::kBaseMismatch, "weights differ",
               [&] { check_on_top(*small_base(2), {}, *adapter); });
  Json wide = small_spec();
  wide["mlp_dim"] = 48;
  expect_error(Code::kBaseMismatch, "specs differ",
               [&] { check_on_top(*small_base(1, wide), {}, *adapter); });

  AdapterFile forged =
      adapter->to_file();  // claims this base, holds a weight that it does not have
  forged.tensors["no.such.delta"] = at::ones({2});
  forged.manifest["tensors"] = describe_tensors(forged.tensors);
  forged.manifest["adapter_id"] = derive_adapter_id(forged.manifest);
  const auto stranger = Adapter::from_file(forged);
  expect_error(Code::kBaseMismatch, "no.such.delta", [&] { check_on_top(*base, {}, *stranger); });
}

void a_delta_that_contradicts_itself_is_refused(void**) {
  const auto base = small_base();
  const AdapterFile good = delta_adapter(*base, {}, "req-1", 1)->to_file();
  const struct {
    const char* named;
    std::function<void(AdapterFile&)> edit;
    Code code = Code::kCorrupt;
  } forgeries[] = {
      {"\"kind\"", [](auto& f) { f.manifest["kind"] = "sparse"; }, Code::kVersion},
      {"\"scaling\"", [](auto& f) { f.manifest["scaling"] = 0.5; }},
      {"digest", [](auto& f) { f.tensors.begin()->second += 1; }},
      {"does not declare", [](auto& f) { f.tensors["x.delta"] = at::ones({1}); }},
      {"lacks the tensor", [](auto& f) { f.tensors.erase(f.tensors.begin()); }},
      {"role", [](auto& f) { f.manifest["tensors"][0]["role"] = "A"; }},
      {"NaN", [](auto& f) { f.tensors.begin()->second.view({-1})[0] = NAN; }},
      {"\"adapter_id\"", [](auto& f) { f.manifest["classes_forgotten"] = {3}; }},
  };
  for (const auto& forgery : forgeries) {
    AdapterFile file = good;
    for (auto& [name, tensor] : file.tensors) tensor = tensor.clone();
    forgery.edit(file);
    expect_error(forgery.code, forgery.named, [&] { Adapter::from_file(file); });
  }
  expect_error(Code::kInvalidArgument, "changed no weight",
               [&] { Adapter::create_delta(*base, {}, {}, small_facts(*base, {}, "req-1", {1})); });
}

void peft_holds_low_rank_only(void**) {
  const auto base = small_base();
  const TemporaryFolder folder;
  expect_error(Code::kUnsupported, "merged weights", [&] {
    write_peft(folder.path() + "/peft", *delta_adapter(*base, {}, "req-1", 1), Naming::kOwn);
  });
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_delta_goes_through_a_file),
      cmocka_unit_test(deltas_add_up_in_a_stack),
      cmocka_unit_test(a_delta_for_another_model_is_refused),
      cmocka_unit_test(a_delta_that_contradicts_itself_is_refused),
      cmocka_unit_test(peft_holds_low_rank_only),
  };
  return cmocka_run_group_tests_name("delta adapters", tests, nullptr, nullptr);
}
