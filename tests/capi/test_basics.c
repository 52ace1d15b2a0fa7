/* Versions, errors, buffers, runtimes, and the rules that hold for every struct and handle. */
#include <pthread.h>

#include "common.h"

static void the_abi_is_the_recorded_one(void** state) {
  (void)state;
  assert_int_equal(LETHE_ABI_VERSION, 0x00010004);
  assert_int_equal(lethe_abi_version(), LETHE_ABI_VERSION);
  assert_string_equal(lethe_version_string(), "0.5.0");
  assert_int_equal(LETHE_VERSION_NUMBER, 500);
}

/* Values that hosts have compiled in. Never change one. */
static void constants_keep_their_values(void** state) {
  static const struct {
    int32_t actual, expected;
    const char* name;
  } statuses[] = {
      {LETHE_OK, 0, "OK"},
      {LETHE_TIMEOUT, 1, "TIMEOUT"},
      {LETHE_END, 2, "END"},
      {LETHE_E_INVALID_ARGUMENT, -1, "INVALID_ARGUMENT"},
      {LETHE_E_OUT_OF_MEMORY, -2, "OUT_OF_MEMORY"},
      {LETHE_E_IO, -3, "IO"},
      {LETHE_E_NOT_FOUND, -4, "NOT_FOUND"},
      {LETHE_E_EXISTS, -5, "EXISTS"},
      {LETHE_E_UNSUPPORTED, -6, "UNSUPPORTED"},
      {LETHE_E_CORRUPT, -7, "CORRUPT"},
      {LETHE_E_LIMIT_EXCEEDED, -8, "LIMIT_EXCEEDED"},
      {LETHE_E_BASE_MISMATCH, -9, "BASE_MISMATCH"},
      {LETHE_E_STATE, -10, "STATE"},
      {LETHE_E_CANCELLED, -11, "CANCELLED"},
      {LETHE_E_BUSY, -12, "BUSY"},
      {LETHE_E_FORKED, -13, "FORKED"},
      {LETHE_E_DEVICE, -14, "DEVICE"},
      {LETHE_E_NUMERIC, -15, "NUMERIC"},
      {LETHE_E_CALLBACK, -16, "CALLBACK"},
      {LETHE_E_VERSION, -17, "VERSION"},
      {LETHE_E_INTERNAL, -18, "INTERNAL"},
      {LETHE_E_REJECTED, -19, "REJECTED"},
  };
  static const int32_t others[][2] = {
      {LETHE_LOG_DEBUG, 1},
      {LETHE_LOG_INFO, 2},
      {LETHE_LOG_WARNING, 3},
      {LETHE_LOG_ERROR, 4},
      {LETHE_U8, 1},
      {LETHE_I64, 2},
      {LETHE_F32, 3},
      {LETHE_F16, 4},
      {LETHE_BF16, 5},
      {LETHE_KEEP_CLASSES, 1},
      {LETHE_DROP_CLASSES, 2},
      {LETHE_TAKE_INDICES, 3},
      {LETHE_GS_LORA, 1},
      {LETHE_GS_LORA_PP, 2},
      {LETHE_L2, 3},
      {LETHE_EWC, 4},
      {LETHE_MAS, 5},
      {LETHE_LWF, 6},
      {LETHE_DER, 7},
      {LETHE_DER_PP, 8},
      {LETHE_FDR, 9},
      {LETHE_SCRUB, 10},
      {LETHE_SCRUB_S, 11},
      {LETHE_LIRF, 12},
      {LETHE_RETRAIN, 13},
      {LETHE_FINE_TUNE, 14},
      {LETHE_GRADIENT_ASCENT, 15},
      {LETHE_SALUN, 16},
      {LETHE_FORM_CORRECTED, 1},
      {LETHE_FORM_REFERENCE, 2},
      {LETHE_LORA_FFN, 1},
      {LETHE_LORA_ATTENTION, 2},
      {LETHE_LORA_ENCODER, 3},
      {LETHE_LORA_DECODER, 4},
      {LETHE_SEARCH_OFF, 1},
      {LETHE_SEARCH_SPARSEST, 2},
      {LETHE_AUDIT_MEMBERSHIP, 1},
      {LETHE_AUDIT_VERIFICATION, 2},
      {LETHE_AUDIT_PROBE, 4},
      {LETHE_AUDIT_RELEARNING, 8},
      {LETHE_HEAD_LINEAR, 1},
      {LETHE_HEAD_COSFACE, 2},
      {LETHE_HEAD_ARCFACE, 3},
      {LETHE_GROUP_BLOCK, 1},
      {LETHE_GROUP_LORA, 2},
      {LETHE_GROUP_MATRIX, 3},
      {LETHE_SUBGRADIENT, 1},
      {LETHE_PROXIMAL, 2},
      {LETHE_PROTOTYPE_ORIGINAL, 1},
      {LETHE_PROTOTYPE_TASK_START, 2},
      {LETHE_PROTOTYPE_RANDOM_NETWORK, 3},
      {LETHE_INIT_REFERENCE, 1},
      {LETHE_INIT_KAIMING, 2},
      {LETHE_FAST_ONE_PASS, 1},
      {LETHE_FAST_CLASS_TOKEN, 2},
      {LETHE_FAST_PREFIX_CACHE, 4},
      {LETHE_FAST_FUSED_ATTENTION, 8},
      {LETHE_FAST_FOLDED_LORA, 16},
      {LETHE_FAST_ALL, 31},
      {LETHE_JOB_QUEUED, 1},
      {LETHE_JOB_RUNNING, 3},
      {LETHE_JOB_COMMITTING, 4},
      {LETHE_JOB_SUCCEEDED, 5},
      {LETHE_JOB_REJECTED, 6},
      {LETHE_JOB_FAILED, 7},
      {LETHE_JOB_CANCELLED, 8},
      {LETHE_EVENT_STATE, 1},
      {LETHE_EVENT_PROGRESS, 2},
      {LETHE_ALLOW_UNVERIFIED, 1},
  };
  size_t i;
  (void)state;
  for (i = 0; i < sizeof statuses / sizeof statuses[0]; ++i) {
    assert_int_equal(statuses[i].actual, statuses[i].expected);
    assert_string_equal(lethe_status_name(statuses[i].actual), statuses[i].name);
  }
  for (i = 0; i < sizeof others / sizeof others[0]; ++i) {
    assert_int_equal(others[i][0], others[i][1]);
  }
  assert_string_equal(lethe_status_name(-20), "UNKNOWN");
  assert_string_equal(lethe_status_name(3), "UNKNOWN");
}

