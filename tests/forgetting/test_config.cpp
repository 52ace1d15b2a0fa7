// The settings: their defaults, ranges and JSON form.
#include <limits>

#include "forgetting/config.h"
#include "test.h"

namespace lethe {
namespace {

using testing::expect_error;

Json parse(const char* text) { return parse_json(text, "test"); }

/// Digests and ids are made of this text: what the first version wrote for equal settings stays.
void settings_of_the_first_version_keep_their_text(void**) {
  const char* const first =
      R"({"average_decay":0.9,"average_start_epoch":-1,"data_ratio":0.1,"dropout":-1.0,)"
      R"("epochs":100,"fast":31,"few_shot":0,"forget_batch":48,"forget_bound":15.0,)"
      R"("forget_weight":0.2,"gate_max_acc_f":5.0,"gate_max_acc_r_drop":10.0,)"
      R"("grouping":"block","learning_rate":0.01,"lora_alpha":1.0,"lora_init":"reference",)"
      R"("max_steps":0,"method":"gs-lora++","min_learning_rate":1e-05,)"
      R"("prefix_cache_bytes":1073741824,"progress_interval":10,"prototype_bound":18.0,)"
      R"("prototype_forget_weight":0.01,"prototype_retain_weight":0.0,)"
      R"("prototype_source":"original","proximal_weight":0.0,"rank":8,"retain_batch":48,)"
      R"("seed":1337,"sparsity":"subgradient","structure_start_epoch":0,)"
      R"("structure_weight":0.0001,"warmup_epochs":0,"weight_decay":0.05,)"
      R"("zero_threshold":0.001})";
  assert_string_equal(ForgetConfig{}.identity().dump().c_str(), first);
  ForgetConfig config;
  config.first_block = 2;
  Json changed = config.identity();
  assert_true(changed.at("first_block") == 2);
  changed.erase("first_block");
  assert_string_equal(changed.dump().c_str(), first);
}

/// As above, of pre-training: digests are made of it.
void pretraining_settings_keep_their_text(void**) {
  PretrainConfig config;
  const Json all = config.to_json(), text = config.identity();
  assert_int_equal(all.size(), 16);
  assert_int_equal(text.size(), 15);
  assert_false(text.contains("augment"));
  config.augment = true;
  assert_true(config.identity() == config.to_json());
  assert_true(config.identity().at("augment") == true);
}

void defaults_follow_method_and_head(void**) {
  const auto linear = ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, HeadKind::kLinear);
  assert_true(linear.to_json() == ForgetConfig{}.to_json());
  assert_true(linear.forget_bound == 15 && linear.prototype_forget_weight == 0.01);

