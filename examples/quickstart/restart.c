/* Does the result survive a restart? A second process loads the files and looks at the same images.
 */
#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common.h"

extern char** environ;

enum { MAX_ARGUMENTS = MAX_TASKS + 16 };

void load_stack(const options* opts, lethe_runtime* runtime, lethe_model* model) {
  lethe_adapter* adapters[MAX_TASKS] = {NULL};
  size_t count = (size_t)opts->reload_file_count - 1;
  if (count > MAX_TASKS) die("INVALID_ARGUMENT", "at most %d adapters can be loaded", MAX_TASKS);
  for (size_t i = 0; i < count; ++i)
    check(lethe_adapter_load(runtime, opts->reload_files[i + 1], NULL, &adapters[i]));
  if (count > 0)
    check(lethe_model_set_adapters(model, (const lethe_adapter* const*)adapters, NULL, count, 0));
  for (size_t i = 0; i < count; ++i) lethe_adapter_free(adapters[i]);
}

/* OUT/NAME.bin, or OUT/NAME-reloaded.bin. */
static void numbers_path(char* path, const options* opts, const char* name, const char* end) {
  char file[NAME_SIZE];
  snprintf(file, sizeof file, "%s%s.bin", name, end);
  path_in(path, opts->out, file);
}

void reload_answer(const options* opts, const char* name, const float* numbers, size_t size) {
  char path[PATH_SIZE];
  numbers_path(path, opts, name, "-reloaded");
  write_file(path, numbers, size);
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

double reload_elsewhere(const options* opts, const char* weights, const request* requests,
                        size_t request_count, const char* name, const float* now, size_t count) {
  char path[PATH_SIZE], threads[32];
  numbers_path(path, opts, name, "");
  write_file(path, now, count * sizeof(float));

  const char* arguments[MAX_ARGUMENTS] = {opts->program, "--data",   opts->data,  "--out",
                                          opts->out,     "--device", opts->device};
  size_t used = 7;
  if (opts->threads > 0) {
    snprintf(threads, sizeof threads, "%d", (int)opts->threads);
    arguments[used++] = "--threads";
    arguments[used++] = threads;
  }
  arguments[used++] = "--reload";
  arguments[used++] = weights;
  for (size_t t = 0; t < request_count; ++t)
    if (requests[t].state == LETHE_JOB_SUCCEEDED) arguments[used++] = requests[t].adapter;
  start_and_wait((char**)arguments);

  size_t size = 0;
  numbers_path(path, opts, name, "-reloaded");
  float* reloaded = (float*)(void*)read_file(path, &size);
  if (size != count * sizeof(float))
    die("CORRUPT", "%s holds %zu bytes instead of %zu", path, size, count * sizeof(float));
  double largest = 0;
  for (size_t i = 0; i < count; ++i) {
    double difference = fabs((double)reloaded[i] - (double)now[i]);
    if (!(difference <= largest)) largest = difference; /* a NaN counts */
  }
  free(reloaded);
  return largest;
}
