#include <lethe/lethe.h> /* clang-format off */
#include <stdio.h>
#define DIR "/usr/share/datasets/fashion-mnist/"
#define PAIR(part) DIR part "-images-idx3-ubyte.gz", DIR part "-labels-idx1-ubyte.gz"
#define SCALE "{\"mean\":[0.2860],\"std\":[0.3530]}"
#define SPEC "{\"arch\":\"vit\",\"classes\":10,\"image_size\":28,\"channels\":1,\"patch_size\":4," \
             "\"dim\":96,\"depth\":6,\"heads\":3,\"head_dim\":32,\"mlp_dim\":192}"
int main(void) { /* run it in the root folder of the sources */
  lethe_runtime* runtime; lethe_model* model; lethe_dataset *train, *test; lethe_engine* engine;
  lethe_forget_config config; lethe_job* job; lethe_adapter* adapter; lethe_report* report;
  const int64_t trouser_and_pullover[] = {1, 2}; double gone, kept;
  if (lethe_runtime_create(NULL, &runtime) || lethe_model_create(runtime, SPEC, "cpu", &model) ||
      lethe_model_load_weights(model, "examples/quickstart/fashion_vit.safetensors", NULL) ||
      lethe_dataset_from_idx(runtime, PAIR("train"), 10, SCALE, &train) ||
      lethe_dataset_from_idx(runtime, PAIR("t10k"), 10, SCALE, &test) ||
      lethe_forget_config_init(&config, sizeof config, LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR) ||
      lethe_forget_config_from_json("{\"max_steps\":300,\"data_ratio\":0.2}", &config) ||
      lethe_engine_create(model, NULL, &engine) || lethe_engine_enqueue(
          engine, "req-1", trouser_and_pullover, 2, &config, train, NULL, NULL, &job) ||
      lethe_job_wait(job, -1) || lethe_job_result(job, &adapter, NULL) || adapter == NULL ||
      lethe_adapter_export(adapter, "req-1.lethe", NULL) ||
      lethe_model_evaluate(model, test, NULL, &report) || /* lethe_model_predict() gives scores */
      lethe_report_metric(report, "acc_f", &gone) || lethe_report_metric(report, "acc_r", &kept))
    return printf("%s\n", *lethe_last_error() ? lethe_last_error() : lethe_job_error(job)), 1;
  printf("right on the forgotten classes: %.2f %%, on the others: %.2f %%\n", gone, kept);
  lethe_report_free(report), lethe_adapter_free(adapter), lethe_job_free(job);
  lethe_engine_free(engine), lethe_model_free(model), lethe_runtime_free(runtime);
  lethe_dataset_free(train), lethe_dataset_free(test);
}
