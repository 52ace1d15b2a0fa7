/* A pre-trained object detector forgets categories, one request after another, keeps the rest, and
 * the result survives a restart. `quickstart-detection --help` explains every step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detection.h"
#include "settings.h"

class_set all_classes(const scene_data* data) {
  class_set set = {{0}, 0};
  for (int64_t c = 0; c < data->class_count; ++c) set.ids[set.count++] = c;
  return set;
}

class_set kept_classes(const run* r, int last) {
  return not_named_before(&r->opts, (size_t)(last + 1), r->data.class_count);
}

/* Reads the scenes and the model and measures the model before anything is forgotten. */
static lethe_model* begin(run* r, lethe_runtime* runtime) {
  make_folder(r->opts.out);
  status_line("  reading the scenes");
  scenes_open(runtime, &r->opts, &r->data);
  scenes_find_categories(&r->data, &r->opts);
  detector_prepare(&r->opts, &r->data);
  lethe_model* model = detector_load(runtime, &r->opts, r->opts.model);
  status_line("  measuring the model on the test scenes");
  r->parameters = parameter_count(model);
  r->base = r->final = measure(model, r->data.test, &r->opts, r->data.class_count);
  r->probe_base = detect_probe(model, &r->data, r->opts.threads, &r->probe_bytes);
  r->probe_now = detect_probe(model, &r->data, r->opts.threads, NULL);
  status_line("");
  print_intro(r);
  return model;
}

/* ------------------------------------------------------------------ the tasks */

/* The gate allows so many points below the AP_r of the pre-trained model. */
static void task_settings(run* r, size_t index) {
  char settings[1024];
  class_set kept = kept_classes(r, (int)index);
  double before = mean_over(r->base.ap, &kept);
  forget_settings(&r->opts, LETHE_HEAD_DETECTION, TASK_SETTINGS, &r->config);
  snprintf(settings, sizeof settings, "{\"gate_max_acc_f\":%g,\"gate_max_acc_r_drop\":%.4f}",
           GATE_MAX_AP_F, isfinite(before) ? (1 - GATE_KEPT) * before : 0);
  check(lethe_forget_config_from_json(settings, &r->config));
  if (r->opts.config != NULL)
    check(lethe_forget_config_from_json(r->opts.config, &r->config)); /* also over the gate */
  if (r->opts.steps > 0) r->config.max_steps = r->opts.steps;
}

/* The model as it is now, beside the pre-trained one. */
static figures figures_of(const run* r, size_t index) {
  const class_set* forget = &r->opts.forget[index];
  class_set kept = kept_classes(r, (int)index), earlier = named_before(&r->opts, index);
  figures f;
  f.ap_f_before = mean_over(r->base.ap, forget);
  f.ap_r_before = mean_over(r->base.ap, &kept);
  f.ap_f = mean_over(r->final.ap, forget);
  f.ap_r = mean_over(r->final.ap, &kept);
  f.ap_o = mean_over(r->final.ap, &earlier);
  f.ap50_f_before = mean_over(r->base.ap50, forget);
  f.ap50_r_before = mean_over(r->base.ap50, &kept);
  f.ap50_f = mean_over(r->final.ap50, forget);
  f.ap50_r = mean_over(r->final.ap50, &kept);
  f.ap50_o = mean_over(r->final.ap50, &earlier);
  double drop = f.ap_f_before - f.ap_f;
  f.h = drop > 0 ? 2 * f.ap_r * drop / (f.ap_r + drop) : 0;
  return f;
}

static void remember_success(run* r, const lethe_model* model, size_t index) {
  free(r->probe_previous);
  r->probe_previous = r->probe_now;
  r->probe_now = detect_probe(model, &r->data, r->opts.threads, NULL);
  r->previous_success = r->last_success;
  r->last_success = (int)index;
}