  for (HeadKind head : {HeadKind::kCosFace, HeadKind::kArcFace}) {
    const auto config = ForgetConfig::defaults_for(MethodKind::kGsLora, head);
    assert_true(config.method == MethodKind::kGsLora);
    assert_true(config.forget_bound == 105 && config.forget_weight == 0.2);
    assert_true(config.prototype_forget_weight == 0);
    config.validate();
  }
  expect_error(Code::kUnsupported, "no method 77",
               [] { ForgetConfig::defaults_for(MethodKind{77}, HeadKind::kLinear); });
  expect_error(Code::kUnsupported, "no head 0",
               [] { ForgetConfig::defaults_for(MethodKind::kGsLora, HeadKind{0}); });
}

void json_holds_every_field_and_comes_back(void**) {
  ForgetConfig config;
  config.method = MethodKind::kGsLora;
  config.rank = 4;
  config.grouping = Grouping::kMatrix;
  config.lora_init = LoraInit::kKaiming;
  config.sparsity = Sparsity::kSubgradient;
  config.prototype_source = PrototypeSource::kTaskStart;
  config.structure_weight = 0.1;
  config.seed = std::numeric_limits<int64_t>::min();
  config.average_start_epoch = -7;
  config.dropout = -0.0;
  const Json json = config.to_json();
  assert_int_equal(json.size(), 47);
  assert_string_equal(json["method"].get<std::string>().c_str(), "gs-lora");
  assert_string_equal(json["grouping"].get<std::string>().c_str(), "matrix");
  assert_string_equal(json["prototype_source"].get<std::string>().c_str(), "task-start");
  assert_string_equal(json["dropout"].dump().c_str(), "0.0");

  ForgetConfig back;
  back.update_from_json(parse(json.dump().c_str()));
  assert_string_equal(back.to_json().dump().c_str(), json.dump().c_str());
  assert_true(back.sparsity == Sparsity::kSubgradient && back.seed == config.seed);
}

void update_changes_only_what_is_named(void**) {
  ForgetConfig config;
  config.epochs = 7;
  config.update_from_json(parse(R"({"rank": 4, "structure_weight": 1, "method": "gs-lora"})"));
  ForgetConfig expected;
  expected.epochs = 7;
  expected.rank = 4;
  expected.structure_weight = 1;
  expected.method = MethodKind::kGsLora;
  assert_string_equal(config.to_json().dump().c_str(), expected.to_json().dump().c_str());
}

void refused_updates_change_nothing(void**) {
  const struct {
    const char* json;
    const char* names;
  } cases[] = {
      {R"({"epochs": 5, "rnak": 4})", "rnak"},
      {R"({"epochs": 5, "rank": 0})", "\"rank\" is 0, allowed is an integer, at least 1"},
      {R"({"epochs": 5, "rank": 257})", "at most 256"},
      {R"({"epochs": 5, "rank": 4.0})", "\"rank\" is 4.0"},
      {R"({"epochs": 5, "rank": "4"})", "\"rank\" is \"4\""},
      {R"({"epochs": 5, "rank": null})", "\"rank\" is null"},
      {R"({"epochs": 5, "rank": [4]})", "\"rank\" is an array"},
      {R"({"epochs": 5, "rank": 4294967300})", "4294967300"},
      {R"({"epochs": 5, "seed": 18446744073709551615})", "18446744073709551615"},
      {R"({"epochs": 5, "data_ratio": 0})", "\"data_ratio\" is 0, allowed is a number, above 0"},
      {R"({"epochs": 5, "data_ratio": 1.01})", "at most 1"},
      {R"({"epochs": 5, "learning_rate": true})", "\"learning_rate\" is true"},
      {R"({"epochs": 5, "dropout": 0.95})", "negative or at least 0"},
      {R"({"epochs": 5, "sparsity": "Proximal"})", "one of \"subgradient\" \"proximal\""},
      {R"({"epochs": 5, "method": 2})", "\"method\" is 2"},
      {R"({"epochs": 5, "fast": 32})", "at most 31"},
      {R"([5])", "must be a JSON object"},
  };
  for (const auto& bad : cases) {
    ForgetConfig config;
    expect_error(Code::kInvalidArgument, bad.names,
                 [&] { config.update_from_json(parse(bad.json)); });
    assert_string_equal(config.to_json().dump().c_str(), ForgetConfig{}.to_json().dump().c_str());
  }
}

void findings_name_field_value_and_range(void**) {
  assert_true(ForgetConfig{}.findings().empty());

  ForgetConfig config;
  config.rank = 0;
  config.learning_rate = std::numeric_limits<double>::quiet_NaN();
  config.forget_bound = std::numeric_limits<double>::infinity();
  config.grouping = Grouping{9};
  config.progress_interval = 0;
  const Json findings = config.findings();
  assert_int_equal(findings.size(), 5);
  std::string dump = findings.dump();
  for (const char* part :
       {R"("field":"rank","value":0)", R"("field":"learning_rate","value":"nan")",
        R"("field":"forget_bound","value":"inf")", R"("field":"grouping","value":9)",
        R"("field":"progress_interval","value":0)"}) {
    if (dump.find(part) == std::string::npos) fail_msg("%s is not in %s", part, dump.c_str());
  }
  expect_error(Code::kInvalidArgument, "\"rank\" is 0", [&] { config.validate(); });
}

void fields_are_checked_against_each_other(void**) {
  ForgetConfig config;
  config.epochs = 3;
  config.warmup_epochs = 4;
  expect_error(Code::kInvalidArgument, "\"warmup_epochs\" is 4, allowed is at most epochs, 3",
               [&] { config.validate(); });
  config.warmup_epochs = 3;
  config.validate();
  config.min_learning_rate = 0.5;
  expect_error(Code::kInvalidArgument, "min_learning_rate", [&] { config.validate(); });
}

void negative_means_off_where_documented(void**) {
  ForgetConfig config;
  config.average_start_epoch = -1000;
  config.dropout = -0.5;
  config.gate_max_acc_f = -1;
  config.gate_max_acc_r_drop = -3;
  config.validate();
}

void method_info_describes_every_setting(void**) {
  const Json info = method_info();
  assert_int_equal(info.at("methods").size(), 16);
  assert_true(info.at("methods").at(3).at("name") == "ewc");
  assert_true(info.at("methods").at(3).at("number") == 4);
  const Json all = ForgetConfig{}.to_json();
  assert_int_equal(info.at("settings").size(), all.size());
  assert_int_equal(info.at("pretraining").size(), PretrainConfig{}.to_json().size());
  for (const Json& setting : info.at("settings")) {
    if (setting.at("name") != "method") {
      assert_true(setting.at("default") == all.at(setting.at("name")));
    }
    assert_false(setting.at("meaning").get<std::string>().empty());
    assert_false(setting.at("allowed").get<std::string>().empty());
  }
  const Json& defaults = info.at("defaults");
  assert_true(defaults.at("gs-lora").at("cosface").at("forget_bound") == 105.0);
  assert_true(defaults.at("gs-lora++").at("linear").at("forget_bound") == 15.0);
}

void pretraining_is_checked_too(void**) {
  PretrainConfig{}.validate();
  assert_int_equal(PretrainConfig{}.to_json().size(), 16);
  PretrainConfig config;
  config.label_smoothing = 1;
  expect_error(Code::kInvalidArgument,
               "\"label_smoothing\" is 1.0, allowed is a number, at least 0 "
               "and below 1",
               [&] { config.validate(); });
  config = {};
  config.batch = 0;
  expect_error(Code::kInvalidArgument, "batch", [&] { config.validate(); });
  config = {};
  config.warmup_epochs = 31;
  expect_error(Code::kInvalidArgument, "at most epochs, 30", [&] { config.validate(); });
}

}  // namespace
}  // namespace lethe

int main() {
  using namespace lethe;
  const CMUnitTest tests[] = {
      cmocka_unit_test(settings_of_the_first_version_keep_their_text),
      cmocka_unit_test(pretraining_settings_keep_their_text),
      cmocka_unit_test(defaults_follow_method_and_head),
      cmocka_unit_test(json_holds_every_field_and_comes_back),
      cmocka_unit_test(update_changes_only_what_is_named),
      cmocka_unit_test(refused_updates_change_nothing),
      cmocka_unit_test(findings_name_field_value_and_range),
      cmocka_unit_test(fields_are_checked_against_each_other),
      cmocka_unit_test(negative_means_off_where_documented),
      cmocka_unit_test(method_info_describes_every_setting),
      cmocka_unit_test(pretraining_is_checked_too),
  };
  return cmocka_run_group_tests_name("settings", tests, nullptr, nullptr);
}
