/* The second process of classification. */
#include <stdlib.h>

#include "quickstart.h"

int reload_here(const options* opts) {
  lethe_runtime* runtime = NULL;
  size_t size = 0;
  static image_data data;
  check(lethe_runtime_create(NULL, &runtime));
  images_open_test(runtime, opts, &data);
  lethe_model* model = base_load(runtime, opts, opts->reload_files[0]);
  load_stack(opts, runtime, model);
  float* logits = probe_scores(model, &data.probe, opts->threads, &size);
  reload_answer(opts, "logits", logits, size);

  free(logits);
  lethe_model_free(model);
  images_close(&data);
  lethe_runtime_free(runtime);
  return 0;
}