static void task_run(run* r, lethe_model* model, lethe_engine* engine, size_t index) {
  task_settings(r, index);
  request_run(&r->requests[index], engine, &r->opts, index, &r->config, r->data.train,
              r->data.validation);
  r->request_count = index + 1;
  status_line("  measuring on the test scenes");
  if (r->requests[index].state == LETHE_JOB_SUCCEEDED) {
    r->final = measure(model, r->data.test, &r->opts, r->data.class_count);
    remember_success(r, model, index);
  }
  r->figures[index] = figures_of(r, index);
  status_line("");
}

/* Queues one request after another and waits for each. */
static void forget_all(run* r, lethe_model* model) {
  lethe_engine* engine = engine_begin(model, &r->opts);
  printf("\nForgetting with %s, seed %lld (COCO AP in percent, test scenes; before -> after)\n",
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

/* ------------------------------------------------------------------ restart and roll-back */

/* The second process: base and adapters from files, detections into OUT/detections-reloaded.bin. */
static int reload_here(const options* opts) {
  lethe_runtime* runtime = NULL;
  size_t size = 0;
  static scene_data data;
  check(lethe_runtime_create(NULL, &runtime));
  scenes_open_test(runtime, opts, &data);
  lethe_model* model = detector_load(runtime, opts, opts->reload_files[0]);
  load_stack(opts, runtime, model);
  found* detections = detect_probe(model, &data, opts->threads, &size);
  reload_answer(opts, "detections", &detections->left, size);

  free(detections);
  lethe_model_free(model);
  scenes_close(&data);
  lethe_runtime_free(runtime);
  return 0;
}

static void restart(run* r) {
  size_t adapters = 0;
  for (size_t i = 0; i < r->request_count; ++i)
    adapters += r->requests[i].state == LETHE_JOB_SUCCEEDED;
  r->reload_max_abs_diff =
      reload_elsewhere(&r->opts, r->opts.model, r->requests, r->request_count, "detections",
                       &r->probe_now->left, r->probe_bytes / sizeof(float));
  printf(
      "\nRestart    a second process loaded the base and %zu adapters and looked at %lld scenes; "
      "largest difference of a box or score: %g\n",
      adapters, (long long)lethe_dataset_size(r->data.probe), r->reload_max_abs_diff);
}

/* Takes the last adapter off again: its categories return, and every detection is what it was. */
static void roll_back(run* r, lethe_model* model) {
  if (r->last_success < 0) {
    printf("Roll-back  nothing to take back: no task succeeded\n");
    return;
  }
  const request* last = &r->requests[r->last_success];
  const char* target = r->previous_success < 0 ? NULL : r->requests[r->previous_success].id;
  char names[512];
  check(lethe_model_rollback_to(model, target));
  found* detections = detect_probe(model, &r->data, r->opts.threads, NULL);
  r->rollback_is_exact = memcmp(detections, r->probe_previous, r->probe_bytes) == 0;
  free(detections);
  status_line("  measuring on the test scenes");
  precision now = measure(model, r->data.test, &r->opts, r->data.class_count);
  r->rollback_ap_f = mean_over(now.ap, &last->forget);
  status_line("");
  printf(
      "Roll-back  %s taken back: %s at AP %.2f again (%.2f while forgotten); detections as before "
      "the task%s\n",
      last->id, category_list(&r->data, &last->forget, ", ", names, sizeof names), r->rollback_ap_f,
      r->figures[r->last_success].ap_f,
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
  printf("Lethe %s: an object detector forgets categories\n\n", lethe_version_string());
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
  scenes_close(&r->data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
  return all_is_well(r) ? 0 : 3;
}

int main(int argc, char** argv) {
  static run r;                     /* large, and all zero at the start */
  setvbuf(stdout, NULL, _IOLBF, 0); /* progress shows at once in a log, too */
  command_parse(argc, argv, &r.opts);
  if (lethe_abi_version() < LETHE_ABI_VERSION ||
      lethe_abi_version() >> 16 != LETHE_ABI_VERSION >> 16)
    die("VERSION", "the loaded Lethe library %s has another ABI than lethe.h",
        lethe_version_string());
  if (r.opts.reload) return reload_here(&r.opts);
  r.last_success = r.previous_success = -1;
  r.reload_max_abs_diff = r.rollback_ap_f = NAN;
  return quickstart(&r);
}
