/* Predictions, embeddings, evaluation. */
#include <math.h>
#include <pthread.h>

#include "common.h"

static void logits_and_embeddings_have_their_shapes(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_trained_model(runtime);
  images set = make_images(7, 9);
  lethe_tensor_view view = pixel_view(&set);
  lethe_buffer *logits = NULL, *embeddings = NULL;
  int64_t i, c;
  (void)state;
  assert_ok(lethe_model_predict(model, &view, 0, &logits));
  assert_int_equal(lethe_buffer_size(logits), 7 * CLASSES * sizeof(float));
  assert_int_equal((uintptr_t)lethe_buffer_data(logits) % 64, 0);
  for (i = 0; i < 7; ++i) {
    const float* row = (const float*)lethe_buffer_data(logits) + i * CLASSES;
    for (c = 0; c < CLASSES; ++c) assert_true(row[c] <= row[i % CLASSES]);
  }
  assert_ok(lethe_model_embed(model, &view, 1, &embeddings));
  assert_int_equal(lethe_buffer_size(embeddings), 7 * 16 * sizeof(float));
  lethe_buffer_free(logits);
  lethe_buffer_free(embeddings);
  free_images(&set);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

/* More images than one pass takes: the first ones' scores are the same bits. */
static void results_do_not_depend_on_what_follows(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_model(runtime);
  images all = make_images(600, 2);
  images some = all;
  float *long_run = predict(model, &all), *short_run, *again = predict(model, &all);
  (void)state;
  some.count = some.shape[0] = 500;
  short_run = predict(model, &some);
  assert_memory_equal(long_run, again, sizeof(float) * 600 * CLASSES);
  assert_memory_equal(long_run, short_run, sizeof(float) * 500 * CLASSES);
  free(long_run);
  free(short_run);
  free(again);
  free_images(&all);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static void datasets_and_arrays_agree(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_model(runtime);
  lethe_dataset *data = make_dataset(runtime, 300, 2), *none = NULL;
  images set = make_images(300, 2);
  float* expected = predict(model, &set);
  lethe_buffer* logits = NULL;
  const int64_t one = 1;
  (void)state;
  assert_ok(lethe_model_predict_dataset(model, data, 1, &logits));
  assert_int_equal(lethe_buffer_size(logits), sizeof(float) * 300 * CLASSES);
  assert_memory_equal(lethe_buffer_data(logits), expected, lethe_buffer_size(logits));
  lethe_buffer_free(logits);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "threads is 257",
               lethe_model_predict_dataset(model, data, 257, &logits));
  assert_null(logits);
  assert_ok(lethe_dataset_select(data, LETHE_TAKE_INDICES, &one, 0, 0, 0, &none));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "empty",
               lethe_model_predict_dataset(model, none, 0, &logits));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "dataset is NULL",
               lethe_model_predict_dataset(model, NULL, 0, &logits));
  free(expected);
  free_images(&set);
  lethe_dataset_free(data);
  lethe_dataset_free(none);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static double metric(const lethe_report* report, const char* name) {
  double value = -1;
  assert_ok(lethe_report_metric(report, name, &value));
  return value;
}

