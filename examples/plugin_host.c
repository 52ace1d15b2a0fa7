/* A host with two plugins that know nothing of each other. Each loads Lethe for itself and takes
 * the function table; both get the one library of the process, and never each other's models.
 * Nobody unloads it: what LibTorch has seen must stay.
 *
 * Usage: plugin_host [PATH_OF_LIBLETHE] (default: liblethe.so.1), in the root folder of the
 * sources. */
#include <dlfcn.h>
#include <lethe/lethe_api.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define DIR "/usr/share/datasets/fashion-mnist/"
#define SPEC                                                                            \
  "{\"arch\":\"vit\",\"classes\":10,\"image_size\":28,\"channels\":1,\"patch_size\":4," \
  "\"dim\":96,\"depth\":6,\"heads\":3,\"head_dim\":32,\"mlp_dim\":192}"

typedef struct plugin {
  const char *name, *library;
  int64_t forgets;
  double before, gone, kept; /* percent of the test images */
  char problem[512];         /* "" when all went well */
} plugin;

static const lethe_api_v1* load(plugin* p) {
  void* library = dlopen(p->library, RTLD_NOW | RTLD_LOCAL);
  void* symbol = library ? dlsym(library, "lethe_get_api") : NULL;
  lethe_get_api_function get_api = NULL;
  const lethe_api_v1* lethe = NULL;
  memcpy(&get_api, &symbol, sizeof get_api); /* C has no cast from data to code */
  if (get_api) lethe = get_api(LETHE_ABI_VERSION >> 16);
  if (lethe && lethe->abi >= LETHE_ABI_VERSION) return lethe;
  if (!library) {
    snprintf(p->problem, sizeof p->problem, "%s", dlerror());
  } else {
    snprintf(p->problem, sizeof p->problem, "%s: this is not Lethe of ABI %d.%d or newer",
             p->library, LETHE_ABI_VERSION >> 16, LETHE_ABI_VERSION & 0xffff);
  }
  return NULL;
}

static void* work(void* argument) {
  plugin* p = argument;
  const lethe_api_v1* lethe = load(p);
  lethe_runtime* runtime = NULL;
  lethe_model* model = NULL;
  lethe_dataset *all = NULL, *rest = NULL, *some = NULL;
  lethe_engine* engine = NULL;
  lethe_job* job = NULL;
  lethe_report* report = NULL;
  lethe_forget_config config;
  lethe_engine_options options;
  char class_name[32];
  if (!lethe) return NULL;
  snprintf(class_name, sizeof class_name, "acc_class.%d", (int)p->forgets);
  if (lethe->runtime_create(NULL, &runtime) || lethe->model_create(runtime, SPEC, "cpu", &model) ||
      lethe->model_load_weights(model, "examples/quickstart/fashion_vit.safetensors", NULL) ||
      lethe->dataset_from_idx(runtime, DIR "t10k-images-idx3-ubyte.gz",
                              DIR "t10k-labels-idx1-ubyte.gz", 10,
                              "{\"mean\":[0.2860],\"std\":[0.3530]}", &all) ||
      lethe->dataset_split(all, 0.1, 1, &rest, &some) ||
      lethe->model_evaluate(model, some, NULL, &report) ||
      lethe->report_metric(report, class_name, &p->before) ||
      lethe->engine_options_init(&options, sizeof options) ||
      lethe->forget_config_init(&config, sizeof config, LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR) ||
      lethe->forget_config_from_json("{\"max_steps\":60,\"data_ratio\":0.3}", &config))
    goto failed;
  lethe->report_free(report), report = NULL;
  options.threads = 1; /* one core each */
  if (lethe->engine_create(model, &options, &engine) ||
      lethe->engine_enqueue(engine, p->name, &p->forgets, 1, &config, rest, NULL, some, &job) ||
      lethe->job_wait(job, -1) || lethe->model_evaluate(model, some, NULL, &report) ||
      lethe->report_metric(report, "acc_f", &p->gone) ||
      lethe->report_metric(report, "acc_r", &p->kept))
    goto failed;
  goto clean;
failed:
  snprintf(p->problem, sizeof p->problem, "%s",
           job && *lethe->job_error(job) ? lethe->job_error(job) : lethe->last_error());
clean:
  lethe->report_free(report), lethe->job_free(job), lethe->engine_free(engine);
  lethe->dataset_free(some), lethe->dataset_free(rest), lethe->dataset_free(all);
  lethe->model_free(model), lethe->runtime_free(runtime);
  return NULL;
}

int main(int count, char** arguments) {
  plugin plugins[] = {{"album", NULL, 1, 0, 0, 0, ""}, {"shop", NULL, 8, 0, 0, 0, ""}};
  pthread_t threads[2];
  int i, bad = 0;
  for (i = 0; i < 2; ++i) {
    plugins[i].library = count > 1 ? arguments[1] : "liblethe.so.1";
    if (pthread_create(&threads[i], NULL, work, &plugins[i])) return 1;
  }
  for (i = 0; i < 2; ++i) {
    const plugin* p = &plugins[i];
    pthread_join(threads[i], NULL);
    if (p->problem[0]) {
      ++bad, fprintf(stderr, "plugin %s: %s\n", p->name, p->problem);
    } else {
      printf("plugin %-6s forgot class %d: %.1f %% -> %.1f %%, the others at %.1f %%\n", p->name,
             (int)p->forgets, p->before, p->gone, p->kept);
    }
  }
  return bad != 0;
}
