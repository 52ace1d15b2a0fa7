/* What every part needs: errors, the clock, files. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "common.h"

void die(const char* name, const char* format, ...) {
  va_list arguments;
  fflush(stdout);
  fprintf(stderr, "quickstart: %s: ", name);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

void check(lethe_status status) {
  if (status < 0) die(lethe_status_name(status), "%s", lethe_last_error());
}

void* allocate(size_t size) {
  void* memory = malloc(size > 0 ? size : 1);
  if (memory == NULL) die("OUT_OF_MEMORY", "no memory for %zu bytes", size);
  return memory;
}

double clock_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double peak_memory_mb(void) {
  struct rusage self, child;
  getrusage(RUSAGE_SELF, &self);
  getrusage(RUSAGE_CHILDREN, &child);
  long peak = self.ru_maxrss > child.ru_maxrss ? self.ru_maxrss : child.ru_maxrss;
  return (double)peak / 1024; /* Linux counts in KiB */
}

void path_in(char* path, const char* dir, const char* name) {
  int length = snprintf(path, PATH_SIZE, "%s/%s", dir, name);
  if (length < 0 || length >= PATH_SIZE)
    die("INVALID_ARGUMENT", "a path of more than %d bytes: choose a shorter folder", PATH_SIZE - 1);
}

int is_folder(const char* path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

void make_folder(const char* path) {
  char part[PATH_SIZE];
  path_in(part, path, "");
  for (char* slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    if (mkdir(part, 0777) != 0 && errno != EEXIST)
      die("IO", "cannot make the folder %s: %s; choose another with --out", part, strerror(errno));
    *slash = '/';
  }
}

char* read_file(const char* path, size_t* out_size) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) die("IO", "cannot open %s: %s", path, strerror(errno));
  char* bytes = NULL;
  size_t size = 0, capacity = 0;
  do {
    if (size + 1 >= capacity) {
      capacity = capacity == 0 ? 1 << 16 : 2 * capacity;
      char* larger = realloc(bytes, capacity);
      if (larger == NULL) die("OUT_OF_MEMORY", "no memory for %zu bytes", capacity);
      bytes = larger;
    }
    size += fread(bytes + size, 1, capacity - 1 - size, file);
  } while (!feof(file) && !ferror(file));
  if (ferror(file)) die("IO", "cannot read %s: %s", path, strerror(errno));
  fclose(file);
  bytes[size] = '\0';
  if (out_size != NULL) *out_size = size;
  return bytes;
}

void write_file(const char* path, const void* data, size_t size) {
  FILE* file = fopen(path, "wb");
  int good = file != NULL && fwrite(data, 1, size, file) == size;
  int closed = file == NULL || fclose(file) == 0;
  if (!good || !closed) die("IO", "cannot write %s: %s", path, strerror(errno));
}
