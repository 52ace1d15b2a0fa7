/* Engines on a folder, through lethe.h: tasks and stack come back, receipts tell what was done. */
#include <unistd.h>

#include "common.h"

typedef struct setup {
  lethe_runtime* runtime;
  lethe_dataset* data;
  char* root;
  char folder[512];
} setup;

static setup start(void) {
  setup s;
  s.runtime = make_runtime();
  s.data = make_dataset(s.runtime, 128, 1);
  s.root = make_folder();
  snprintf(s.folder, sizeof s.folder, "%s/engine", s.root);
  return s;
}

static void stop(setup* s) {
  lethe_dataset_free(s->data);
  lethe_runtime_free(s->runtime);
  remove_folder(s->root);
}

static lethe_engine_options options_in(const setup* s) {
  lethe_engine_options options;
  assert_ok(lethe_engine_options_init(&options, sizeof options));
  assert_null(options.folder);
  assert_true(options.checkpoint_seconds == 30);
  options.threads = 1;
  options.folder = s->folder;
  options.checkpoint_seconds = 0;
  return options;
}

static lethe_engine* open_engine(const setup* s, lethe_model* model, int32_t paused) {
  lethe_engine_options options = options_in(s);
  lethe_engine* engine = NULL;
  options.paused = paused;
  assert_ok(lethe_engine_create(model, &options, &engine));
  return engine;
}

static lethe_job* enqueue(lethe_engine* engine, const char* id, int64_t class_id,
                          const lethe_dataset* data, const lethe_task_options* options) {
  const lethe_forget_config config = quick_config();
  lethe_job* job = NULL;
  assert_ok(lethe_engine_enqueue_with(engine, id, &class_id, 1, &config, data, NULL, NULL, options,
                                      &job));
  return job;
}

static lethe_job_state state_of(const lethe_job* job) {
  lethe_job_status_info info;
  info.struct_size = sizeof info;
  assert_ok(lethe_job_status(job, &info));
  return info.state;
}

static void what_is_queued_comes_back(void** state) {
  setup s = start();
  lethe_model* model = make_trained_model(s.runtime);
  lethe_engine* engine = open_engine(&s, model, 1);
  lethe_job* job = enqueue(engine, "req-1", 1, s.data, NULL);
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  identity done;
  (void)state;
  assert_int_equal(state_of(job), LETHE_JOB_QUEUED);
  assert_ok(lethe_engine_close(engine, -1));
  assert_int_equal(state_of(job), LETHE_JOB_QUEUED);
  assert_fails(LETHE_E_STATE, "is kept", lethe_job_wait(job, -1));
  assert_fails(LETHE_E_STATE, "is kept", lethe_engine_wait_idle(engine, -1));
  lethe_job_free(job);
  lethe_engine_free(engine);
  lethe_model_free(model);

  model = make_trained_model(s.runtime);
  engine = open_engine(&s, model, 0);
  assert_ok(lethe_engine_job_find(engine, "req-1", &job));
  assert_ok(lethe_job_wait(job, -1));
  assert_int_equal(state_of(job), LETHE_JOB_SUCCEEDED);
  done = identity_of(model);
  lethe_job_free(job);
  lethe_engine_free(engine);
  lethe_model_free(model);

  model = make_trained_model(s.runtime);
  engine = open_engine(&s, model, 0);
  assert_unchanged(model, &done);
  assert_int_equal(lethe_model_adapter_count(model), 1);
  job = enqueue(engine, "req-1", 1, s.data, NULL); /* the same request: the same job */
  assert_int_equal(state_of(job), LETHE_JOB_SUCCEEDED);
  assert_ok(lethe_job_result(job, &adapter, &report));
  assert_non_null(adapter);
  assert_non_null(report);
  assert_int_equal(lethe_engine_job_count(engine), 1);
  lethe_adapter_free(adapter);
  lethe_report_free(report);
  lethe_job_free(job);
  lethe_engine_free(engine);
  lethe_model_free(model);
  stop(&s);
}