static void* look_at_errors(void* unused) {
  (void)unused;
  return (void*)(intptr_t)(lethe_last_error_code() == LETHE_OK && lethe_last_error()[0] == '\0');
}

static void errors_belong_to_their_thread(void** state) {
  pthread_t thread;
  void* clean = NULL;
  lethe_buffer* json = NULL;
  (void)state;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "buffer is NULL", lethe_buffer_copy(NULL, NULL, 0));
  pthread_create(&thread, NULL, look_at_errors, NULL);
  pthread_join(thread, &clean);
  assert_non_null(clean);
  assert_int_equal(lethe_last_error_code(), LETHE_E_INVALID_ARGUMENT);

  lethe_buffer_free(NULL); /* cleaning up keeps the message */
  lethe_engine_free(NULL);
  assert_int_equal(lethe_buffer_size(NULL), 0);
  assert_int_equal(lethe_last_error_code(), LETHE_E_INVALID_ARGUMENT);
  assert_string_equal(lethe_last_error(), "buffer is NULL");

  assert_ok(lethe_method_info_json(&json)); /* a success does not */
  lethe_buffer_free(json);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "buffer", lethe_buffer_copy(NULL, NULL, 0));
  lethe_last_error_clear();
  assert_string_equal(lethe_last_error(), "");
  assert_int_equal(lethe_last_error_code(), LETHE_OK);
}

static void buffers_are_aligned_and_end_in_nul(void** state) {
  lethe_buffer* json = NULL;
  char start[16];
  size_t size;
  const char* data;
  (void)state;
  assert_ok(lethe_method_info_json(&json));
  data = lethe_buffer_data(json);
  size = lethe_buffer_size(json);
  assert_int_equal((uintptr_t)data % 64, 0);
  assert_int_equal(strlen(data), size);
  assert_ok(lethe_buffer_copy(json, start, sizeof start));
  assert_memory_equal(start, data, sizeof start);
  assert_ok(lethe_buffer_copy(json, NULL, 0));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "fewer", lethe_buffer_copy(json, start, size + 1));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "data is NULL", lethe_buffer_copy(json, NULL, 1));
  lethe_buffer_free(json);
  assert_null(lethe_buffer_data(NULL));
  assert_int_equal(lethe_buffer_size(NULL), 0);
  lethe_buffer_free(NULL);
}

