/* Engines and jobs: the way of a task through the queue, its events, its end. */
#include <time.h>

#include "common.h"

typedef struct setup {
  lethe_runtime* runtime;
  lethe_model* model;
  lethe_dataset* data;
  lethe_engine* engine;
} setup;

static setup start(void) {
  setup s;
  s.runtime = make_runtime();
  s.model = make_trained_model(s.runtime);
  s.data = make_dataset(s.runtime, 128, 1);
  s.engine = make_engine(s.model);
  return s;
}

static void stop(setup* s) {
  lethe_engine_free(s->engine);
  lethe_dataset_free(s->data);
  lethe_model_free(s->model);
  lethe_runtime_free(s->runtime);
}

static lethe_job* enqueue(setup* s, const char* id, int64_t class_id,
                          const lethe_forget_config* config) {
  lethe_job* job = NULL;
  assert_ok(lethe_engine_enqueue(s->engine, id, &class_id, 1, config, s->data, NULL, NULL, &job));
  assert_non_null(job);
  return job;
}

static lethe_job_status_info status_of(const lethe_job* job) {
  lethe_job_status_info info;
  info.struct_size = sizeof info;
  assert_ok(lethe_job_status(job, &info));
  return info;
}

static double metric(const lethe_report* report, const char* name) {
  double value = -1;
  assert_ok(lethe_report_metric(report, name, &value));
  return value;
}

static void a_task_forgets_its_class(void** state) {
  setup s = start();
  const lethe_forget_config config = quick_config();
  lethe_job* job = enqueue(&s, "req-1", 1, &config);
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  lethe_job_status_info info;
  lethe_buffer* json = NULL;
  int32_t i;
  (void)state;
  assert_string_equal(lethe_job_request_id(job), "req-1");
  assert_ok(lethe_job_wait(job, -1));
  info = status_of(job);
  assert_int_equal(info.state, LETHE_JOB_SUCCEEDED);
  assert_int_equal(info.error, LETHE_OK);
  assert_int_equal(info.job_id, 1);
  assert_int_equal(info.progress.total_steps, 60);
  assert_string_equal(lethe_job_error(job), "");

  assert_ok(lethe_job_result(job, &adapter, &report));
  assert_true(metric(report, "acc_f") <= 5);
  assert_true(metric(report, "acc_f_before") >= 95);
  assert_true(metric(report, "acc_r") >= 90);
  assert_true(metric(report, "groups_kept") >= 1);
  assert_true(metric(report, "groups_total") == 2);
  for (i = 0; i < lethe_report_metric_count(report); ++i) {
    const double value = metric(report, lethe_report_metric_name(report, i));
    assert_true(value == value);
  }
  assert_null(lethe_report_metric_name(report, i));
  assert_null(lethe_report_metric_name(report, -1));
  assert_int_equal(lethe_report_metric_count(NULL), 0);
  assert_ok(lethe_report_json(report, &json));
  assert_text(json, "\"metrics\":{");
  assert_int_equal(lethe_model_adapter_count(s.model), 1);
  lethe_report_free(report);
  lethe_adapter_free(adapter);

  assert_ok(lethe_job_result(job, NULL, NULL));
  assert_ok(lethe_job_result(job, NULL, &report));
  assert_fails(LETHE_E_NOT_FOUND, "acc_x", lethe_report_metric(report, "acc_x", &(double){0}));
  lethe_report_free(report);
  lethe_job_free(job);
  stop(&s);
}

