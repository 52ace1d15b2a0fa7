/* What a call costs in C: the cheapest one, and a prediction. The bindings' benches print the same
 * two lines; tests/bench/bindings.sh puts them side by side. Run it in the root folder of the
 * sources. */
#include <lethe/lethe.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
  ROUNDS = 101,
  CALLS = 10000,
  WARM_UPS = 20,
  PREDICTIONS = 100,
  BATCH = 32,
  PIXELS = 28 * 28
};

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int ascending(const void* a, const void* b) {
  return (*(const double*)a > *(const double*)b) - (*(const double*)a < *(const double*)b);
}

static double median(double* values, size_t count) {
  qsort(values, count, sizeof *values, ascending);
  return values[count / 2];
}

int main(void) {
  static float pixels[BATCH * PIXELS];
  static double times[ROUNDS > PREDICTIONS ? ROUNDS : PREDICTIONS];
  const int64_t shape[] = {BATCH, 1, 28, 28};
  const lethe_tensor_view images = {sizeof images, LETHE_F32, pixels, sizeof pixels, 4, 0,
                                    shape,         NULL};
  lethe_runtime* runtime;
  lethe_model* model;
  int i, j;
  for (i = 0; i < ROUNDS; ++i) {
    const double from = seconds();
    for (j = 0; j < CALLS; ++j) lethe_abi_version();
    times[i] = (seconds() - from) / CALLS;
  }
  printf("empty_ns %.1f\n", 1e9 * median(times, ROUNDS));

  for (i = 0; i < BATCH * PIXELS; ++i) pixels[i] = (float)(i % 255) / 255 - 0.5f;
  if (lethe_runtime_create(NULL, &runtime) ||
      lethe_model_create(runtime,
                         "{\"arch\":\"vit\",\"classes\":10,\"image_size\":28,\"channels\":1,"
                         "\"patch_size\":4,\"dim\":96,\"depth\":6,\"heads\":3,\"head_dim\":32,"
                         "\"mlp_dim\":192}",
                         "cpu", &model) ||
      lethe_model_load_weights(model, "examples/quickstart/fashion_vit.safetensors", NULL)) {
    fprintf(stderr, "%s\n", lethe_last_error());
    return 1;
  }
  for (i = -WARM_UPS; i < PREDICTIONS; ++i) {
    lethe_buffer* logits;
    const double from = seconds();
    if (lethe_model_predict(model, &images, 1, &logits)) {
      fprintf(stderr, "%s\n", lethe_last_error());
      return 1;
    }
    lethe_buffer_free(logits);
    if (i >= 0) times[i] = seconds() - from;
  }
  printf("predict_ms %.3f\n", 1e3 * median(times, PREDICTIONS));
  lethe_model_free(model);
  lethe_runtime_free(runtime);
  return 0;
}