static void runtimes_say_what_they_can_do(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_buffer* json = NULL;
  int32_t devices = -1;
  (void)state;
  assert_ok(lethe_build_info_json(&json));
  assert_text(json, "\"libtorch\":\"2.");
  assert_ok(lethe_build_info_json(&json));
  assert_text(json, "\"cuda\":{\"devices\":");
  assert_ok(lethe_runtime_device_count(runtime, &devices));
  assert_true(devices >= 0);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "out_count", lethe_runtime_device_count(runtime, NULL));
  devices = 7;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "runtime", lethe_runtime_device_count(NULL, &devices));
  assert_int_equal(devices, 0);
  lethe_runtime_free(runtime);
  lethe_runtime_free(NULL);
}

typedef struct log_lines {
  int count;
  lethe_runtime* runtime;
  lethe_status set_log_inside;
} log_lines;

static void on_log(lethe_log_level level, const char* component, const char* message,
                   void* user_data) {
  log_lines* lines = user_data;
  assert_true(level >= LETHE_LOG_INFO && component[0] != '\0' && message[0] != '\0');
  assert_null(strchr(message, '\n'));
  ++lines->count;
  lines->set_log_inside = lethe_runtime_set_log(lines->runtime, LETHE_LOG_INFO, NULL, NULL);
}

static void the_log_tells_of_jobs(void** state) {
  log_lines lines = {0, NULL, 0};
  lethe_runtime_options options;
  lethe_model* model;
  int before;
  (void)state;
  assert_ok(lethe_runtime_options_init(&options, sizeof options));
  assert_int_equal(options.log_level, LETHE_LOG_WARNING);
  assert_null(options.log_callback);
  options.log_level = LETHE_LOG_INFO;
  options.log_callback = on_log;
  options.log_user_data = &lines;
  assert_ok(lethe_runtime_create(&options, &lines.runtime));
  model = make_trained_model(lines.runtime);
  assert_true(lines.count >= 3); /* queued, running, succeeded */
  assert_int_equal(lines.set_log_inside, LETHE_E_STATE);

  before = lines.count;
  assert_ok(lethe_runtime_set_log(lines.runtime, LETHE_LOG_ERROR, on_log, &lines));
  forget_two(lines.runtime, model);
  assert_int_equal(lines.count, before);
  assert_ok(lethe_runtime_set_log(lines.runtime, LETHE_LOG_INFO, on_log, &lines));
  lethe_runtime_free(lines.runtime); /* ends the log; the model goes on */
  lines.runtime = make_runtime();
  assert_ok(lethe_model_rollback_to(model, NULL));
  forget_two(lines.runtime, model);
  assert_int_equal(lines.count, before);
  lethe_model_free(model);
  lethe_runtime_free(lines.runtime);
}

static void log_options_are_checked(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_runtime_options options;
  lethe_runtime* other = runtime;
  (void)state;
  assert_ok(lethe_runtime_options_init(&options, sizeof options));
  options.log_level = 0;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "log level is 0", lethe_runtime_create(&options, &other));
  assert_null(other);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "log level is 5",
               lethe_runtime_set_log(runtime, 5, NULL, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "runtime is NULL",
               lethe_runtime_set_log(NULL, LETHE_LOG_INFO, NULL, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "out_runtime", lethe_runtime_create(NULL, NULL));
  lethe_runtime_free(runtime);
}

/* A host of a later minor version: its struct is longer than this library knows. */
static void longer_structs_are_accepted_when_the_tail_is_zero(void** state) {
  struct {
    lethe_runtime_options known;
    uint64_t later;
  } options;
  lethe_runtime* runtime = NULL;
  (void)state;
  memset(&options, 0xff, sizeof options);
  assert_ok(lethe_runtime_options_init(&options.known, sizeof options));
  assert_int_equal(options.known.struct_size, sizeof options);
  assert_int_equal(options.later, 0);
  assert_ok(lethe_runtime_create(&options.known, &runtime));
  lethe_runtime_free(runtime);
  options.later = 1;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "does not know",
               lethe_runtime_create(&options.known, &runtime));
}

static void wrong_struct_sizes_are_refused(void** state) {
  lethe_runtime_options options;
  lethe_runtime* runtime = NULL;
  static const uint32_t sizes[] = {0, 4, sizeof options - 1, 0xcccccccc};
  size_t i;
  (void)state;
  for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    assert_ok(lethe_runtime_options_init(&options, sizeof options));
    options.struct_size = sizes[i];
    assert_fails(LETHE_E_INVALID_ARGUMENT, "struct_size", lethe_runtime_create(&options, &runtime));
    assert_fails(LETHE_E_INVALID_ARGUMENT, "struct_size",
                 lethe_runtime_options_init(&options, sizes[i]));
  }
  assert_fails(LETHE_E_INVALID_ARGUMENT, "NULL", lethe_runtime_options_init(NULL, sizeof options));
  assert_ok(lethe_runtime_options_init(&options, sizeof options));
  options.reserved[3] = 1;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "reserved", lethe_runtime_create(&options, &runtime));
}

