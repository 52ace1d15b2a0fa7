/* Bad arguments: each gives a status and one sentence with the value and the remedy. */
#include <math.h>

#include "bad_input.h"

static lethe_status enqueue(setup* s, const int64_t* classes, size_t count,
                            const lethe_dataset* forget_set, const lethe_dataset* retain_set) {
  lethe_job* job = (lethe_job*)s;
  const lethe_status status = lethe_engine_enqueue(s->engine, "bad", classes, count, NULL,
                                                   forget_set, retain_set, NULL, &job);
  assert_null(job);
  return status;
}

static lethe_dataset* part(setup* s, lethe_select what, const int64_t* values, size_t count) {
  lethe_dataset* out = NULL;
  assert_ok(lethe_dataset_select(s->data, what, values, count, 0, 0, &out));
  return out;
}

static void classes(void** state) {
  setup* s = *state;
  const int64_t unknown[] = {1, 4}, negative[] = {-1}, twice[] = {1, 2, 1}, all[] = {0, 1, 2, 3};
  assert_fails(LETHE_E_NOT_FOUND, "4", enqueue(s, unknown, 2, s->data, NULL));
  assert_fails(LETHE_E_NOT_FOUND, "-1", enqueue(s, negative, 1, s->data, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "1", enqueue(s, twice, 3, s->data, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "no class is left", enqueue(s, all, 4, s->data, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "class", enqueue(s, all, 0, s->data, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "class", enqueue(s, NULL, 0, s->data, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "classes is NULL", enqueue(s, NULL, 1, s->data, NULL));
}

static void sets(void** state) {
  setup* s = *state;
  const int64_t one = 1, others[] = {0, 2, 3};
  lethe_dataset *ones = part(s, LETHE_KEEP_CLASSES, &one, 1),
                *rest = part(s, LETHE_DROP_CLASSES, &one, 1),
                *none = part(s, LETHE_TAKE_INDICES, &one, 0);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "forget_set is NULL", enqueue(s, &one, 1, NULL, rest));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "empty", enqueue(s, &one, 1, none, rest));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "empty", enqueue(s, &one, 1, ones, none));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "",
               enqueue(s, &one, 1, ones, NULL));                         /* nothing to retain */
  assert_fails(LETHE_E_NOT_FOUND, "1", enqueue(s, &one, 1, rest, NULL)); /* nothing to forget */
  assert_fails(LETHE_E_NOT_FOUND, "1", enqueue(s, &one, 1, rest, ones)); /* swapped */
  assert_fails(LETHE_E_INVALID_ARGUMENT, "", enqueue(s, &one, 1, ones, s->data));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "", enqueue(s, others, 1, s->data, rest));
  lethe_dataset_free(ones);
  lethe_dataset_free(rest);
  lethe_dataset_free(none);
}

static void image_shapes(void** state) {
  setup* s = *state;
  images set = make_images(8, 1);
  lethe_tensor_view view = pixel_view(&set), labels = label_view(&set);
  lethe_dataset* data = NULL;
  lethe_buffer* logits = NULL;
  const int64_t one = 1, wide[] = {4, 1, 8, 16}, flat[] = {8, 64}, coloured[] = {2, 4, 8, 8};
  view.shape = wide;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "16", lethe_model_predict(s->model, &view, 0, &logits));
  assert_null(logits);
  view.shape = coloured;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "[2, 4, 8, 8]",
               lethe_model_embed(s->model, &view, 0, &logits));
  view.shape = flat;
  view.ndim = 2;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "[8, 64]",
               lethe_model_predict(s->model, &view, 0, &logits));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "images",
               lethe_dataset_from_tensors(s->runtime, &view, &labels, CLASSES, NULL, &data));
  view = pixel_view(&set);
  view.shape = wide;
  labels.shape = wide; /* four labels */
  assert_ok(lethe_dataset_from_tensors(s->runtime, &view, &labels, CLASSES, NULL, &data));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "16", enqueue(s, &one, 1, data, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "16",
               lethe_model_predict_dataset(s->model, data, 0, &logits));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "16",
               lethe_model_evaluate(s->model, data, NULL, (lethe_report**)&logits));
  lethe_dataset_free(data);
  free_images(&set);
}

