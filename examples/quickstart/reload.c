/* Does the result survive a restart? A second process loads the files and predicts the same images.
 */
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "quickstart.h"

extern char** environ;

enum { MAX_ARGUMENTS = MAX_TASKS + 16 };

int reload_here(const options* opts) {
  lethe_runtime* runtime = NULL;
  lethe_adapter* adapters[MAX_TASKS] = {NULL};
  size_t count = (size_t)opts->reload_file_count - 1, size = 0;
  char path[PATH_SIZE];
  static image_data data;
  if (count > MAX_TASKS) die("INVALID_ARGUMENT", "at most %d adapters can be loaded", MAX_TASKS);

  check(lethe_runtime_create(NULL, &runtime));
  images_open_test(runtime, opts, &data);
  lethe_model* model = base_load(runtime, opts, opts->reload_files[0]);
  for (size_t i = 0; i < count; ++i)
    check(lethe_adapter_load(runtime, opts->reload_files[i + 1], NULL, &adapters[i]));
  if (count > 0)
    check(lethe_model_set_adapters(model, (const lethe_adapter* const*)adapters, NULL, count, 0));

  float* logits = probe_scores(model, &data.probe, opts->threads, &size);
  path_in(path, opts->out, "logits-reloaded.bin");
  write_file(path, logits, size);

  free(logits);
  for (size_t i = 0; i < count; ++i) lethe_adapter_free(adapters[i]);
  lethe_model_free(model);
  images_close(&data);
  lethe_runtime_free(runtime);
  return 0;
}

static void start_and_wait(char** arguments) {
  pid_t child = 0;
  int status = 0;
  fflush(stdout);
  int failure = posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ);
  if (failure != 0) die("IO", "cannot start a second process: %s", strerror(failure));
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) die("IO", "cannot wait for the second process: %s", strerror(errno));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    die("STATE", "the second process could not load base and adapters");
}

double reload_elsewhere(const run* r) {
  size_t count = r->data.probe.count * (size_t)r->data.class_count, size = 0;
  char path[PATH_SIZE], threads[32];
  path_in(path, r->opts.out, "logits.bin");
  write_file(path, r->probe_now, count * sizeof(float));

  const char* arguments[MAX_ARGUMENTS] = {r->opts.program, "--data",   r->opts.data,  "--out",
                                          r->opts.out,     "--device", r->opts.device};
  size_t used = 7;
  if (r->opts.threads > 0) {
    snprintf(threads, sizeof threads, "%d", (int)r->opts.threads);
    arguments[used++] = "--threads";
    arguments[used++] = threads;
  }
  arguments[used++] = "--reload";
  arguments[used++] = r->weights;
  for (size_t t = 0; t < r->task_count; ++t)
    if (r->tasks[t].state == LETHE_JOB_SUCCEEDED) arguments[used++] = r->tasks[t].adapter;
  start_and_wait((char**)arguments);

  path_in(path, r->opts.out, "logits-reloaded.bin");
  float* reloaded = (float*)(void*)read_file(path, &size);
  if (size != count * sizeof(float))
    die("CORRUPT", "%s holds %zu bytes instead of %zu", path, size, count * sizeof(float));
  double largest = 0;
  for (size_t i = 0; i < count; ++i) {
    double difference = fabs((double)reloaded[i] - (double)r->probe_now[i]);
    if (!(difference <= largest)) largest = difference; /* a NaN counts */
  }
  free(reloaded);
  return largest;
}
