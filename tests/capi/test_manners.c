/* What a plugin must not do to its host: print, change settings of the process, mix up its objects,
 * survive a fork by accident, or fail without a message. */
#include <fcntl.h>
#include <fenv.h>
#include <float.h>
#include <locale.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

/* ------------------------------------------------------------------ messages */

#define REFUSED(call) assert_fails(LETHE_E_INVALID_ARGUMENT, "", call)

static void every_function_leaves_a_message_when_it_fails(void** state) {
  (void)state;
  REFUSED(lethe_buffer_copy(NULL, NULL, 0));
  REFUSED(lethe_runtime_options_init(NULL, 0));
  REFUSED(lethe_runtime_create(NULL, NULL));
  REFUSED(lethe_runtime_set_log(NULL, 2, NULL, NULL));
  REFUSED(lethe_build_info_json(NULL));
  REFUSED(lethe_runtime_device_count(NULL, NULL));
  REFUSED(lethe_arch_default_spec(NULL, NULL));
  REFUSED(lethe_model_create(NULL, NULL, NULL, NULL));
  REFUSED(lethe_limits_init(NULL, 0));
  REFUSED(lethe_model_load_weights(NULL, NULL, NULL));
  REFUSED(lethe_model_load_weights_memory(NULL, NULL, 0, NULL));
  REFUSED(lethe_model_clone(NULL, NULL));
  REFUSED(lethe_model_info_json(NULL, NULL));
  REFUSED(lethe_model_fingerprint(NULL, NULL, NULL));
  REFUSED(lethe_model_tensor_info(NULL, 0, NULL));
  REFUSED(lethe_model_tensor_read(NULL, NULL, 0, NULL, 0));
  REFUSED(lethe_export_options_init(NULL, 0));
  REFUSED(lethe_model_export_merged(NULL, NULL, NULL));
  REFUSED(lethe_dataset_from_tensors(NULL, NULL, NULL, 0, NULL, NULL));
  REFUSED(lethe_dataset_from_idx(NULL, NULL, NULL, 0, NULL, NULL));
  REFUSED(lethe_dataset_from_image_folder(NULL, NULL, NULL, NULL));
  REFUSED(lethe_dataset_select(NULL, 1, NULL, 0, 0, 0, NULL));
  REFUSED(lethe_dataset_split(NULL, 0.5, 0, NULL, NULL));
  REFUSED(lethe_dataset_sample(NULL, 0, NULL, NULL));
  REFUSED(lethe_dataset_info_json(NULL, NULL));
  REFUSED(lethe_forget_config_init(NULL, 0, LETHE_GS_LORA, LETHE_HEAD_LINEAR));
  REFUSED(lethe_forget_config_from_json(NULL, NULL));
  REFUSED(lethe_forget_config_to_json(NULL, NULL));
  REFUSED(lethe_forget_config_validate(NULL, NULL));
  REFUSED(lethe_method_info_json(NULL));
  REFUSED(lethe_pretrain_config_init(NULL, 0));
  REFUSED(lethe_engine_options_init(NULL, 0));
  REFUSED(lethe_engine_create(NULL, NULL, NULL));
  REFUSED(lethe_engine_enqueue(NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL));
  REFUSED(lethe_engine_enqueue_pretraining(NULL, NULL, NULL, NULL, NULL, NULL));
  REFUSED(lethe_engine_next_event(NULL, 0, NULL));
  REFUSED(lethe_engine_wait_idle(NULL, 0));
  REFUSED(lethe_engine_job_at(NULL, 0, NULL));
  REFUSED(lethe_engine_job_find(NULL, NULL, NULL));
  REFUSED(lethe_engine_close(NULL, 0));
  REFUSED(lethe_job_status(NULL, NULL));
  REFUSED(lethe_job_wait(NULL, 0));
  REFUSED(lethe_job_cancel(NULL));
  REFUSED(lethe_job_result(NULL, NULL, NULL));
  REFUSED(lethe_model_predict(NULL, NULL, 0, NULL));
  REFUSED(lethe_model_embed(NULL, NULL, 0, NULL));
  REFUSED(lethe_model_predict_dataset(NULL, NULL, 0, NULL));
  REFUSED(lethe_evaluate_options_init(NULL, 0));
  REFUSED(lethe_model_evaluate(NULL, NULL, NULL, NULL));
  REFUSED(lethe_model_adapter_at(NULL, 0, NULL));
  REFUSED(lethe_model_adapter_find(NULL, NULL, NULL));
  REFUSED(lethe_adapter_info_json(NULL, NULL));
  REFUSED(lethe_adapter_export(NULL, NULL, NULL));
  REFUSED(lethe_adapter_export_memory(NULL, NULL, NULL));
  REFUSED(lethe_adapter_load(NULL, NULL, NULL, NULL));
  REFUSED(lethe_adapter_load_memory(NULL, NULL, 0, NULL, NULL));
  REFUSED(lethe_model_attach(NULL, NULL));
  REFUSED(lethe_model_set_adapters(NULL, NULL, NULL, 0, 0));
  REFUSED(lethe_model_rollback_to(NULL, NULL));
  REFUSED(lethe_report_json(NULL, NULL));
  REFUSED(lethe_report_metric(NULL, NULL, NULL));
}