static void a_folder_has_one_engine_and_one_base(void** state) {
  setup s = start();
  lethe_model* model = make_trained_model(s.runtime);
  lethe_model* other = make_model(s.runtime);
  lethe_model* carries = make_trained_model(s.runtime);
  lethe_engine* engine = open_engine(&s, model, 0);
  lethe_engine_options options = options_in(&s);
  lethe_engine* second = NULL;
  char pid[32];
  (void)state;
  snprintf(pid, sizeof pid, "process %d", (int)getpid());
  assert_fails(LETHE_E_BUSY, pid, lethe_engine_create(other, &options, &second));
  assert_null(second);
  lethe_engine_free(engine);
  assert_fails(LETHE_E_BASE_MISMATCH, "load the weights",
               lethe_engine_create(other, &options, &second));
  forget_two(s.runtime, carries);
  assert_fails(LETHE_E_STATE, "carries 2 adapters",
               lethe_engine_create(carries, &options, &second));
  options.folder = in_folder(s.root, "no/such");
  assert_fails(LETHE_E_IO, "parent", lethe_engine_create(model, &options, &second));
  options.folder = "";
  assert_fails(LETHE_E_INVALID_ARGUMENT, "folder is empty",
               lethe_engine_create(model, &options, &second));
  options = options_in(&s);
  options.checkpoint_seconds = -1;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "checkpoint_seconds",
               lethe_engine_create(model, &options, &second));
  options = options_in(&s);
  options.paused = 2;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "paused", lethe_engine_create(model, &options, &second));
  write_file(in_folder(s.folder, "journal.db"), "this is no database, whatever its name", 38);
  options = options_in(&s);
  assert_fails(LETHE_E_CORRUPT, "journal", lethe_engine_create(model, &options, &second));
  lethe_model_free(carries);
  lethe_model_free(other);
  lethe_model_free(model);
  stop(&s);
}

static void a_struct_of_abi_1_0_keeps_everything_in_memory(void** state) {
  setup s = start();
  lethe_model* model = make_trained_model(s.runtime);
  lethe_engine_options options;
  lethe_engine* engine = NULL;
  (void)state;
  memset(&options, 0xee, sizeof options);
  assert_ok(lethe_engine_options_init(&options, offsetof(lethe_engine_options, folder)));
  assert_int_equal(((unsigned char*)&options)[offsetof(lethe_engine_options, folder)], 0xee);
  options.threads = 1;
  assert_ok(lethe_engine_create(model, &options, &engine));
  forget(engine, "a", 1, s.data);
  assert_int_equal(lethe_engine_receipt_count(engine), 1);
  lethe_engine_free(engine);
  lethe_model_free(model);
  stop(&s);
}

static void tasks_have_priorities_and_limits(void** state) {
  setup s = start();
  lethe_model* model = make_trained_model(s.runtime);
  lethe_engine* engine = open_engine(&s, model, 1);
  lethe_task_options options;
  lethe_job *late, *early, *limited, *job = NULL;
  lethe_job_status_info info;
  lethe_event event;
  int64_t order[8];
  int64_t one = 1;
  int32_t count = 0;
  (void)state;
  assert_ok(lethe_task_options_init(&options, sizeof options));
  options.priority = -1;
  late = enqueue(engine, "late", 1, s.data, &options);
  options.priority = 1;
  early = enqueue(engine, "early", 2, s.data, &options);
  options.priority = 0;
  options.max_steps = 3;
  limited = enqueue(engine, "limited", 3, s.data, &options);
  assert_ok(lethe_engine_resume(engine));
  assert_ok(lethe_engine_wait_idle(engine, -1));
  event.struct_size = sizeof event;
  while (lethe_engine_next_event(engine, 0, &event) == LETHE_OK) {
    if (event.kind == LETHE_EVENT_STATE && event.state == LETHE_JOB_RUNNING) {
      order[count++] = event.job_id;
    }
  }
  assert_int_equal(count, 3);
  assert_true(order[0] == 2 && order[1] == 3 && order[2] == 1);
  info.struct_size = sizeof info;
  assert_ok(lethe_job_status(limited, &info));
  assert_int_equal(info.state, LETHE_JOB_FAILED);
  assert_int_equal(info.error, LETHE_E_LIMIT_EXCEEDED);
  assert_non_null(strstr(lethe_job_error(limited), "3 steps"));

  options.priority = 1001;
  assert_fails(
      LETHE_E_INVALID_ARGUMENT, "priority",
      lethe_engine_enqueue_with(engine, "x", &one, 1, NULL, s.data, NULL, NULL, &options, &job));
  assert_null(job);
  options.priority = 0;
  options.reserved[0] = 1;
  assert_fails(
      LETHE_E_INVALID_ARGUMENT, "reserved",
      lethe_engine_enqueue_with(engine, "x", &one, 1, NULL, s.data, NULL, NULL, &options, &job));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "NULL", lethe_task_options_init(NULL, sizeof options));
  lethe_job_free(late);
  lethe_job_free(early);
  lethe_job_free(limited);
  lethe_engine_free(engine);
  lethe_model_free(model);
  stop(&s);
}

