/* One forget task from request to figures: the heart of the program. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "quickstart.h"
#include "settings.h"

void task_config(const options* opts, lethe_forget_config* config) {
  check(lethe_forget_config_init(config, sizeof *config, opts->method, LETHE_HEAD_LINEAR));
  check(lethe_forget_config_from_json(TASK_SETTINGS, config));
  config->seed = opts->seed;
  if (opts->config != NULL) check(lethe_forget_config_from_json(opts->config, config));
  if (opts->steps > 0) config->max_steps = opts->steps;
  if (config->max_steps > 0)
    config->progress_interval = (int32_t)((config->max_steps + CURVE_POINTS - 1) / CURVE_POINTS);
}

static double metric(const lethe_report* report, const char* name) {
  double value = NAN;
  return lethe_report_metric(report, name, &value) == LETHE_OK ? value : NAN;
}

scores measure(const lethe_model* model, const lethe_dataset* set, const run* r) {
  scores result = {{0}};
  lethe_report* report = NULL;
  lethe_evaluate_options evaluate;
  check(lethe_evaluate_options_init(&evaluate, sizeof evaluate));
  evaluate.threads = r->opts.threads;
  check(lethe_model_evaluate(model, set, &evaluate, &report));
  for (int64_t c = 0; c < r->data.class_count; ++c) {
    char name[32];
    snprintf(name, sizeof name, "acc_class.%lld", (long long)c);
    double accuracy = metric(report, name);
    if (isfinite(accuracy)) /* else: no image of this class */
      result.right[c] = llround(accuracy / 100 * (double)r->data.test_count[c]);
  }
  lethe_report_free(report);
  return result;
}

double percent(const scores* s, const image_data* data, const class_set* classes) {
  int64_t right = 0, total = 0;
  for (size_t i = 0; i < classes->count; ++i) {
    right += s->right[classes->ids[i]];
    total += data->test_count[classes->ids[i]];
  }
  return total > 0 ? 100.0 * (double)right / (double)total : NAN;
}

class_set all_classes(const image_data* data) {
  class_set set = {{0}, 0};
  for (int64_t c = 0; c < data->class_count; ++c) set.ids[set.count++] = c;
  return set;
}

/* The classes that the tasks before `end` name. */
static class_set named_classes(const run* r, size_t end) {
  class_set set = {{0}, 0};
  for (size_t t = 0; t < end; ++t)
    for (size_t i = 0; i < r->opts.forget[t].count; ++i)
      set.ids[set.count++] = r->opts.forget[t].ids[i];
  return set;
}

class_set kept_classes(const run* r, int last) {
  class_set named = named_classes(r, (size_t)(last + 1)), kept = {{0}, 0};
  unsigned char gone[MAX_CLASSES] = {0};
  for (size_t i = 0; i < named.count; ++i) gone[named.ids[i]] = 1;
  for (int64_t c = 0; c < r->data.class_count; ++c)
    if (!gone[c]) kept.ids[kept.count++] = c;
  return kept;
}

float* probe_scores(const lethe_model* model, const probe_set* probe, int32_t threads,
                    size_t* out_size) {
  lethe_buffer* buffer = NULL;
  check(lethe_model_predict_dataset(model, probe->images, threads, &buffer));
  size_t size = lethe_buffer_size(buffer);
  float* copy = allocate(size);
  check(lethe_buffer_copy(buffer, copy, size));
  lethe_buffer_free(buffer);
  if (out_size != NULL) *out_size = size;
  return copy;
}

/* Acc_f, Acc_r, Acc_o and H of the model as it is now, beside the pre-trained model's. */
static void score_task(run* r, size_t index, const scores* now) {
  task* t = &r->tasks[index];
  class_set kept = kept_classes(r, (int)index), earlier = named_classes(r, index);
  t->acc_f_before = percent(&r->base, &r->data, &t->forget);
  t->acc_r_before = percent(&r->base, &r->data, &kept);
  t->acc_f = percent(now, &r->data, &t->forget);
  t->acc_r = percent(now, &r->data, &kept);
  t->acc_o = percent(now, &r->data, &earlier);
  double drop = t->acc_f_before - t->acc_f;
  t->h = drop > 0 ? 2 * t->acc_r * drop / (t->acc_r + drop) : 0;
}

static void export_adapter(run* r, task* t, const lethe_adapter* adapter) {
  char name[64];
  struct stat info;
  snprintf(name, sizeof name, "%s.lethe", t->id);
  path_in(t->adapter, r->opts.out, name);
  check(lethe_adapter_export(adapter, t->adapter, NULL));
  if (stat(t->adapter, &info) == 0) t->adapter_bytes = (double)info.st_size;
}

/* What the ended job left, into `t`. */
static void collect(run* r, task* t, const lethe_job* job) {
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  snprintf(t->reason, sizeof t->reason, "%s", lethe_job_error(job));
  if (t->state == LETHE_JOB_SUCCEEDED || t->state == LETHE_JOB_REJECTED) {
    check(lethe_job_result(job, &adapter, &report));
    t->groups_kept = metric(report, "groups_kept");
    t->groups_total = metric(report, "groups_total");
  }
  if (adapter != NULL) export_adapter(r, t, adapter);
  lethe_adapter_free(adapter);
  lethe_report_free(report);
}

static void remember_success(run* r, const lethe_model* model, size_t index) {
  free(r->probe_previous);
  r->probe_previous = r->probe_now;
  r->probe_now = probe_scores(model, &r->data.probe, r->opts.threads, NULL);
  r->previous_success = r->last_success;
  r->last_success = (int)index;
}

void task_run(run* r, lethe_model* model, lethe_engine* engine, size_t index) {
  task* t = &r->tasks[index];
  lethe_job* job = NULL;
  char title[64];
  snprintf(t->id, sizeof t->id, "task-%zu", index + 1);
  t->forget = r->opts.forget[index];
  t->groups_kept = t->groups_total = t->adapter_bytes = NAN;

  double start = clock_seconds();
  check(lethe_engine_enqueue(engine, t->id, t->forget.ids, t->forget.count, &r->config,
                             r->data.train, NULL, r->data.validation, &job));
  snprintf(title, sizeof title, "task %zu/%zu", index + 1, r->opts.task_count);
  lethe_job_status_info end = follow(engine, job, title, t);
  t->seconds = clock_seconds() - start;
  t->state = end.state;
  t->steps = end.progress.step;
  r->task_count = index + 1;

  collect(r, t, job);
  lethe_job_free(job);
  status_line("  measuring on the test images");
  r->final = measure(model, r->data.test, r);
  score_task(r, index, &r->final);
  if (t->state == LETHE_JOB_SUCCEEDED) remember_success(r, model, index);
  status_line("");
}
