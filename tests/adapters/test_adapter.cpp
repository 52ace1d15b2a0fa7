#include "adapters/adapter.h"

#include "adapters/small_adapter.h"
#include "test.h"

namespace lethe::testing {
namespace {

const char* kSite = "encoder.layers.encoder_layer_0.mlp.0";

// ------------------------------------------------------------------------------------- adapters

void an_adapter_holds_kept_groups_only(void**) {
  const auto base = small_base();
  const LoraParameters lora = small_lora(*base, 1);
  const auto adapter = Adapter::create(*base, lora, small_groups(lora, {"block 1"}),
                                       small_facts(*base, {}, "req-1", {1, 2}));
  assert_int_equal(adapter->tensors().size(), 4);  // A and B of two linears of block 0
  assert_true(at::equal(adapter->tensors().at(lora_tensor_name(kSite, false)), lora.a(0)));
  assert_true(at::equal(adapter->tensors().at(lora_tensor_name(kSite, true)), lora.b(0)));
  assert_true(adapter->manifest().at("groups").at("all") == Json({"block 0", "block 1"}));
  assert_true(adapter->manifest().at("groups").at("selected") == Json::array({"block 0"}));
  assert_true(adapter->request_id() == "req-1");
  assert_true(adapter->classes() == std::vector<int64_t>({1, 2}));
  assert_true(adapter->parents().empty());
  assert_true(adapter->base_fingerprint() == base->fingerprint());
  expect_close(adapter->scaling(), 0.25);
}

void an_adapter_does_not_follow_the_trained_memory(void**) {
  const auto base = small_base();
  LoraParameters lora = small_lora(*base, 1);
  const auto adapter =
      Adapter::create(*base, lora, small_groups(lora), small_facts(*base, {}, "req-1", {1}));
  const at::Tensor before = adapter->tensors().at(lora_tensor_name(kSite, false)).clone();
  lora.values().zero_();
  assert_true(at::equal(adapter->tensors().at(lora_tensor_name(kSite, false)), before));
}

void a_matrix_group_takes_its_site_along(void**) {
  const auto base = small_base();
  const LoraParameters lora = small_lora(*base, 1, Grouping::kMatrix);
  const std::string dropped = lora_tensor_name(kSite, true);
  const auto adapter = Adapter::create(*base, lora, small_groups(lora, {dropped}),
                                       small_facts(*base, {}, "req-1", {1}));
  assert_int_equal(adapter->tensors().size(), 6);  // three of four sites, each with A and B
  assert_false(adapter->tensors().contains(lora_tensor_name(kSite, false)));
}

void nothing_kept_is_refused(void**) {
  const auto base = small_base();
  const LoraParameters lora = small_lora(*base, 1);
  expect_error(Code::kInvalidArgument, "no group", [&] {
    Adapter::create(*base, lora, small_groups(lora, {"block 0", "block 1"}),
                    small_facts(*base, {}, "req-1", {1}));
  });
}

void the_id_is_that_of_the_content(void**) {
  const auto base = small_base();
  const LoraParameters lora = small_lora(*base, 1);
  const auto groups = small_groups(lora);
  const AdapterFacts facts = small_facts(*base, {}, "req-1", {1});
  const std::string id = Adapter::create(*base, lora, groups, facts)->id();

  AdapterFacts elsewhere = facts;  // the same training at another time, under another name
  elsewhere.created_utc = "2031-01-01T00:00:00Z";
  elsewhere.request_id = "another";
  elsewhere.environment = {{"threads", 64}};
  elsewhere.metrics = {{"before", Json::object()}, {"after", Json::object()}};
  assert_true(Adapter::create(*base, lora, groups, elsewhere)->id() == id);

  AdapterFacts other_classes = facts, other_config = facts;
  other_classes.classes = {2};
  other_config.config["rank"] = 3;
  assert_false(Adapter::create(*base, lora, groups, other_classes)->id() == id);
  assert_false(Adapter::create(*base, lora, groups, other_config)->id() == id);
  const LoraParameters other_lora = small_lora(*base, 2);
  assert_false(Adapter::create(*base, other_lora, groups, facts)->id() == id);
  const auto other_base = small_base(2);
  assert_false(
      Adapter::create(*other_base, lora, groups, small_facts(*other_base, {}, "req-1", {1}))
          ->id() == id);
}

void a_checkpoint_gives_the_adapter_back(void**) {
  const auto base = small_base();
  const Stack below = {{small_adapter(*base, {}, "req-1", {1}, 1)}};
  const auto adapter = small_adapter(*base, below, "req-2", {2, 3}, 2);
  TemporaryFolder folder;
  write_adapter_file(folder / "a.lethe", adapter->to_file());
  const auto read = Adapter::from_file(read_adapter_file(folder / "a.lethe"));
  assert_true(read->id() == adapter->id());
  assert_true(read->manifest() == adapter->manifest());
  assert_true(read->parents() == adapter->parents());
  assert_true(read->parent_state() == adapter->parent_state());
  assert_true(same_bits(read->tensors(), adapter->tensors()));
  check_on_top(*base, below, *read);
}

void class_names_are_written_only_when_asked(void**) {
  const auto base = small_base();
  const LoraParameters lora = small_lora(*base, 1);
  AdapterFacts facts = small_facts(*base, {}, "req-1", {1, 2});
  facts.class_names = {"Trouser", "Pullover"};
  const auto adapter = Adapter::create(*base, lora, small_groups(lora), facts);
  assert_false(adapter->manifest().contains("class_names"));
  assert_false(adapter->to_file().manifest.contains("class_names"));
  const AdapterFile named = adapter->to_file(/*class_names=*/true);
  assert_true(named.manifest.at("class_names") == Json({"Trouser", "Pullover"}));
  const auto read = Adapter::from_file(named);
  assert_true(read->id() == adapter->id());
  assert_false(read->to_file().manifest.contains("class_names"));
  assert_true(read->to_file(true).manifest.contains("class_names"));
}

// ------------------------------------------------------------------------------ hostile
// checkpoints

struct Forgery {
  const char* named;  ///< what the message must say
  std::function<void(AdapterFile&)> edit;
  Code code = Code::kCorrupt;
};

void expect_refused(const std::vector<Forgery>& forgeries) {
  const auto base = small_base();
  const auto adapter = small_adapter(*base, {}, "req-1", {1, 2}, 1);
  for (const Forgery& forgery : forgeries) {
    AdapterFile file = adapter->to_file();
    forgery.edit(file);
    expect_error(forgery.code, forgery.named, [&] { Adapter::from_file(file); });
  }
}

void every_key_of_a_manifest_is_needed(void**) {
  const auto base = small_base();
  const AdapterFile good = small_adapter(*base, {}, "req-1", {1}, 1)->to_file();
  for (const auto& [key, value] : good.manifest.items()) {
    AdapterFile file = good;
    file.manifest.erase(key);
    expect_error(Code::kCorrupt, key, [&] { Adapter::from_file(file); });
    file.manifest[key] = nullptr;  // a type that no key has
    expect_error(Code::kCorrupt, "", [&] { Adapter::from_file(file); });
  }
  assert_int_equal(good.manifest.size(), 22);
}

void a_manifest_that_contradicts_itself_is_refused(void**) {
  const std::string zeros(64, '0');
  expect_refused({
      {"format 3", [](auto& f) { f.manifest["format"] = 3; }, Code::kVersion},
      {"adapter_id", [&](auto& f) { f.manifest["adapter_id"] = zeros; }},
      {"adapter_id", [](auto& f) { f.manifest["classes_forgotten"] = {3}; }},
      {"adapter_id", [](auto& f) { f.manifest["method_config"]["rank"] = 5; }},
      {"adapter_id", [](auto& f) { f.manifest["method"] = "scrub"; }},
      {"header", [&](auto& f) { f.base_fingerprint = {}; }},
      {"parent state", [&](auto& f) { f.manifest["base"]["fingerprint"] = zeros; }},
      {"parent state", [&](auto& f) { f.manifest["parent_state_fingerprint"] = zeros; }},
      {"hexadecimal", [](auto& f) { f.manifest["base"]["fingerprint"] = "me"; }},
      {"names_digest", [](auto& f) { f.manifest["base"].erase("names_digest"); }},
      {"task_id", [](auto& f) { f.manifest["task_id"] = "task"; }},
      {"request_id", [](auto& f) { f.manifest["request_id"] = ""; }},
      {"request_id", [](auto& f) { f.manifest["request_id"] = std::string(129, 'x'); }},
      {"request_id", [](auto& f) { f.manifest["request_id"] = "a\nb"; }},
      {"parent", [](auto& f) { f.manifest["parents"] = {"req-0"}; }},
      {"parents",
       [&](auto& f) {
         f.manifest["parents"] = {zeros, zeros};
       }},
      {"parents", [](auto& f) { f.manifest["parents"] = "none"; }},
      {"classes_forgotten", [](auto& f) { f.manifest["classes_forgotten"] = Json::array(); }},
      {"classes_forgotten",
       [](auto& f) {
         f.manifest["classes_forgotten"] = {1, 1};
       }},
      {"holds 4", [](auto& f) { f.manifest["classes_forgotten"] = {4}; }},
      {"holds -1", [](auto& f) { f.manifest["classes_forgotten"] = {-1}; }},
      {"classes_forgotten", [](auto& f) { f.manifest["classes_forgotten"] = {1.5}; }},
      {"classes", [](auto& f) { f.manifest["arch_spec"].erase("classes"); }},
      {"class_names", [](auto& f) { f.manifest["class_names"] = {"one"}; }},
      {"rank", [](auto& f) { f.manifest["rank"] = 0; }},
      {"rank", [](auto& f) { f.manifest["rank"] = int64_t{1} << 40; }},
      {"scaling", [](auto& f) { f.manifest["scaling"] = 0.5; }},
      {"scaling", [](auto& f) { f.manifest["scaling"] = f.manifest["alpha"] = 0; }},
      {"alpha", [](auto& f) { f.manifest["alpha"] = "0.5"; }},
      {"norms", [](auto& f) { f.manifest["groups"].erase("norms"); }},
      {"norms", [](auto& f) { f.manifest["groups"]["norms"] = {1.0}; }},
      {"effects",
       [](auto& f) {
         f.manifest["groups"]["effects"] = {1.0, -1.0};
       }},
      {"relative",
       [](auto& f) {
         f.manifest["groups"]["relative"] = {1.0, nullptr};
       }},
      {"block 7", [](auto& f) { f.manifest["groups"]["selected"] = {"block 7"}; }},
      {"twice",
       [](auto& f) {
         f.manifest["groups"]["all"] = {"block 0", "block 0"};
       }},
      {"before", [](auto& f) { f.manifest["metrics"].erase("before"); }},
      {"object", [](auto& f) { f.manifest = Json::array(); }},
  });
}

void tensors_must_be_the_declared_ones(void**) {
  const std::string a = lora_tensor_name(kSite, false), b = lora_tensor_name(kSite, true);
  expect_refused({
      {a.c_str(), [&](auto& f) { f.tensors.erase(a); }},
      {"extra",
       [&](auto& f) {
         f.tensors["extra"] = at::zeros({2, 2});
       }},
      {"shape", [&](auto& f) { f.tensors[a] = f.tensors[a].t().contiguous(); }},
      {"shape", [&](auto& f) { f.tensors[a] = f.tensors[a].flatten(); }},
      {"F16", [&](auto& f) { f.tensors[a] = f.tensors[a].to(at::kHalf); }},
      {"digest", [&](auto& f) { f.tensors[a] = f.tensors[a] + 1; }},
      {"NaN", [&](auto& f) { f.tensors[a] = at::full_like(f.tensors[a], NAN); }},
      {"NaN", [&](auto& f) { f.tensors[b] = at::full_like(f.tensors[b], INFINITY); }},
      {"twice", [](auto& f) { f.manifest["tensors"].push_back(Json(f.manifest["tensors"][0])); }},
      {"not declare", [](auto& f) { f.manifest["tensors"].erase(0); }},
      {"tensors", [](auto& f) { f.manifest["tensors"] = Json::array(); }},
      {"object", [](auto& f) { f.manifest["tensors"][0] = "A"; }},
      {"lacks the key", [](auto& f) { f.manifest["tensors"][0].erase("sha256"); }},
      {"role", [](auto& f) { f.manifest["tensors"][0]["role"] = "C"; }},
      {"role", [](auto& f) { f.manifest["tensors"][0]["role"] = "B"; }},
      {"role", [](auto& f) { f.manifest["tensors"][0]["target"] = "heads.head"; }},
      {"declared as", [](auto& f) { f.manifest["tensors"][0]["dtype"] = "F16"; }},
      {"declares",
       [](auto& f) {
         f.manifest["tensors"][0]["shape"] = {2, 17};
       }},
      {"rank",
       [](auto& f) {
         f.manifest["rank"] = 4;
         f.manifest["alpha"] = 1;
       }},
      {"counterpart",
       [&](auto& f) {
         f.tensors.erase(b);
         f.manifest["tensors"] = describe_tensors(f.tensors);
       }},
  });
}

// ----------------------------------------------------------------------------------------- stack

void merged_weights_are_base_plus_scaled_products(void**) {
  const auto base = small_base();
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  const auto second = small_adapter(*base, {{first}}, "req-2", {2}, 2);
  const Weights merged = merge(*base, {{first, 1}, {second, 0.5}});
  const std::string name = std::string(kSite) + ".weight";
  const at::Tensor expected =
      base->weights().at(name).to(at::kDouble) +
      0.25 * first->tensors()
                 .at(lora_tensor_name(kSite, true))
                 .to(at::kDouble)
                 .mm(first->tensors().at(lora_tensor_name(kSite, false)).to(at::kDouble)) +
      0.5 * 0.25 *
          second->tensors()
              .at(lora_tensor_name(kSite, true))
              .to(at::kDouble)
              .mm(second->tensors().at(lora_tensor_name(kSite, false)).to(at::kDouble));
  assert_true((merged.at(name).to(at::kDouble) - expected).abs().max().item<double>() < 1e-6);
  assert_false(at::equal(merged.at(name), base->weights().at(name)));
}

void merging_one_by_hand(void**) {
  // W + s B A with A = (1, 2, 0 ..; 0, 1, 0 ..), B = (3, 4; 0 ..), s = 1/4: row 0 gains
  // (3, 2 * 3 + 4) / 4 = (0.75, 2.5), the rest stays.
  const auto base = small_base();
  LoraParameters lora(base->model().adapter_sites(), 2, 0.25, Grouping::kBlock, at::kCPU);
  lora.a(0)[0][0] = 1;
  lora.a(0)[0][1] = 2;
  lora.a(0)[1][1] = 1;
  lora.b(0)[0][0] = 3;
  lora.b(0)[0][1] = 4;
  const auto adapter = Adapter::create(*base, lora, small_groups(lora, {"block 1"}),
                                       small_facts(*base, {}, "req-1", {1}));
  const std::string name = std::string(kSite) + ".weight";
  const at::Tensor change = merge(*base, {{adapter}}).at(name) - base->weights().at(name);
  expect_close(change[0][0].item<double>(), 0.75);
  expect_close(change[0][1].item<double>(), 2.5);
  assert_int_equal(at::count_nonzero(change.abs() > 1e-6).item<int64_t>(), 2);
}

void merging_shares_what_no_adapter_changes(void**) {
  const auto base = small_base();
  const Weights merged = merge(*base, {{small_adapter(*base, {}, "req-1", {1}, 1)}});
  assert_ptr_equal(merged.at("heads.head.weight").const_data_ptr(),
                   base->weights().at("heads.head.weight").const_data_ptr());
  assert_true(same_bits(merge(*base, {}), base->weights()));
}

/// q, k and v are rows 0, 16 and 32 of one tensor: each of the three sums lands on its own.
void attention_adapters_merge_into_their_rows(void**) {
  const Json face = {{"arch", "face_vit"}, {"classes", 4},    {"image_size", 8}, {"patch_size", 4},
                     {"dim", 12},          {"depth", 2},      {"heads", 3},      {"head_dim", 8},
                     {"mlp_dim", 20},      {"head", "linear"}};
  const auto model = make_classifier(ModelSpec::from_json(face));
  const auto face_base = std::make_shared<const BaseModel>(
      model, model->random_weights(RandomStream(1, "face")), at::kCPU);
  for (const auto& base : {small_base(), face_base}) {
    const LoraParameters lora = small_attention_lora(*base, 1);
    const auto adapter = Adapter::create(*base, lora, small_groups(lora, {"block 1"}),
                                         small_facts(*base, {}, "req-1", {1}));
    assert_int_equal(adapter->tensors().size(), 6);  // A and B of q, k and v of block 0
    assert_true(adapter->tensors().contains(lora.sites()[1].name + ".lora_A"));
    const auto again = Adapter::from_file(adapter->to_file());
    check_stack(*base, {{again}});
    const auto ffn = small_adapter(*base, {{again}}, "req-2", {2}, 2);
    const Weights before = base->weights(), merged = merge(*base, {{again}, {ffn}});
    for (const auto& [name, tensor] : before) {
      const bool block_0 = name.find("0") != std::string::npos;
      const bool qkv = name.ends_with("in_proj_weight") || name.ends_with("qkv.weight");
      if (!qkv) continue;
      if (!(block_0 && name == lora.sites()[0].weight)) {  // block 1's is the base's memory
        assert_ptr_equal(merged.at(name).const_data_ptr(), tensor.const_data_ptr());
        continue;
      }
      at::Tensor expected = tensor.to(at::kDouble);
      for (size_t i = 0; i < 3; ++i) {
        expected.chunk(3, 0)[i].add_(lora.b(i).to(at::kDouble).mm(lora.a(i).to(at::kDouble)), 0.25);
      }
      assert_true((merged.at(name) - expected).abs().max().item<double>() < 1e-6);
      assert_false(at::equal(merged.at(name), tensor));
    }
    assert_true(same_bits(merge(*base, {{ffn, 0}, {again, 0}}), before));  // rolled back
    // Both kinds change what the model computes, and by what the merged weights say.
    const auto& spec = base->classifier().spec();
    const at::Tensor images = at::ones({1, spec.channels, 8, 8});
    const at::Tensor plain = scores(*base, before, images);
    const at::Tensor one = scores(*base, merge(*base, {{again}}), images);
    assert_true((plain - one).abs().max().item<double>() > 1e-3);
    assert_true((scores(*base, merged, images) - one).abs().max().item<double>() > 1e-3);
  }
}

/// One after the other on the same rows, without a k: 2 x (s B A) on q, k as it was.
void merging_attention_by_hand(void**) {
  const auto base = small_base();
  const std::string name = "encoder.layers.encoder_layer_1.self_attention.in_proj_weight";
  std::vector<AdapterSite> sites = base->model().attention_sites();
  sites = {sites[3], sites[5]};  // q and v of block 1
  LoraParameters lora(sites, 2, 0.25, Grouping::kBlock, at::kCPU);
  lora.a(0)[0][0] = 1;  // q's row 0 gains 3 / 4 at column 0
  lora.b(0)[0][0] = 3;
  lora.a(1)[1][2] = 2;  // v's row 15, the last of 48, gains 2 * 5 / 4 at column 2
  lora.b(1)[15][1] = 5;
  const auto first =
      Adapter::create(*base, lora, small_groups(lora), small_facts(*base, {}, "req-1", {1}));
  const auto second =
      Adapter::create(*base, lora, small_groups(lora), small_facts(*base, {{first}}, "req-2", {2}));
  const at::Tensor change = merge(*base, {{first}, {second}}).at(name) - base->weights().at(name);
  expect_close(change[0][0].item<double>(), 1.5, 1e-6);
  expect_close(change[47][2].item<double>(), 5, 1e-6);
  assert_int_equal(at::count_nonzero(change.abs() > 1e-6).item<int64_t>(), 2);
}

void equal_stacks_merge_to_equal_bits(void**) {
  const auto base = small_base();
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  const auto second = small_adapter(*base, {{first}}, "req-2", {2}, 2);
  const Weights both = merge(*base, {{first}, {second}});
  assert_true(same_bits(both, merge(*base, {{first}, {second}})));
  assert_true(same_bits(merge(*base, {{first}}), merge(*base, {{first}, {second, 0}})));
  assert_false(same_bits(both, merge(*base, {{first}})));
}

void an_adapter_of_another_base_is_refused(void**) {
  const auto base = small_base(1), other_weights = small_base(2);
  const auto adapter = small_adapter(*base, {}, "req-1", {1}, 1);
  check_stack(*base, {{adapter}});
  expect_error(Code::kBaseMismatch, hex(base->fingerprint()).substr(0, 12),
               [&] { check_stack(*other_weights, {{adapter}}); });
  expect_error(Code::kBaseMismatch, hex(other_weights->fingerprint()).substr(0, 12),
               [&] { check_stack(*other_weights, {{adapter}}, /*allow_unverified=*/true); });
  expect_error(Code::kBaseMismatch, "the weights differ",
               [&] { check_stack(*other_weights, {{adapter}}); });
  Json wider = small_spec();
  wider["mlp_dim"] = 48;
  expect_error(Code::kBaseMismatch, lora_tensor_name(kSite, true),
               [&] { check_stack(*small_base(1, wider), {{adapter}}); });

  const LoraParameters lora = small_attention_lora(*base, 1);
  const auto attention =
      Adapter::create(*base, lora, small_groups(lora), small_facts(*base, {}, "req-1", {1}));
  expect_error(Code::kBaseMismatch, "the weights differ",
               [&] { check_stack(*other_weights, {{attention}}); });
  wider = small_spec();
  wider["dim"] = 24;
  expect_error(Code::kBaseMismatch, "in_proj_weight\" has there [24, 24]",
               [&] { check_stack(*small_base(1, wider), {{attention}}); });
}

void a_lying_fingerprint_does_not_attach_misfitting_tensors(void**) {
  Json wider = small_spec();
  wider["mlp_dim"] = 48;
  const auto base = small_base(), other = small_base(1, wider);
  AdapterFile file = small_adapter(*other, {}, "req-1", {1}, 1)->to_file();
  file.base_fingerprint = base->fingerprint();
  file.manifest["base"]["fingerprint"] = hex(base->fingerprint());
  file.manifest["parent_state_fingerprint"] = hex(base->fingerprint());
  file.manifest["adapter_id"] = derive_adapter_id(file.manifest);
  const auto liar = Adapter::from_file(file);
  expect_error(Code::kBaseMismatch, "fits no layer",
               [&] { check_stack(*base, {{liar}}, /*allow_unverified=*/true); });

  // Rows for q that reach into k's, were they taken.
  std::vector<AdapterSite> sites = base->model().attention_sites();
  sites.resize(1);
  sites[0].out = 17;
  LoraParameters lora(sites, 2, 0.25, Grouping::kBlock, at::kCPU);
  lora.values().fill_(1);
  const auto tall =
      Adapter::create(*base, lora, small_groups(lora), small_facts(*base, {}, "req-1", {1}));
  expect_error(Code::kBaseMismatch, "self_attention.q.lora_B",
               [&] { check_stack(*base, {{tall}}, /*allow_unverified=*/true); });

  file = small_adapter(*base, {}, "req-1", {1}, 1)->to_file();
  file.manifest["arch_spec"]["classes"] = 100;
  file.manifest["classes_forgotten"] = {99};
  file.manifest["adapter_id"] = derive_adapter_id(file.manifest);
  const auto other_liar = Adapter::from_file(file);
  expect_error(Code::kBaseMismatch, "class 99",
               [&] { check_stack(*base, {{other_liar}}, /*allow_unverified=*/true); });
}

void parents_must_be_the_enabled_adapters_beneath(void**) {
  const auto base = small_base();
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  const auto second = small_adapter(*base, {{first}}, "req-2", {2}, 2);
  const auto rival = small_adapter(*base, {}, "req-3", {3}, 3);
  check_stack(*base, {{first}, {second}});
  expect_error(Code::kBaseMismatch, first->id().substr(0, 12),
               [&] { check_stack(*base, {{second}}); });
  expect_error(Code::kBaseMismatch, "req-2", [&] { check_stack(*base, {{rival}, {second}}); });
  expect_error(Code::kBaseMismatch, "req-3", [&] { check_stack(*base, {{first}, {rival}}); });
  check_stack(*base, {{second}}, /*allow_unverified=*/true);
  check_stack(*base, {{first}, {rival}}, /*allow_unverified=*/true);
}

void a_stack_lists_each_adapter_and_request_once(void**) {
  const auto base = small_base();
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  const auto same_request = small_adapter(*base, {{first}}, "req-1", {2}, 2);
  expect_error(Code::kExists, "req-1", [&] { check_stack(*base, {{first}, {first}}, true); });
  expect_error(Code::kExists, "req-1", [&] { check_stack(*base, {{first}, {same_request}}); });
}

void a_scale_other_than_one_needs_permission(void**) {
  const auto base = small_base();
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  expect_error(Code::kBaseMismatch, "0.5", [&] { check_stack(*base, {{first, 0.5}}); });
  expect_error(Code::kBaseMismatch, "0", [&] { check_stack(*base, {{first, 0}}); });
  check_stack(*base, {{first, 0.5}}, /*allow_unverified=*/true);
  expect_error(Code::kInvalidArgument, "nan", [&] {
    check_stack(*base, {{first, NAN}}, /*allow_unverified=*/true);
  });
  expect_error(Code::kInvalidArgument, "inf", [&] {
    check_stack(*base, {{first, INFINITY}}, /*allow_unverified=*/true);
  });
}

void an_adapter_trained_on_a_scaled_stack_needs_that_scale(void**) {
  const auto base = small_base();
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  const Stack halved = {{first, 0.5}};
  const auto second = small_adapter(*base, halved, "req-2", {2}, 2);
  check_on_top(*base, halved, *second);
  expect_error(Code::kBaseMismatch, "scales", [&] { check_on_top(*base, {{first}}, *second); });
}

void a_state_is_known_by_its_enabled_adapters(void**) {
  const auto base = small_base();
  const auto first = small_adapter(*base, {}, "req-1", {1, 2}, 1);
  const auto second = small_adapter(*base, {{first}}, "req-2", {3}, 2);
  assert_true(state_fingerprint(*base, {}) == base->fingerprint());
  assert_true(state_fingerprint(*base, {{first, 0}}) == base->fingerprint());
  assert_true(state_fingerprint(*base, {{first}}) ==
              state_fingerprint(*base, {{first}, {second, 0}}));
  assert_false(state_fingerprint(*base, {{first}}) == state_fingerprint(*base, {{first, 0.5}}));
  assert_false(state_fingerprint(*base, {{first}}) ==
               state_fingerprint(*base, {{first}, {second}}));
  assert_true(forgotten_classes(*base, {{first}, {second}}) == std::vector<int64_t>({1, 2, 3}));
  assert_true(forgotten_classes(*base, {{first, 0}, {second}}) == std::vector<int64_t>({3}));
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest adapters[] = {cmocka_unit_test(an_adapter_holds_kept_groups_only),
                                 cmocka_unit_test(an_adapter_does_not_follow_the_trained_memory),
                                 cmocka_unit_test(a_matrix_group_takes_its_site_along),
                                 cmocka_unit_test(nothing_kept_is_refused),
                                 cmocka_unit_test(the_id_is_that_of_the_content),
                                 cmocka_unit_test(a_checkpoint_gives_the_adapter_back),
                                 cmocka_unit_test(class_names_are_written_only_when_asked)};
  const CMUnitTest hostile[] = {cmocka_unit_test(every_key_of_a_manifest_is_needed),
                                cmocka_unit_test(a_manifest_that_contradicts_itself_is_refused),
                                cmocka_unit_test(tensors_must_be_the_declared_ones)};
  const CMUnitTest stack[] = {
      cmocka_unit_test(merged_weights_are_base_plus_scaled_products),
      cmocka_unit_test(merging_one_by_hand),
      cmocka_unit_test(merging_shares_what_no_adapter_changes),
      cmocka_unit_test(attention_adapters_merge_into_their_rows),
      cmocka_unit_test(merging_attention_by_hand),
      cmocka_unit_test(equal_stacks_merge_to_equal_bits),
      cmocka_unit_test(an_adapter_of_another_base_is_refused),
      cmocka_unit_test(a_lying_fingerprint_does_not_attach_misfitting_tensors),
      cmocka_unit_test(parents_must_be_the_enabled_adapters_beneath),
      cmocka_unit_test(a_stack_lists_each_adapter_and_request_once),
      cmocka_unit_test(a_scale_other_than_one_needs_permission),
      cmocka_unit_test(an_adapter_trained_on_a_scaled_stack_needs_that_scale),
      cmocka_unit_test(a_state_is_known_by_its_enabled_adapters)};
  int failed = cmocka_run_group_tests_name("adapter", adapters, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("hostile adapter", hostile, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("stack", stack, nullptr, nullptr);
  return failed;
}
