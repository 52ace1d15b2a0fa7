/* One forget task from request to adapter: the heart of the program. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common.h"

enum { CURVE_POINTS = 100 }; /* progress events of a task, about */

void forget_settings(const options* opts, lethe_head head, const char* settings,
                     lethe_forget_config* out) {
  check(lethe_forget_config_init(out, sizeof *out, opts->method, head));
  check(lethe_forget_config_from_json(settings, out));
  out->seed = opts->seed;
  if (opts->config != NULL) check(lethe_forget_config_from_json(opts->config, out));
  if (opts->steps > 0) out->max_steps = opts->steps;
  if (out->max_steps > 0)
    out->progress_interval = (int32_t)((out->max_steps + CURVE_POINTS - 1) / CURVE_POINTS);
}

static void remove_old_adapters(const options* opts) {
  for (int i = 1; i <= MAX_TASKS; ++i) {
    char name[32], path[PATH_SIZE];
    snprintf(name, sizeof name, "task-%d.lethe", i);
    path_in(path, opts->out, name);
    remove(path);
  }
}

lethe_engine* engine_begin(lethe_model* model, const options* opts) {
  lethe_engine* engine = NULL;
  lethe_engine_options setup;
  check(lethe_engine_options_init(&setup, sizeof setup));
  setup.threads = opts->threads;
  check(lethe_engine_create(model, &setup, &engine));
  remove_old_adapters(opts);
  return engine;
}

double metric(const lethe_report* report, const char* name) {
  double value = NAN;
  return lethe_report_metric(report, name, &value) == LETHE_OK ? value : NAN;
}

static void export_adapter(request* q, const char* out, const lethe_adapter* adapter) {
  char name[64];
  struct stat info;
  snprintf(name, sizeof name, "%s.lethe", q->id);
  path_in(q->adapter, out, name);
  check(lethe_adapter_export(adapter, q->adapter, NULL));
  if (stat(q->adapter, &info) == 0) q->adapter_bytes = (double)info.st_size;
}

/* What the ended job left, into `q`. */
static void collect(request* q, const char* out, const lethe_job* job) {
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  snprintf(q->reason, sizeof q->reason, "%s", lethe_job_error(job));
  if (q->state == LETHE_JOB_SUCCEEDED || q->state == LETHE_JOB_REJECTED) {
    check(lethe_job_result(job, &adapter, &report));
    q->groups_kept = metric(report, "groups_kept");
    q->groups_total = metric(report, "groups_total");
  }
  if (adapter != NULL) export_adapter(q, out, adapter);
  lethe_adapter_free(adapter);
  lethe_report_free(report);
}

void request_run(request* q, lethe_engine* engine, const options* opts, size_t index,
                 const lethe_forget_config* config, const lethe_dataset* train,
                 const lethe_dataset* validation) {
  lethe_job* job = NULL;
  char title[64];
  snprintf(q->id, sizeof q->id, "task-%zu", index + 1);
  q->forget = opts->forget[index];
  q->groups_kept = q->groups_total = q->adapter_bytes = NAN;

  double start = clock_seconds();
  check(lethe_engine_enqueue(engine, q->id, q->forget.ids, q->forget.count, config, train, NULL,
                             validation, &job));
  snprintf(title, sizeof title, "task %zu/%zu", index + 1, opts->task_count);
  lethe_job_status_info end = follow(engine, job, title, &q->course);
  q->seconds = clock_seconds() - start;
  q->state = end.state;
  q->steps = end.progress.step;
  collect(q, opts->out, job);
  lethe_job_free(job);
}

int64_t parameter_count(const lethe_model* model) {
  int64_t total = 0;
  for (int32_t i = 0; i < lethe_model_tensor_count(model); ++i) {
    lethe_tensor_info info = {.struct_size = sizeof info};
    check(lethe_model_tensor_info(model, i, &info));
    total += info.count;
  }
  return total;
}

class_set named_before(const options* opts, size_t end) {
  class_set set = {{0}, 0};
  for (size_t t = 0; t < end; ++t)
    for (size_t i = 0; i < opts->forget[t].count; ++i)
      set.ids[set.count++] = opts->forget[t].ids[i];
  return set;
}

class_set not_named_before(const options* opts, size_t end, int64_t class_count) {
  class_set named = named_before(opts, end), others = {{0}, 0};
  unsigned char gone[MAX_CLASSES] = {0};
  for (size_t i = 0; i < named.count; ++i) gone[named.ids[i]] = 1;
  for (int64_t c = 0; c < class_count; ++c)
    if (!gone[c]) others.ids[others.count++] = c;
  return others;
}