/* ------------------------------------------------------------------ streams and settings */

/* A whole life: training, forgetting, files, evaluation, and failures on the way. */
static void walk(void) {
  lethe_runtime* runtime = make_runtime();
  lethe_model *model = make_trained_model(runtime), *none = NULL;
  lethe_dataset* data = make_dataset(runtime, 64, 1);
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  lethe_buffer* json = NULL;
  char* folder = make_folder();
  const char* path = in_folder(folder, "a.lethe");
  if (lethe_model_create(runtime, TINY_SPEC, "cuda", &none) == LETHE_OK) lethe_model_free(none);
  assert_fails(LETHE_E_CORRUPT, "", lethe_model_create(runtime, "{", NULL, &none));
  forget_two(runtime, model);
  assert_ok(lethe_model_adapter_at(model, 1, &adapter));
  assert_ok(lethe_adapter_export(adapter, path, NULL));
  lethe_adapter_free(adapter);
  write_file(path, "garbage", 7);
  assert_fails(LETHE_E_CORRUPT, "", lethe_adapter_load(runtime, path, NULL, &adapter));
  assert_ok(lethe_model_export_merged(model, path, NULL));
  assert_ok(lethe_model_evaluate(model, data, NULL, &report));
  assert_ok(lethe_model_rollback_to(model, NULL));
  assert_ok(lethe_build_info_json(&json));
  lethe_buffer_free(json);
  lethe_report_free(report);
  lethe_dataset_free(data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
  remove_folder(folder);
}

/* Runs this program with "walk": its exit status. `output` gets both streams; NULL closes them. */
static int run_walk(const char* output) {
  int status = -1;
  const pid_t child = fork();
  if (child == 0) {
    if (output != NULL) {
      const int file = open(output, O_WRONLY | O_CREAT, 0644);
      dup2(file, 1);
      dup2(file, 2);
    } else {
      close(0);
      close(1);
      close(2);
    }
    execl("/proc/self/exe", "walk", "walk", (char*)NULL);
    _exit(99);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void nothing_is_printed(void** state) {
  char* folder = make_folder();
  const char* path = in_folder(folder, "output");
  size_t size;
  char* output;
  (void)state;
  assert_int_equal(run_walk(path), 0);
  output = read_file(path, &size);
  assert_string_equal(output, "");
  free(output);
  remove_folder(folder);
}

static void closed_streams_are_no_trouble(void** state) {
  (void)state;
  assert_int_equal(run_walk(NULL), 0);
}

static void settings_of_the_process_stay(void** state) {
  static const int signals[] = {SIGSEGV, SIGFPE, SIGINT, SIGTERM, SIGPIPE, SIGCHLD, SIGABRT};
  struct sigaction before[7], after;
  const mode_t mask = umask(022);
  volatile float tiny = FLT_MIN;
  char where[1024], now[1024];
  const char* locale = setlocale(LC_ALL, NULL);
  char locale_before[256];
  int i, first;
  (void)state;
  snprintf(locale_before, sizeof locale_before, "%s", locale);
  assert_non_null(getcwd(where, sizeof where));
  for (i = 0; i < 7; ++i) sigaction(signals[i], NULL, &before[i]);
  omp_set_num_threads(3);
  assert_int_equal(fesetround(FE_UPWARD), 0);
  srand(7);
  first = rand();
  srand(7);
  walk();
  assert_int_equal(rand(), first);
  assert_int_equal(fegetround(), FE_UPWARD);
  fesetround(FE_TONEAREST);
  tiny /= 2;
  assert_true(tiny > 0); /* denormals are not flushed */
  assert_int_equal(omp_get_max_threads(), 3);
  assert_string_equal(setlocale(LC_ALL, NULL), locale_before);
  assert_string_equal(getcwd(now, sizeof now), where);
  assert_int_equal(umask(mask), 022);
  for (i = 0; i < 7; ++i) {
    sigaction(signals[i], NULL, &after);
    assert_ptr_equal(after.sa_handler, before[i].sa_handler);
  }
}

/* ------------------------------------------------------------------ many at once, forks, threads
 */

typedef struct life {
  int64_t class_id;
  float logits[4 * CLASSES];
} life;

static void* live(void* argument) {
  life* self = argument;
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_trained_model(runtime);
  lethe_dataset* data = make_dataset(runtime, 64, 1);
  lethe_engine* engine = NULL;
  lethe_engine_options options;
  images set = make_images(4, 3);
  float* logits;
  assert_ok(lethe_engine_options_init(&options, sizeof options));
  options.threads = 1;
  assert_ok(lethe_engine_create(model, &options, &engine));
  forget(engine, "it", self->class_id, data);
  logits = predict(model, &set);
  memcpy(self->logits, logits, sizeof self->logits);
  free(logits);
  free_images(&set);
  lethe_engine_free(engine);
  lethe_dataset_free(data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
  return NULL;
}

static void two_hosts_do_not_notice_each_other(void** state) {
  life alone[2] = {{1, {0}}, {2, {0}}}, together[2] = {{1, {0}}, {2, {0}}};
  pthread_t threads[2];
  int i;
  (void)state;
  for (i = 0; i < 2; ++i) live(&alone[i]);
  for (i = 0; i < 2; ++i) pthread_create(&threads[i], NULL, live, &together[i]);
  for (i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  for (i = 0; i < 2; ++i) {
    assert_memory_equal(alone[i].logits, together[i].logits, sizeof alone[i].logits);
  }
  assert_memory_not_equal(alone[0].logits, alone[1].logits, sizeof alone[0].logits);
}

static void inherited_handles_are_refused(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_trained_model(runtime);
  lethe_dataset* data = make_dataset(runtime, 64, 1);
  lethe_engine* engine = NULL;
  int status = -1;
  pid_t child;
  (void)state;
  engine = make_engine(model);
  child = fork();
  if (child == 0) {
    lethe_buffer* json = NULL;
    lethe_event event;
    int wrong = 0;
    event.struct_size = sizeof event;
    wrong += lethe_model_info_json(model, &json) != LETHE_E_FORKED;
    wrong +=
        lethe_last_error_code() != LETHE_E_FORKED || strstr(lethe_last_error(), "fork") == NULL;
    wrong += lethe_dataset_info_json(data, &json) != LETHE_E_FORKED;
    wrong += lethe_engine_next_event(engine, 0, &event) != LETHE_E_FORKED;
    wrong += lethe_runtime_set_log(runtime, 2, NULL, NULL) != LETHE_E_FORKED;
    wrong += lethe_dataset_size(data) != 0;
    lethe_engine_free(engine); /* must not wait for a thread that is not here */
    lethe_dataset_free(data);
    lethe_model_free(model);
    lethe_runtime_free(runtime);
    _exit(wrong);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  forget(engine, "the parent goes on", 1, data);
  lethe_engine_free(engine);
  lethe_dataset_free(data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static void* wait_for_ever(void* job) {
  lethe_job_wait(job, -1);
  return NULL;
}

/* A host that cancels a thread of its own inside a wait: glibc's unwinding passes through. */
static void waiting_threads_can_be_cancelled(void** state) {
#ifdef __SANITIZE_ADDRESS__
  skip(); /* forced unwinding is caught as a reference to no object, which UBSan minds */
#endif
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_trained_model(runtime);
  lethe_dataset* data = make_dataset(runtime, 64, 1);
  lethe_engine* engine = NULL;
  lethe_job* job = NULL;
  lethe_forget_config config = quick_config();
  const struct timespec nap = {0, 50000000};
  const int64_t one = 1;
  pthread_t thread;
  void* result = NULL;
  (void)state;
  config.max_steps = 1000000;
  engine = make_engine(model);
  assert_ok(lethe_engine_enqueue(engine, "long", &one, 1, &config, data, NULL, NULL, &job));
  pthread_create(&thread, NULL, wait_for_ever, job);
  nanosleep(&nap, NULL);
  pthread_cancel(thread);
  pthread_join(thread, &result);
  assert_ptr_equal(result, PTHREAD_CANCELED);
  assert_ok(lethe_job_cancel(job));
  assert_ok(lethe_job_wait(job, 60000));
  lethe_job_free(job);
  lethe_engine_free(engine);
  lethe_dataset_free(data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

int main(int argc, char** argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_function_leaves_a_message_when_it_fails),
      cmocka_unit_test(nothing_is_printed),
      cmocka_unit_test(closed_streams_are_no_trouble),
      cmocka_unit_test(settings_of_the_process_stay),
      cmocka_unit_test(two_hosts_do_not_notice_each_other),
      cmocka_unit_test(inherited_handles_are_refused),
      cmocka_unit_test(waiting_threads_can_be_cancelled),
  };
  if (argc > 1 && strcmp(argv[1], "walk") == 0) {
    walk();
    return 0;
  }
  return cmocka_run_group_tests_name("capi manners", tests, NULL, NULL);
}
