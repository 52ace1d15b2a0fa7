/* Checkpoint files with a defect, written by hand. */
#ifndef LETHE_TESTS_CAPI_CHECKPOINTS_H_
#define LETHE_TESTS_CAPI_CHECKPOINTS_H_

#include "common.h"

typedef enum defect {
  NO_DEFECT,
  TENSOR_MISSING,   /* heads.head.bias is left out */
  TENSOR_EXTRA,     /* there is one more, "surplus" */
  TENSOR_MISSHAPEN, /* heads.head.bias has shape [2,2] */
  TENSOR_NAN,       /* heads.head.bias holds NaN */
  HEADER_TRUNCATED  /* the file ends inside the header */
} defect;

/** Writes the model's base weights as safetensors, with a defect. */
void write_checkpoint(const char* path, const lethe_model* model, defect kind);

/** Writes a zip archive as PyTorch makes it, whose pickle calls os.system. */
void write_pickle_with_code(const char* path);

#endif /* LETHE_TESTS_CAPI_CHECKPOINTS_H_ */
