/* Models: architectures, creation, tensors, weights in and out. */
#include "common.h"

static void architectures_are_listed_with_their_specs(void** state) {
  lethe_buffer* json = NULL;
  int32_t i, found = 0;
  (void)state;
  for (i = 0; i < lethe_arch_count(); ++i) {
    assert_ok(lethe_arch_default_spec(lethe_arch_name(i), &json));
    assert_text(json, strcmp(lethe_arch_name(i), "deformable_detr") == 0 ? "\"queries\":300"
                                                                         : "\"attention_scale\":");
    found += strcmp(lethe_arch_name(i), "vit") == 0 || strcmp(lethe_arch_name(i), "face_vit") == 0;
  }
  assert_int_equal(found, 2);
  assert_null(lethe_arch_name(-1));
  assert_null(lethe_arch_name(lethe_arch_count()));
  assert_fails(LETHE_E_NOT_FOUND, "resnet", lethe_arch_default_spec("resnet", &json));
  assert_null(json);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "arch is NULL", lethe_arch_default_spec(NULL, &json));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "out_json", lethe_arch_default_spec("vit", NULL));
}

static void both_architectures_can_be_made(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = NULL;
  lethe_buffer* json = NULL;
  (void)state;
  assert_ok(lethe_model_create(runtime,
                               "{\"arch\":\"face_vit\",\"classes\":5,\"image_size\":16,"
                               "\"patch_size\":8,\"dim\":24,\"depth\":1,\"heads\":2,"
                               "\"head_dim\":8,\"mlp_dim\":32}",
                               "cpu", &model));
  assert_ok(lethe_model_info_json(model, &json));
  assert_text(json, "\"head\":\"cosface\"");
  lethe_model_free(model);
  model = make_model(runtime);
  assert_ok(lethe_model_info_json(model, &json));
  assert_text(json, "\"layers\":[\"encoder.layers.encoder_layer_0.mlp.0\"");
  assert_ok(lethe_model_info_json(model, &json));
  assert_text(json, "\"device\":\"cpu\"");
  lethe_model_free(model);
  lethe_model_free(NULL);
  lethe_runtime_free(runtime);
}

static void equal_seeds_make_equal_models(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model *a = make_model(runtime), *b = make_model(runtime), *c = NULL;
  const identity id = identity_of(a);
  uint8_t base[32];
  (void)state;
  assert_unchanged(b, &id);
  assert_memory_equal(id.bytes, id.bytes + 32, 32); /* no adapters: the state is the base */
  assert_ok(lethe_model_create(runtime,
                               "{\"arch\":\"vit\",\"classes\":4,\"image_size\":8,\"channels\":1,"
                               "\"patch_size\":4,\"dim\":16,\"depth\":2,\"heads\":2,"
                               "\"head_dim\":8,\"mlp_dim\":32,\"seed\":2}",
                               NULL, &c));
  assert_ok(lethe_model_fingerprint(c, base, NULL));
  assert_memory_not_equal(base, id.bytes, 32);
  assert_ok(lethe_model_fingerprint(c, NULL, NULL));
  lethe_model_free(a);
  lethe_model_free(b);
  lethe_model_free(c);
  lethe_runtime_free(runtime);
}