static void events_tell_the_whole_way(void** state) {
  setup s = start();
  const lethe_forget_config config = quick_config();
  lethe_job* job = enqueue(&s, NULL, 1, &config);
  static const lethe_job_state way[] = {LETHE_JOB_QUEUED, LETHE_JOB_RUNNING, LETHE_JOB_COMMITTING,
                                        LETHE_JOB_SUCCEEDED};
  size_t at = 0;
  int64_t last_step = 0;
  lethe_event event;
  lethe_status status;
  (void)state;
  assert_true(strlen(lethe_job_request_id(job)) > 0);
  event.struct_size = sizeof event;
  while (at < 4) {
    assert_ok(lethe_engine_next_event(s.engine, 60000, &event));
    assert_int_equal(event.job_id, 1);
    if (event.kind == LETHE_EVENT_STATE) {
      assert_int_equal(event.state, way[at++]);
    } else {
      assert_int_equal(event.kind, LETHE_EVENT_PROGRESS);
      assert_int_equal(event.state, LETHE_JOB_RUNNING);
      assert_true(event.progress.step > last_step && event.progress.step <= 60);
      assert_true(event.progress.loss == event.progress.loss);
      last_step = event.progress.step;
    }
  }
  assert_true(last_step > 0);
  assert_int_equal(lethe_engine_next_event(s.engine, 0, &event), LETHE_TIMEOUT);
  assert_int_equal(event.kind, 0);
  assert_int_equal(lethe_engine_next_event(s.engine, 10, &event), LETHE_TIMEOUT);
  assert_ok(lethe_engine_close(s.engine, -1));
  assert_ok(lethe_engine_close(s.engine, 0));
  status = lethe_engine_next_event(s.engine, -1, &event);
  assert_int_equal(status, LETHE_END);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "out_event", lethe_engine_next_event(s.engine, 0, NULL));
  lethe_job_free(job);
  stop(&s);
}

static void jobs_are_found_again(void** state) {
  setup s = start();
  const lethe_forget_config config = quick_config();
  lethe_job *first = enqueue(&s, "a", 1, &config), *second = enqueue(&s, "b", 2, &config);
  lethe_job* found = NULL;
  const int64_t other = 3, one = 1;
  (void)state;
  assert_int_equal(lethe_engine_job_count(s.engine), 2);
  assert_int_equal(lethe_engine_job_count(NULL), 0);
  assert_ok(lethe_engine_job_at(s.engine, 1, &found));
  assert_string_equal(lethe_job_request_id(found), "b");
  lethe_job_free(found);
  assert_ok(lethe_engine_job_find(s.engine, "a", &found));
  assert_int_equal(status_of(found).job_id, 1);
  lethe_job_free(found);
  assert_fails(LETHE_E_NOT_FOUND, "job 2", lethe_engine_job_at(s.engine, 2, &found));
  assert_fails(LETHE_E_NOT_FOUND, "zzz", lethe_engine_job_find(s.engine, "zzz", &found));
  assert_null(found);

  /* the same request again is the same job; another one under its name is refused */
  assert_ok(lethe_engine_enqueue(s.engine, "a", &one, 1, &config, s.data, NULL, NULL, &found));
  assert_int_equal(status_of(found).job_id, 1);
  lethe_job_free(found);
  assert_fails(LETHE_E_EXISTS, "a",
               lethe_engine_enqueue(s.engine, "a", &other, 1, &config, s.data, NULL, NULL, &found));
  assert_int_equal(lethe_engine_job_count(s.engine), 2);

  assert_ok(lethe_engine_wait_idle(s.engine, -1));
  assert_int_equal(status_of(first).state, LETHE_JOB_SUCCEEDED);
  assert_int_equal(status_of(second).state, LETHE_JOB_SUCCEEDED);
  assert_int_equal(lethe_model_adapter_count(s.model), 2);
  lethe_job_free(first);
  lethe_job_free(second);
  stop(&s);
}

