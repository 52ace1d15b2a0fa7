#include "common.h"

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <unistd.h>

#define FAIL_AT(file, line, ...) \
  do {                           \
    print_error(__VA_ARGS__);    \
    print_error("\n");           \
    _fail(file, line);           \
  } while (0)

void leave_message(void) {
  if (lethe_buffer_copy(NULL, NULL, 0) == LETHE_OK || lethe_last_error()[0] == '\0') {
    FAIL_AT(__FILE__, __LINE__, "a failure left no message");
  }
}

void check_ok(lethe_status status, const char* call, const char* file, int line) {
  if (status != LETHE_OK) {
    FAIL_AT(file, line, "%s: %s: %s", call, lethe_status_name(status), lethe_last_error());
  }
  if (lethe_last_error_code() != LETHE_OK || lethe_last_error()[0] != '\0') {
    FAIL_AT(file, line, "%s succeeded but left the message \"%s\"", call, lethe_last_error());
  }
}

void check_fails(lethe_status status, lethe_status code, const char* part, const char* call,
                 const char* file, int line) {
  const char* message = lethe_last_error();
  if (status != code || lethe_last_error_code() != code) {
    FAIL_AT(file, line, "%s: %s instead of %s: %s", call, lethe_status_name(status),
            lethe_status_name(code), message);
  }
  if (strstr(message, part) == NULL || message[0] == '\0' || strchr(message, '\n') != NULL) {
    FAIL_AT(file, line, "%s: the message \"%s\" is not one line naming \"%s\"", call, message,
            part);
  }
}

void check_text(lethe_buffer* buffer, const char* part, const char* file, int line) {
  const char* text = lethe_buffer_data(buffer);
  if (text == NULL || strlen(text) != lethe_buffer_size(buffer) || strstr(text, part) == NULL) {
    FAIL_AT(file, line, "\"%s\" does not contain \"%s\"", text ? text : "(null)", part);
  }
  lethe_buffer_free(buffer);
}

images make_images(int64_t count, unsigned seed) {
  images set;
  uint32_t state = seed * 2654435761u + 1;
  int64_t i, p;
  set.count = count;
  set.pixels = calloc((size_t)(count * PIXELS) + 1, sizeof(float));
  set.labels = calloc((size_t)count + 1, sizeof(int64_t));
  set.shape[0] = count;
  set.shape[1] = 1;
  set.shape[2] = set.shape[3] = SIDE;
  for (i = 0; i < count; ++i) {
    set.labels[i] = i % CLASSES;
    for (p = 0; p < PIXELS; ++p) {
      const int64_t quarter = (p / SIDE >= SIDE / 2) * 2 + (p % SIDE >= SIDE / 2);
      state = state * 1664525u + 1013904223u;
      set.pixels[i * PIXELS + p] =
          (quarter == set.labels[i] ? 0.8f : 0.0f) + 0.2f * (float)(state >> 8) / (float)(1u << 24);
    }
  }
  return set;
}

void free_images(images* set) {
  free(set->pixels);
  free(set->labels);
}

lethe_tensor_view pixel_view(const images* set) {
  lethe_tensor_view view;
  memset(&view, 0, sizeof view);
  view.struct_size = sizeof view;
  view.dtype = LETHE_F32;
  view.data = set->pixels;
  view.size = (size_t)(set->count * PIXELS) * sizeof(float);
  view.ndim = 4;
  view.shape = set->shape;
  return view;
}

lethe_tensor_view label_view(const images* set) {
  lethe_tensor_view view;
  memset(&view, 0, sizeof view);
  view.struct_size = sizeof view;
  view.dtype = LETHE_I64;
  view.data = set->labels;
  view.size = (size_t)set->count * sizeof(int64_t);
  view.ndim = 1;
  view.shape = set->shape;
  return view;
}

lethe_runtime* make_runtime(void) {
  lethe_runtime* runtime = NULL;
  assert_ok(lethe_runtime_create(NULL, &runtime));
  assert_non_null(runtime);
  return runtime;
}

lethe_model* make_model(lethe_runtime* runtime) {
  lethe_model* model = NULL;
  assert_ok(lethe_model_create(runtime, TINY_SPEC, NULL, &model));
  assert_non_null(model);
  return model;
}

lethe_dataset* make_dataset(lethe_runtime* runtime, int64_t count, unsigned seed) {
  images set = make_images(count, seed);
  const lethe_tensor_view pixels = pixel_view(&set), labels = label_view(&set);
  lethe_dataset* data = NULL;
  assert_ok(lethe_dataset_from_tensors(runtime, &pixels, &labels, CLASSES, NULL, &data));
  free_images(&set);
  return data;
}

