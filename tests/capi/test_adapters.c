/* Adapters: listing, files, the stack of a model. */
#include <math.h>

#include "common.h"

typedef struct setup {
  lethe_runtime* runtime;
  lethe_model* model; /* trained, with the adapters "first" and "second" */
  lethe_adapter *first, *second;
  images set;
  float* states[3]; /* logits without adapters, with one, with both */
} setup;

static setup start(void) {
  setup s;
  lethe_dataset* data;
  lethe_engine* engine = NULL;
  s.runtime = make_runtime();
  s.model = make_trained_model(s.runtime);
  s.set = make_images(16, 11);
  s.states[0] = predict(s.model, &s.set);
  data = make_dataset(s.runtime, 128, 1);
  engine = make_engine(s.model);
  forget(engine, "first", 1, data);
  s.states[1] = predict(s.model, &s.set);
  forget(engine, "second", 2, data);
  s.states[2] = predict(s.model, &s.set);
  lethe_engine_free(engine);
  lethe_dataset_free(data);
  s.first = s.second = NULL;
  assert_ok(lethe_model_adapter_at(s.model, 0, &s.first));
  assert_ok(lethe_model_adapter_find(s.model, "second", &s.second));
  return s;
}

static void stop(setup* s) {
  int i;
  for (i = 0; i < 3; ++i) free(s->states[i]);
  free_images(&s->set);
  lethe_adapter_free(s->first);
  lethe_adapter_free(s->second);
  lethe_model_free(s->model);
  lethe_runtime_free(s->runtime);
}

/* The model predicts the bits of the state with so many adapters. */
static void assert_state(setup* s, const lethe_model* model, int adapters) {
  float* logits = predict(model, &s->set);
  assert_memory_equal(logits, s->states[adapters], sizeof(float) * 16 * CLASSES);
  free(logits);
}

static void adapters_are_listed(void** state) {
  setup s = start();
  lethe_adapter* none = (lethe_adapter*)&s;
  lethe_buffer* json = NULL;
  (void)state;
  assert_int_equal(lethe_model_adapter_count(s.model), 2);
  assert_int_equal(lethe_model_adapter_count(NULL), 0);
  assert_ok(lethe_adapter_info_json(s.first, &json));
  assert_text(json, "\"request_id\":\"first\"");
  assert_ok(lethe_adapter_info_json(s.second, &json));
  assert_text(json, "\"classes_forgotten\":[2]");
  assert_ok(lethe_model_info_json(s.model, &json));
  assert_text(json, "\"classes_forgotten\":[1,2]");
  assert_fails(LETHE_E_NOT_FOUND, "adapter 2", lethe_model_adapter_at(s.model, 2, &none));
  assert_null(none);
  assert_fails(LETHE_E_NOT_FOUND, "third", lethe_model_adapter_find(s.model, "third", &none));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "request_id",
               lethe_model_adapter_find(s.model, NULL, &none));
  lethe_adapter_free(NULL);
  stop(&s);
}

static void files_and_memory_hold_the_same(void** state) {
  setup s = start();
  char* folder = make_folder();
  const char* path = in_folder(folder, "first.lethe");
  lethe_buffer *bytes = NULL, *json = NULL, *json2 = NULL;
  lethe_adapter* loaded = NULL;
  lethe_export_options options;
  char* file;
  size_t size;
  (void)state;
  assert_ok(lethe_adapter_export(s.first, path, NULL));
  assert_int_equal(file_count(folder), 1);
  assert_ok(lethe_adapter_export_memory(s.first, NULL, &bytes));
  file = read_file(path, &size);
  assert_int_equal(size, lethe_buffer_size(bytes));
  assert_memory_equal(file, lethe_buffer_data(bytes), size);
  free(file);

  assert_ok(lethe_adapter_load(s.runtime, path, NULL, &loaded));
  assert_ok(lethe_adapter_info_json(loaded, &json));
  assert_ok(lethe_adapter_info_json(s.first, &json2));
  assert_string_equal(lethe_buffer_data(json), lethe_buffer_data(json2));
  lethe_buffer_free(json);
  lethe_buffer_free(json2);
  lethe_adapter_free(loaded);
  assert_ok(lethe_adapter_load_memory(s.runtime, lethe_buffer_data(bytes), lethe_buffer_size(bytes),
                                      NULL, &loaded));
  lethe_adapter_free(loaded);
  lethe_buffer_free(bytes);

  assert_ok(lethe_export_options_init(&options, sizeof options));
  options.level = 19;
  assert_ok(lethe_adapter_export_memory(s.first, &options, &bytes));
  assert_ok(lethe_adapter_load_memory(s.runtime, lethe_buffer_data(bytes), lethe_buffer_size(bytes),
                                      NULL, &loaded));
  lethe_adapter_free(loaded);
  lethe_buffer_free(bytes);
  options.level = 0;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "level is 0",
               lethe_adapter_export_memory(s.first, &options, &bytes));
  assert_null(bytes);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "level is 0",
               lethe_adapter_export(s.first, path, &options));
  remove_folder(folder);
  stop(&s);
}