static void pausing_stops_between_two_steps(void** state) {
  setup s = start();
  lethe_model* model = make_trained_model(s.runtime);
  lethe_engine* engine = make_engine(model);
  lethe_job* job;
  (void)state;
  assert_ok(lethe_engine_pause(engine));
  job = enqueue(engine, "a", 1, s.data, NULL);
  assert_int_equal(lethe_job_wait(job, 50), LETHE_TIMEOUT);
  assert_int_equal(state_of(job), LETHE_JOB_QUEUED);
  assert_ok(lethe_engine_resume(engine));
  assert_ok(lethe_job_wait(job, -1));
  assert_int_equal(state_of(job), LETHE_JOB_SUCCEEDED);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "engine", lethe_engine_pause(NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "engine", lethe_engine_resume(NULL));
  lethe_job_free(job);
  lethe_engine_free(engine);
  lethe_model_free(model);
  stop(&s);
}

/* A folder of one-coloured images, class by class: data that has a path. */
static void make_image_folder(const char* path) {
  int c, i, p;
  char name[700];
  for (c = 0; c < CLASSES; ++c) {
    snprintf(name, sizeof name, "mkdir -p '%s/%d'", path, c);
    assert_int_equal(system(name), 0);
    for (i = 0; i < 16; ++i) {
      char pgm[16 + PIXELS];
      const int head = snprintf(pgm, sizeof pgm, "P5 8 8 255\n");
      for (p = 0; p < PIXELS; ++p) {
        const int quarter = (p / SIDE >= SIDE / 2) * 2 + (p % SIDE >= SIDE / 2);
        pgm[head + p] = (char)((quarter == c ? 200 : 0) + (i * 7 + p * 3) % 50);
      }
      snprintf(name, sizeof name, "%s/%d/%02d.pgm", path, c, i);
      write_file(name, pgm, (size_t)head + PIXELS);
    }
  }
}

static void data_that_is_gone_is_awaited(void** state) {
  setup s = start();
  lethe_model* model = make_trained_model(s.runtime);
  lethe_engine* engine = open_engine(&s, model, 1);
  lethe_dataset* images = NULL;
  lethe_job* job;
  int32_t jobs = -1;
  char path[600], command[1300];
  (void)state;
  snprintf(path, sizeof path, "%s/images", s.root);
  make_image_folder(path);
  assert_ok(lethe_dataset_from_image_folder(s.runtime, path, NULL, &images));
  lethe_job_free(enqueue(engine, "a", 1, images, NULL));
  lethe_engine_free(engine);
  lethe_model_free(model);
  snprintf(command, sizeof command, "mv '%s' '%s.away'", path, path);
  assert_int_equal(system(command), 0);

  model = make_trained_model(s.runtime);
  engine = open_engine(&s, model, 0);
  assert_ok(lethe_engine_job_find(engine, "a", &job));
  while (state_of(job) != LETHE_JOB_AWAITING_DATA) usleep(1000);
  assert_int_equal(lethe_job_wait(job, 0), LETHE_TIMEOUT);
  assert_fails(LETHE_E_NOT_FOUND, "no job waits", lethe_engine_bind_dataset(engine, s.data, &jobs));
  assert_int_equal(jobs, 0);
  assert_ok(lethe_engine_bind_dataset(engine, images, &jobs));
  assert_int_equal(jobs, 1);
  assert_ok(lethe_job_wait(job, -1));
  assert_int_equal(state_of(job), LETHE_JOB_SUCCEEDED);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "dataset", lethe_engine_bind_dataset(engine, NULL, NULL));
  assert_ok(lethe_engine_close(engine, -1));
  assert_fails(LETHE_E_STATE, "closed", lethe_engine_bind_dataset(engine, images, NULL));
  lethe_job_free(job);
  lethe_dataset_free(images);
  lethe_engine_free(engine);
  lethe_model_free(model);
  stop(&s);
}

