/* Ten thousand hosts' lives: whatever is made and freed again leaves no memory behind. */
#include <unistd.h>

#include "common.h"

static long resident_kib(void) {
  long pages = 0, resident = 0;
  FILE* file = fopen("/proc/self/statm", "r");
  assert_non_null(file);
  assert_int_equal(fscanf(file, "%ld %ld", &pages, &resident), 2);
  fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Everything that can be made without training, and the failures on the way. */
static void live(const images* set) {
  lethe_runtime* runtime = make_runtime();
  lethe_model *model = make_model(runtime), *copy = NULL, *none = NULL;
  lethe_dataset *data = NULL, *part = NULL;
  lethe_engine* engine = make_engine(model);
  lethe_buffer *json = NULL, *logits = NULL;
  lethe_report* report = NULL;
  lethe_job* job = NULL;
  const lethe_tensor_view pixels = pixel_view(set), labels = label_view(set);
  const lethe_forget_config config = quick_config();
  const int64_t one = 1, nine = 9;
  assert_ok(lethe_dataset_from_tensors(runtime, &pixels, &labels, CLASSES, NULL, &data));
  assert_ok(lethe_dataset_select(data, LETHE_KEEP_CLASSES, &one, 1, 0, 0, &part));
  assert_ok(lethe_model_clone(model, &copy));
  assert_ok(lethe_model_info_json(model, &json));
  assert_ok(lethe_model_predict(model, &pixels, 1, &logits));
  assert_ok(lethe_model_evaluate(model, data, NULL, &report));
  assert_ok(lethe_engine_pause(engine));
  assert_ok(lethe_engine_enqueue(engine, "a", &one, 1, &config, data, NULL, NULL, &job));
  assert_ok(lethe_job_cancel(job));
  assert_fails(
      LETHE_E_NOT_FOUND, "class 9",
      lethe_engine_enqueue(engine, "b", &nine, 1, NULL, data, NULL, NULL, &(lethe_job*){0}));
  assert_fails(LETHE_E_CORRUPT, "", lethe_model_create(runtime, "{", NULL, &none));
  assert_fails(LETHE_E_BUSY, "", lethe_engine_create(model, NULL, &(lethe_engine*){0}));
  lethe_job_free(job);
  lethe_report_free(report);
  lethe_buffer_free(logits);
  lethe_buffer_free(json);
  lethe_engine_free(engine);
  lethe_dataset_free(part);
  lethe_dataset_free(data);
  lethe_model_free(copy);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static void ten_thousand_lives_leave_no_memory_behind(void** state) {
  images set = make_images(8, 1);
  long before, after;
  int i;
  (void)state;
#if defined(__SANITIZE_ADDRESS__)
  for (i = 0; i < 100; ++i)
    live(&set); /* the sanitizer itself looks for leaks, and keeps freed memory */
  before = after = resident_kib();
#else
  for (i = 0; i < 1000; ++i) live(&set);
  before = resident_kib();
  for (i = 0; i < 10000; ++i) live(&set);
  after = resident_kib();
#endif
  print_message("resident %ld kB before, %ld kB after\n", before, after);
  assert_true(after - before < 2048);
  free_images(&set);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(ten_thousand_lives_leave_no_memory_behind)};
  return cmocka_run_group_tests_name("capi cycles", tests, NULL, NULL);
}