static void image_types(void** state) {
  setup* s = *state;
  images set = make_images(8, 1);
  lethe_tensor_view view = pixel_view(&set), labels = label_view(&set);
  lethe_dataset* data = NULL;
  lethe_buffer* logits = NULL;
  view.dtype = LETHE_U8;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "uint8", lethe_model_predict(s->model, &view, 0, &logits));
  view.dtype = LETHE_F16;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "float16",
               lethe_dataset_from_tensors(s->runtime, &view, &labels, CLASSES, NULL, &data));
  view.dtype = 6;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "dtype 6",
               lethe_model_predict(s->model, &view, 0, &logits));
  view = pixel_view(&set);
  labels.dtype = LETHE_F32;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "labels",
               lethe_dataset_from_tensors(s->runtime, &view, &labels, CLASSES, NULL, &data));
  labels = label_view(&set);
  set.labels[3] = 4;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "4",
               lethe_dataset_from_tensors(s->runtime, &view, &labels, CLASSES, NULL, &data));
  assert_null(data);
  free_images(&set);
}

static void pixels_that_are_no_numbers(void** state) {
  setup* s = *state;
  images set = make_images(8, 1);
  const lethe_tensor_view view = pixel_view(&set), labels = label_view(&set);
  lethe_dataset* data = NULL;
  lethe_buffer* logits = NULL;
  set.pixels[3 * PIXELS + 5] = NAN;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "3", lethe_model_predict(s->model, &view, 0, &logits));
  set.pixels[3 * PIXELS + 5] = -INFINITY;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "3", lethe_model_embed(s->model, &view, 0, &logits));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "3",
               lethe_dataset_from_tensors(s->runtime, &view, &labels, CLASSES, NULL, &data));
  assert_null(data);
  free_images(&set);
}

static void views_that_lie(void** state) {
  setup* s = *state;
  images set = make_images(8, 1);
  const lethe_tensor_view good = pixel_view(&set);
  const int64_t negative[] = {8, 1, -8, 8}, huge[] = {INT64_MAX, 2, 8, 8};
  const int64_t strides[] = {256, 256, 32, 2}, backwards[] = {256, 256, 32, -4},
                far[] = {INT64_MAX / 4 * 4 - 8, 256, 32, 4};
  lethe_buffer* logits = NULL;
  struct {
    const char* names;
    lethe_tensor_view view;
  } cases[10];
  int i, n = 0;
  for (i = 0; i < 10; ++i) cases[i].view = good;
  cases[n].names = "size is 2047", cases[n++].view.size = 8 * PIXELS * 4 - 1;
  cases[n].names = "data (NULL)", cases[n++].view.data = NULL;
  cases[n].names = "shape (NULL)", cases[n++].view.shape = NULL;
  cases[n].names = "ndim 9", cases[n++].view.ndim = 9;
  cases[n].names = "size -8", cases[n++].view.shape = negative;
  cases[n].names = "64 bits", cases[n++].view.shape = huge;
  cases[n].names = "byte stride 2", cases[n++].view.byte_strides = strides;
  cases[n].names = "byte stride -4", cases[n++].view.byte_strides = backwards;
  cases[n].names = "64 bits", cases[n++].view.byte_strides = far;
  cases[n].names = "address", cases[n].view.data = (const char*)set.pixels + 2,
  cases[n++].view.size += 4;
  assert_int_equal(n, 10);
  for (i = 0; i < n; ++i) {
    assert_fails(LETHE_E_INVALID_ARGUMENT, cases[i].names,
                 lethe_model_predict(s->model, &cases[i].view, 0, &logits));
  }
  free_images(&set);
}

