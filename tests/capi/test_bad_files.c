/* Bad files, and places that cannot be written: a status and one sentence that names the file. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bad_input.h"
#include "checkpoints.h"

static void checkpoints(void** state) {
  setup* s = *state;
  static const struct {
    defect kind;
    lethe_status code;
    const char* names;
  } cases[] = {
      {TENSOR_MISSING, LETHE_E_INVALID_ARGUMENT, "heads.head.bias"},
      {TENSOR_EXTRA, LETHE_E_INVALID_ARGUMENT, "surplus"},
      {TENSOR_MISSHAPEN, LETHE_E_INVALID_ARGUMENT, "heads.head.bias"},
      {TENSOR_NAN, LETHE_E_CORRUPT, "heads.head.bias"},
      {HEADER_TRUNCATED, LETHE_E_CORRUPT, "bad.safetensors"},
  };
  const char* path = in_folder(s->folder, "bad.safetensors");
  lethe_model* model = make_model(s->runtime);
  const identity before = identity_of(model);
  size_t i, size;
  char* bytes;
  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    write_checkpoint(path, s->model, cases[i].kind);
    assert_fails(cases[i].code, cases[i].names, lethe_model_load_weights(model, path, NULL));
    assert_unchanged(model, &before);
    bytes = read_file(path, &size);
    assert_int_equal(lethe_model_load_weights_memory(model, (const uint8_t*)bytes, size, NULL),
                     cases[i].code);
    free(bytes);
    assert_unchanged(model, &before);
  }
  write_pickle_with_code(path);
  assert_fails(LETHE_E_UNSUPPORTED, "system", lethe_model_load_weights(model, path, NULL));
  write_file(path, "no tensors at all", 17);
  assert_fails(LETHE_E_CORRUPT, "bad.safetensors", lethe_model_load_weights(model, path, NULL));
  write_file(path, "", 0);
  assert_fails(LETHE_E_CORRUPT, "bad.safetensors", lethe_model_load_weights(model, path, NULL));
  assert_fails(LETHE_E_NOT_FOUND, "none",
               lethe_model_load_weights(model, in_folder(s->folder, "none"), NULL));
  assert_fails(LETHE_E_IO, "", lethe_model_load_weights(model, s->folder, NULL));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "data is NULL",
               lethe_model_load_weights_memory(model, NULL, 4, NULL));
  assert_unchanged(model, &before);
  write_checkpoint(path, s->model, NO_DEFECT);
  assert_ok(lethe_model_load_weights(model, path, NULL));
  assert_unchanged(model, &s->before);
  lethe_model_free(model);
}

static void limits(void** state) {
  setup* s = *state;
  const char* path = in_folder(s->folder, "big.safetensors");
  lethe_model* model = make_model(s->runtime);
  const identity before = identity_of(model);
  lethe_limits bounds;
  write_checkpoint(path, s->model, NO_DEFECT);
  assert_ok(lethe_limits_init(&bounds, sizeof bounds));
  bounds.max_file_bytes = 1000;
  assert_fails(LETHE_E_LIMIT_EXCEEDED, "1000", lethe_model_load_weights(model, path, &bounds));
  bounds.max_file_bytes = 0; /* the default */
  bounds.max_tensors = 3;
  assert_fails(LETHE_E_LIMIT_EXCEEDED, "3", lethe_model_load_weights(model, path, &bounds));
  bounds.max_tensors = 0;
  bounds.max_header_bytes = 64;
  assert_fails(LETHE_E_LIMIT_EXCEEDED, "64", lethe_model_load_weights(model, path, &bounds));
  bounds.max_header_bytes = -1;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "max_header_bytes is -1",
               lethe_model_load_weights(model, path, &bounds));
  assert_unchanged(model, &before);
  bounds.max_header_bytes = 0;
  assert_ok(lethe_model_load_weights(model, path, &bounds));
  lethe_model_free(model);
}

static lethe_adapter* adapter_of_a_clone(setup* s) {
  lethe_model* clone = NULL;
  lethe_adapter* adapter = NULL;
  assert_ok(lethe_model_clone(s->model, &clone));
  forget_two(s->runtime, clone);
  assert_ok(lethe_model_adapter_at(clone, 0, &adapter));
  lethe_model_free(clone);
  return adapter;
}

