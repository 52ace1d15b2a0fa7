/* What lethe.h offers over an adapter's life: on and off, out, merged, sealed, in other formats. */
#include "common.h"

typedef struct setup {
  lethe_runtime* runtime;
  lethe_model* model; /* trained, with the adapters "first" (class 1) and "second" (class 2) */
  lethe_adapter* first;
  images set;
  char* root;
} setup;

static setup start(void) {
  setup s;
  s.runtime = make_runtime();
  s.model = make_trained_model(s.runtime);
  forget_two(s.runtime, s.model);
  s.set = make_images(16, 11);
  s.root = make_folder();
  assert_ok(lethe_model_adapter_find(s.model, "first", &s.first));
  return s;
}

static void stop(setup* s) {
  lethe_adapter_free(s->first);
  lethe_model_free(s->model);
  lethe_runtime_free(s->runtime);
  free_images(&s->set);
  remove_folder(s->root);
}

static void assert_same_answers(setup* s, const lethe_model* a, const lethe_model* b) {
  float *of_a = predict(a, &s->set), *of_b = predict(b, &s->set);
  assert_memory_equal(of_a, of_b, sizeof(float) * 16 * CLASSES);
  free(of_a);
  free(of_b);
}

static void adapters_are_switched(void** state) {
  setup s = start();
  const identity whole = identity_of(s.model);
  lethe_engine* engine;
  lethe_job* job = NULL;
  lethe_dataset* data = make_dataset(s.runtime, 64, 1);
  const int64_t three = 3;
  (void)state;
  assert_fails(LETHE_E_BASE_MISMATCH, "second", lethe_model_enable(s.model, "first", 0, 0));
  assert_ok(lethe_model_enable(s.model, "first", 0, LETHE_ALLOW_UNVERIFIED));
  assert_ok(lethe_model_enable(s.model, "first", 1, 0));
  assert_unchanged(s.model, &whole);
  assert_ok(lethe_model_enable(s.model, "second", 0, 0));
  assert_int_equal(lethe_model_adapter_count(s.model), 2);
  assert_ok(lethe_model_enable(s.model, "second", 1, 0));
  assert_unchanged(s.model, &whole);
  assert_fails(LETHE_E_NOT_FOUND, "third", lethe_model_enable(s.model, "third", 0, 0));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "enabled", lethe_model_enable(s.model, "first", 2, 0));
  assert_fails(LETHE_E_UNSUPPORTED, "flags", lethe_model_enable(s.model, "first", 0, 8));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "request_id", lethe_model_enable(s.model, NULL, 0, 0));

  assert_fails(LETHE_E_BASE_MISMATCH, "second", lethe_model_detach(s.model, "first", 0));
  assert_fails(LETHE_E_NOT_FOUND, "third", lethe_model_detach(s.model, "third", 0));
  assert_fails(LETHE_E_UNSUPPORTED, "flags", lethe_model_detach(s.model, "first", 8));
  engine = make_engine(s.model);
  assert_ok(lethe_engine_pause(engine));
  assert_ok(lethe_engine_enqueue(engine, "third", &three, 1, NULL, data, NULL, NULL, &job));
  assert_fails(LETHE_E_STATE, "queued", lethe_model_enable(s.model, "second", 0, 0));
  assert_fails(LETHE_E_STATE, "queued", lethe_model_detach(s.model, "second", 0));
  assert_fails(LETHE_E_STATE, "queued", lethe_model_seal(s.model));
  lethe_job_free(job);
  lethe_engine_free(engine);
  assert_ok(lethe_model_detach(s.model, "second", 0));
  assert_int_equal(lethe_model_adapter_count(s.model), 1);
  lethe_dataset_free(data);
  stop(&s);
}

static void merged_and_sealed_models_answer_alike(void** state) {
  setup s = start();
  lethe_model *merged = NULL, *before = NULL;
  lethe_buffer* json = NULL;
  (void)state;
  assert_ok(lethe_model_clone(s.model, &before));
  assert_ok(lethe_model_merge(s.model, &merged));
  assert_same_answers(&s, merged, before);
  assert_int_equal(lethe_model_adapter_count(merged), 0);
  assert_int_equal(lethe_model_adapter_count(s.model), 2);
  assert_ok(lethe_model_info_json(merged, &json));
  assert_text(json, "\"classes_forgotten\":[1,2]");
  lethe_model_free(merged);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "model", lethe_model_merge(NULL, &merged));
  assert_null(merged);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "out_model", lethe_model_merge(s.model, NULL));

  assert_ok(lethe_model_seal(s.model));
  assert_same_answers(&s, s.model, before);
  assert_ok(lethe_model_rollback_to(s.model, NULL));
  assert_same_answers(&s, s.model, before);
  assert_fails(LETHE_E_BASE_MISMATCH, "base", lethe_model_attach(s.model, s.first));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "model", lethe_model_seal(NULL));
  lethe_model_free(before);
  stop(&s);
}