static void every_init_function_fills_its_struct(void** state) {
  union {
    lethe_limits limits;
    lethe_export_options exports;
    lethe_engine_options engine;
    lethe_evaluate_options evaluate;
    lethe_forget_config forget;
    lethe_pretrain_config pretrain;
  } any;
  (void)state;
  memset(&any, 0xee, sizeof any);
  assert_ok(lethe_limits_init(&any.limits, sizeof any.limits));
  assert_int_equal(any.limits.struct_size, sizeof any.limits);
  assert_int_equal(any.limits.max_tensors, 16384);
  assert_int_equal(any.limits.max_file_bytes, (int64_t)2 << 30);
  assert_int_equal(any.limits.reserved[7], 0);
  memset(&any, 0xee, sizeof any);
  assert_ok(lethe_export_options_init(&any.exports, sizeof any.exports));
  assert_int_equal(any.exports.dtype, LETHE_F32);
  assert_int_equal(any.exports.level, 3);
  memset(&any, 0xee, sizeof any);
  assert_ok(lethe_engine_options_init(&any.engine, sizeof any.engine));
  assert_int_equal(any.engine.threads, 0);
  assert_int_equal(any.engine.event_capacity, 1024);
  memset(&any, 0xee, sizeof any);
  assert_ok(lethe_evaluate_options_init(&any.evaluate, sizeof any.evaluate));
  assert_int_equal(any.evaluate.batch, 250);
  assert_null(any.evaluate.forget_classes);
  memset(&any, 0xee, sizeof any);
  assert_ok(lethe_pretrain_config_init(&any.pretrain, sizeof any.pretrain));
  assert_int_equal(any.pretrain.epochs, 30);
  assert_int_equal(any.pretrain.flip, 0);
  memset(&any, 0xee, sizeof any);
  assert_ok(
      lethe_forget_config_init(&any.forget, sizeof any.forget, LETHE_GS_LORA, LETHE_HEAD_COSFACE));
  assert_int_equal(any.forget.struct_size, sizeof any.forget);
  assert_int_equal(any.forget.fast, LETHE_FAST_ALL);

  assert_fails(LETHE_E_INVALID_ARGUMENT, "limits", lethe_limits_init(&any.limits, 8));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "NULL", lethe_export_options_init(NULL, 88));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "NULL", lethe_engine_options_init(NULL, 80));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "size", lethe_evaluate_options_init(&any.evaluate, 1));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "size", lethe_pretrain_config_init(&any.pretrain, 1));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "size",
               lethe_forget_config_init(&any.forget, 1, LETHE_GS_LORA, LETHE_HEAD_LINEAR));
}

static void foreign_handles_are_noticed(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_model(runtime);
  lethe_buffer* json = NULL;
  uint64_t freed_memory[32] = {0};
  (void)state;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "not a live handle",
               lethe_model_info_json((const lethe_model*)runtime, &json));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "not a live handle",
               lethe_model_info_json((const lethe_model*)freed_memory, &json));
  assert_int_equal(lethe_dataset_size((const lethe_dataset*)model), 0);
  assert_null(lethe_job_request_id((const lethe_job*)model));
  lethe_buffer_free((lethe_buffer*)model); /* ignored */
  lethe_runtime_free((lethe_runtime*)model);
  assert_ok(lethe_model_info_json(model, &json));
  lethe_buffer_free(json);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_abi_is_the_recorded_one),
      cmocka_unit_test(constants_keep_their_values),
      cmocka_unit_test(errors_belong_to_their_thread),
      cmocka_unit_test(buffers_are_aligned_and_end_in_nul),
      cmocka_unit_test(runtimes_say_what_they_can_do),
      cmocka_unit_test(the_log_tells_of_jobs),
      cmocka_unit_test(log_options_are_checked),
      cmocka_unit_test(longer_structs_are_accepted_when_the_tail_is_zero),
      cmocka_unit_test(wrong_struct_sizes_are_refused),
      cmocka_unit_test(every_init_function_fills_its_struct),
      cmocka_unit_test(foreign_handles_are_noticed),
  };
  return cmocka_run_group_tests_name("capi basics", tests, NULL, NULL);
}