static void evaluation_follows_the_stack(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_trained_model(runtime);
  lethe_dataset* test = make_dataset(runtime, 80, 7);
  lethe_report* report = NULL;
  lethe_evaluate_options options;
  const int64_t forget[] = {0, 3};
  double value = 7;
  (void)state;
  assert_ok(lethe_model_evaluate(model, test, NULL, &report));
  assert_true(metric(report, "acc") > 95 && metric(report, "acc_r") == metric(report, "acc"));
  assert_true(metric(report, "acc_class.2") > 95 && metric(report, "samples") == 80);
  assert_fails(LETHE_E_NOT_FOUND, "acc_f", lethe_report_metric(report, "acc_f", &value));
  assert_true(value == 0);
  lethe_report_free(report);

  forget_two(runtime, model);
  assert_ok(lethe_model_evaluate(model, test, NULL, &report));
  assert_true(metric(report, "acc_f") <= 5 && metric(report, "acc_o") <= 5);
  assert_true(metric(report, "acc_f") == metric(report, "acc_class.2"));
  assert_true(metric(report, "acc_o") == metric(report, "acc_class.1"));
  assert_true(metric(report, "acc_r") > 90);
  lethe_report_free(report);

  assert_ok(lethe_evaluate_options_init(&options, sizeof options));
  options.base = 1;
  options.batch = 7;
  options.forget_classes = forget;
  options.forget_class_count = 2;
  options.past_classes = forget;
  options.past_class_count = 0;
  assert_ok(lethe_model_evaluate(model, test, &options, &report));
  assert_true(metric(report, "acc_f") > 95 && metric(report, "acc_r") > 95);
  assert_fails(LETHE_E_NOT_FOUND, "acc_o", lethe_report_metric(report, "acc_o", &value));
  lethe_report_free(report);
  lethe_report_free(NULL);
  lethe_dataset_free(test);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static void evaluation_options_are_checked(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_model(runtime);
  lethe_dataset* test = make_dataset(runtime, 8, 7);
  lethe_report* report = NULL;
  lethe_evaluate_options options;
  const int64_t unknown = 4;
  (void)state;
  assert_ok(lethe_evaluate_options_init(&options, sizeof options));
  options.forget_classes = &unknown;
  options.forget_class_count = 1;
  assert_fails(LETHE_E_NOT_FOUND, "class 4", lethe_model_evaluate(model, test, &options, &report));
  assert_null(report);
  assert_ok(lethe_evaluate_options_init(&options, sizeof options));
  options.batch = 0;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "batch is 0",
               lethe_model_evaluate(model, test, &options, &report));
  options.batch = 10;
  options.margin = 2;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "margin is 2",
               lethe_model_evaluate(model, test, &options, &report));
  options.margin = 1;
  options.base = -1;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "base is -1",
               lethe_model_evaluate(model, test, &options, &report));
  lethe_dataset_free(test);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

/* ------------------------------------------------------------------ many threads at once */

typedef struct reader {
  const lethe_model* model;
  const images* set;
  const float* expected; /* NULL: the model changes meanwhile; only the form is checked */
  int wrong;
} reader;

static void* read_often(void* argument) {
  reader* self = argument;
  const lethe_tensor_view view = pixel_view(self->set);
  int round;
  for (round = 0; round < 25; ++round) {
    lethe_buffer* logits = NULL;
    if (lethe_model_predict(self->model, &view, 1, &logits) != LETHE_OK) {
      ++self->wrong;
    } else if (self->expected != NULL &&
               memcmp(lethe_buffer_data(logits), self->expected, lethe_buffer_size(logits)) != 0) {
      ++self->wrong;
    }
    lethe_buffer_free(logits);
  }
  return NULL;
}

enum { READERS = 8 };

static void run_readers(const lethe_model* model, const images* set, const float* expected,
                        lethe_engine* engine, const lethe_dataset* data) {
  pthread_t threads[READERS];
  reader readers[READERS];
  int i;
  for (i = 0; i < READERS; ++i) {
    readers[i].model = model;
    readers[i].set = set;
    readers[i].expected = expected;
    readers[i].wrong = 0;
    assert_int_equal(pthread_create(&threads[i], NULL, read_often, &readers[i]), 0);
  }
  if (engine != NULL) {
    forget(engine, "meanwhile 1", 1, data);
    forget(engine, "meanwhile 2", 2, data);
  }
  for (i = 0; i < READERS; ++i) {
    pthread_join(threads[i], NULL);
    assert_int_equal(readers[i].wrong, 0);
  }
}

static void eight_threads_read_the_same_bits(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_trained_model(runtime);
  lethe_dataset* data = make_dataset(runtime, 128, 1);
  lethe_engine* engine = NULL;
  images set = make_images(20, 4);
  float* expected = predict(model, &set);
  (void)state;
  run_readers(model, &set, expected, NULL, NULL);
  engine = make_engine(model);
  run_readers(model, &set, NULL, engine, data); /* while tasks train and commit */
  assert_int_equal(lethe_model_adapter_count(model), 2);
  free(expected);
  free_images(&set);
  lethe_engine_free(engine);
  lethe_dataset_free(data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(logits_and_embeddings_have_their_shapes),
      cmocka_unit_test(results_do_not_depend_on_what_follows),
      cmocka_unit_test(datasets_and_arrays_agree),
      cmocka_unit_test(evaluation_follows_the_stack),
      cmocka_unit_test(evaluation_options_are_checked),
      cmocka_unit_test(eight_threads_read_the_same_bits),
  };
  return cmocka_run_group_tests_name("capi predict", tests, NULL, NULL);
}