static int holds(const char* path, const char* text) {
  size_t size, i, length = strlen(text);
  char* bytes = read_file(path, &size);
  int found = 0;
  for (i = 0; i + length <= size && !found; ++i) found = memcmp(bytes + i, text, length) == 0;
  free(bytes);
  return found;
}

static void weights_go_out_under_the_names_they_came_with(void** state) {
  static const char* const marks[] = {"", "", "encoder.pos_embedding", "patch_embed.proj.weight",
                                      "vit.encoder.layer.0.attention.attention.query.weight"};
  setup s = start();
  lethe_export_options options;
  int32_t naming;
  (void)state;
  assert_ok(lethe_export_options_init(&options, sizeof options));
  assert_int_equal(options.naming, LETHE_NAMES_ORIGINAL);
  for (naming = LETHE_NAMES_OWN; naming <= LETHE_NAMES_HUGGING_FACE; ++naming) {
    const char* path = in_folder(s.root, "named.safetensors");
    const char* again = in_folder(s.root, "again.safetensors");
    lethe_model* model = make_model(s.runtime);
    options.naming = naming;
    assert_ok(lethe_model_export_merged(s.model, path, &options));
    assert_true(holds(path, marks[naming]));
    assert_ok(lethe_model_load_weights(model, path, NULL));
    assert_same_answers(&s, model, s.model);
    assert_ok(lethe_model_export_merged(model, again, NULL)); /* as they came */
    assert_true(holds(again, marks[naming]));
    lethe_model_free(model);
  }
  options.naming = 5;
  assert_fails(LETHE_E_UNSUPPORTED, "naming is 5",
               lethe_model_export_merged(s.model, in_folder(s.root, "x"), &options));
  /* A caller of ABI 1.0 does not know the field. */
  assert_ok(lethe_export_options_init(&options, offsetof(lethe_export_options, naming)));
  options.naming = 77;
  assert_ok(lethe_model_export_merged(s.model, in_folder(s.root, "x"), &options));
  {
    lethe_model* face = NULL;
    assert_ok(lethe_model_create(s.runtime,
                                 "{\"arch\":\"face_vit\",\"classes\":3,\"image_size\":8,"
                                 "\"patch_size\":4,\"dim\":8,\"depth\":1,\"heads\":1,"
                                 "\"head_dim\":8,\"mlp_dim\":8}",
                                 NULL, &face));
    assert_ok(lethe_export_options_init(&options, sizeof options));
    options.naming = LETHE_NAMES_TIMM;
    assert_fails(LETHE_E_UNSUPPORTED, "face_vit",
                 lethe_model_export_merged(face, in_folder(s.root, "x"), &options));
    lethe_model_free(face);
  }
  stop(&s);
}

static void a_file_is_verified_with_findings(void** state) {
  setup s = start();
  const char* path = in_folder(s.root, "first.lethe");
  lethe_buffer* findings = NULL;
  lethe_limits limits;
  char* bytes;
  size_t size;
  (void)state;
  assert_ok(lethe_adapter_export(s.first, path, NULL));
  assert_ok(lethe_adapter_verify(path, NULL, &findings));
  assert_text(findings, "\"error\":null,\"ok\":true,\"request_id\":\"first\"");
  assert_ok(lethe_adapter_verify(path, NULL, NULL));
  assert_fails(LETHE_E_NOT_FOUND, "none",
               lethe_adapter_verify(in_folder(s.root, "none"), NULL, &findings));
  assert_text(findings, "\"code\":\"NOT_FOUND\"");
  assert_fails(LETHE_E_IO, "folder", lethe_adapter_verify(s.root, NULL, NULL));
  assert_ok(lethe_limits_init(&limits, sizeof limits));
  limits.max_file_bytes = 10;
  assert_fails(LETHE_E_LIMIT_EXCEEDED, "limit is 10", lethe_adapter_verify(path, &limits, NULL));
  bytes = read_file(path, &size);
  bytes[size / 2] ^= 1;
  write_file(path, bytes, size);
  assert_fails(LETHE_E_CORRUPT, "", lethe_adapter_verify(path, NULL, &findings));
  assert_text(findings, "\"ok\":false");
  bytes[size / 2] ^= 1;
  bytes[16]++; /* the major version, behind frame magic, frame size and file magic */
  write_file(path, bytes, size);
  if (lethe_adapter_verify(path, NULL, NULL) != LETHE_E_VERSION) {
    assert_int_equal(lethe_last_error_code(), LETHE_E_CORRUPT); /* its checksum comes first */
  }
  free(bytes);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "path", lethe_adapter_verify(NULL, NULL, NULL));
  stop(&s);
}

