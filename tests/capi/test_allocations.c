/* Each allocation of a host's life made to fail once: wherever memory runs out, the call says
 * LETHE_E_OUT_OF_MEMORY or copes, and what a later life does is as if nothing had happened.
 *
 * Usage: test_capi_allocations [EVERY [FROM]]: every EVERY-th allocation (default 1: all). Last
 * line: "N allocations, N failed, N refused, N coped". */
#include <errno.h>
#include <link.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

/* ------------------------------------------------------------------ an allocator that refuses */

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* data, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

static atomic_llong made;   /* allocations since the life began */
static atomic_llong refuse; /* the one that fails; 0: none, and nothing is counted */

/* What calls malloc itself inside LibTorch (oneDNN, MKL, OpenMP) answers want of memory in its own
 * way: with an error that does not say so, or by ending the process. And nlohmann-json takes memory
 * in its destructor, which cannot fail: LETHE_JSON_DESTRUCTOR="OFFSET SIZE OFFSET SIZE ..." tells
 * where in liblethe. Everything else fails here: C++'s new, tensors' memory, SQLite, zstd,
 * libsodium, the image libraries. */
typedef struct code {
  uintptr_t from[64], to[64];
  int count;
} code;
static code mallocs, destructors; /* callers of malloc, and of new, that are left alone */

static void add(code* ranges, uintptr_t from, uintptr_t size) {
  assert_true(ranges->count < 64);
  ranges->from[ranges->count] = from;
  ranges->to[ranges->count++] = from + size;
}

static int note_foreign(struct dl_phdr_info* library, size_t size, void* none) {
  const char* text = getenv("LETHE_JSON_DESTRUCTOR");
  unsigned long offset, length;
  int i, read;
  (void)size, (void)none;
  if (strstr(library->dlpi_name, "liblethe.so")) {
    for (; text && sscanf(text, "%lx %lx%n", &offset, &length, &read) == 2; text += read)
      add(&destructors, library->dlpi_addr + offset, length);
  }
  if (!strstr(library->dlpi_name, "libtorch_cpu") && !strstr(library->dlpi_name, "libgomp"))
    return 0;
  for (i = 0; i < library->dlpi_phnum; ++i) {
    if (library->dlpi_phdr[i].p_type == PT_LOAD && (library->dlpi_phdr[i].p_flags & PF_X))
      add(&mallocs, library->dlpi_addr + library->dlpi_phdr[i].p_vaddr,
          library->dlpi_phdr[i].p_memsz);
  }
  return 0;
}

/* On every thread. */
static int refused(const code* spared, const void* caller) {
  int i;
  if (atomic_load(&refuse) == 0) return 0;
  for (i = 0; i < spared->count; ++i) {
    if ((uintptr_t)caller >= spared->from[i] && (uintptr_t)caller < spared->to[i]) return 0;
  }
  if (atomic_fetch_add(&made, 1) + 1 != atomic_load(&refuse)) return 0;
  errno = ENOMEM;
  return 1;
}
#define REFUSED(spared) refused(&spared, __builtin_return_address(0))

void* malloc(size_t size) { return REFUSED(mallocs) ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) {
  return REFUSED(mallocs) ? NULL : __libc_calloc(count, size);
}
void* realloc(void* data, size_t size) {
  return REFUSED(mallocs) ? NULL : __libc_realloc(data, size);
}
void* memalign(size_t alignment, size_t size) {
  return REFUSED(mallocs) ? NULL : __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  return REFUSED(mallocs) ? NULL : __libc_memalign(alignment, size);
}

/* C++'s new, under its names for the linker. */
void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((noreturn));
void* new_one(size_t size) __asm__("_Znwm");
void* new_some(size_t size) __asm__("_Znam");
static void* or_throw(void* data) {
  if (!data) throw_bad_alloc();
  return data;
}
void* new_one(size_t size) { return or_throw(REFUSED(destructors) ? NULL : __libc_malloc(size)); }
void* new_some(size_t size) { return or_throw(REFUSED(destructors) ? NULL : __libc_malloc(size)); }

int posix_memalign(void** out, size_t alignment, size_t size) {
  if (REFUSED(mallocs)) return ENOMEM;
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : ENOMEM;
}