static void tensors_can_be_listed_and_read(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_model(runtime);
  lethe_tensor_info info;
  float* values;
  int32_t i;
  int64_t total = 0;
  char last[256] = "";
  (void)state;
  lethe_runtime_free(runtime);
  info.struct_size = sizeof info;
  assert_true(lethe_model_tensor_count(model) > 20);
  for (i = 0; i < lethe_model_tensor_count(model); ++i) {
    int64_t count = 1;
    int32_t d;
    assert_ok(lethe_model_tensor_info(model, i, &info));
    assert_true(strcmp(last, info.name) < 0);
    snprintf(last, sizeof last, "%s", info.name);
    for (d = 0; d < info.ndim; ++d) count *= info.shape[d];
    for (; d < 8; ++d) assert_int_equal(info.shape[d], 0);
    assert_int_equal(count, info.count);
    total += count;
    values = malloc((size_t)count * sizeof(float));
    assert_ok(lethe_model_tensor_read(model, info.name, 0, values, (size_t)count));
    assert_ok(lethe_model_tensor_read(model, info.name, 1, values, (size_t)count));
    free(values);
  }
  assert_true(total > 4000);
  assert_int_equal(lethe_model_tensor_count(NULL), 0);

  values = malloc(64);
  assert_fails(LETHE_E_NOT_FOUND, "no tensor", lethe_model_tensor_info(model, -1, &info));
  assert_null(info.name);
  assert_int_equal(info.struct_size, sizeof info);
  assert_fails(LETHE_E_NOT_FOUND, "no tensor",
               lethe_model_tensor_info(model, lethe_model_tensor_count(model), &info));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "NULL", lethe_model_tensor_info(model, 0, NULL));
  info.struct_size = 12;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "struct_size", lethe_model_tensor_info(model, 0, &info));
  assert_fails(LETHE_E_NOT_FOUND, "nothing.here",
               lethe_model_tensor_read(model, "nothing.here", 0, values, 1));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "4 elements",
               lethe_model_tensor_read(model, "heads.head.bias", 0, values, 5));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "merged is 2",
               lethe_model_tensor_read(model, "heads.head.bias", 2, values, 4));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "data is NULL",
               lethe_model_tensor_read(model, "heads.head.bias", 0, NULL, 4));
  free(values);
  lethe_model_free(model);
}

/* What a caller of an older or newer library sees of an output struct. */
static void output_structs_keep_to_their_size(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_model(runtime);
  struct longer {
    lethe_tensor_info known;
    uint64_t later, beyond;
  } info;
  (void)state;
  memset(&info, 0xff, sizeof info);
  info.known.struct_size = offsetof(struct longer, beyond);
  assert_ok(lethe_model_tensor_info(model, 0, &info.known));
  assert_int_equal(info.known.struct_size, offsetof(struct longer, beyond));
  assert_int_equal(info.later, 0);
  assert_true(info.beyond == UINT64_MAX);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static void clones_are_independent(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model *model = make_trained_model(runtime), *clone = NULL;
  const identity before = identity_of(model);
  (void)state;
  assert_ok(lethe_model_clone(model, &clone));
  assert_unchanged(clone, &before);
  forget_two(runtime, clone);
  assert_int_equal(lethe_model_adapter_count(clone), 2);
  assert_int_equal(lethe_model_adapter_count(model), 0);
  assert_unchanged(model, &before);
  lethe_model_free(model);
  assert_ok(lethe_model_rollback_to(clone, NULL));
  assert_unchanged(clone, &before);
  lethe_model_free(clone);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "model is NULL", lethe_model_clone(NULL, &clone));
  lethe_runtime_free(runtime);
}

static void weights_go_out_and_come_back(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model *model = make_trained_model(runtime), *other = make_model(runtime);
  char* folder = make_folder();
  const char* path = in_folder(folder, "weights.safetensors");
  const identity before = identity_of(model);
  images set = make_images(8, 5);
  float *expected = predict(model, &set), *actual;
  char* bytes;
  size_t size;
  int i;
  lethe_export_options options;
  (void)state;
  assert_ok(lethe_model_export_merged(model, path, NULL));
  assert_int_equal(file_count(folder), 1);
  assert_ok(lethe_model_load_weights(other, path, NULL));
  assert_unchanged(other, &before);
  lethe_model_free(other);

  other = make_model(runtime);
  bytes = read_file(path, &size);
  assert_ok(lethe_model_load_weights_memory(other, (const uint8_t*)bytes, size, NULL));
  assert_unchanged(other, &before);
  free(bytes);

  assert_ok(lethe_export_options_init(&options, sizeof options));
  options.dtype = LETHE_F16;
  assert_ok(lethe_model_export_merged(model, path, &options));
  assert_ok(lethe_model_load_weights(other, path, NULL));
  actual = predict(other, &set);
  for (i = 0; i < 8 * CLASSES; ++i)
    assert_true(actual[i] - expected[i] < 0.1f && expected[i] - actual[i] < 0.1f);
  options.dtype = LETHE_U8;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "dtype is 1",
               lethe_model_export_merged(model, path, &options));
  options.dtype = LETHE_F32;
  options.level = 20;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "level is 20",
               lethe_model_export_merged(model, path, &options));
  free(expected);
  free(actual);
  free_images(&set);
  remove_folder(folder);
  lethe_model_free(model);
  lethe_model_free(other);
  lethe_runtime_free(runtime);
}