static void settings(void** state) {
  setup* s = *state;
  const int64_t one = 1;
  lethe_forget_config config = quick_config();
  lethe_pretrain_config pretrain;
  lethe_job* job = NULL;
  char long_id[130];
  assert_fails(LETHE_E_INVALID_ARGUMENT, "learning_speed",
               lethe_forget_config_from_json("{\"learning_speed\":1}", &config));
  config.rank = 300;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "300",
               lethe_engine_enqueue(s->engine, "x", &one, 1, &config, s->data, NULL, NULL, &job));
  config = quick_config();
  config.method = 99;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "99",
               lethe_engine_enqueue(s->engine, "x", &one, 1, &config, s->data, NULL, NULL, &job));
  config = quick_config();
  config.reserved[0] = 1;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "reserved",
               lethe_engine_enqueue(s->engine, "x", &one, 1, &config, s->data, NULL, NULL, &job));
  config = quick_config();
  memset(long_id, 'x', 129);
  long_id[129] = '\0';
  assert_fails(
      LETHE_E_INVALID_ARGUMENT, "129 bytes",
      lethe_engine_enqueue(s->engine, long_id, &one, 1, &config, s->data, NULL, NULL, &job));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "0 bytes",
               lethe_engine_enqueue(s->engine, "", &one, 1, &config, s->data, NULL, NULL, &job));
  assert_fails(
      LETHE_E_INVALID_ARGUMENT, "UTF-8",
      lethe_engine_enqueue(s->engine, "\xc0\x80", &one, 1, &config, s->data, NULL, NULL, &job));
  assert_ok(lethe_pretrain_config_init(&pretrain, sizeof pretrain));
  pretrain.batch = 0;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "batch",
               lethe_engine_enqueue_pretraining(s->engine, "p", &pretrain, s->data, NULL, &job));
  assert_null(job);
}

static void specs(void** state) {
  setup* s = *state;
  static const struct {
    const char* spec;
    lethe_status code;
    const char* names;
  } cases[] = {
      {"{\"arch\":\"vit\"", LETHE_E_CORRUPT, "model spec"},
      {"[]", LETHE_E_INVALID_ARGUMENT, "object"},
      {"{\"classes\":10}", LETHE_E_NOT_FOUND, "architecture"},
      {"{\"arch\":\"resnet\"}", LETHE_E_NOT_FOUND, "resnet"},
      {"{\"arch\":\"vit\",\"clases\":10}", LETHE_E_INVALID_ARGUMENT, "clases"},
      {"{\"arch\":\"vit\",\"classes\":0}", LETHE_E_INVALID_ARGUMENT, "classes"},
      {"{\"arch\":\"vit\",\"depth\":\"6\"}", LETHE_E_INVALID_ARGUMENT, "depth"},
      {"{\"arch\":\"vit\",\"image_size\":30,\"patch_size\":4}", LETHE_E_INVALID_ARGUMENT, "30"},
      {"{\"arch\":\"vit\",\"head\":\"softmax2\"}", LETHE_E_INVALID_ARGUMENT, "softmax2"},
      {"{\"arch\":\"vit\",\"adapter_layers\":[\"fc3\"]}", LETHE_E_INVALID_ARGUMENT, "fc3"},
      {"{\"arch\":\"vit\",\"depth\":1,\"depth\":2}", LETHE_E_CORRUPT, "depth"},
      {"{\"arch\":\"\xff\"}", LETHE_E_INVALID_ARGUMENT, "UTF-8"},
  };
  lethe_model* model = s->model;
  size_t i;
  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    assert_fails(cases[i].code, cases[i].names,
                 lethe_model_create(s->runtime, cases[i].spec, "cpu", &model));
    assert_null(model);
  }
  assert_fails(LETHE_E_INVALID_ARGUMENT, "spec_json is NULL",
               lethe_model_create(s->runtime, NULL, "cpu", &model));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_SETUP(classes),
      WITH_SETUP(sets),
      WITH_SETUP(image_shapes),
      WITH_SETUP(image_types),
      WITH_SETUP(pixels_that_are_no_numbers),
      WITH_SETUP(views_that_lie),
      WITH_SETUP(settings),
      WITH_SETUP(specs),
  };
  return cmocka_run_group_tests_name("capi bad input", tests, NULL, NULL);
}