static void cancelled_jobs_leave_nothing(void** state) {
  setup s = start();
  lethe_forget_config config = quick_config();
  const identity before = identity_of(s.model);
  lethe_job *running, *queued;
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  lethe_event event;
  (void)state;
  config.max_steps = 1000000;
  running = enqueue(&s, "long", 1, &config);
  queued = enqueue(&s, "next", 2, &config);
  event.struct_size = sizeof event;
  do assert_ok(lethe_engine_next_event(s.engine, 60000, &event));
  while (event.kind != LETHE_EVENT_PROGRESS);
  assert_int_equal(lethe_job_wait(running, 10), LETHE_TIMEOUT);
  assert_int_equal(lethe_engine_wait_idle(s.engine, 0), LETHE_TIMEOUT);
  assert_fails(LETHE_E_STATE, "not ended", lethe_job_result(running, &adapter, &report));
  assert_string_equal(lethe_job_error(running), "");

  /* while it runs: the model cannot be changed, but it predicts */
  assert_fails(LETHE_E_STATE, "", lethe_model_rollback_to(s.model, NULL));
  assert_fails(LETHE_E_STATE, "", lethe_model_set_adapters(s.model, NULL, NULL, 0, 0));
  {
    images set = make_images(4, 1);
    free(predict(s.model, &set));
    free_images(&set);
  }
  assert_ok(lethe_job_cancel(queued));
  assert_ok(lethe_job_wait(queued, 60000));
  assert_ok(lethe_job_cancel(running));
  assert_ok(lethe_job_cancel(running));
  assert_ok(lethe_job_wait(running, 60000));
  assert_int_equal(status_of(running).state, LETHE_JOB_CANCELLED);
  assert_int_equal(status_of(running).error, LETHE_E_CANCELLED);
  assert_int_equal(status_of(queued).state, LETHE_JOB_CANCELLED);
  assert_true(strlen(lethe_job_error(running)) > 0);
  assert_fails(LETHE_E_STATE, "left nothing", lethe_job_result(running, &adapter, &report));
  assert_unchanged(s.model, &before);

  config.max_steps = 60;
  forget(s.engine, "after", 1, s.data); /* the queue goes on */
  lethe_job_free(running);
  lethe_job_free(queued);
  stop(&s);
}

static void a_task_that_does_not_forget_is_rejected(void** state) {
  setup s = start();
  lethe_forget_config config = quick_config();
  const identity before = identity_of(s.model);
  lethe_job* job;
  lethe_adapter* adapter = (lethe_adapter*)&s;
  lethe_report* report = NULL;
  (void)state;
  config.max_steps = 1;
  config.learning_rate = config.min_learning_rate = 1e-6;
  job = enqueue(&s, "weak", 1, &config);
  assert_ok(lethe_job_wait(job, -1));
  assert_int_equal(status_of(job).state, LETHE_JOB_REJECTED);
  assert_int_equal(status_of(job).error, LETHE_E_REJECTED);
  assert_non_null(strstr(lethe_job_error(job), "Acc_f"));
  assert_ok(lethe_job_result(job, &adapter, &report));
  assert_null(adapter);
  assert_true(metric(report, "acc_f") > 5);
  assert_unchanged(s.model, &before);
  lethe_report_free(report);
  lethe_job_free(job);
  stop(&s);
}

static void one_engine_a_model(void** state) {
  setup s = start();
  lethe_engine* second = NULL;
  lethe_engine_options options;
  (void)state;
  assert_fails(LETHE_E_BUSY, "", lethe_engine_create(s.model, NULL, &second));
  assert_null(second);
  lethe_engine_free(s.engine);
  assert_ok(lethe_engine_options_init(&options, sizeof options));
  options.event_capacity = 15;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "event_capacity is 15",
               lethe_engine_create(s.model, &options, &s.engine));
  options.event_capacity = 16;
  options.threads = -1;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "threads is -1",
               lethe_engine_create(s.model, &options, &s.engine));
  options.threads = 1;
  assert_ok(lethe_engine_create(s.model, &options, &s.engine));
  forget(s.engine, "x", 1, s.data);
  lethe_engine_free(NULL);
  lethe_job_free(NULL);
  stop(&s);
}

static void closed_engines_take_nothing(void** state) {
  setup s = start();
  const lethe_forget_config config = quick_config();
  const int64_t one = 1;
  lethe_job* job = NULL;
  (void)state;
  assert_ok(lethe_engine_close(s.engine, -1));
  assert_fails(LETHE_E_STATE, "closed",
               lethe_engine_enqueue(s.engine, "x", &one, 1, &config, s.data, NULL, NULL, &job));
  assert_fails(LETHE_E_STATE, "closed",
               lethe_engine_enqueue_pretraining(s.engine, "p", NULL, s.data, NULL, &job));
  assert_null(job);
  stop(&s);
}