static void full_disk(void** state) {
  setup* s = *state;
  lethe_adapter* adapter = adapter_of_a_clone(s);
  const char *old = in_folder(s->folder, "old.lethe"),
             *weights = in_folder(s->folder, "old.safetensors");
  struct rlimit whole, small;
  write_file(old, "what was there", 14);
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole), 0);
  small = whole;
  small.rlim_cur = 512;
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  assert_fails(LETHE_E_IO, "old.lethe", lethe_adapter_export(adapter, old, NULL));
  assert_fails(LETHE_E_IO, "old.safetensors", lethe_model_export_merged(s->model, weights, NULL));
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole), 0);
  {
    size_t size;
    char* kept = read_file(old, &size);
    assert_int_equal(size, 14);
    assert_memory_equal(kept, "what was there", 14);
    free(kept);
  }
  assert_int_equal(file_count(s->folder), 1); /* no temporary file stays behind */
  lethe_adapter_free(adapter);
}

static void read_only_folder(void** state) {
  setup* s = *state;
  lethe_adapter* adapter = adapter_of_a_clone(s);
  const int root = geteuid() == 0;
  const char *path = in_folder(s->folder, "a.lethe"),
             *missing = in_folder(s->folder, "no/such/a.lethe");
  assert_int_equal(chmod(s->folder, 0555), 0);
  if (root) assert_int_equal(seteuid(65534), 0); /* the rule does not hold for root */
  assert_fails(LETHE_E_IO, "a.lethe", lethe_adapter_export(adapter, path, NULL));
  assert_fails(LETHE_E_IO, "", lethe_model_export_merged(s->model, path, NULL));
  if (root) assert_int_equal(seteuid(0), 0);
  assert_int_equal(chmod(s->folder, 0755), 0);
  assert_fails(LETHE_E_IO, "", lethe_adapter_export(adapter, missing, NULL));
  assert_int_equal(file_count(s->folder), 0);
  lethe_adapter_free(adapter);
}

static void adapter_files(void** state) {
  setup* s = *state;
  lethe_adapter *adapter = adapter_of_a_clone(s), *loaded = adapter;
  lethe_buffer* buffer = NULL;
  lethe_limits bounds;
  uint8_t* bytes;
  size_t size;
  assert_ok(lethe_adapter_export_memory(adapter, NULL, &buffer));
  size = lethe_buffer_size(buffer);
  bytes = malloc(size);
  memcpy(bytes, lethe_buffer_data(buffer), size);
  lethe_buffer_free(buffer);
  bytes[size / 2] ^= 1;
  assert_fails(LETHE_E_CORRUPT, "",
               lethe_adapter_load_memory(s->runtime, bytes, size, NULL, &loaded));
  assert_null(loaded);
  bytes[size / 2] ^= 1;
  assert_fails(LETHE_E_CORRUPT, "",
               lethe_adapter_load_memory(s->runtime, bytes, size - 1, NULL, &loaded));
  assert_fails(LETHE_E_CORRUPT, "", lethe_adapter_load_memory(s->runtime, bytes, 0, NULL, &loaded));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "data is NULL",
               lethe_adapter_load_memory(s->runtime, NULL, size, NULL, &loaded));
  assert_ok(lethe_limits_init(&bounds, sizeof bounds));
  bounds.max_total_bytes = 100;
  assert_fails(LETHE_E_LIMIT_EXCEEDED, "100",
               lethe_adapter_load_memory(s->runtime, bytes, size, &bounds, &loaded));
  assert_fails(LETHE_E_NOT_FOUND, "none",
               lethe_adapter_load(s->runtime, in_folder(s->folder, "none.lethe"), NULL, &loaded));
  free(bytes);
  lethe_adapter_free(adapter);
}

static void adapter_of_another_base(void** state) {
  setup* s = *state;
  lethe_adapter* adapter = adapter_of_a_clone(s);
  lethe_model* other = make_model(s->runtime);
  const identity before = identity_of(other);
  const lethe_adapter* list = adapter;
  assert_fails(LETHE_E_BASE_MISMATCH, "base", lethe_model_attach(other, adapter));
  assert_fails(LETHE_E_BASE_MISMATCH, "base",
               lethe_model_set_adapters(other, &list, NULL, 1, LETHE_ALLOW_UNVERIFIED));
  assert_unchanged(other, &before);
  lethe_model_free(other);
  lethe_adapter_free(adapter);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_SETUP(checkpoints),      WITH_SETUP(limits),        WITH_SETUP(full_disk),
      WITH_SETUP(read_only_folder), WITH_SETUP(adapter_files), WITH_SETUP(adapter_of_another_base),
  };
  return cmocka_run_group_tests_name("capi bad files", tests, NULL, NULL);
}
