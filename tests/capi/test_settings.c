/* Settings of forget tasks and pre-training. */
#include <math.h>

#include "common.h"

static lethe_forget_config defaults(lethe_method method, lethe_head head) {
  lethe_forget_config config;
  assert_ok(lethe_forget_config_init(&config, sizeof config, method, head));
  return config;
}

static void defaults_depend_on_method_and_head(void** state) {
  lethe_forget_config config = defaults(LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR);
  (void)state;
  assert_int_equal(config.method, LETHE_GS_LORA_PP);
  assert_int_equal(config.rank, 8);
  assert_true(config.forget_bound == 15 && config.forget_weight == 0.2);
  assert_true(config.prototype_forget_weight == 0.01 && config.prototype_bound == 18);
  assert_int_equal(config.grouping, LETHE_GROUP_BLOCK);
  assert_int_equal(config.sparsity, LETHE_SUBGRADIENT);
  assert_int_equal(config.seed, 1337);
  assert_int_equal(config.prefix_cache_bytes, 1 << 30);
  config = defaults(LETHE_GS_LORA, LETHE_HEAD_COSFACE);
  assert_true(config.forget_bound == 105 && config.prototype_forget_weight == 0);
  config = defaults(LETHE_GS_LORA_PP, LETHE_HEAD_ARCFACE);
  assert_true(config.forget_bound == 105);
  assert_int_equal(config.audits, LETHE_AUDIT_MEMBERSHIP);
  config = defaults(LETHE_EWC, LETHE_HEAD_LINEAR);
  assert_true(config.method == LETHE_EWC && config.penalty_weight == 3);
  assert_int_equal(config.form, LETHE_FORM_CORRECTED);
  assert_true(defaults(LETHE_EWC, LETHE_HEAD_COSFACE).penalty_weight == 10);
  assert_fails(LETHE_E_UNSUPPORTED, "method 17",
               lethe_forget_config_init(&config, sizeof config, 17, LETHE_HEAD_LINEAR));
  assert_fails(LETHE_E_UNSUPPORTED, "head 5",
               lethe_forget_config_init(&config, sizeof config, LETHE_GS_LORA, 5));
}

static void assert_untouched(const lethe_forget_config* config, size_t size) {
  size_t i;
  for (i = size; i < sizeof *config; ++i) {
    assert_int_equal(((const unsigned char*)config)[i], 0xee);
  }
}