static void handles_may_be_freed_in_any_order(void** state) {
  setup s = start();
  const lethe_forget_config config = quick_config();
  lethe_job* job = enqueue(&s, "x", 1, &config);
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  lethe_buffer* json = NULL;
  (void)state;
  lethe_runtime_free(s.runtime);
  lethe_dataset_free(s.data);
  lethe_model_free(s.model);
  assert_ok(lethe_job_wait(job, -1));
  assert_ok(lethe_job_result(job, &adapter, &report));
  lethe_engine_free(s.engine);
  assert_int_equal(status_of(job).state, LETHE_JOB_SUCCEEDED);
  lethe_job_free(job);
  assert_ok(lethe_adapter_info_json(adapter, &json));
  assert_text(json, "\"x\"");
  lethe_adapter_free(adapter);
  lethe_report_free(report);
}

static void freeing_an_engine_stops_its_task_soon(void** state) {
  setup s = start();
  lethe_forget_config config = quick_config();
  lethe_job* job;
  struct timespec from, to;
  (void)state;
  config.max_steps = 1000000;
  job = enqueue(&s, "long", 1, &config);
  clock_gettime(CLOCK_MONOTONIC, &from);
  lethe_engine_free(s.engine);
  s.engine = NULL;
  clock_gettime(CLOCK_MONOTONIC, &to);
  assert_true(to.tv_sec - from.tv_sec < 10);
  assert_int_equal(status_of(job).state, LETHE_JOB_CANCELLED);
  lethe_job_free(job);
  stop(&s);
}

static void pretraining_replaces_the_base(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_model(runtime);
  lethe_dataset* data = make_dataset(runtime, 64, 1);
  lethe_engine* engine = NULL;
  lethe_job* job = NULL;
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  lethe_pretrain_config config;
  const identity before = identity_of(model);
  identity after;
  (void)state;
  assert_ok(lethe_pretrain_config_init(&config, sizeof config));
  config.max_steps = 3;
  config.flip = 2;
  engine = make_engine(model);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "flip",
               lethe_engine_enqueue_pretraining(engine, NULL, &config, data, data, &job));
  config.flip = 1;
  assert_ok(lethe_engine_enqueue_pretraining(engine, NULL, &config, data, data, &job));
  assert_ok(lethe_job_wait(job, -1));
  assert_ok(lethe_job_result(job, &adapter, &report));
  assert_null(adapter);
  assert_non_null(report);
  after = identity_of(model);
  assert_memory_not_equal(before.bytes, after.bytes, 32);
  lethe_report_free(report);
  lethe_job_free(job);
  lethe_engine_free(engine);

  forget_two(runtime, model = (lethe_model_free(model), make_trained_model(runtime)));
  assert_ok(lethe_engine_create(model, NULL, &engine));
  assert_fails(LETHE_E_STATE, "adapter",
               lethe_engine_enqueue_pretraining(engine, NULL, &config, data, NULL, &job));
  lethe_engine_free(engine);
  lethe_dataset_free(data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_task_forgets_its_class),
      cmocka_unit_test(events_tell_the_whole_way),
      cmocka_unit_test(jobs_are_found_again),
      cmocka_unit_test(cancelled_jobs_leave_nothing),
      cmocka_unit_test(a_task_that_does_not_forget_is_rejected),
      cmocka_unit_test(one_engine_a_model),
      cmocka_unit_test(closed_engines_take_nothing),
      cmocka_unit_test(handles_may_be_freed_in_any_order),
      cmocka_unit_test(freeing_an_engine_stops_its_task_soon),
      cmocka_unit_test(pretraining_replaces_the_base),
  };
  return cmocka_run_group_tests_name("capi engine", tests, NULL, NULL);
}