static void pefts_format_goes_out_and_in(void** state) {
  setup s = start();
  const char* folder = in_folder(s.root, "peft");
  lethe_adapter* imported = (lethe_adapter*)&s;
  lethe_export_options options;
  const int64_t one[] = {1}, nine[] = {9}, twice[] = {1, 1};
  (void)state;
  assert_ok(lethe_export_options_init(&options, sizeof options));
  options.naming = LETHE_NAMES_HUGGING_FACE;
  assert_ok(lethe_adapter_export_peft(s.first, folder, &options));
  assert_true(holds(in_folder(folder, "adapter_config.json"), "\"peft_type\": \"LORA\""));
  assert_true(holds(in_folder(folder, "adapter_model.safetensors"), "intermediate.dense.lora_A"));
  assert_fails(LETHE_E_IO, "folder",
               lethe_adapter_export_peft(s.first, in_folder(s.root, "no/such"), NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "adapter", lethe_adapter_export_peft(NULL, folder, NULL));

  assert_ok(lethe_model_rollback_to(s.model, NULL));
  assert_ok(lethe_adapter_import_peft(s.model, folder, "imported", one, 1, NULL, &imported));
  assert_ok(lethe_model_attach(s.model, imported));
  {
    lethe_model* trained = make_trained_model(s.runtime);
    assert_ok(lethe_model_attach(trained, s.first));
    assert_same_answers(&s, s.model, trained);
    lethe_model_free(trained);
  }
  lethe_adapter_free(imported);
  assert_fails(LETHE_E_NOT_FOUND, "adapter_config.json",
               lethe_adapter_import_peft(s.model, s.root, "x", one, 1, NULL, &imported));
  assert_null(imported);
  assert_fails(LETHE_E_NOT_FOUND, "class 9",
               lethe_adapter_import_peft(s.model, folder, "x", nine, 1, NULL, &imported));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "twice",
               lethe_adapter_import_peft(s.model, folder, "x", twice, 2, NULL, &imported));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "no class",
               lethe_adapter_import_peft(s.model, folder, "x", NULL, 0, NULL, &imported));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "request",
               lethe_adapter_import_peft(s.model, folder, NULL, one, 1, NULL, &imported));
  {
    lethe_model* other = NULL;
    assert_ok(lethe_model_create(s.runtime,
                                 "{\"arch\":\"vit\",\"classes\":4,\"image_size\":8,\"channels\":1,"
                                 "\"patch_size\":4,\"dim\":8,\"depth\":2,\"heads\":2,"
                                 "\"head_dim\":4,\"mlp_dim\":32}",
                                 NULL, &other));
    assert_fails(LETHE_E_BASE_MISMATCH, "module",
                 lethe_adapter_import_peft(other, folder, "x", one, 1, NULL, &imported));
    lethe_model_free(other);
  }
  write_file(in_folder(folder, "adapter_config.json"), "{\"peft_type\":\"IA3\"}", 19);
  assert_fails(LETHE_E_UNSUPPORTED, "IA3",
               lethe_adapter_import_peft(s.model, folder, "x", one, 1, NULL, &imported));
  write_file(in_folder(folder, "adapter_config.json"), "{", 1);
  assert_fails(LETHE_E_CORRUPT, "adapter_config.json",
               lethe_adapter_import_peft(s.model, folder, "x", one, 1, NULL, &imported));
  {
    lethe_limits limits;
    assert_ok(lethe_limits_init(&limits, sizeof limits));
    limits.max_header_bytes = 0;
    limits.max_file_bytes = 10;
    write_file(in_folder(folder, "adapter_config.json"), "{\"peft_type\":\"LORA\"}", 20);
    assert_fails(LETHE_E_LIMIT_EXCEEDED, "limit",
                 lethe_adapter_import_peft(s.model, folder, "x", one, 1, &limits, &imported));
  }
  stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(adapters_are_switched),
      cmocka_unit_test(merged_and_sealed_models_answer_alike),
      cmocka_unit_test(weights_go_out_under_the_names_they_came_with),
      cmocka_unit_test(a_file_is_verified_with_findings),
      cmocka_unit_test(pefts_format_goes_out_and_in),
  };
  return cmocka_run_group_tests_name("capi adapter life", tests, NULL, NULL);
}
