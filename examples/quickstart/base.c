/* The pre-trained model: the committed weights, or new ones by the same recipe. */
#include <stdlib.h>
#include <string.h>

#include "quickstart.h"
#include "settings.h"

/* Copies the committed spec to OUT/model.json, with the number of classes of these images. */
static void write_spec(const options* opts, int64_t class_count) {
  static const char key[] = "\"classes\": ";
  char path[PATH_SIZE], out_path[PATH_SIZE];
  path_in(path, QUICKSTART_FOLDER, "model.json");
  path_in(out_path, opts->out, "model.json");
  char* spec = read_file(path, NULL);
  char* value = strstr(spec, key);
  if (value == NULL) die("CORRUPT", "%s does not say \"classes\"", path);
  value += strlen(key);
  size_t size = strlen(spec) + NAME_SIZE;
  char* changed = allocate(size);
  int length = snprintf(changed, size, "%.*s%lld%s", (int)(value - spec), spec,
                        (long long)class_count, value + strspn(value, "0123456789"));
  write_file(out_path, changed, (size_t)length);
  free(changed);
  free(spec);
}

static lethe_model* create_model(lethe_runtime* runtime, const options* opts) {
  lethe_model* model = NULL;
  char path[PATH_SIZE];
  path_in(path, opts->out, "model.json");
  char* spec = read_file(path, NULL);
  check(lethe_model_create(runtime, spec, opts->device, &model));
  free(spec);
  return model;
}

static lethe_pretrain_config recipe(const options* opts) {
  lethe_pretrain_config config;
  check(lethe_pretrain_config_init(&config, sizeof config));
  config.epochs = PRETRAIN_EPOCHS;
  config.warmup_epochs = PRETRAIN_WARMUP_EPOCHS;
  config.batch = PRETRAIN_BATCH;
  config.learning_rate = PRETRAIN_LEARNING_RATE;
  config.weight_decay = PRETRAIN_WEIGHT_DECAY;
  config.label_smoothing = PRETRAIN_LABEL_SMOOTHING;
  config.flip = PRETRAIN_FLIP;
  config.shift = PRETRAIN_SHIFT;
  config.erase = PRETRAIN_ERASE;
  config.average_decay = PRETRAIN_AVERAGE_DECAY;
  config.seed = opts->seed;
  return config;
}

static void train(lethe_engine* engine, const lethe_pretrain_config* config, const image_data* data,
                  const char* name) {
  lethe_job* job = NULL;
  check(
      lethe_engine_enqueue_pretraining(engine, name, config, data->train, data->validation, &job));
  lethe_job_status_info end = follow(engine, job, name, NULL);
  if (end.state != LETHE_JOB_SUCCEEDED)
    die(lethe_status_name(end.error), "%s", lethe_job_error(job));
  lethe_job_free(job);
}

static void pretrain(lethe_runtime* runtime, const options* opts, const image_data* data,
                     const char* weights) {
  lethe_engine* engine = NULL;
  lethe_engine_options engine_options;
  lethe_export_options half;
  lethe_pretrain_config config = recipe(opts);
  lethe_model* model = create_model(runtime, opts);
  check(lethe_engine_options_init(&engine_options, sizeof engine_options));
  engine_options.threads = opts->threads;
  check(lethe_engine_create(model, &engine_options, &engine));
  train(engine, &config, data, "pre-training");
  config.epochs = PRETRAIN_RESTART_EPOCHS; /* goes on from the weights that the first run left */
  config.learning_rate = PRETRAIN_RESTART_LEARNING_RATE;
  config.seed += 1;
  train(engine, &config, data, "warm restart");

  check(lethe_export_options_init(&half, sizeof half));
  half.dtype = LETHE_F16;
  check(lethe_model_export_merged(model, weights, &half));
  if (opts->pretrain_path != NULL)
    check(lethe_model_export_merged(model, opts->pretrain_path, &half));
  lethe_engine_free(engine);
  lethe_model_free(model);
}

void base_prepare(lethe_runtime* runtime, const options* opts, const image_data* data,
                  char weights[PATH_SIZE]) {
  write_spec(opts, data->class_count);
  path_in(weights, opts->pretrain ? opts->out : QUICKSTART_FOLDER, "fashion_vit.safetensors");
  if (opts->pretrain)
    pretrain(runtime, opts, data, weights);
  else if (data->class_count != FASHION_CLASSES)
    die("INVALID_ARGUMENT",
        "the committed model knows the %d classes of Fashion-MNIST, these images have %lld: add "
        "--pretrain to train one for them",
        FASHION_CLASSES, (long long)data->class_count);
}

lethe_model* base_load(lethe_runtime* runtime, const options* opts, const char* weights) {
  lethe_model* model = create_model(runtime, opts);
  check(lethe_model_load_weights(model, weights, NULL));
  return model;
}