/* ------------------------------------------------------------------------------------- a life */

static struct {
  char* folder;
  images set;
  lethe_tensor_view pixels, labels;
  long long refusals; /* calls that answered LETHE_E_OUT_OF_MEMORY */
} world;

/* Any other failure than want of memory is a defect. */
static void unexpected(lethe_status status, const char* what, const char* message) {
  const long long at = atomic_exchange(&refuse, 0);
  fail_msg("allocation %lld: %s: %s: \"%s\"", at, what, lethe_status_name(status), message);
}

/* Whether the call did its work. */
static int done(lethe_status status, const char* call) {
  if (status == LETHE_OK) return 1;
  if (status != LETHE_E_OUT_OF_MEMORY || lethe_last_error()[0] == '\0') {
    unexpected(status, call, lethe_last_error());
  }
  ++world.refusals;
  return 0;
}
#define DONE(call) done((call), #call)
#define FREED(call, buffer)                     \
  do {                                          \
    DONE(call);                                 \
    lethe_buffer_free(buffer), (buffer) = NULL; \
  } while (0)

static void settings(void) {
  lethe_forget_config config;
  lethe_limits limits;
  lethe_pretrain_config pretraining;
  lethe_buffer* json = NULL;
  DONE(lethe_limits_init(&limits, sizeof limits));
  DONE(lethe_pretrain_config_init(&pretraining, sizeof pretraining));
  FREED(lethe_build_info_json(&json), json);
  FREED(lethe_arch_default_spec("face_vit", &json), json);
  FREED(lethe_method_info_json(&json), json);
  if (!DONE(lethe_forget_config_init(&config, sizeof config, LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR)))
    return;
  DONE(lethe_forget_config_from_json("{\"rank\":4,\"sparsity\":\"proximal\"}", &config));
  FREED(lethe_forget_config_to_json(&config, &json), json);
  FREED(lethe_forget_config_validate(&config, &json), json);
}

static void datasets(lethe_runtime* runtime, lethe_dataset** data) {
  lethe_dataset *part = NULL, *rest = NULL, *few = NULL, *read = NULL;
  lethe_buffer* json = NULL;
  const int64_t one = 1;
  int64_t label;
  if (DONE(
          lethe_dataset_from_image_folder(runtime, in_folder(world.folder, "photos"), NULL, &read)))
    lethe_dataset_free(read);
  read = NULL;
  if (DONE(lethe_dataset_from_idx(runtime, in_folder(world.folder, "images"),
                                  in_folder(world.folder, "labels"), 0,
                                  "{\"mean\":[0.5],\"std\":[2]}", &read)))
    lethe_dataset_free(read);
  if (!DONE(lethe_dataset_from_tensors(runtime, &world.pixels, &world.labels, CLASSES, NULL, data)))
    return;
  DONE(lethe_dataset_split(*data, 0.25, 1, &part, &rest));
  DONE(lethe_dataset_select(*data, LETHE_KEEP_CLASSES, &one, 1, 2, 3, &few));
  FREED(lethe_dataset_sample(*data, 0, &json, &label), json);
  FREED(lethe_dataset_info_json(*data, &json), json);
  lethe_dataset_free(few), lethe_dataset_free(part), lethe_dataset_free(rest);
}

static void look(const lethe_model* model, const lethe_dataset* data) {
  lethe_buffer* out = NULL;
  lethe_report* report = NULL;
  uint8_t base[32];
  float bias[CLASSES];
  double acc;
  FREED(lethe_model_info_json(model, &out), out);
  FREED(lethe_model_predict(model, &world.pixels, 1, &out), out);
  FREED(lethe_model_embed(model, &world.pixels, 1, &out), out);
  DONE(lethe_model_fingerprint(model, base, NULL));
  DONE(lethe_model_tensor_read(model, "heads.head.bias", 1, bias, CLASSES));
  if (!data) return;
  FREED(lethe_model_predict_dataset(model, data, 1, &out), out);
  if (DONE(lethe_model_evaluate(model, data, NULL, &report))) {
    FREED(lethe_report_json(report, &out), out);
    DONE(lethe_report_metric(report, "acc", &acc));
  }
  lethe_report_free(report);
}