lethe_engine* make_engine(lethe_model* model) {
  lethe_engine* engine = NULL;
  lethe_engine_options options;
  assert_ok(lethe_engine_options_init(&options, sizeof options));
  options.threads = 1; /* more would wait for each other longer than such small tensors take */
  assert_ok(lethe_engine_create(model, &options, &engine));
  assert_non_null(engine);
  return engine;
}

lethe_model* make_trained_model(lethe_runtime* runtime) {
  lethe_model* model = make_model(runtime);
  lethe_dataset* data = make_dataset(runtime, 128, 1);
  lethe_pretrain_config config;
  lethe_engine* engine = make_engine(model);
  lethe_job* job = NULL;
  assert_ok(lethe_pretrain_config_init(&config, sizeof config));
  config.batch = 32;
  config.epochs = 40;
  config.warmup_epochs = 1;
  config.learning_rate = 1e-2;
  assert_ok(lethe_engine_enqueue_pretraining(engine, "base", &config, data, NULL, &job));
  assert_ok(lethe_job_wait(job, -1));
  assert_string_equal(lethe_job_error(job), "");
  lethe_job_free(job);
  lethe_engine_free(engine);
  lethe_dataset_free(data);
  return model;
}

lethe_forget_config quick_config(void) {
  lethe_forget_config config;
  assert_ok(lethe_forget_config_init(&config, sizeof config, LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR));
  config.data_ratio = 1;
  config.forget_batch = 16;
  config.retain_batch = 48;
  config.max_steps = 60;
  config.lora_alpha = 8;
  config.progress_interval = 1;
  return config;
}

void forget(lethe_engine* engine, const char* request_id, int64_t class_id,
            const lethe_dataset* data) {
  const lethe_forget_config config = quick_config();
  lethe_job* job = NULL;
  lethe_job_status_info info;
  info.struct_size = sizeof info;
  assert_ok(
      lethe_engine_enqueue(engine, request_id, &class_id, 1, &config, data, NULL, NULL, &job));
  assert_ok(lethe_job_wait(job, -1));
  assert_string_equal(lethe_job_error(job), "");
  assert_ok(lethe_job_status(job, &info));
  assert_int_equal(info.state, LETHE_JOB_SUCCEEDED);
  lethe_job_free(job);
}

void forget_two(lethe_runtime* runtime, lethe_model* model) {
  lethe_dataset* data = make_dataset(runtime, 128, 1);
  lethe_engine* engine = make_engine(model);
  forget(engine, "first", 1, data);
  forget(engine, "second", 2, data);
  lethe_engine_free(engine);
  lethe_dataset_free(data);
}

float* predict(const lethe_model* model, const images* set) {
  const lethe_tensor_view view = pixel_view(set);
  lethe_buffer* buffer = NULL;
  float* logits = malloc((size_t)(set->count * CLASSES) * sizeof(float));
  assert_ok(lethe_model_predict(model, &view, 1, &buffer));
  assert_int_equal(lethe_buffer_size(buffer), (size_t)(set->count * CLASSES) * sizeof(float));
  assert_ok(lethe_buffer_copy(buffer, logits, lethe_buffer_size(buffer)));
  lethe_buffer_free(buffer);
  return logits;
}

identity identity_of(const lethe_model* model) {
  identity id;
  assert_ok(lethe_model_fingerprint(model, id.bytes, id.bytes + 32));
  return id;
}

void assert_unchanged(const lethe_model* model, const identity* before) {
  const identity now = identity_of(model);
  assert_memory_equal(now.bytes, before->bytes, sizeof now.bytes);
}

char* make_folder(void) {
  const char* where = getenv("TMPDIR");
  char* folder = malloc(512);
  snprintf(folder, 512, "%s/lethe-capi-XXXXXX", where && strlen(where) < 400 ? where : "/tmp");
  assert_non_null(mkdtemp(folder));
  return folder;
}

static int remove_entry(const char* path, const struct stat* info, int kind, struct FTW* walk) {
  (void)info, (void)kind, (void)walk;
  return remove(path);
}

void remove_folder(char* folder) {
  nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  free(folder);
}

const char* in_folder(const char* folder, const char* name) {
  static char paths[8][1024];
  static int next = 0;
  char* path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

void write_file(const char* path, const void* data, size_t size) {
  FILE* file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

char* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  char* data;
  assert_non_null(file);
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  data = malloc(*size + 1);
  assert_int_equal(fread(data, 1, *size, file), *size);
  data[*size] = '\0';
  fclose(file);
  return data;
}

int file_count(const char* folder) {
  DIR* list = opendir(folder);
  int count = -2; /* "." and ".." */
  assert_non_null(list);
  while (readdir(list) != NULL) ++count;
  closedir(list);
  return count;
}
