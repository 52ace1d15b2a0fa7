/* The pre-trained detector: its weights, its precision and what it finds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "detection.h"
#include "settings.h"

/* The file beside the weights: NAME.json for NAME.safetensors. */
static void spec_path(char path[PATH_SIZE], const char* weights) {
  static const char end[] = ".safetensors";
  size_t length = strlen(weights), tail = strlen(end);
  if (length <= tail || strcmp(weights + length - tail, end) != 0)
    die("INVALID_ARGUMENT", "--model is %s, must end in %s", weights, end);
  if (length >= PATH_SIZE) die("INVALID_ARGUMENT", "--model is longer than %d bytes", PATH_SIZE);
  snprintf(path, PATH_SIZE, "%.*s.json", (int)(length - tail), weights);
}

void detector_prepare(const options* opts, const scene_data* data) {
  char path[PATH_SIZE], out_path[PATH_SIZE];
  spec_path(path, opts->model);
  char* text = read_file(path, NULL);
  const char* spec = json_member(text, "spec"); /* or the whole file is the spec */
  if (spec == NULL) spec = text;
  const char* classes = json_member(spec, "classes");
  if (classes == NULL) die("CORRUPT", "%s does not say \"classes\"", path);
  if (strtol(classes, NULL, 10) < (long)data->class_count)
    die("INVALID_ARGUMENT",
        "the detector %s knows %ld categories, these scenes have %lld: name one trained on them "
        "with --model",
        opts->model, strtol(classes, NULL, 10), (long long)data->class_count);
  path_in(out_path, opts->out, "model.json");
  write_file(out_path, spec, (size_t)(json_end(spec) - spec));
  free(text);
}

lethe_model* detector_load(lethe_runtime* runtime, const options* opts, const char* weights) {
  lethe_model* model = NULL;
  char path[PATH_SIZE];
  path_in(path, opts->out, "model.json");
  char* spec = read_file(path, NULL);
  check(lethe_model_create(runtime, spec, opts->device, &model));
  free(spec);
  check(lethe_model_load_weights(model, weights, NULL));
  return model;
}

precision measure(const lethe_model* model, const lethe_dataset* set, const options* opts,
                  int64_t class_count) {
  precision result;
  lethe_report* report = NULL;
  lethe_evaluate_options evaluate;
  check(lethe_evaluate_options_init(&evaluate, sizeof evaluate));
  evaluate.threads = opts->threads;
  check(lethe_model_evaluate(model, set, &evaluate, &report));
  for (int64_t c = 0; c < class_count; ++c) {
    char name[32];
    snprintf(name, sizeof name, "ap_class.%lld", (long long)c);
    result.ap[c] = metric(report, name);
    snprintf(name, sizeof name, "ap50_class.%lld", (long long)c);
    result.ap50[c] = metric(report, name);
  }
  lethe_report_free(report);
  return result;
}

double mean_over(const double* values, const class_set* classes) {
  double sum = 0;
  size_t count = 0;
  for (size_t i = 0; i < classes->count; ++i) {
    double value = values[classes->ids[i]];
    if (!isfinite(value)) continue;
    sum += value;
    ++count;
  }
  return count > 0 ? sum / (double)count : NAN;
}

found* detect_probe(const lethe_model* model, const scene_data* data, int32_t threads,
                    size_t* out_size) {
  lethe_buffer* buffer = NULL;
  check(lethe_model_detect_dataset(model, data->probe, PROBE_BOXES, threads, &buffer));
  size_t size = lethe_buffer_size(buffer);
  found* copy = allocate(size);
  check(lethe_buffer_copy(buffer, copy, size));
  lethe_buffer_free(buffer);
  if (out_size != NULL) *out_size = size;
  return copy;
}