static void files(lethe_runtime* runtime, lethe_model* model, lethe_adapter* adapter) {
  lethe_buffer* out = NULL;
  lethe_adapter *loaded = NULL, *again = NULL, *from_peft = NULL;
  lethe_model *copy = NULL, *merged = NULL;
  const int64_t one = 1;
  FREED(lethe_adapter_info_json(adapter, &out), out);
  if (DONE(lethe_adapter_export(adapter, in_folder(world.folder, "a.lethe"), NULL))) {
    FREED(lethe_adapter_verify(in_folder(world.folder, "a.lethe"), NULL, &out), out);
    DONE(lethe_adapter_load(runtime, in_folder(world.folder, "a.lethe"), NULL, &loaded));
  }
  if (DONE(lethe_adapter_export_memory(adapter, NULL, &out)))
    DONE(lethe_adapter_load_memory(runtime, lethe_buffer_data(out), lethe_buffer_size(out), NULL,
                                   &again));
  lethe_buffer_free(out), out = NULL;
  if (DONE(lethe_model_clone(model, &copy))) {
    const lethe_adapter* list[1];
    DONE(lethe_model_enable(copy, "a", 0, 0));
    if (DONE(lethe_model_rollback_to(copy, NULL))) {
      list[0] = adapter;
      if (DONE(lethe_model_attach(copy, adapter))) DONE(lethe_model_detach(copy, "a", 0));
      if (lethe_model_adapter_count(copy) == 0)
        DONE(lethe_model_set_adapters(copy, list, NULL, 1, 0));
    }
  }
  DONE(lethe_model_export_merged(model, in_folder(world.folder, "m.safetensors"), NULL));
  if (DONE(lethe_model_merge(model, &merged)) && copy &&
      DONE(lethe_adapter_export_peft(adapter, in_folder(world.folder, "peft"), NULL)) &&
      DONE(lethe_model_rollback_to(copy, NULL)))
    DONE(lethe_adapter_import_peft(copy, in_folder(world.folder, "peft"), "p", &one, 1, NULL,
                                   &from_peft));
  if (merged) DONE(lethe_model_seal(merged));
  lethe_adapter_free(loaded), lethe_adapter_free(again), lethe_adapter_free(from_peft);
  lethe_model_free(copy), lethe_model_free(merged);
}

/* One task of two steps in an engine on a folder. The engine's thread runs out of memory as well:
 * then the job fails, or the engine stops with it kept. */
static void forgetting(lethe_runtime* runtime, lethe_model* model, const lethe_dataset* data) {
  const char* folder = in_folder(world.folder, "engine");
  lethe_engine_options options;
  lethe_forget_config config;
  lethe_engine* engine = NULL;
  lethe_job* job = NULL;
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  lethe_buffer* out = NULL;
  lethe_event event;
  const int64_t one = 1;
  int known;
  DONE(lethe_engine_options_init(&options, sizeof options));
  options.threads = 1;
  options.folder = folder;
  options.checkpoint_seconds = 0;
  if (!DONE(lethe_engine_create(model, &options, &engine))) return;
  if (DONE(lethe_forget_config_init(&config, sizeof config, LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR))) {
    config.data_ratio = 1;
    config.max_steps = 2;
    config.gate_max_acc_f = config.gate_max_acc_r_drop = -1;
    DONE(lethe_engine_enqueue(engine, "a", &one, 1, &config, data, NULL, data, &job));
  }
  if (job && DONE(lethe_job_wait(job, -1))) {
    lethe_job_status_info info;
    info.struct_size = sizeof info;
    DONE(lethe_job_status(job, &info));
    if (info.state == LETHE_JOB_SUCCEEDED) {
      DONE(lethe_job_result(job, &adapter, &report));
    } else if (info.state == LETHE_JOB_FAILED && info.error == LETHE_E_OUT_OF_MEMORY) {
      ++world.refusals;
    } else {
      unexpected(info.error, "the task", lethe_job_error(job));
    }
    FREED(lethe_engine_receipts(engine, &out), out);
  }
  event.struct_size = sizeof event;
  while (lethe_engine_next_event(engine, 0, &event) == LETHE_OK) continue;
  DONE(lethe_engine_close(engine, -1));
  lethe_engine_free(engine);
  FREED(lethe_journal_info_json(folder, &out), out);
  known = DONE(lethe_journal_receipts(folder, &out));
  if (known)
    DONE(lethe_receipts_verify(lethe_buffer_data(out), lethe_buffer_size(out), NULL, NULL));
  lethe_buffer_free(out);
  if (adapter) files(runtime, model, adapter);
  lethe_job_free(job), lethe_adapter_free(adapter), lethe_report_free(report);
}