/* Every field of the struct reaches the JSON text under its own name, and comes back from there. */
static void every_field_travels_through_json(void** state) {
  lethe_forget_config config = defaults(LETHE_GS_LORA, LETHE_HEAD_LINEAR), back;
  lethe_buffer* json = NULL;
  static const char* const parts[] = {
      "\"method\":\"gs-lora\"",
      "\"rank\":4",
      "\"grouping\":\"matrix\"",
      "\"lora_alpha\":2.5",
      "\"lora_init\":\"kaiming\"",
      "\"epochs\":21",
      "\"warmup_epochs\":3",
      "\"forget_batch\":5",
      "\"retain_batch\":6",
      "\"few_shot\":7",
      "\"max_steps\":800000000",
      "\"learning_rate\":0.25",
      "\"min_learning_rate\":0.125",
      "\"weight_decay\":0.5",
      "\"data_ratio\":0.75",
      "\"dropout\":0.375",
      "\"forget_bound\":1.5",
      "\"forget_weight\":2.25",
      "\"structure_weight\":3.5",
      "\"structure_start_epoch\":9",
      "\"sparsity\":\"subgradient\"",
      "\"proximal_weight\":4.5",
      "\"zero_threshold\":0.0625",
      "\"prototype_forget_weight\":5.5",
      "\"prototype_retain_weight\":6.5",
      "\"prototype_bound\":7.5",
      "\"prototype_source\":\"task-start\"",
      "\"average_start_epoch\":10",
      "\"average_decay\":0.875",
      "\"gate_max_acc_f\":11.5",
      "\"gate_max_acc_r_drop\":12.5",
      "\"seed\":-13",
      "\"prefix_cache_bytes\":4294967296",
      "\"fast\":3",
      "\"progress_interval\":14",
      "\"form\":\"reference\"",
      "\"lora_position\":\"attention\"",
      "\"first_block\":1",
      "\"structure_search\":\"sparsest\"",
      "\"audits\":6",
      "\"penalty_weight\":15.5",
      "\"distillation_weight\":16.5",
      "\"replay_weight\":17.5",
      "\"temperature\":18.5",
      "\"smoothing\":19.5",
      "\"gradient_clip\":20.5",
      "\"augment\":true",
  };
  size_t i;
  (void)state;
  config.max_steps = 800000000;
  config.rank = 4, config.grouping = LETHE_GROUP_MATRIX, config.lora_alpha = 2.5;
  config.lora_init = LETHE_INIT_KAIMING, config.epochs = 21, config.warmup_epochs = 3;
  config.forget_batch = 5, config.retain_batch = 6, config.few_shot = 7;
  config.learning_rate = 0.25, config.min_learning_rate = 0.125, config.weight_decay = 0.5;
  config.data_ratio = 0.75, config.dropout = 0.375, config.forget_bound = 1.5;
  config.forget_weight = 2.25, config.structure_weight = 3.5, config.structure_start_epoch = 9;
  config.sparsity = LETHE_SUBGRADIENT, config.proximal_weight = 4.5, config.zero_threshold = 0.0625;
  config.prototype_forget_weight = 5.5, config.prototype_retain_weight = 6.5;
  config.prototype_bound = 7.5, config.prototype_source = LETHE_PROTOTYPE_TASK_START;
  config.average_start_epoch = 10, config.average_decay = 0.875, config.gate_max_acc_f = 11.5;
  config.gate_max_acc_r_drop = 12.5, config.seed = -13;
  config.prefix_cache_bytes = (int64_t)1 << 32, config.fast = 3, config.progress_interval = 14;
  config.form = LETHE_FORM_REFERENCE, config.lora_position = LETHE_LORA_ATTENTION;
  config.first_block = 1, config.structure_search = LETHE_SEARCH_SPARSEST;
  config.audits = LETHE_AUDIT_VERIFICATION | LETHE_AUDIT_PROBE, config.penalty_weight = 15.5;
  config.distillation_weight = 16.5, config.replay_weight = 17.5, config.temperature = 18.5;
  config.smoothing = 19.5, config.gradient_clip = 20.5, config.augment = 1;
  assert_int_equal(sizeof parts / sizeof parts[0], 47);
  for (i = 0; i < 47; ++i) {
    assert_ok(lethe_forget_config_to_json(&config, &json));
    assert_text(json, parts[i]);
  }
  assert_ok(lethe_forget_config_to_json(&config, &json));
  back = defaults(LETHE_GS_LORA_PP, LETHE_HEAD_ARCFACE);
  assert_ok(lethe_forget_config_from_json(lethe_buffer_data(json), &back));
  assert_memory_equal(&back, &config, sizeof back);
  lethe_buffer_free(json);
}

/* Defaults differ by head, so no field may be left out because it holds some default. */
static void settings_come_back_over_any_defaults(void** state) {
  const lethe_head heads[] = {LETHE_HEAD_LINEAR, LETHE_HEAD_COSFACE, LETHE_HEAD_ARCFACE,
                              LETHE_HEAD_DETECTION};
  size_t from, over;
  (void)state;
  for (from = 0; from < 4; ++from) {
    for (over = 0; over < 4; ++over) {
      const lethe_forget_config config = defaults(LETHE_GS_LORA_PP, heads[from]);
      lethe_forget_config back = defaults(LETHE_GS_LORA_PP, heads[over]);
      lethe_buffer* json = NULL;
      assert_ok(lethe_forget_config_to_json(&config, &json));
      assert_ok(lethe_forget_config_from_json(lethe_buffer_data(json), &back));
      assert_memory_equal(&back, &config, sizeof back);
      lethe_buffer_free(json);
    }
  }
}

