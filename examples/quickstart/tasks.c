/* The model on the test images, before and after each task. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quickstart.h"

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

class_set kept_classes(const run* r, int last) {
  return not_named_before(&r->opts, (size_t)(last + 1), r->data.class_count);
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
static figures figures_of(const run* r, size_t index, const scores* now) {
  const class_set* forget = &r->opts.forget[index];
  class_set kept = kept_classes(r, (int)index), earlier = named_before(&r->opts, index);
  figures f;
  f.acc_f_before = percent(&r->base, &r->data, forget);
  f.acc_r_before = percent(&r->base, &r->data, &kept);
  f.acc_f = percent(now, &r->data, forget);
  f.acc_r = percent(now, &r->data, &kept);
  f.acc_o = percent(now, &r->data, &earlier);
  double drop = f.acc_f_before - f.acc_f;
  f.h = drop > 0 ? 2 * f.acc_r * drop / (f.acc_r + drop) : 0;
  return f;
}

static void remember_success(run* r, const lethe_model* model, size_t index) {
  free(r->probe_previous);
  r->probe_previous = r->probe_now;
  r->probe_now = probe_scores(model, &r->data.probe, r->opts.threads, NULL);
  r->previous_success = r->last_success;
  r->last_success = (int)index;
}

void task_run(run* r, lethe_model* model, lethe_engine* engine, size_t index) {
  request_run(&r->requests[index], engine, &r->opts, index, &r->config, r->data.train,
              r->data.validation);
  r->request_count = index + 1;
  status_line("  measuring on the test images");
  r->final = measure(model, r->data.test, r);
  r->figures[index] = figures_of(r, index, &r->final);
  if (r->requests[index].state == LETHE_JOB_SUCCEEDED) remember_success(r, model, index);
  status_line("");
}
