// What liblethe_cuda.so exports for multi-scale deformable attention. Torch-free and without a CUDA
// header, so that the core can include it and find the functions by name in the loaded library:
//
//   const auto forward = reinterpret_cast<decltype(&lethe_cuda_deformable_attention_forward)>(
//       cuda_symbol("lethe_cuda_deformable_attention_forward"));
//
// Arrays are contiguous in the memory of `device`, and `stream` is a cudaStream_t of that device,
// which the caller has made the current one. The functions enqueue their work and return; memory
// that is freed must be freed in the stream's order. Nothing is allocated, and nothing is kept, so
// that a graph may capture the calls. All return 0 or a cudaError_t.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { LETHE_CUDA_MAX_LEVELS = 8 };

/// The sizes and inputs of both passes. The formulas: kernels/deformable_attention.h.
typedef struct LetheCudaDeformableAttention {
  int64_t batch, positions, heads, channels, queries; /* B, S, M, D, Q */
  int32_t level_count, points;                        /* L, P */
  int32_t height[LETHE_CUDA_MAX_LEVELS], width[LETHE_CUDA_MAX_LEVELS];
  int32_t bfloat16;        /* 0: value, output and its gradient are float32; 1: bfloat16 */
  int32_t reference_width; /* 0, 2 or 4 */
  const void* value;       /* [B, S, M, D] */
  const float* reference;  /* [B, Q, L, reference_width]; not read when that is 0 */
  const float* places; /* [B, Q, M, L, P, 2]: locations when reference_width is 0, else offsets */
  const float* scores; /* [B, Q, M, L, P]: weights when reference_width is 0, else logits */
} LetheCudaDeformableAttention;

/// What the backward pass writes; null for what is not wanted, but `scores` is always needed: with
/// logits a first pass leaves numbers there that a second one reads.
typedef struct LetheCudaDeformableAttentionGradients {
  float* value;     /* [B, S, M, D], zeros beforehand: float32 whatever the values are */
  float* locations; /* as places: of the locations, whether or not they were given as offsets */
  float* offsets;   /* as places, when reference_width is not 0 */
  float* scores;    /* as scores: of the weights or the logits */
} LetheCudaDeformableAttentionGradients;

/// output: [B, Q, M, D], in the values' type.
int lethe_cuda_deformable_attention_forward(const LetheCudaDeformableAttention* inputs,
                                            void* output, void* stream);

/// grad_output: as output.
int lethe_cuda_deformable_attention_backward(const LetheCudaDeformableAttention* inputs,
                                             const void* grad_output,
                                             const LetheCudaDeformableAttentionGradients* gradients,
                                             void* stream);

/// One sentence for a code that another of these functions returned; never null.
const char* lethe_cuda_error_text(int code);

#ifdef __cplusplus
}
#endif