/* What lies behind the struct of a caller of ABI 1.1 is not the library's, nor a setting. */
static void a_struct_of_abi_1_1_has_the_defaults_of_later_fields(void** state) {
  const size_t size = offsetof(lethe_forget_config, form);
  const lethe_forget_config whole = defaults(LETHE_GS_LORA, LETHE_HEAD_LINEAR);
  lethe_forget_config old;
  lethe_buffer *expected = NULL, *json = NULL;
  (void)state;
  memset(&old, 0xee, sizeof old);
  assert_ok(lethe_forget_config_init(&old, size, LETHE_GS_LORA, LETHE_HEAD_LINEAR));
  assert_int_equal(old.struct_size, size);
  assert_untouched(&old, size);
  assert_ok(lethe_forget_config_validate(&old, NULL));
  assert_ok(lethe_forget_config_to_json(&whole, &expected));
  assert_ok(lethe_forget_config_to_json(&old, &json));
  assert_string_equal(lethe_buffer_data(json), lethe_buffer_data(expected));
  lethe_buffer_free(json);
  lethe_buffer_free(expected);
  assert_ok(lethe_forget_config_from_json("{\"rank\":4}", &old));
  assert_true(old.rank == 4 && old.struct_size == size);
  assert_untouched(&old, size);
  assert_fails(LETHE_E_UNSUPPORTED, "lethe.h",
               lethe_forget_config_from_json("{\"audits\":2}", &old));
  assert_fails(LETHE_E_UNSUPPORTED, "lethe.h",
               lethe_forget_config_from_json("{\"method\":\"ewc\"}", &old));
  assert_true(old.rank == 4 && old.method == LETHE_GS_LORA);
  assert_untouched(&old, size);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "struct_size",
               lethe_forget_config_init(&old, size - 1, LETHE_GS_LORA, LETHE_HEAD_LINEAR));
}

static void findings_are_handed_over(void** state) {
  lethe_forget_config config = defaults(LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR);
  lethe_buffer* findings = NULL;
  (void)state;
  assert_ok(lethe_forget_config_validate(&config, &findings));
  assert_text(findings, "[]");
  assert_ok(lethe_forget_config_validate(&config, NULL));
  config.rank = 0;
  config.learning_rate = NAN;
  config.grouping = 8;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "rank", lethe_forget_config_validate(&config, &findings));
  assert_text(findings, "\"field\":\"learning_rate\"");
  assert_fails(LETHE_E_INVALID_ARGUMENT, "rank", lethe_forget_config_validate(&config, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "rank", lethe_forget_config_to_json(&config, &findings));
  assert_null(findings);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "config is NULL",
               lethe_forget_config_validate(NULL, &findings));
}

static void refused_json_changes_nothing(void** state) {
  lethe_forget_config config = defaults(LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR);
  const lethe_forget_config before = config;
  (void)state;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "rnak",
               lethe_forget_config_from_json("{\"epochs\":5,\"rnak\":4}", &config));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "257",
               lethe_forget_config_from_json("{\"epochs\":5,\"rank\":257}", &config));
  assert_fails(LETHE_E_CORRUPT, "JSON", lethe_forget_config_from_json("{\"epochs\":5", &config));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "UTF-8",
               lethe_forget_config_from_json("{\"epochs\":\"\xff\"}", &config));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "json is NULL",
               lethe_forget_config_from_json(NULL, &config));
  assert_memory_equal(&config, &before, sizeof config);
  assert_ok(lethe_forget_config_from_json("{\"epochs\":5,\"sparsity\":\"subgradient\"}", &config));
  assert_int_equal(config.epochs, 5);
  assert_int_equal(config.sparsity, LETHE_SUBGRADIENT);
}

static void methods_are_described(void** state) {
  static const char* const names[] = {
      "gs-lora",         "gs-lora++", "l2",    "ewc",     "mas",  "lwf",     "der",
      "der++",           "fdr",       "scrub", "scrub-s", "lirf", "retrain", "fine-tune",
      "gradient-ascent", "salun"};
  lethe_buffer* json = NULL;
  char part[64];
  int32_t number;
  (void)state;
  for (number = LETHE_GS_LORA; number <= LETHE_SALUN; ++number) {
    (void)snprintf(part, sizeof part, "\"name\":\"%s\",\"number\":%d}", names[number - 1],
                   (int)number);
    assert_ok(lethe_method_info_json(&json));
    assert_text(json, part);
    (void)snprintf(part, sizeof part, "{\"method\":\"%s\"}", names[number - 1]);
    {
      lethe_forget_config config = defaults(LETHE_GS_LORA, LETHE_HEAD_LINEAR);
      assert_ok(lethe_forget_config_from_json(part, &config));
      assert_int_equal(config.method, number);
    }
  }
  assert_fails(LETHE_E_INVALID_ARGUMENT, "out_json", lethe_method_info_json(NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults_depend_on_method_and_head),
      cmocka_unit_test(every_field_travels_through_json),
      cmocka_unit_test(settings_come_back_over_any_defaults),
      cmocka_unit_test(a_struct_of_abi_1_1_has_the_defaults_of_later_fields),
      cmocka_unit_test(findings_are_handed_over),
      cmocka_unit_test(refused_json_changes_nothing),
      cmocka_unit_test(methods_are_described),
  };
  return cmocka_run_group_tests_name("capi settings", tests, NULL, NULL);
}
