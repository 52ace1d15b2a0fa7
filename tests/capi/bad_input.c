#include "bad_input.h"

int start_bad_input(void** state) {
  setup* s = malloc(sizeof *s);
  s->runtime = make_runtime();
  s->model = make_trained_model(s->runtime);
  s->data = make_dataset(s->runtime, 64, 1);
  s->folder = make_folder();
  s->engine = make_engine(s->model);
  s->before = identity_of(s->model);
  *state = s;
  return 0;
}

int stop_bad_input(void** state) {
  setup* s = *state;
  assert_int_equal(lethe_engine_job_count(s->engine), 0);
  assert_unchanged(s->model, &s->before);
  assert_int_equal(lethe_model_adapter_count(s->model), 0);
  forget(s->engine, "good", 1, s->data);
  assert_int_equal(lethe_model_adapter_count(s->model), 1);
  lethe_engine_free(s->engine);
  lethe_dataset_free(s->data);
  lethe_model_free(s->model);
  lethe_runtime_free(s->runtime);
  remove_folder(s->folder);
  free(s);
  return 0;
}
