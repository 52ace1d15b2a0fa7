/* A host that does not link the library: it loads it, takes the function table, and forgets a
 * class. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>
#include <lethe/lethe_api.h>
#include <stdlib.h>
#include <string.h>

static void* library(void) {
  void* handle = dlopen(getenv("LETHE_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) print_error("%s\n", dlerror());
  assert_non_null(handle);
  return handle;
}

static lethe_get_api_function get_api(void* handle) {
  lethe_get_api_function function;
  void* symbol = dlsym(handle, "lethe_get_api");
  assert_non_null(symbol);
  memcpy(&function, &symbol, sizeof function);
  return function;
}

static void the_table_is_the_library(void** state) {
  void* handle = library();
  const lethe_api_v1* lethe = get_api(handle)(LETHE_ABI_VERSION >> 16);
  int count = 0;
  (void)state;
  assert_null(get_api(handle)((LETHE_ABI_VERSION >> 16) + 1));
  assert_null(get_api(handle)(0));
  assert_non_null(lethe);
  assert_int_equal(lethe->struct_size, sizeof *lethe);
  assert_int_equal(lethe->abi, LETHE_ABI_VERSION);
  assert_int_equal(lethe->abi_version(), LETHE_ABI_VERSION);
#define CHECK(name)                                                         \
  {                                                                         \
    void* symbol = dlsym(handle, "lethe_" #name);                           \
    assert_non_null(symbol);                                                \
    assert_memory_equal(&symbol, (const void*)&lethe->name, sizeof symbol); \
    ++count;                                                                \
  }
  LETHE_API_FUNCTIONS(CHECK)
#undef CHECK
  assert_int_equal(count, (sizeof *lethe - offsetof(lethe_api_v1, abi_version)) / sizeof(void*));
  dlclose(handle);
}

static void a_host_forgets_through_the_table(void** state) {
  enum { COUNT = 64, PIXELS = 64 };
  void* handle = library();
  const lethe_api_v1* lethe = get_api(handle)(1);
  static float pixels[COUNT * PIXELS];
  static int64_t labels[COUNT];
  const int64_t shape[] = {COUNT, 1, 8, 8}, forgotten = 1;
  const char* spec =
      "{\"arch\":\"vit\",\"classes\":4,\"image_size\":8,\"channels\":1,\"patch_size\":4,"
      "\"dim\":16,\"depth\":2,\"heads\":2,\"mlp_dim\":32}";
  lethe_tensor_view images = {sizeof images, LETHE_F32, pixels, sizeof pixels, 4, 0, shape, NULL};
  lethe_tensor_view classes = {sizeof classes, LETHE_I64, labels, sizeof labels, 1, 0, shape, NULL};
  lethe_runtime* runtime = NULL;
  lethe_model* model = NULL;
  lethe_dataset* data = NULL;
  lethe_engine *engine = NULL, *second = NULL;
  lethe_job* job = NULL;
  lethe_forget_config config;
  lethe_job_status_info info = {sizeof info, 0, 0, 0, 0, {0}};
  int i;
  (void)state;
  for (i = 0; i < COUNT; ++i) {
    labels[i] = i % 4;
    pixels[i * PIXELS + labels[i]] = 1.0f;
  }
  assert_int_equal(lethe->runtime_create(NULL, &runtime), LETHE_OK);
  assert_int_equal(lethe->model_create(runtime, spec, "cpu", &model), LETHE_OK);
  assert_int_equal(lethe->dataset_from_tensors(runtime, &images, &classes, 4, NULL, &data), 0);
  assert_int_equal(lethe->engine_create(model, NULL, &engine), LETHE_OK);
  assert_int_equal(
      lethe->forget_config_init(&config, sizeof config, LETHE_GS_LORA, LETHE_HEAD_LINEAR),
      LETHE_OK);
  config.max_steps = 5;
  config.data_ratio = 1;
  config.zero_threshold = 0;
  config.gate_max_acc_f = config.gate_max_acc_r_drop = -1;
  assert_int_equal(
      lethe->engine_enqueue(engine, "a", &forgotten, 1, &config, data, NULL, NULL, &job), LETHE_OK);
  assert_int_equal(lethe->job_wait(job, -1), LETHE_OK);
  assert_int_equal(lethe->job_status(job, &info), LETHE_OK);
  if (info.state != LETHE_JOB_SUCCEEDED) print_error("%s\n", lethe->job_error(job));
  assert_int_equal(info.state, LETHE_JOB_SUCCEEDED);
  assert_int_equal(lethe->engine_create(model, NULL, &second), LETHE_E_BUSY);
  assert_non_null(strstr(lethe->last_error(), "engine"));
  lethe->job_free(job);
  lethe->engine_free(engine);
  lethe->dataset_free(data);
  lethe->model_free(model);
  lethe->runtime_free(runtime);
  dlclose(handle); /* the code stays: LibTorch has seen it */
  assert_string_equal(lethe->status_name(LETHE_E_BUSY), "BUSY");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_table_is_the_library),
      cmocka_unit_test(a_host_forgets_through_the_table),
  };
  return cmocka_run_group_tests_name("capi dlopen", tests, NULL, NULL);
}