static void receipts_tell_and_prove(void** state) {
  setup s = start();
  lethe_model* model = make_trained_model(s.runtime);
  lethe_engine_options options = options_in(&s);
  lethe_engine* engine = NULL;
  lethe_buffer *buffer = NULL, *findings = NULL;
  uint8_t seed[32], key[32], other[32];
  char* lines;
  size_t size;
  (void)state;
  memset(seed, 5, sizeof seed);
  memset(other, 1, sizeof other);
  options.signing_seed = seed;
  assert_ok(lethe_engine_create(model, &options, &engine));
  assert_int_equal(lethe_engine_receipt_count(engine), 0);
  assert_int_equal(lethe_engine_receipt_count(NULL), 0);
  assert_fails(LETHE_E_NOT_FOUND, "no receipt", lethe_engine_receipt(engine, "a", &buffer));
  forget(engine, "a", 1, s.data);
  forget(engine, "b", 2, s.data);
  assert_int_equal(lethe_engine_receipt_count(engine), 2);
  assert_ok(lethe_engine_receipt(engine, "a", &buffer));
  assert_text(buffer, "\"outcome\":\"succeeded\"");
  assert_ok(lethe_engine_public_key(engine, key));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "out_key", lethe_engine_public_key(engine, NULL));

  assert_ok(lethe_engine_receipts(engine, &buffer));
  size = lethe_buffer_size(buffer);
  lines = malloc(size);
  memcpy(lines, lethe_buffer_data(buffer), size);
  lethe_buffer_free(buffer);
  assert_ok(lethe_receipts_verify((const uint8_t*)lines, size, key, &findings));
  assert_text(findings, "\"first_break\":null,\"ok\":true,\"receipts\":2");
  assert_ok(lethe_receipts_verify((const uint8_t*)lines, size, NULL, NULL));
  assert_ok(lethe_receipts_verify(NULL, 0, NULL, NULL));
  assert_fails(LETHE_E_CORRUPT, "another key",
               lethe_receipts_verify((const uint8_t*)lines, size, other, NULL));
  *strstr(lines, "\"classes\":[1]") = ' ';
  assert_fails(LETHE_E_CORRUPT, "receipt 1 is broken",
               lethe_receipts_verify((const uint8_t*)lines, size, key, &findings));
  assert_text(findings, "\"ok\":false");
  assert_fails(LETHE_E_INVALID_ARGUMENT, "data", lethe_receipts_verify(NULL, 3, NULL, NULL));

  /* From outside, while the engine has the folder. */
  assert_ok(lethe_journal_info_json(s.folder, &buffer));
  assert_text(buffer, "\"request_id\":\"b\"");
  assert_ok(lethe_journal_receipts(s.folder, &buffer));
  assert_int_equal(lethe_buffer_size(buffer), size);
  lethe_buffer_free(buffer);
  assert_fails(LETHE_E_NOT_FOUND, "no journal", lethe_journal_info_json(s.root, &buffer));
  assert_fails(LETHE_E_NOT_FOUND, "no journal", lethe_journal_receipts(s.root, &buffer));
  free(lines);
  lethe_engine_free(engine);
  write_file(in_folder(s.folder, "journal.db"), "this is no database, whatever its name", 38);
  assert_fails(LETHE_E_CORRUPT, "journal", lethe_journal_info_json(s.folder, &buffer));
  assert_fails(LETHE_E_CORRUPT, "journal", lethe_journal_receipts(s.folder, &buffer));
  lethe_model_free(model);
  stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_queued_comes_back),
      cmocka_unit_test(a_folder_has_one_engine_and_one_base),
      cmocka_unit_test(a_struct_of_abi_1_0_keeps_everything_in_memory),
      cmocka_unit_test(tasks_have_priorities_and_limits),
      cmocka_unit_test(pausing_stops_between_two_steps),
      cmocka_unit_test(data_that_is_gone_is_awaited),
      cmocka_unit_test(receipts_tell_and_prove),
  };
  return cmocka_run_group_tests_name("capi durable", tests, NULL, NULL);
}
