/* The surroundings of the bad-input suites: every test gets a trained model with an engine and
 * proves at its end that nothing was queued or changed and that a good task still works. */
#ifndef LETHE_TESTS_CAPI_BAD_INPUT_H_
#define LETHE_TESTS_CAPI_BAD_INPUT_H_

#include "common.h"

typedef struct setup {
  lethe_runtime* runtime;
  lethe_model* model;
  lethe_dataset* data;
  lethe_engine* engine;
  char* folder;
  identity before;
} setup;

int start_bad_input(void** state);
int stop_bad_input(void** state);

#define WITH_SETUP(test) cmocka_unit_test_setup_teardown(test, start_bad_input, stop_bad_input)

#endif /* LETHE_TESTS_CAPI_BAD_INPUT_H_ */
