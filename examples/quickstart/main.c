/* A pre-trained vision transformer forgets classes of real images, one request after another, keeps
 * the rest, and the result survives a restart. `quickstart --help` explains every step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quickstart.h"
#include "settings.h"

/* Reads the images and the model and measures the model before anything is forgotten. */
static lethe_model* begin(run* r, lethe_runtime* runtime) {
  make_folder(r->opts.out);
  status_line("  reading the images");
  images_open(runtime, &r->opts, &r->data);
  forget_settings(&r->opts, LETHE_HEAD_LINEAR, TASK_SETTINGS, &r->config);
  base_prepare(runtime, &r->opts, &r->data, r->weights);
  lethe_model* model = base_load(runtime, &r->opts, r->weights);
  status_line("  measuring the model on the test images");
  r->parameters = parameter_count(model);
  r->base = r->final = measure(model, r->data.test, r);
  r->probe_base = probe_scores(model, &r->data.probe, r->opts.threads, NULL);
  r->probe_now = probe_scores(model, &r->data.probe, r->opts.threads, NULL);
  status_line("");
  print_intro(r);
  return model;
}

/* Queues one request after another and waits for each. */
static void forget_all(run* r, lethe_model* model) {
  lethe_engine* engine = engine_begin(model, &r->opts);
  printf("\nForgetting with %s, seed %lld (percent of the test images; before -> after)\n",
         method_title(r->opts.method), (long long)r->opts.seed);
  int is_terminal = isatty(STDOUT_FILENO);
  for (size_t i = 0; i < r->opts.task_count; ++i) {
    if (is_terminal && i == 0) print_table_head();
    task_run(r, model, engine, i);
    if (!is_terminal) print_table_head(); /* lines of progress lie between the rows */
    print_task(r, i);
  }
  lethe_engine_free(engine);
}

static void restart(run* r) {
  size_t adapters = 0;
  for (size_t i = 0; i < r->request_count; ++i)
    adapters += r->requests[i].state == LETHE_JOB_SUCCEEDED;
  r->reload_max_abs_diff =
      reload_elsewhere(&r->opts, r->weights, r->requests, r->request_count, "logits", r->probe_now,
                       r->data.probe.count * (size_t)r->data.class_count);
  printf(
      "\nRestart    a second process loaded the base and %zu adapters and predicted %zu images; "
      "largest difference of a score: %g\n",
      adapters, r->data.probe.count, r->reload_max_abs_diff);
}

/* Takes the last adapter off again: its classes return, and every score is what it was before. */
static void roll_back(run* r, lethe_model* model) {
  if (r->last_success < 0) {
    printf("Roll-back  nothing to take back: no task succeeded\n");
    return;
  }
  const request* last = &r->requests[r->last_success];
  const char* target = r->previous_success < 0 ? NULL : r->requests[r->previous_success].id;
  lethe_dataset* forgotten = NULL;
  char names[512];
  size_t size = 0;
  check(lethe_model_rollback_to(model, target));
  float* logits = probe_scores(model, &r->data.probe, r->opts.threads, &size);
  r->rollback_is_exact = memcmp(logits, r->probe_previous, size) == 0;
  free(logits);
  check(lethe_dataset_select(r->data.test, LETHE_KEEP_CLASSES, last->forget.ids, last->forget.count,
                             0, 0, &forgotten));
  scores now = measure(model, forgotten, r);
  r->rollback_acc_f = percent(&now, &r->data, &last->forget);
  lethe_dataset_free(forgotten);
  printf(
      "Roll-back  %s taken back: %s at %.2f %% again (%.2f %% while forgotten); scores as before "
      "the task%s\n",
      last->id, class_list(&r->data, &last->forget, names, sizeof names), r->rollback_acc_f,
      r->figures[r->last_success].acc_f,
      r->rollback_is_exact ? ", bit for bit" : ": NO, THEY DIFFER");
}

static void finish(run* r, double start) {
  char path[PATH_SIZE], text[32];
  path_in(path, r->opts.out, "report.html");
  r->total_seconds = clock_seconds() - start;
  r->peak_mb = peak_memory_mb();
  report_write(r, path);
  printf("Report     %s, adapters beside it; %s, peak memory %.0f MiB\n\n", path,
         duration(r->total_seconds, text, sizeof text), r->peak_mb);
}

static int all_is_well(const run* r) {
  for (size_t i = 0; i < r->request_count; ++i)
    if (r->requests[i].state != LETHE_JOB_SUCCEEDED) return 0;
  return r->rollback_is_exact && r->reload_max_abs_diff < 1e-4;
}

static int quickstart(run* r) {
  double start = clock_seconds();
  lethe_runtime* runtime = NULL;
  check(lethe_runtime_create(NULL, &runtime));
  printf("Lethe %s: a vision transformer forgets classes of real images\n\n",
         lethe_version_string());
  lethe_model* model = begin(r, runtime);
  forget_all(r, model);
  restart(r);
  roll_back(r, model);
  finish(r, start);
  print_json(stdout, r);
  if (fflush(stdout) != 0) die("IO", "cannot write the output: is the disk full?");

  for (size_t i = 0; i < r->request_count; ++i) free(r->requests[i].course.points);
  free(r->probe_base);
  free(r->probe_previous);
  free(r->probe_now);
  images_close(&r->data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
  return all_is_well(r) ? 0 : 3;
}

int main(int argc, char** argv) {
  static run r;                     /* large, and all zero at the start */
  setvbuf(stdout, NULL, _IOLBF, 0); /* progress shows at once in a log, too */
  command_parse(argc, argv, &r.opts);
  if (lethe_abi_version() >> 16 != LETHE_ABI_VERSION >> 16)
    die("VERSION", "the loaded Lethe library %s has another ABI than lethe.h",
        lethe_version_string());
  if (r.opts.reload) return reload_here(&r.opts);
  r.last_success = r.previous_success = -1;
  r.reload_max_abs_diff = r.rollback_acc_f = NAN;
  return quickstart(&r);
}