static void merged_weights_are_those_that_predict(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model *model = make_trained_model(runtime), *merged = make_model(runtime);
  char* folder = make_folder();
  const char* path = in_folder(folder, "merged.safetensors");
  images set = make_images(8, 5);
  float *expected, *actual, base[512], sum[512];
  (void)state;
  forget_two(runtime, model);
  expected = predict(model, &set);
  assert_ok(lethe_model_export_merged(model, path, NULL));
  assert_ok(lethe_model_load_weights(merged, path, NULL));
  actual = predict(merged, &set);
  assert_memory_equal(actual, expected, sizeof(float) * 8 * CLASSES);
  assert_ok(
      lethe_model_tensor_read(model, "encoder.layers.encoder_layer_0.mlp.0.weight", 0, base, 512));
  assert_ok(
      lethe_model_tensor_read(model, "encoder.layers.encoder_layer_0.mlp.0.weight", 1, sum, 512));
  assert_memory_not_equal(base, sum, sizeof base);
  free(expected);
  free(actual);
  free_images(&set);
  remove_folder(folder);
  lethe_model_free(model);
  lethe_model_free(merged);
  lethe_runtime_free(runtime);
}

static void adapters_keep_new_weights_out(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_trained_model(runtime);
  char* folder = make_folder();
  const char* path = in_folder(folder, "weights.safetensors");
  identity before;
  (void)state;
  assert_ok(lethe_model_export_merged(model, path, NULL));
  forget_two(runtime, model);
  before = identity_of(model);
  assert_fails(LETHE_E_STATE, "adapter", lethe_model_load_weights(model, path, NULL));
  assert_unchanged(model, &before);
  remove_folder(folder);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static void cuda_works_or_says_why_not(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = NULL;
  int32_t devices = -1;
  (void)state;
  assert_ok(lethe_runtime_device_count(runtime, &devices));
  if (devices == 0) {
    assert_fails(LETHE_E_DEVICE, "cuda", lethe_model_create(runtime, TINY_SPEC, "cuda", &model));
    assert_null(model);
    assert_true(strlen(lethe_last_error()) > 30); /* a reason, not just a no */
    assert_null(strstr(lethe_last_error(), "/home/"));
    assert_fails(LETHE_E_DEVICE, "cuda", lethe_model_create(runtime, TINY_SPEC, "cuda:1", &model));
  } else {
    assert_ok(lethe_model_create(runtime, TINY_SPEC, "cuda", &model));
    lethe_model_free(model);
    assert_fails(LETHE_E_DEVICE, "cuda:99",
                 lethe_model_create(runtime, TINY_SPEC, "cuda:99", &model));
  }
  assert_fails(LETHE_E_INVALID_ARGUMENT, "tpu",
               lethe_model_create(runtime, TINY_SPEC, "tpu", &model));
  lethe_runtime_free(runtime);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(architectures_are_listed_with_their_specs),
      cmocka_unit_test(both_architectures_can_be_made),
      cmocka_unit_test(equal_seeds_make_equal_models),
      cmocka_unit_test(tensors_can_be_listed_and_read),
      cmocka_unit_test(output_structs_keep_to_their_size),
      cmocka_unit_test(clones_are_independent),
      cmocka_unit_test(weights_go_out_and_come_back),
      cmocka_unit_test(merged_weights_are_those_that_predict),
      cmocka_unit_test(adapters_keep_new_weights_out),
      cmocka_unit_test(cuda_works_or_says_why_not),
  };
  return cmocka_run_group_tests_name("capi models", tests, NULL, NULL);
}