/* What a second process does: the base, then the adapters, then the same bits. */
static void a_reloaded_stack_predicts_the_same_bits(void** state) {
  setup s = start();
  char* folder = make_folder();
  const char *base = in_folder(folder, "base"), *one = in_folder(folder, "1"),
             *two = in_folder(folder, "2");
  lethe_model* model = make_model(s.runtime);
  lethe_adapter *first = NULL, *second = NULL;
  (void)state;
  assert_ok(lethe_adapter_export(s.first, one, NULL));
  assert_ok(lethe_adapter_export(s.second, two, NULL));
  assert_ok(lethe_model_rollback_to(s.model, NULL));
  assert_ok(lethe_model_export_merged(s.model, base, NULL));

  assert_ok(lethe_model_load_weights(model, base, NULL));
  assert_ok(lethe_adapter_load(s.runtime, one, NULL, &first));
  assert_ok(lethe_adapter_load(s.runtime, two, NULL, &second));
  assert_state(&s, model, 0);
  assert_ok(lethe_model_attach(model, first));
  assert_state(&s, model, 1);
  assert_ok(lethe_model_attach(model, second));
  assert_state(&s, model, 2);
  lethe_adapter_free(first);
  lethe_adapter_free(second);
  lethe_model_free(model);
  remove_folder(folder);
  stop(&s);
}

static void rollback_restores_the_bits(void** state) {
  setup s = start();
  (void)state;
  assert_state(&s, s.model, 2);
  assert_ok(lethe_model_rollback_to(s.model, "second")); /* nothing lies above it */
  assert_state(&s, s.model, 2);
  assert_fails(LETHE_E_NOT_FOUND, "third", lethe_model_rollback_to(s.model, "third"));
  assert_state(&s, s.model, 2);
  assert_ok(lethe_model_rollback_to(s.model, "first"));
  assert_state(&s, s.model, 1);
  assert_int_equal(lethe_model_adapter_count(s.model), 1);
  assert_ok(lethe_model_rollback_to(s.model, NULL));
  assert_state(&s, s.model, 0);
  assert_ok(lethe_model_rollback_to(s.model, NULL));
  stop(&s);
}

static void stacks_are_set_as_a_whole(void** state) {
  setup s = start();
  const lethe_adapter *both[2], *swapped[2], *twice[2], *hole[2];
  const double off[] = {1, 0}, half[] = {1, 0.5}, nan_scale[] = {1, NAN};
  lethe_buffer* json = NULL;
  (void)state;
  both[0] = swapped[1] = twice[0] = twice[1] = hole[0] = s.first;
  both[1] = swapped[0] = s.second;
  hole[1] = NULL;
  assert_ok(lethe_model_set_adapters(s.model, NULL, NULL, 0, 0));
  assert_state(&s, s.model, 0);
  assert_ok(lethe_model_set_adapters(s.model, both, NULL, 2, 0));
  assert_state(&s, s.model, 2);
  assert_ok(lethe_model_set_adapters(s.model, both, off, 2, LETHE_ALLOW_UNVERIFIED));
  assert_state(&s, s.model, 1);
  assert_int_equal(lethe_model_adapter_count(s.model), 2);
  assert_ok(lethe_model_info_json(s.model, &json));
  assert_text(json, "\"enabled\":false");

  /* refused ones change nothing */
  assert_fails(LETHE_E_BASE_MISMATCH, "", lethe_model_set_adapters(s.model, swapped, NULL, 2, 0));
  assert_fails(LETHE_E_BASE_MISMATCH, "", lethe_model_set_adapters(s.model, both, half, 2, 0));
  assert_fails(LETHE_E_BASE_MISMATCH, "", lethe_model_set_adapters(s.model, both + 1, NULL, 1, 0));
  assert_fails(LETHE_E_EXISTS, "", lethe_model_set_adapters(s.model, twice, NULL, 2, 1));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "scales[1]",
               lethe_model_set_adapters(s.model, both, nan_scale, 2, 1));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "NULL",
               lethe_model_set_adapters(s.model, hole, NULL, 2, 0));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "adapters is NULL",
               lethe_model_set_adapters(s.model, NULL, NULL, 1, 0));
  assert_fails(LETHE_E_UNSUPPORTED, "flags is 2",
               lethe_model_set_adapters(s.model, both, NULL, 2, 2));
  assert_state(&s, s.model, 1);
  assert_ok(lethe_model_set_adapters(s.model, both + 1, NULL, 1, LETHE_ALLOW_UNVERIFIED));
  assert_int_equal(lethe_model_adapter_count(s.model), 1);
  stop(&s);
}

static void adapters_of_another_base_are_refused(void** state) {
  setup s = start();
  lethe_model* other = make_model(s.runtime);
  const identity before = identity_of(other);
  (void)state;
  assert_fails(LETHE_E_BASE_MISMATCH, "base", lethe_model_attach(other, s.first));
  assert_unchanged(other, &before);
  assert_fails(LETHE_E_EXISTS, "first", lethe_model_attach(s.model, s.first));
  assert_state(&s, s.model, 2);
  assert_ok(lethe_model_rollback_to(s.model, NULL));
  assert_fails(LETHE_E_BASE_MISMATCH, "", lethe_model_attach(s.model, s.second));
  assert_state(&s, s.model, 0);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "adapter is NULL", lethe_model_attach(s.model, NULL));
  lethe_model_free(other);
  stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(adapters_are_listed),
      cmocka_unit_test(files_and_memory_hold_the_same),
      cmocka_unit_test(a_reloaded_stack_predicts_the_same_bits),
      cmocka_unit_test(rollback_restores_the_bits),
      cmocka_unit_test(stacks_are_set_as_a_whole),
      cmocka_unit_test(adapters_of_another_base_are_refused),
  };
  return cmocka_run_group_tests_name("capi adapters", tests, NULL, NULL);
}