/* How many allocations it took. */
static long long live(long long at) {
  char* copy = in_folder(world.folder, "engine") ? strdup(in_folder(world.folder, "engine")) : NULL;
  lethe_runtime* runtime = NULL;
  lethe_model* model = NULL;
  lethe_dataset* data = NULL;
  atomic_store(&made, 0);
  atomic_store(&refuse, at);
  settings();
  if (DONE(lethe_runtime_create(NULL, &runtime))) {
    datasets(runtime, &data);
    if (DONE(lethe_model_create(runtime, TINY_SPEC, NULL, &model))) {
      DONE(lethe_model_load_weights(model, in_folder(world.folder, "w.safetensors"), NULL));
      look(model, data);
      if (data) forgetting(runtime, model, data);
    }
  }
  lethe_dataset_free(data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
  atomic_store(&refuse, 0);
  remove_folder(copy); /* frees it */
  return atomic_load(&made);
}

/* ------------------------------------------------------------------------------------- the test */

static long long every = 1, from = 1;

static void write_data(void) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_model(runtime);
  unsigned char file[16 + 12 * PIXELS], names[8 + 12];
  int i;
  assert_ok(lethe_model_export_merged(model, in_folder(world.folder, "w.safetensors"), NULL));
  memset(file, 0, sizeof file);
  memset(names, 0, sizeof names);
  file[2] = names[2] = 8, file[3] = 3, names[3] = 1;
  file[7] = names[7] = 12, file[11] = file[15] = SIDE;
  for (i = 0; i < 12; ++i) names[8 + i] = (unsigned char)(i % CLASSES);
  write_file(in_folder(world.folder, "images"), file, sizeof file);
  write_file(in_folder(world.folder, "labels"), names, sizeof names);
  assert_int_equal(mkdir(in_folder(world.folder, "photos"), 0700), 0);
  assert_int_equal(mkdir(in_folder(world.folder, "photos/a"), 0700), 0);
  memcpy(file, "P5 8 8 255\n", 11);
  write_file(in_folder(world.folder, "photos/a/1.pgm"), file, 11 + PIXELS);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static void every_allocation_may_fail(void** state) {
  long long count, n, tried = 0, coped = 0;
  identity before, after;
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_model(runtime);
  (void)state;
  dl_iterate_phdr(note_foreign, NULL);
  world.folder = make_folder();
  world.set = make_images(16, 1);
  world.pixels = pixel_view(&world.set), world.labels = label_view(&world.set);
  write_data();
  before = identity_of(model);
  live(-1); /* what libraries make once and keep */
  count = live(-1);
  for (n = from; n <= count; n += every) {
    const long long refusals = world.refusals;
    live(n);
    ++tried;
    coped += world.refusals == refusals;
  }
  world.refusals = 0;
  count = live(-1);
  assert_int_equal(world.refusals, 0);
  after = identity_of(model);
  assert_memory_equal(&before, &after, sizeof before);
  print_message("%lld allocations, %lld failed, %lld refused, %lld coped\n", count, tried,
                tried - coped, coped);
  assert_true(coped < tried);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
  free_images(&world.set);
  remove_folder(world.folder);
}

static void tell_where(int signal_number) {
  fprintf(stderr, "the process ended at allocation %lld\n", (long long)atomic_load(&refuse));
  signal(signal_number, SIG_DFL);
}

int main(int count, char** arguments) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail)};
  signal(SIGABRT, tell_where);
  signal(SIGSEGV, tell_where);
  if (count > 1) every = atoll(arguments[1]);
  if (count > 2) from = atoll(arguments[2]);
  return cmocka_run_group_tests_name("capi allocations", tests, NULL, NULL);
}
