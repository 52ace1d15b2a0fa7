/* Lethe: pre-trained vision models that forget, one request after another.
 *
 * This is the whole public interface: C99, no other header of Lethe, no C++ and no LibTorch type.
 *
 * In one breath: a *runtime* makes *models* and *datasets*. A model is a base (an architecture and
 * weights that never change) and a *stack* of *adapters*, one for each finished forget task. An
 * *engine* queues tasks for one model and works them off on its own thread; each task is a *job* that
 * either commits one adapter or leaves the model as it was. Predictions always run on a complete,
 * immutable state of the model and never wait for training.
 *
 *     lethe_runtime* runtime = NULL;
 *     lethe_model* model = NULL;
 *     lethe_runtime_create(NULL, &runtime);
 *     lethe_model_create(runtime, "{\"arch\":\"vit\",\"classes\":10,...}", "cpu", &model);
 *     lethe_model_load_weights(model, "model.safetensors", NULL);
 *
 * CONVENTIONS (they hold for every function and are not repeated below)
 *
 * Status. A function that can fail returns a lethe_status: 0 is success, negatives are failures,
 * positives are ordinary answers (LETHE_TIMEOUT, LETHE_END). On failure every output is set to NULL
 * or 0 and there is nothing to clean up. lethe_last_error() then holds one sentence that names the
 * value and the remedy. Any function may return LETHE_E_INVALID_ARGUMENT (a required pointer is NULL,
 * text is not UTF-8, a struct has an unknown size), LETHE_E_OUT_OF_MEMORY and LETHE_E_INTERNAL;
 * further codes are listed with each function. Treat an unknown negative code as a failure.
 *
 * Ownership. What an `out_` parameter hands over belongs to the caller, who frees it with the free
 * function of its type. Free functions accept NULL and may be called in any order: an object keeps
 * alive what it needs. Pointers returned directly (const char*) are borrowed; the comment says until
 * when. Nothing passed in is kept unless a comment says so.
 *
 * Threads. [any-thread]: callable from any thread at any time. [per-object]: the caller serialises
 * calls on one object; different objects are independent. Freeing an object while another thread is
 * inside a call with the same handle is an error of the caller.
 * Duration. [fast]: microseconds. [io]: may wait for files. [compute]: may take as long as the work.
 * Since. All functions are since ABI 1.0 unless they say otherwise.
 *
 * Structs. Option structs begin with `struct_size` and are filled by their init function; change the
 * fields you care about. A field added by a later version keeps its default for older callers. Bytes
 * named `reserved` stay zero. Output structs: set `struct_size` before the call.
 *
 * Text is UTF-8 and NUL-terminated; paths too. JSON outputs are buffers of UTF-8 text, NUL-terminated
 * after `size` bytes. Tensors are row-major; images are N,C,H,W; accuracies are in percent.
 *
 * Manners. Nothing is printed; no process-wide setting (random state, thread count, default dtype,
 * floating-point mode, locale, signal handler) is changed; no exception leaves. Before the process ends
 * (exit(), the end of main), close or free engines and let calls return: what still computes then uses
 * libraries that are being taken down. With a folder nothing is lost even so.
 */
#ifndef LETHE_LETHE_H_
#define LETHE_LETHE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#ifdef LETHE_BUILDING
#define LETHE_API __declspec(dllexport)
#else
#define LETHE_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define LETHE_API __attribute__((visibility("default")))
#else
#define LETHE_API
#endif

/* ================================================================== 1. Version and errors */

#define LETHE_VERSION_MAJOR 0
#define LETHE_VERSION_MINOR 5
#define LETHE_VERSION_PATCH 0
/** For `#if LETHE_VERSION_NUMBER >= ...`: major * 10000 + minor * 100 + patch. */
#define LETHE_VERSION_NUMBER 500
/** The ABI this header describes: major << 16 | minor. */
#define LETHE_ABI_VERSION 0x00010004u

typedef int32_t lethe_status;
enum {
  LETHE_OK = 0,      /**< success */
  LETHE_TIMEOUT = 1, /**< the time given is over; ask again */
  LETHE_END = 2,     /**< nothing more will come */

  LETHE_E_INVALID_ARGUMENT = -1, /**< a value is wrong; the message names it and what is allowed */
  LETHE_E_OUT_OF_MEMORY = -2,  /**< there is not enough memory for the call */
  LETHE_E_IO = -3,             /**< reading or writing failed: disk full, read-only, no permission */
  LETHE_E_NOT_FOUND = -4,      /**< a file, class, adapter or job of that name does not exist */
  LETHE_E_EXISTS = -5,         /**< that request id is taken by a different request */
  LETHE_E_UNSUPPORTED = -6,    /**< valid, but not offered by this library or build */
  LETHE_E_CORRUPT = -7,        /**< a file's content contradicts itself; do not use it */
  LETHE_E_LIMIT_EXCEEDED = -8, /**< a file or text is larger than the limit in force */
  LETHE_E_BASE_MISMATCH = -9,  /**< the adapter belongs to another base model or other parents */
  LETHE_E_STATE = -10,         /**< not possible now, for example a change while a task runs */
  LETHE_E_CANCELLED = -11,     /**< the job was cancelled; the model is as before */
  LETHE_E_BUSY = -12,          /**< another owner holds it; try again later */
  LETHE_E_FORKED = -13,        /**< the handle was inherited through fork() */
  LETHE_E_DEVICE = -14,        /**< the device is missing or failed */
  LETHE_E_NUMERIC = -15,       /**< NaN or infinity in a loss; lower the learning rate */
  LETHE_E_CALLBACK = -16,      /**< a callback of the host reported failure */
  LETHE_E_VERSION = -17,       /**< written by or built for an incompatible version */
  LETHE_E_INTERNAL = -18,      /**< a defect in Lethe; please report the message */
  LETHE_E_REJECTED = -19       /**< the task missed its quality gate; the model is as before */
};

/** ABI version of the loaded library: major << 16 | minor. A host built for another major, or for a
 *  higher minor, must not go on. [any-thread] [fast]
 *  Example: `if (lethe_abi_version() >> 16 != LETHE_ABI_VERSION >> 16) return wrong_library();` */
LETHE_API uint32_t lethe_abi_version(void);

typedef struct lethe_api_v1 lethe_api_v1;
typedef const lethe_api_v1* (*lethe_get_api_function)(uint32_t major);

/** The functions of this header as a table (lethe/lethe_api.h), for hosts that load the library with
 *  dlopen. `major`: of the ABI that the host was built for, LETHE_ABI_VERSION >> 16; NULL when the
 *  library has another. Borrowed for ever. Since ABI 1.1. [any-thread] [fast]
 *  Example: `const lethe_api_v1* lethe = lethe_get_api(1);` */
LETHE_API const lethe_api_v1* lethe_get_api(uint32_t major);

/** Semantic version of the loaded library, for example "0.5.0". Borrowed for ever. [any-thread] [fast]
 *  Example: `puts(lethe_version_string());` */
LETHE_API const char* lethe_version_string(void);

/** Stable name of a code, for example "BASE_MISMATCH"; "UNKNOWN" for others. Borrowed for ever.
 *  [any-thread] [fast]
 *  Example: `fprintf(stderr, "%s: %s\n", lethe_status_name(s), lethe_last_error());` */
LETHE_API const char* lethe_status_name(lethe_status status);

/** The sentence of the last failure on this thread, "" after a success. Borrowed until the next Lethe
 *  call on this thread that returns a lethe_status; other calls, so freeing above all, leave it alone.
 *  Runtimes that move work between threads (Go, Java virtual threads) must read it inside the same
 *  native call that failed. [any-thread] [fast]
 *  Example: `log_error(lethe_last_error());` */
LETHE_API const char* lethe_last_error(void);

/** The code that belongs to lethe_last_error(), LETHE_OK after a success. [any-thread] [fast]
 *  Example: `if (lethe_last_error_code() == LETHE_E_IO) retry();` */
LETHE_API lethe_status lethe_last_error_code(void);

/** Forgets this thread's last failure. [any-thread] [fast]
 *  Example: `lethe_last_error_clear();` */
LETHE_API void lethe_last_error_clear(void);

/* ================================================================== 2. Buffers and runtime */

/** Bytes that Lethe hands over: JSON text, logits, a serialised adapter. Immutable. */
typedef struct lethe_buffer lethe_buffer;
/** The surroundings of models and datasets: where the log goes. Many may coexist. */
typedef struct lethe_runtime lethe_runtime;
/** A base model and its stack of adapters. */
typedef struct lethe_model lethe_model;
/** Labelled images, or images with boxes; from files with boxes they are read when they are needed. */
typedef struct lethe_dataset lethe_dataset;
/** A queue of tasks for one model and the thread that works them off. */
typedef struct lethe_engine lethe_engine;
/** One task or training run of an engine. */
typedef struct lethe_job lethe_job;
/** What a finished forget task leaves: low-rank weights of the groups it needed, or the change of the
 *  weights themselves. Immutable. */
typedef struct lethe_adapter lethe_adapter;
/** Named figures of a finished task or an evaluation. Immutable. */
typedef struct lethe_report lethe_report;

/** First byte of the content; 64-byte aligned, so float results can be read in place. Borrowed until
 *  the buffer is freed. NULL for NULL. [any-thread] [fast]
 *  Example: `const float* logits = lethe_buffer_data(buffer);` */
LETHE_API const void* lethe_buffer_data(const lethe_buffer* buffer);

/** Size in bytes, without the NUL that follows text. 0 for NULL. [any-thread] [fast]
 *  Example: `size_t n = lethe_buffer_size(buffer) / sizeof(float);` */
LETHE_API size_t lethe_buffer_size(const lethe_buffer* buffer);

/** Copies the first `size` bytes into `data`, which has room for them. LETHE_E_INVALID_ARGUMENT when
 *  the buffer holds fewer. [any-thread] [fast]
 *  Example: `lethe_buffer_copy(buffer, row, sizeof row);` */
LETHE_API lethe_status lethe_buffer_copy(const lethe_buffer* buffer, void* data, size_t size);

/** Frees a buffer. [any-thread] [fast]
 *  Example: `lethe_buffer_free(buffer);` */
LETHE_API void lethe_buffer_free(lethe_buffer* buffer);

typedef int32_t lethe_log_level;
enum {
  LETHE_LOG_DEBUG = 1,   /**< for those who look for a defect */
  LETHE_LOG_INFO = 2,    /**< the course of things */
  LETHE_LOG_WARNING = 3, /**< something to look at */
  LETHE_LOG_ERROR = 4    /**< something failed */
};

/** Receives log lines: no newline, no image content, no home paths. Called from any thread of the
 *  runtime, one call at a time, never while a lock of Lethe is held that a Lethe call could need.
 *  `component` and `message` are borrowed during the call. It must not throw, nor close or free an
 *  engine. */
typedef void (*lethe_log_callback)(lethe_log_level level, const char* component,
                                   const char* message, void* user_data);

/** What a runtime tells its host. */
typedef struct lethe_runtime_options {
  uint32_t struct_size;
  lethe_log_level log_level;       /**< lines below it are not formed; default LETHE_LOG_WARNING */
  lethe_log_callback log_callback; /**< NULL (default): silence */
  void* log_user_data;             /**< handed to the callback */
  uint64_t reserved[8];
} lethe_runtime_options;

/** Fills `options` with the defaults. `size` is sizeof *options as the caller sees it.
 *  [any-thread] [fast]
 *  Example: `lethe_runtime_options o; lethe_runtime_options_init(&o, sizeof o);` */
LETHE_API lethe_status lethe_runtime_options_init(lethe_runtime_options* options, size_t size);

/** Creates a runtime. `options` NULL means the defaults. [any-thread] [fast]
 *  Example: `lethe_runtime_create(NULL, &runtime);` */
LETHE_API lethe_status lethe_runtime_create(const lethe_runtime_options* options,
                                            lethe_runtime** out_runtime);

/** Frees a runtime and ends its log: the callback is not called any more. Objects made from it go on
 *  working. [any-thread] [fast]
 *  Example: `lethe_runtime_free(runtime);` */
LETHE_API void lethe_runtime_free(lethe_runtime* runtime);

/** Replaces level and callback. After it returns the old callback is not called any more; so do not
 *  call it from inside a log callback (LETHE_E_STATE). [any-thread] [fast]
 *  Example: `lethe_runtime_set_log(runtime, LETHE_LOG_INFO, on_log, NULL);` */
LETHE_API lethe_status lethe_runtime_set_log(lethe_runtime* runtime, lethe_log_level level,
                                             lethe_log_callback callback, void* user_data);

/** JSON about this build: version, abi, compiler, libtorch, zstd, sodium, sqlite, cpu, threads, cuda
 *  (whether the CUDA part could be loaded, and why not). [any-thread] [io]
 *  Example: `lethe_build_info_json(&buffer);` */
LETHE_API lethe_status lethe_build_info_json(lethe_buffer** out_json);

/** Number of CUDA devices. Loads the CUDA part on first use; 0 when it or a device is missing.
 *  [any-thread] [io]
 *  Example: `int32_t n = 0; lethe_runtime_device_count(runtime, &n);` */
LETHE_API lethe_status lethe_runtime_device_count(lethe_runtime* runtime, int32_t* out_count);

/* ================================================================== 3. Models */

/** Number of built-in architectures. [any-thread] [fast]
 *  Example: `for (int32_t i = 0; i < lethe_arch_count(); ++i) puts(lethe_arch_name(i));` */
LETHE_API int32_t lethe_arch_count(void);

/** Name of architecture `index`: "vit", "face_vit", "face_vits" (since 1.2), "deformable_detr" (since
 *  1.3). NULL outside 0..count-1. Borrowed for ever. [any-thread] [fast]
 *  Example: `const char* name = lethe_arch_name(0);` */
LETHE_API const char* lethe_arch_name(int32_t index);

/** The JSON spec of an architecture with every field at its default, as a starting point and as
 *  documentation. LETHE_E_NOT_FOUND for an unknown name. [any-thread] [fast]
 *  Example: `lethe_arch_default_spec("face_vit", &json);` */
LETHE_API lethe_status lethe_arch_default_spec(const char* arch, lethe_buffer** out_json);

/** Creates a model with random weights.
 *
 *  `spec_json` (fields left out take the architecture's default; unknown ones are refused):
 *    arch             "vit" (torchvision's VisionTransformer), "face_vit" (the paper's face model) or,
 *                     since 1.2, "face_vits" (the same on overlapping patches)
 *    classes          outputs of the head, 1..1000000
 *    image_size       side in pixels, a multiple of patch_size
 *    channels         input channels; a grey image in a 3-channel model is a transform's choice
 *    patch_size, dim, depth, heads, head_dim, mlp_dim
 *    patch_stride, patch_padding   of face_vits: windows of patch_size pixels (12), patch_stride apart
 *                     (1..patch_size, 8), the image framed with patch_padding zeros (0..patch_size - 1,
 *                     4); the windows must reach the last row and column
 *    dropout          probability while training, 0..0.9
 *    layer_norm_eps   1e-6 for torchvision and timm weights, 1e-12 for Hugging Face, 1e-5 for face_vit
 *    head             "linear", "cosface", "arcface"
 *    head_scale, head_margin   of the margin heads (64 and 0.35 / 0.5)
 *    attention_scale  "head_dim" (1/sqrt(head_dim)) or "dim" (1/sqrt(dim), the face model)
 *    adapter_layers   linears of each block that carry LoRA: a list of "fc1", "fc2"
 *    seed             of the random initial weights
 *  Since 1.3 a detector, arch "deformable_detr" (Zhu et al. 2021), has the fields arch, classes, dropout
 *  and seed as above, and
 *    backbone         "resnet18", "resnet34" or "resnet50", batch normalisation frozen; backbone_width is
 *                     the channels of its first stage (64)
 *    feature_levels   1..5: the last stage, the last two, strides 8, 16, 32, and one or two coarser ones
 *    dim, heads, encoder_layers, decoder_layers, ffn_dim
 *    points           sampled by each head on each level
 *    queries          objects that it can name in an image
 *    shorter_side, longest_side   images are resized so that the shorter side has so many pixels and the
 *                     longer one at most these (800, 1333); shorter_side 0: taken as they are
 *    refine_boxes     each decoder layer starts from the boxes of the one before
 *    two_stage        queries come from the encoder's best proposals; needs refine_boxes
 *    auxiliary_losses training looks at every decoder layer, not only the last
 *  `device`: "cpu", "cuda" or "cuda:N"; NULL means "cpu". The model lives and computes there.
 *
 *  LETHE_E_CORRUPT: not JSON. LETHE_E_NOT_FOUND: unknown arch. LETHE_E_DEVICE: no such device, or the
 *  CUDA part could not be loaded; the message says why. [any-thread] [compute]
 *  Example: `lethe_model_create(runtime, "{\"arch\":\"vit\",\"classes\":10}", "cpu", &model);` */
LETHE_API lethe_status lethe_model_create(lethe_runtime* runtime, const char* spec_json,
                                          const char* device, lethe_model** out_model);

/** Limits for reading files from outside; 0 keeps a default. See lethe_limits_init. */
typedef struct lethe_limits {
  uint32_t struct_size;
  int32_t max_tensors;       /**< default 16384 */
  int64_t max_file_bytes;    /**< default 2 GiB */
  int64_t max_header_bytes;  /**< manifest and safetensors header, each; default 16 MiB */
  int64_t max_total_bytes;   /**< raw tensor bytes of a file; default 4 GiB */
  int64_t max_tensor_bytes;  /**< raw bytes of one tensor; default 1 GiB */
  int64_t max_expansion;     /**< raw : compressed above 1 MiB raw; default 1000 */
  uint64_t reserved[8];
} lethe_limits;

/** Fills `limits` with the defaults. [any-thread] [fast]
 *  Example: `lethe_limits l; lethe_limits_init(&l, sizeof l); l.max_file_bytes = 1 << 20;` */
LETHE_API lethe_status lethe_limits_init(lethe_limits* limits, size_t size);

/** Replaces the base weights by those of a file: safetensors, or a PyTorch state dict (.pt, .pth),
 *  which is read without running anything in it.
 *
 *  Names of torchvision, timm and Hugging Face (vit), of the paper's code (face_vit) and of the published
 *  code and Hugging Face (deformable_detr) are understood; since 1.4 also a torchvision ResNet by itself,
 *  as the backbone of a deformable_detr whose other weights are then random, to be pre-trained.
 *  float16 and bfloat16 become float32. LoRA tensors in a checkpoint of the paper's code are left out,
 *  because its weights already contain them. Every tensor must be there with the right shape, and no
 *  other. All or nothing: on failure the model is unchanged.
 *
 *  LETHE_E_NOT_FOUND, LETHE_E_IO: the file. LETHE_E_CORRUPT: truncated, contradictory, not finite.
 *  LETHE_E_INVALID_ARGUMENT: a tensor is missing, extra or misshapen; the message names the first.
 *  LETHE_E_UNSUPPORTED: a pickle that names code. LETHE_E_LIMIT_EXCEEDED: over `limits` (NULL:
 *  defaults). LETHE_E_STATE: the model has adapters, or an engine works on it. [any-thread] [io]
 *  Example: `lethe_model_load_weights(model, "vit_b_16.safetensors", NULL);` */
LETHE_API lethe_status lethe_model_load_weights(lethe_model* model, const char* path,
                                                const lethe_limits* limits);

/** The same from bytes in memory. [any-thread] [compute]
 *  Example: `lethe_model_load_weights_memory(model, bytes, size, NULL);` */
LETHE_API lethe_status lethe_model_load_weights_memory(lethe_model* model, const uint8_t* data,
                                                       size_t size, const lethe_limits* limits);

/** Frees a model handle. Engines and jobs that work on it go on. [any-thread] [fast]
 *  Example: `lethe_model_free(model);` */
LETHE_API void lethe_model_free(lethe_model* model);

/** An independent model with the same base and stack. Weights are shared until one changes, so it
 *  costs little. [any-thread] [fast]
 *  Example: `lethe_model_clone(model, &trial);` */
LETHE_API lethe_status lethe_model_clone(const lethe_model* model, lethe_model** out_model);

/** JSON: spec, device, parameter count, groups that can carry adapters (name, layers, parameters), the
 *  stack (task ids, enabled, scale), classes forgotten (by the enabled adapters, and in the base: see
 *  lethe_model_merge), fingerprints. [any-thread] [fast]
 *  Example: `lethe_model_info_json(model, &json);` */
LETHE_API lethe_status lethe_model_info_json(const lethe_model* model, lethe_buffer** out_json);

/** SHA-256 of the base: names, types, shapes, values and the spec. 32 bytes into `out_base`, and of
 *  base plus enabled adapters into `out_state`; either may be NULL. [any-thread] [compute]
 *  Example: `uint8_t id[32]; lethe_model_fingerprint(model, id, NULL);` */
LETHE_API lethe_status lethe_model_fingerprint(const lethe_model* model, uint8_t* out_base,
                                               uint8_t* out_state);

/** Number of base tensors. 0 for NULL. [any-thread] [fast]
 *  Example: `int32_t n = lethe_model_tensor_count(model);` */
LETHE_API int32_t lethe_model_tensor_count(const lethe_model* model);

/** Name and shape of a base tensor. */
typedef struct lethe_tensor_info {
  uint32_t struct_size;
  int32_t ndim;     /**< 0..8 */
  int64_t shape[8]; /**< sizes, outermost first; the first `ndim` count */
  const char* name; /**< borrowed until the model is freed */
  int64_t count;    /**< elements, all float32 */
} lethe_tensor_info;

/** Name and shape of base tensor `index` (name order). LETHE_E_NOT_FOUND outside 0..count-1.
 *  [any-thread] [fast]
 *  Example: `lethe_tensor_info i = {sizeof i}; lethe_model_tensor_info(model, 0, &i);` */
LETHE_API lethe_status lethe_model_tensor_info(const lethe_model* model, int32_t index,
                                               lethe_tensor_info* out_info);

/** Copies a tensor's values out as float32: of the base (`merged` 0), or with the enabled adapters
 *  added (`merged` 1). `count` must be the tensor's element count. LETHE_E_NOT_FOUND: no such name.
 *  [any-thread] [fast]
 *  Example: `lethe_model_tensor_read(model, "heads.head.bias", 0, bias, 10);` */
LETHE_API lethe_status lethe_model_tensor_read(const lethe_model* model, const char* name,
                                               int32_t merged, float* data, size_t count);

typedef int32_t lethe_dtype;
enum {
  LETHE_U8 = 1,  /**< 8-bit integers without sign */
  LETHE_I64 = 2, /**< 64-bit integers */
  LETHE_F32 = 3, /**< float32 */
  LETHE_F16 = 4, /**< float16 */
  LETHE_BF16 = 5 /**< bfloat16 */
};

typedef int32_t lethe_naming;
enum {
  LETHE_NAMES_ORIGINAL = 1,    /**< of the project that the loaded checkpoint came from; without a
                                    checkpoint, the next */
  LETHE_NAMES_OWN = 2,         /**< torchvision's (vit) or the paper's code's (face_vit) */
  LETHE_NAMES_TIMM = 3,        /**< vit only */
  LETHE_NAMES_HUGGING_FACE = 4 /**< vit only: transformers' ViTForImageClassification */
};

/** How weights and adapters are written. */
typedef struct lethe_export_options {
  uint32_t struct_size;
  lethe_dtype dtype;     /**< LETHE_F32 (default) or LETHE_F16; of exported weights, not of adapters */
  int32_t level;         /**< zstd level of adapters, 1..19, default 3 */
  int32_t reserved0;
  uint64_t reserved[8];
  lethe_naming naming;   /**< since 1.1: of exported weights and modules; default LETHE_NAMES_ORIGINAL */
  int32_t reserved1;
} lethe_export_options;

/** Fills `options` with the defaults. [any-thread] [fast]
 *  Example: `lethe_export_options o; lethe_export_options_init(&o, sizeof o);` */
LETHE_API lethe_status lethe_export_options_init(lethe_export_options* options, size_t size);

/** Writes base plus enabled adapters as one safetensors file under the names that `options` chooses
 *  (NULL: defaults), loadable by the project that the names come from. Atomic: a crash leaves the old
 *  file or the new one. LETHE_E_IO: folder missing or read-only, disk full. LETHE_E_UNSUPPORTED: the
 *  architecture has no such names. [any-thread] [io]
 *  Example: `lethe_model_export_merged(model, "forgetful.safetensors", NULL);` */
LETHE_API lethe_status lethe_model_export_merged(const lethe_model* model, const char* path,
                                                 const lethe_export_options* options);

/** A new model whose base is base plus enabled adapters of `model`, with an empty stack: the weights
 *  that the adapters changed are in it only as changed. `model` keeps its state. The logits of the two
 *  are equal bit for bit. What the adapters forgot counts as forgotten in the new model too, until it
 *  gets other weights; a file of exported weights does not say it. Since ABI 1.1.
 *  [any-thread] [compute]
 *  Example: `lethe_model_merge(model, &derived);` */
LETHE_API lethe_status lethe_model_merge(const lethe_model* model, lethe_model** out_model);

/** Makes the current state the only state: the enabled adapters are folded into the base, base and
 *  adapters are dropped, and from then on nothing can be rolled back. With an engine on a folder this is
 *  durable: adapters, old weights and checkpoints are deleted there, the sealed weights are kept in it,
 *  and a receipt is written. Copies that were made before (files, clones, other processes) are not
 *  touched, and deleted files may survive on the medium until it overwrites them.
 *  LETHE_E_STATE: an engine has tasks of this model queued or running. LETHE_E_IO. Since ABI 1.1.
 *  [any-thread] [io]
 *  Example: `lethe_model_seal(model);` */
LETHE_API lethe_status lethe_model_seal(lethe_model* model);

/* ================================================================== 4. Datasets */

/** A tensor in the caller's memory. */
typedef struct lethe_tensor_view {
  uint32_t struct_size; /**< sizeof(lethe_tensor_view) */
  lethe_dtype dtype;           /**< of the elements */
  const void* data;            /**< CPU memory, aligned to the element size */
  size_t size;                 /**< bytes from the first to past the last element */
  int32_t ndim;                /**< 0..8 */
  int32_t reserved0;           /**< 0 */
  const int64_t* shape;        /**< `ndim` values, each >= 0 */
  const int64_t* byte_strides; /**< `ndim` values >= 0, or NULL: row-major without gaps */
} lethe_tensor_view;

/** Makes a dataset from arrays, which are copied.
 *
 *  `images`: LETHE_U8 [N,C,H,W], values 0..255; or LETHE_F32 [N,C,H,W], finite, in the scale that
 *  "mean" and "std" of the transform expect (0..1 without them). `labels`: LETHE_I64 [N], each in
 *  0..class_count-1.
 *  `transform_json` (NULL: none): {"resize":256, "center_crop":224, "pad":0, "channels":3,
 *  "mean":[..], "std":[..]}; steps run in this order, absent ones are skipped. uint8 values are scaled
 *  to 0..1 before mean and std. Geometry steps need uint8 images.
 *
 *  LETHE_E_INVALID_ARGUMENT: wrong type or shape, a label out of range, NaN or infinity (the message
 *  names the sample). [any-thread] [compute]
 *  Example: `lethe_dataset_from_tensors(runtime, &images, &labels, 10, NULL, &dataset);` */
LETHE_API lethe_status lethe_dataset_from_tensors(lethe_runtime* runtime,
                                                  const lethe_tensor_view* images,
                                                  const lethe_tensor_view* labels,
                                                  int64_t class_count, const char* transform_json,
                                                  lethe_dataset** out_dataset);

/** Reads an IDX pair (MNIST, Fashion-MNIST), plain or gzip-compressed. `class_count` 0: the largest
 *  label + 1. LETHE_E_NOT_FOUND, LETHE_E_IO, LETHE_E_CORRUPT (bad magic, truncated, counts differ),
 *  LETHE_E_LIMIT_EXCEEDED. [any-thread] [io]
 *  Example: `lethe_dataset_from_idx(rt, "train-images.gz", "train-labels.gz", 10, NULL, &d);` */
LETHE_API lethe_status lethe_dataset_from_idx(lethe_runtime* runtime, const char* images_path,
                                              const char* labels_path, int64_t class_count,
                                              const char* transform_json,
                                              lethe_dataset** out_dataset);

/** Reads a folder with one sub-folder a class, numbered in lexicographic order: .jpg, .jpeg, .png,
 *  .ppm, .pgm. All images must have one size and channel count after the transform.
 *  LETHE_E_NOT_FOUND: no folder, no class, no image. LETHE_E_CORRUPT: an image that cannot be decoded;
 *  the message names it. [any-thread] [io]
 *  Example: `lethe_dataset_from_image_folder(rt, "photos", "{\"resize\":112}", &d);` */
LETHE_API lethe_status lethe_dataset_from_image_folder(lethe_runtime* runtime, const char* path,
                                                       const char* transform_json,
                                                       lethe_dataset** out_dataset);

/** Reads COCO instances: one JSON file with "images", "annotations" and "categories", and the folder of
 *  its images. A category's class is its place by ascending id, 0 to 79 of COCO's own files: for models
 *  that are trained on such a dataset; checkpoints from elsewhere are often numbered by the ids, see
 *  lethe_dataset_from_coco_ids. Images are decoded when they are looked at. Boxes are cut at the image's
 *  border; those without an area are left out and counted ("left_out" of lethe_dataset_info_json).
 *  Crowds are neither learnt nor counted, as COCO does.
 *
 *  A dataset with boxes is for detectors only; lethe_engine_enqueue and its kin take it as they take
 *  images with labels, an image holding any number of objects.
 *
 *  LETHE_E_NOT_FOUND: the file, the folder, an image. LETHE_E_CORRUPT: not JSON, an id that nothing has
 *  or two have, a box outside its image, of negative size or not finite; the message names the record.
 *  LETHE_E_LIMIT_EXCEEDED: over 2 GiB. Since ABI 1.3. [any-thread] [io]
 *  Example: `lethe_dataset_from_coco(rt, "instances_val2017.json", "val2017", &d);` */
LETHE_API lethe_status lethe_dataset_from_coco(lethe_runtime* runtime,
                                               const char* annotations_path,
                                               const char* image_folder,
                                               lethe_dataset** out_dataset);

/** Reads COCO instances as lethe_dataset_from_coco does, but a category's class is its id. For models
 *  whose outputs are numbered as COCO numbers its categories, 91 of them in the public checkpoints
 *  (Deformable DETR's own, Hugging Face's): there class 18 is the category 18, "dog", whose place is 16.
 *
 *  The classes are 0 to the highest id of the file. Numbers that it leaves out are classes without
 *  objects, called "unused 12" in lethe_dataset_info_json; no figure counts them. Validation sets and
 *  what else meets such a dataset in one task are to be read in the same way.
 *
 *  LETHE_E_INVALID_ARGUMENT: an id below 0 or above 9999; the message names it. Otherwise as
 *  lethe_dataset_from_coco. Since ABI 1.4. [any-thread] [io]
 *  Example: `lethe_dataset_from_coco_ids(rt, "instances_val2017.json", "val2017", &d);` */
LETHE_API lethe_status lethe_dataset_from_coco_ids(lethe_runtime* runtime,
                                                   const char* annotations_path,
                                                   const char* image_folder,
                                                   lethe_dataset** out_dataset);

/** Reads Pascal VOC: a folder of XML files, one an image, and the folder of the images (may be the
 *  same). `class_names_json`: the classes in their order, as ["cat","dog"]; NULL: all names found, in
 *  lexicographic order. Difficult objects are treated as crowds. Otherwise as lethe_dataset_from_coco.
 *  LETHE_E_INVALID_ARGUMENT: a name that `class_names_json` lacks. LETHE_E_UNSUPPORTED: a document type.
 *  Since ABI 1.3. [any-thread] [io]
 *  Example: `lethe_dataset_from_voc(rt, "Annotations", "JPEGImages", NULL, &d);` */
LETHE_API lethe_status lethe_dataset_from_voc(lethe_runtime* runtime,
                                              const char* annotations_folder,
                                              const char* image_folder,
                                              const char* class_names_json,
                                              lethe_dataset** out_dataset);

/** Makes a dataset with boxes from arrays, which are copied.
 *
 *  `images`: LETHE_U8 [N,3,H,W], values 0..255. `boxes`: LETHE_F32 [M,4], (left, top, right, bottom) in
 *  pixels, inside the image and with an area. `labels`: LETHE_I64 [M], each in 0..class_count-1.
 *  `image_of`: LETHE_I64 [M], the image that each box is in, 0..N-1. M may be 0.
 *  LETHE_E_INVALID_ARGUMENT: wrong type, shape or value; the message names the box. Since ABI 1.3.
 *  [any-thread] [compute]
 *  Example: `lethe_dataset_from_boxes(rt, &images, &boxes, &labels, &image_of, 10, &d);` */
LETHE_API lethe_status lethe_dataset_from_boxes(lethe_runtime* runtime,
                                                const lethe_tensor_view* images,
                                                const lethe_tensor_view* boxes,
                                                const lethe_tensor_view* labels,
                                                const lethe_tensor_view* image_of,
                                                int64_t class_count, lethe_dataset** out_dataset);

typedef int32_t lethe_select;
enum {
  LETHE_KEEP_CLASSES = 1, /**< samples of these classes */
  LETHE_DROP_CLASSES = 2, /**< samples of all other classes */
  LETHE_TAKE_INDICES = 3  /**< samples at these positions, in this order */
};

/** A part of a dataset; pixels are shared, not copied. `few_shot` > 0 then keeps that many random
 *  samples of each class, by `seed`. `values` are class ids or positions as `what` says; NULL with
 *  count 0 is allowed for LETHE_DROP_CLASSES (nothing dropped).
 *  With boxes: images with an object of these (of other) classes, and of their objects only those;
 *  `few_shot` times the number of classes random images in all.
 *  LETHE_E_NOT_FOUND: a class the dataset does not know. [any-thread] [fast]
 *  Example: `int64_t c[] = {1, 2}; lethe_dataset_select(d, LETHE_KEEP_CLASSES, c, 2, 0, 0, &part);` */
LETHE_API lethe_status lethe_dataset_select(const lethe_dataset* dataset, lethe_select what,
                                            const int64_t* values, size_t count, int64_t few_shot,
                                            int64_t seed, lethe_dataset** out_dataset);

/** Two disjoint parts; the second has `fraction` (0..1) of each class (with boxes: of all images), rounded. Equal seeds give equal
 *  parts. Either output may be NULL. [any-thread] [fast]
 *  Example: `lethe_dataset_split(d, 0.1, 1, &train, &validation);` */
LETHE_API lethe_status lethe_dataset_split(const lethe_dataset* dataset, double fraction,
                                           int64_t seed, lethe_dataset** out_first,
                                           lethe_dataset** out_second);

/** Number of samples. 0 for NULL. [any-thread] [fast]
 *  Example: `int64_t n = lethe_dataset_size(d);` */
LETHE_API int64_t lethe_dataset_size(const lethe_dataset* dataset);

/** Sample `index` as the model will see it: float32 [C,H,W] in a buffer, and its label. Either output
 *  may be NULL. LETHE_E_NOT_FOUND outside 0..size-1. LETHE_E_UNSUPPORTED: the dataset has boxes, see
 *  lethe_dataset_image. [any-thread] [fast]
 *  Example: `lethe_dataset_sample(d, 0, &pixels, &label);` */
LETHE_API lethe_status lethe_dataset_sample(const lethe_dataset* dataset, int64_t index,
                                            lethe_buffer** out_image, int64_t* out_label);

/** Image `index` of a dataset with boxes, as its source has it: uint8 [3,H,W] in a buffer, and its
 *  height and width. Any output may be NULL. LETHE_E_NOT_FOUND outside 0..size-1. LETHE_E_UNSUPPORTED:
 *  the dataset has no boxes. LETHE_E_IO, LETHE_E_CORRUPT: the file. Since ABI 1.3. [any-thread] [io]
 *  Example: `lethe_dataset_image(d, 0, &pixels, &height, &width);` */
LETHE_API lethe_status lethe_dataset_image(const lethe_dataset* dataset, int64_t index,
                                           lethe_buffer** out_image, int64_t* out_height,
                                           int64_t* out_width);

/** The objects in image `index` of a dataset with boxes, in the form of lethe_model_detect: float32
 *  [n,6] in a buffer, rows of left, top, right, bottom in pixels, 1 (of a crowd 0), class.
 *  LETHE_E_NOT_FOUND outside 0..size-1. LETHE_E_UNSUPPORTED: no boxes. Since ABI 1.3.
 *  [any-thread] [fast]
 *  Example: `lethe_dataset_objects(d, 0, &rows);` */
LETHE_API lethe_status lethe_dataset_objects(const lethe_dataset* dataset, int64_t index,
                                             lethe_buffer** out_objects);

/** The same images without `share` (0..1) of their objects, drawn by `seed`: annotations that were
 *  never made. Crowds stay. LETHE_E_UNSUPPORTED: no boxes. Since ABI 1.3. [any-thread] [fast]
 *  Example: `lethe_dataset_drop_objects(d, 0.2, 1, &part);` */
LETHE_API lethe_status lethe_dataset_drop_objects(const lethe_dataset* dataset, double share,
                                                  int64_t seed, lethe_dataset** out_dataset);

/** JSON: size, classes, names, samples per class, image shape, transform, content digest. With boxes:
 *  size, class_count, categories (id, name), objects per class, left_out, content digest.
 *  [any-thread] [compute]
 *  Example: `lethe_dataset_info_json(d, &json);` */
LETHE_API lethe_status lethe_dataset_info_json(const lethe_dataset* dataset,
                                               lethe_buffer** out_json);

/** Frees a dataset handle. Jobs that use it keep what they need. [any-thread] [fast]
 *  Example: `lethe_dataset_free(d);` */
LETHE_API void lethe_dataset_free(lethe_dataset* dataset);

/* ================================================================== 5. Settings of a forget task */

typedef int32_t lethe_method;
enum {
  LETHE_GS_LORA = 1,   /**< GS-LoRA (arXiv 2403.11530) */
  LETHE_GS_LORA_PP = 2, /**< GS-LoRA++, with prototypes (arXiv 2501.09705) */
  /* The others, since 1.2, train the weights themselves; their adapter is a change of them. Formulas:
   * src/forgetting/, in the file of the method's name. */
  LETHE_L2 = 3,    /**< wrong labels, held by the squared distance of all weights */
  LETHE_EWC = 4,   /**< held by the weights' Fisher information (Kirkpatrick et al. 2017) */
  LETHE_MAS = 5,   /**< held by how much weights move the outputs (Aljundi et al. 2018) */
  LETHE_LWF = 6,   /**< learning without forgetting (Li & Hoiem 2016) */
  LETHE_DER = 7,   /**< dark experience replay (Buzzega et al. 2020) */
  LETHE_DER_PP = 8, /**< DER, and the labels of more retain samples */
  LETHE_FDR = 9,   /**< function distance regularisation (Benjamin et al. 2019) */
  LETHE_SCRUB = 10, /**< away from the base and with it, in turns (Kurmanji et al. 2023) */
  LETHE_SCRUB_S = 11, /**< SCRUB, held to an average of its weights */
  LETHE_LIRF = 12, /**< the lower half of the blocks alone (Ye et al. 2022) */
  LETHE_RETRAIN = 13, /**< a new network from the retain samples: the yardstick */
  LETHE_FINE_TUNE = 14, /**< further training on the retain samples */
  LETHE_GRADIENT_ASCENT = 15, /**< the forget samples' cross entropy grows, nothing holds the rest */
  LETHE_SALUN = 16 /**< wrong labels, salient weights only (Fan et al. 2024) */
};

typedef int32_t lethe_form;
enum {
  LETHE_FORM_CORRECTED = 1, /**< what the method means */
  LETHE_FORM_REFERENCE = 2  /**< what the code of the GS-LoRA paper does where that differs: wrong
                                 labels that are ids 0..n-1 only (l2, ewc, mas, lwf, der, der++, fdr,
                                 lirf), no distillation (lwf), embeddings for scores (der, der++), columns
                                 by position (lirf), importance from all retain samples in later tasks
                                 (ewc, mas), pre-trained attention (retrain, vit) */
};

typedef int32_t lethe_lora_position;
enum {
  LETHE_LORA_FFN = 1,      /**< the linears of the model spec's adapter_layers */
  LETHE_LORA_ATTENTION = 2, /**< queries, keys and values; of image classifiers */
  LETHE_LORA_ENCODER = 3,  /**< since 1.4: as LETHE_LORA_FFN, in the encoder's blocks alone */
  LETHE_LORA_DECODER = 4   /**< since 1.4: in the decoder's alone, of detectors. Without dropout what
                                the encoder makes of images of one size is computed once and kept, as
                                prefix_cache_bytes allows */
};

typedef int32_t lethe_structure_search;
enum {
  LETHE_SEARCH_OFF = 1,     /**< structure_weight or proximal_weight as given */
  LETHE_SEARCH_SPARSEST = 2 /**< after training, group after group is driven to zero for as long as the
                                 gate, on the training samples, is met; at most as many steps again */
};

/** What is measured besides accuracy, before and after a task. */
enum {
  LETHE_AUDIT_MEMBERSHIP = 1,   /**< can the forgotten samples be told from samples never seen? */
  LETHE_AUDIT_VERIFICATION = 2, /**< are pairs of images still matched by their embeddings? */
  LETHE_AUDIT_PROBE = 4,        /**< is the class still in the frozen embeddings? */
  LETHE_AUDIT_RELEARNING = 8,   /**< how soon does it return? */
  LETHE_AUDIT_RETRAIN = 16      /**< the first question beside two networks that are trained for it
                                     from the retain samples alone: as long as two tasks of Retrain */
};

typedef int32_t lethe_head;
enum {
  LETHE_HEAD_LINEAR = 1,  /**< a linear layer */
  LETHE_HEAD_COSFACE = 2, /**< CosFace, a cosine margin */
  LETHE_HEAD_ARCFACE = 3, /**< ArcFace, an angular margin */
  LETHE_HEAD_DETECTION = 4 /**< since 1.3: of detectors, a sigmoid a class and a box a query */
};

typedef int32_t lethe_grouping;
enum {
  LETHE_GROUP_BLOCK = 1, /**< all LoRA matrices of one Transformer block (the paper's choice) */
  LETHE_GROUP_LORA = 2,  /**< A and B of one linear */
  LETHE_GROUP_MATRIX = 3 /**< each single matrix */
};

typedef int32_t lethe_sparsity;
enum {
  LETHE_SUBGRADIENT = 1, /**< structure_weight times the group norm's gradient, as the paper's code:
                              groups become small */
  LETHE_PROXIMAL = 2     /**< instead of it, a proximal step of strength proximal_weight after the
                              optimiser: groups become exactly zero */
};

typedef int32_t lethe_prototype_source;
enum {
  LETHE_PROTOTYPE_ORIGINAL = 1,  /**< embeddings of the base model */
  LETHE_PROTOTYPE_TASK_START = 2, /**< of the model as the earlier tasks left it */
  LETHE_PROTOTYPE_RANDOM_NETWORK = 3 /**< since 1.2: of random weights, as the paper's single-step
                                          code */
};

typedef int32_t lethe_lora_init;
enum {
  LETHE_INIT_REFERENCE = 1, /**< A with a = sqrt(5) in the first task, sqrt(50) in later ones */
  LETHE_INIT_KAIMING = 2    /**< A with a = sqrt(5) in every task */
};

/** Savings of the training step; all exact up to float32 rounding (performance.md, 1.4). */
enum {
  LETHE_FAST_ONE_PASS = 1,      /**< forget and retain batch in one forward pass */
  LETHE_FAST_CLASS_TOKEN = 2,   /**< last block for the class token only */
  LETHE_FAST_PREFIX_CACHE = 4,  /**< what lies before the first LoRA layer is computed once */
  LETHE_FAST_FUSED_ATTENTION = 8, /**< attention as one kernel */
  LETHE_FAST_FOLDED_LORA = 16,  /**< one product with W + s B A instead of three */
  LETHE_FAST_ALL = 31             /**< all of them */
};

/** Everything a forget task can be told. Formulas: L = L_retain + forget_weight * L_forget
 *  + structure_weight * L_structure + L_prototype (arXiv 2501.09705; equations in
 *  src/forgetting/losses.h). */
typedef struct lethe_forget_config {
  uint32_t struct_size;
  lethe_method method;   /**< how the task forgets */
  int32_t rank;          /**< r of A [r,in] and B [out,r]; 1..256, default 8 */
  lethe_grouping grouping; /**< what is kept or zeroed together; default LETHE_GROUP_BLOCK */
  double lora_alpha;     /**< effective scale is lora_alpha / rank; default 1 */
  lethe_lora_init lora_init; /**< how the matrices begin; default LETHE_INIT_REFERENCE */
  int32_t epochs;        /**< passes over the retain samples; default 100 */
  int32_t warmup_epochs; /**< default 0 */
  int32_t forget_batch;  /**< default 48 */
  int32_t retain_batch;  /**< default 48 */
  int32_t few_shot;      /**< k > 0: k samples a class instead of data_ratio; default 0 */
  int64_t max_steps;     /**< stop after so many steps, the schedule scaled to them; 0: by epochs */
  double learning_rate;  /**< default 1e-2 */
  double min_learning_rate; /**< cosine end, at most learning_rate; default 1e-5, detectors the
                                 learning rate: no decay */
  double weight_decay;   /**< decoupled; default 0.05 */
  double data_ratio;     /**< part of the forget and of the retain samples used, (0,1]; default 0.1 */
  double dropout;        /**< while training; negative (default): the model spec's */
  double forget_bound;   /**< BND: the forget loss is max(0, BND - mean CE); 105, linear head 15 */
  double forget_weight;  /**< beta; default 0.2 */
  double structure_weight; /**< alpha of the group-sparse term; default 1e-4 */
  int32_t structure_start_epoch; /**< neither form of the term acts in earlier epochs; default 0 */
  lethe_sparsity sparsity;       /**< default LETHE_SUBGRADIENT, as the paper */
  double proximal_weight; /**< each step shrinks a group's norm by learning rate times this;
                               default 0, off: it must fit the model (quickstart: 12) */
  double zero_threshold;  /**< drop groups whose effect |sBA|_F is below this part of |W|_F; 1e-3 */
  double prototype_forget_weight; /**< w_f; 0.01 with GS-LoRA++, 0 with GS-LoRA */
  double prototype_retain_weight; /**< w_r; default 0, as in the paper's runs */
  double prototype_bound;         /**< BND_pro; default 18 */
  lethe_prototype_source prototype_source; /**< default LETHE_PROTOTYPE_ORIGINAL */
  int32_t average_start_epoch; /**< weight averaging from this epoch; negative (default): off */
  double average_decay;        /**< d of theta_avg = d theta_avg + (1-d) theta, once an epoch; 0.9 */
  double gate_max_acc_f;   /**< percent; more on the validation set is REJECTED; default 5; <0: off */
  double gate_max_acc_r_drop; /**< percentage points; default 10; <0: off */
  int64_t seed;            /**< of initialisation, sampling, order, dropout; default 1337 */
  int64_t prefix_cache_bytes; /**< memory the prefix cache may take; default 1 GiB */
  int32_t fast;            /**< sum of LETHE_FAST_*; default LETHE_FAST_ALL */
  int32_t progress_interval; /**< steps between progress events, >= 1; default 10 */
  uint64_t reserved[16];
  lethe_form form;         /**< since 1.2: of baselines; default LETHE_FORM_CORRECTED */
  lethe_lora_position lora_position; /**< since 1.2: default LETHE_LORA_FFN */
  int32_t first_block;     /**< since 1.2: blocks before it carry no LoRA; default 0 */
  lethe_structure_search structure_search; /**< since 1.2: default LETHE_SEARCH_OFF */
  int32_t audits;          /**< since 1.2: sum of LETHE_AUDIT_*; default LETHE_AUDIT_MEMBERSHIP */
  int32_t reserved1;
  double penalty_weight;   /**< since 1.2: lambda of L2, EWC, MAS */
  double distillation_weight; /**< since 1.2: of the base's outputs in LwF, DER, DER++, FDR, SCRUB,
                                   SCRUB-S, LIRF */
  double replay_weight;    /**< since 1.2: of the retain samples' labels in LwF, DER++, SCRUB, SCRUB-S,
                                LIRF, SalUn */
  double temperature;      /**< since 1.2: of distillation in LwF, SCRUB, SCRUB-S, LIRF */
  double smoothing;        /**< since 1.2: of SCRUB-S */
  double gradient_clip;    /**< since 1.3: largest norm of a step's gradient; 0
                                (default): any; detectors 0.1 */
  int32_t augment;         /**< since 1.4: of detectors with GS-LoRA(++): 1: images are flipped, resized
                                and cropped at random, sizes in proportion to the model's, as the
                                published runs do; no map is kept then. Default 0: as they are */
  int32_t reserved2;
} lethe_forget_config;

/** Defaults for one method and head: losses scale with the head, so they differ. Settings that another
 *  method alone reads have no effect.
 *  LETHE_E_UNSUPPORTED: unknown method or head. [any-thread] [fast]
 *  Example: `lethe_forget_config_init(&c, sizeof c, LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR);` */
LETHE_API lethe_status lethe_forget_config_init(lethe_forget_config* config, size_t size,
                                                lethe_method method, lethe_head head);

/** Overwrites the fields named in a JSON object, e.g. {"rank":4,"structure_weight":0.004}; names are
 *  those of the struct, enumerations are lower-case words ("gs-lora++", "block", "proximal"). "method"
 *  leaves the other fields as they are: begin with lethe_forget_config_init of that method.
 *  LETHE_E_INVALID_ARGUMENT: unknown field, wrong type, out of range; `config` is then unchanged.
 *  [any-thread] [fast]
 *  Example: `lethe_forget_config_from_json("{\"epochs\":20}", &config);` */
LETHE_API lethe_status lethe_forget_config_from_json(const char* json,
                                                     lethe_forget_config* config);

/** All settings as canonical JSON: sorted keys, equal settings give equal text, which
 *  lethe_forget_config_from_json reads over any defaults. [any-thread] [fast]
 *  Example: `lethe_forget_config_to_json(&config, &json);` */
LETHE_API lethe_status lethe_forget_config_to_json(const lethe_forget_config* config,
                                                   lethe_buffer** out_json);

/** Checks every field. `out_findings` (may be NULL) gets a JSON list of {field, value, allowed};
 *  empty when all is well. LETHE_E_INVALID_ARGUMENT: at least one finding; the list is still handed
 *  over. [any-thread] [fast]
 *  Example: `lethe_forget_config_validate(&config, &findings);` */
LETHE_API lethe_status lethe_forget_config_validate(const lethe_forget_config* config,
                                                    lethe_buffer** out_findings);

/** JSON: every method (name, number, meaning) and setting with type, range, default and meaning, and the
 *  defaults by method and head. [any-thread] [fast]
 *  Example: `lethe_method_info_json(&json);` */
LETHE_API lethe_status lethe_method_info_json(lethe_buffer** out_json);

/** Settings of pre-training: cross entropy (margin heads with their margin), AdamW, linear warm-up,
 *  cosine to min_learning_rate, all base weights trained. Since 1.3 of detectors: the losses of Deformable
 *  DETR (focal, L1, GIoU after a Hungarian matching), gradients clipped at 0.1, the statistics of batch
 *  normalisation frozen; label_smoothing, shift and erase must be 0. */
typedef struct lethe_pretrain_config {
  uint32_t struct_size;
  int32_t epochs;            /**< default 30 */
  int32_t warmup_epochs;     /**< default 2 */
  int32_t batch;             /**< default 128 */
  double learning_rate;      /**< default 1e-3 */
  double min_learning_rate;  /**< default 1e-5 */
  double weight_decay;       /**< on matrices only; default 0.05 */
  double label_smoothing;    /**< [0,1); default 0 */
  double dropout;            /**< negative (default): the model spec's */
  int32_t flip;              /**< 1: mirror half of the images; default 0 */
  int32_t shift;             /**< random shift of up to this many pixels; default 0 */
  double erase;              /**< probability to blank a random rectangle; default 0 */
  double average_decay;      /**< weight averaging per step, 0 (default): off */
  int64_t max_steps;         /**< 0: by epochs */
  int64_t seed;              /**< default 1337 */
  int32_t progress_interval; /**< steps between progress events; default 10 */
  int32_t reserved0;
  uint64_t reserved[16];
  int32_t augment;           /**< since 1.4: of detectors: 1: images are flipped, resized and cropped at
                                  random, as DETR is trained; default 0 */
  int32_t reserved1;
} lethe_pretrain_config;

/** Fills `config` with the defaults. [any-thread] [fast]
 *  Example: `lethe_pretrain_config p; lethe_pretrain_config_init(&p, sizeof p);` */
LETHE_API lethe_status lethe_pretrain_config_init(lethe_pretrain_config* config, size_t size);

/* ================================================================== 6. Engine and jobs */

/** How an engine works and where it keeps what it accepted. */
typedef struct lethe_engine_options {
  uint32_t struct_size;
  int32_t threads;        /**< compute threads of a task; 0 (default): all processors */
  int32_t event_capacity; /**< events kept for a slow reader, >= 16; default 1024. Old progress events
                               give way; state changes are never lost */
  int32_t reserved0;
  uint64_t reserved[8];
  const char* folder;     /**< since 1.1: where tasks, adapters and receipts are kept, created when it
                               is missing; NULL (default): in memory. See lethe_engine_create */
  double checkpoint_seconds;   /**< since 1.1: a running task is saved this often, 0: after every
                                    step; default 30. Only with a folder */
  const uint8_t* signing_seed; /**< since 1.1: 32 secret bytes, the Ed25519 seed that signs receipts;
                                    NULL (default): made, and kept in the folder with mode 0600 */
  int32_t paused;         /**< since 1.1: 1: starts paused, see lethe_engine_pause; default 0 */
  int32_t reserved1;
} lethe_engine_options;

/** Fills `options` with the defaults. [any-thread] [fast]
 *  Example: `lethe_engine_options o; lethe_engine_options_init(&o, sizeof o);` */
LETHE_API lethe_status lethe_engine_options_init(lethe_engine_options* options, size_t size);

/** Creates an engine for a model and starts its thread. A model has at most one engine:
 *  LETHE_E_BUSY otherwise. `options` NULL: defaults.
 *
 *  With a folder (since 1.1) nothing accepted is lost, whenever the process dies: a job is on disk
 *  before lethe_engine_enqueue returns, every state before it is reported, and the model's stack after
 *  every change, by tasks or by the host. Data sets read from files are kept by path, selection and
 *  digest; sets from arrays are copied into the folder until no task needs them. To go on after a
 *  restart, load the same base weights into a model without adapters and create an engine on the same
 *  folder: the model gets its stack back, and unfinished tasks go on from their last checkpoint to the
 *  adapter they would have reached undisturbed. A folder serves one engine at a time.
 *
 *  LETHE_E_BUSY: another process, which the message names, or engine has the folder.
 *  LETHE_E_BASE_MISMATCH: the folder belongs to another base. LETHE_E_STATE: the model carries other
 *  adapters than the folder. LETHE_E_CORRUPT: the folder's journal or an adapter in it is damaged.
 *  LETHE_E_VERSION: a newer library wrote the folder. LETHE_E_IO. [any-thread] [io]
 *  Example: `lethe_engine_create(model, NULL, &engine);` */
LETHE_API lethe_status lethe_engine_create(lethe_model* model, const lethe_engine_options* options,
                                           lethe_engine** out_engine);

/** Queues a forget task.
 *
 *  `request_id`: the host's name for the request, 1..128 bytes; the adapter bears it. NULL: one is
 *  made. The same id with the same request returns the same job again; with another, LETHE_E_EXISTS.
 *  `classes`: what to forget: ids of the model's head, each once.
 *  `config`: NULL means the defaults of GS-LoRA++ for the model's head.
 *  `forget_set`, `retain_set`: training samples. With `retain_set` NULL, `forget_set` holds both kinds
 *  and is divided by `classes`; samples of classes that earlier tasks forgot are left out.
 *  `validation_set` (may be NULL): held-out samples of all classes, for the quality gate and the
 *  report; without it both use the training samples.
 *  Sets are shared, not copied, and may be freed at once.
 *  Since 1.3 a detector takes sets with boxes, the config's defaults being those of LETHE_HEAD_DETECTION:
 *  of each image the objects of other classes are dropped, data_ratio and few_shot (times the number of
 *  classes) count images. GS-LoRA(++) and the methods that lethe_method_info_json names for detectors.
 *
 *  Everything that can be checked is checked here: LETHE_E_NOT_FOUND: a class the model does not have,
 *  or that has no sample. LETHE_E_INVALID_ARGUMENT: no classes, all classes, a class named twice, an
 *  empty set, sets whose labels contradict `classes`, images of another shape than the model's, a
 *  setting out of range. LETHE_E_STATE: the engine is closed. LETHE_E_EXISTS.
 *  A set's pixels are read once, for its digest. [any-thread] [compute]
 *  Example: `lethe_engine_enqueue(e, "req-1", c, 2, NULL, train, NULL, valid, &job);` */
LETHE_API lethe_status lethe_engine_enqueue(lethe_engine* engine, const char* request_id,
                                            const int64_t* classes, size_t class_count,
                                            const lethe_forget_config* config,
                                            const lethe_dataset* forget_set,
                                            const lethe_dataset* retain_set,
                                            const lethe_dataset* validation_set,
                                            lethe_job** out_job);

/** When a task runs, and how long it may. */
typedef struct lethe_task_options {
  uint32_t struct_size;
  int32_t priority;    /**< -1000..1000, default 0. Higher ones run first; of equal ones those with the
                            earliest deadline, then the first that came. A running task is not stopped
                            for another */
  int64_t deadline_ms; /**< UTC, milliseconds since 1970; a task that has not ended by then fails with
                            LETHE_E_LIMIT_EXCEEDED. 0 (default): none */
  double max_seconds;  /**< the same after so many seconds of running, all restarts together; 0
                            (default): no limit */
  int64_t max_steps;   /**< the same after so many optimiser steps; 0 (default): no limit */
  uint64_t reserved[8];
} lethe_task_options;

/** Fills `options` with the defaults. Since ABI 1.1. [any-thread] [fast]
 *  Example: `lethe_task_options t; lethe_task_options_init(&t, sizeof t); t.priority = 10;` */
LETHE_API lethe_status lethe_task_options_init(lethe_task_options* options, size_t size);

/** lethe_engine_enqueue with options (NULL: defaults). They are not part of what a request id stands
 *  for: repeated with others, the job keeps those it has. Since ABI 1.1. [any-thread] [compute]
 *  Example: `lethe_engine_enqueue_with(e, "r", c, 2, NULL, train, NULL, valid, &t, &job);` */
LETHE_API lethe_status lethe_engine_enqueue_with(
    lethe_engine* engine, const char* request_id, const int64_t* classes, size_t class_count,
    const lethe_forget_config* config, const lethe_dataset* forget_set,
    const lethe_dataset* retain_set, const lethe_dataset* validation_set,
    const lethe_task_options* options, lethe_job** out_job);

/** Queues the training of the base weights, which replace the old ones when it succeeds.
 *  LETHE_E_STATE: the model has adapters, or the engine is closed. Other arguments and codes as for
 *  lethe_engine_enqueue. [any-thread] [compute]
 *  Example: `lethe_engine_enqueue_pretraining(e, NULL, &config, train, test, &job);` */
LETHE_API lethe_status lethe_engine_enqueue_pretraining(lethe_engine* engine,
                                                        const char* request_id,
                                                        const lethe_pretrain_config* config,
                                                        const lethe_dataset* train_set,
                                                        const lethe_dataset* validation_set,
                                                        lethe_job** out_job);

typedef int32_t lethe_job_state;
enum {
  LETHE_JOB_QUEUED = 1,        /**< waits for its turn */
  LETHE_JOB_AWAITING_DATA = 2, /**< since 1.1: after a restart, files of its data sets are gone or were
                                    changed: lethe_engine_bind_dataset, or put them back and reopen */
  LETHE_JOB_RUNNING = 3,    /**< trains */
  LETHE_JOB_COMMITTING = 4, /**< its adapter or weights are being put on the model */
  LETHE_JOB_SUCCEEDED = 5,  /**< the model has its adapter or new weights */
  LETHE_JOB_REJECTED = 6, /**< the quality gate was not met; the model is untouched */
  LETHE_JOB_FAILED = 7,   /**< see its error; the model is untouched */
  LETHE_JOB_CANCELLED = 8 /**< the model is untouched */
};

typedef int32_t lethe_event_kind;
enum {
  LETHE_EVENT_STATE = 1,   /**< a job entered `state` */
  LETHE_EVENT_PROGRESS = 2 /**< figures of a running job */
};

/** Where a job stands. Figures that do not exist (yet) are NaN. */
typedef struct lethe_progress {
  int64_t step;          /**< finished steps */
  int64_t total_steps;   /**< planned steps */
  double loss;           /**< total of the last step */
  double loss_retain;    /**< mean cross entropy of the retain batch */
  double loss_forget;    /**< max(0, BND - mean cross entropy of the forget batch), unweighted */
  double loss_structure; /**< sum of group norms, unweighted */
  double loss_prototype; /**< weighted prototype terms */
  double acc_f;          /**< percent, running mean over the forget batches */
  double acc_r;          /**< percent, running mean over the retain batches */
  double seconds;        /**< since the job started */
  double eta_seconds;    /**< estimated time left */
  int32_t groups_live;   /**< groups that are not zero */
  int32_t groups_total;  /**< all groups */
} lethe_progress;

/** A change of a job's state, or figures of a running job. */
typedef struct lethe_event {
  uint32_t struct_size;
  lethe_event_kind kind;   /**< what the event tells */
  int64_t job_id;          /**< 1, 2, 3 ... within its engine */
  lethe_job_state state;   /**< of the job at that moment */
  int32_t reserved0;
  lethe_progress progress; /**< of the job at that moment */
} lethe_event;

/** Takes the next event, waiting up to `timeout_ms` (0: not at all, negative: for ever). Any number of
 *  threads may take events; each event goes to one of them. LETHE_TIMEOUT: none came. LETHE_END: the
 *  engine is closed and all events were taken. [any-thread]
 *  Example: `lethe_event e = {sizeof e}; while (lethe_engine_next_event(en, 1000, &e) != LETHE_END)` */
LETHE_API lethe_status lethe_engine_next_event(lethe_engine* engine, int64_t timeout_ms,
                                               lethe_event* out_event);

/** Stops training after the current step until lethe_engine_resume; queued tasks wait. Cancelling and
 *  closing work as ever, and predictions never notice. Returns at once. Since ABI 1.1.
 *  [any-thread] [fast]
 *  Example: `lethe_engine_pause(engine);` */
LETHE_API lethe_status lethe_engine_pause(lethe_engine* engine);

/** Goes on after lethe_engine_pause. Since ABI 1.1. [any-thread] [fast]
 *  Example: `lethe_engine_resume(engine);` */
LETHE_API lethe_status lethe_engine_resume(lethe_engine* engine);

/** Gives data back to jobs in LETHE_JOB_AWAITING_DATA: every set of theirs whose content digest (see
 *  lethe_dataset_info_json) equals that of `dataset` is found in it, and a job that lacks no other is
 *  queued again. `out_jobs` (may be NULL): how many were. LETHE_E_NOT_FOUND: no job waits for this
 *  content. Since ABI 1.1. [any-thread] [compute]
 *  Example: `lethe_engine_bind_dataset(engine, train, NULL);` */
LETHE_API lethe_status lethe_engine_bind_dataset(lethe_engine* engine,
                                                 const lethe_dataset* dataset, int32_t* out_jobs);

/** Waits until no job is queued or running. LETHE_TIMEOUT after `timeout_ms` (negative: for ever).
 *  LETHE_E_IO: the engine stopped because its folder cannot be written; the message says why. Jobs that
 *  had not ended are kept there and go on when it is opened again. Jobs awaiting data do not count.
 *  [any-thread]
 *  Example: `lethe_engine_wait_idle(engine, -1);` */
LETHE_API lethe_status lethe_engine_wait_idle(lethe_engine* engine, int64_t timeout_ms);

/** Number of jobs ever queued in this engine. 0 for NULL. [any-thread] [fast]
 *  Example: `int32_t n = lethe_engine_job_count(engine);` */
LETHE_API int32_t lethe_engine_job_count(const lethe_engine* engine);

/** Job `index` in order of arrival. LETHE_E_NOT_FOUND outside 0..count-1. [any-thread] [fast]
 *  Example: `lethe_engine_job_at(engine, 0, &job);` */
LETHE_API lethe_status lethe_engine_job_at(const lethe_engine* engine, int32_t index,
                                           lethe_job** out_job);

/** The job with this request id. LETHE_E_NOT_FOUND. [any-thread] [fast]
 *  Example: `lethe_engine_job_find(engine, "req-1", &job);` */
LETHE_API lethe_status lethe_engine_job_find(const lethe_engine* engine, const char* request_id,
                                             lethe_job** out_job);

/** Takes no more jobs, cancels those that are queued or running and waits up to `timeout_ms` (negative:
 *  for ever) for the thread. To finish the queue first, call lethe_engine_wait_idle before. Closing
 *  again is fine. LETHE_TIMEOUT: the thread still runs; call again.
 *  With a folder no job is cancelled: the running one is saved, all are kept and go on when the folder
 *  is opened again. [any-thread]
 *  Example: `lethe_engine_close(engine, 5000);` */
LETHE_API lethe_status lethe_engine_close(lethe_engine* engine, int64_t timeout_ms);

/** Closes (waiting for the current step, not for the task) and frees an engine. Job handles stay
 *  valid. [any-thread]
 *  Example: `lethe_engine_free(engine);` */
LETHE_API void lethe_engine_free(lethe_engine* engine);

/** Where a job stood when it was asked. */
typedef struct lethe_job_status_info {
  uint32_t struct_size;
  lethe_job_state state;  /**< where it stands */
  int64_t job_id;         /**< 1, 2, 3 ... within its engine */
  lethe_status error;     /**< why a job failed, was rejected or cancelled; LETHE_OK otherwise */
  int32_t reserved0;
  lethe_progress progress; /**< its figures */
} lethe_job_status_info;

/** Where a job stands now. [any-thread] [fast]
 *  Example: `lethe_job_status_info i = {sizeof i}; lethe_job_status(job, &i);` */
LETHE_API lethe_status lethe_job_status(const lethe_job* job, lethe_job_status_info* out_info);

/** The request id. Borrowed until the job is freed. [any-thread] [fast]
 *  Example: `puts(lethe_job_request_id(job));` */
LETHE_API const char* lethe_job_request_id(const lethe_job* job);

/** Waits until the job has ended, however it ended: LETHE_OK says only that it did. LETHE_TIMEOUT after
 *  `timeout_ms` (negative: for ever). LETHE_E_STATE: its engine with a folder was closed, LETHE_E_IO:
 *  the folder cannot be written; either way the job is kept there and goes on when the folder is opened
 *  again. [any-thread]
 *  Example: `lethe_job_wait(job, -1);` */
LETHE_API lethe_status lethe_job_wait(const lethe_job* job, int64_t timeout_ms);

/** Asks a job to stop; returns at once. It takes effect within one optimiser step and leaves no
 *  adapter. A job that is nearly done may still succeed; cancelling an ended job does nothing.
 *  [any-thread] [fast]
 *  Example: `lethe_job_cancel(job);` */
LETHE_API lethe_status lethe_job_cancel(lethe_job* job);

/** The sentence of a job that failed, was rejected or cancelled; "" otherwise. Borrowed until the job
 *  is freed. [any-thread] [fast]
 *  Example: `fprintf(stderr, "%s\n", lethe_job_error(job));` */
LETHE_API const char* lethe_job_error(const lethe_job* job);

/** What an ended job left. The adapter exists after success of a forget task (else NULL), the report
 *  also after a rejection. Either output may be NULL. Of a job that ended in an earlier run of an
 *  engine with a folder both are read from the folder. LETHE_E_STATE: not ended, or it left nothing
 *  because it failed or was cancelled. LETHE_E_IO, LETHE_E_CORRUPT: the folder cannot be read, or what
 *  it keeps is damaged. [any-thread] [io]
 *  Example: `lethe_job_result(job, &adapter, &report);` */
LETHE_API lethe_status lethe_job_result(const lethe_job* job, lethe_adapter** out_adapter,
                                        lethe_report** out_report);

/** Frees a job handle; the job itself goes on. [any-thread] [fast]
 *  Example: `lethe_job_free(job);` */
LETHE_API void lethe_job_free(lethe_job* job);

/* ================================================================== 7. Predict and evaluate */

/** Class scores of images: float32 [N, classes] (cosine heads: scale times cosine, no margin).
 *
 *  `images`: LETHE_F32 [N,C,H,W], normalised as the model was trained, finite. Runs on the state of the
 *  model at the time of the call; results are equal bit for bit for equal state, thread count and
 *  build. `threads` 0: all processors. LETHE_E_INVALID_ARGUMENT: wrong type or shape, NaN.
 *  [any-thread] [compute]
 *  Example: `lethe_model_predict(model, &images, 0, &logits);` */
LETHE_API lethe_status lethe_model_predict(const lethe_model* model,
                                           const lethe_tensor_view* images, int32_t threads,
                                           lethe_buffer** out_logits);

/** Embeddings of images, the head's input: float32 [N, dim]. Otherwise as lethe_model_predict.
 *  [any-thread] [compute]
 *  Example: `lethe_model_embed(model, &images, 0, &features);` */
LETHE_API lethe_status lethe_model_embed(const lethe_model* model, const lethe_tensor_view* images,
                                         int32_t threads, lethe_buffer** out_embeddings);

/** Class scores of every sample of a dataset, in its order: float32 [size, classes].
 *  [any-thread] [compute]
 *  Example: `lethe_model_predict_dataset(model, test, 0, &logits);` */
LETHE_API lethe_status lethe_model_predict_dataset(const lethe_model* model,
                                                   const lethe_dataset* dataset, int32_t threads,
                                                   lethe_buffer** out_logits);

/** What a detector finds in images: float32 [N,most,6] in a buffer, `most` rows an image, best first:
 *  left, top, right, bottom in pixels of the image, score 0..1, class. One place can be found as several
 *  classes, nothing is dropped for overlapping. Where there are fewer, rows of zeros with class -1.
 *
 *  `images`: LETHE_U8 [N,3,H,W], values 0..255; `most`: 1..1000, 100 is COCO's; `threads` 0: all
 *  processors. Runs on the state of the model at the time of the call. LETHE_E_INVALID_ARGUMENT: wrong
 *  type or shape. LETHE_E_UNSUPPORTED: the model is an image classifier. Since ABI 1.3.
 *  [any-thread] [compute]
 *  Example: `lethe_model_detect(model, &images, 100, 0, &rows);` */
LETHE_API lethe_status lethe_model_detect(const lethe_model* model, const lethe_tensor_view* images,
                                          int32_t most, int32_t threads,
                                          lethe_buffer** out_detections);

/** The same of every image of a dataset with boxes, in its order, in each image's own pixels: float32
 *  [size,most,6]. LETHE_E_UNSUPPORTED: the dataset has no boxes. Since ABI 1.3. [any-thread] [compute]
 *  Example: `lethe_model_detect_dataset(model, test, 100, 0, &rows);` */
LETHE_API lethe_status lethe_model_detect_dataset(const lethe_model* model,
                                                  const lethe_dataset* dataset, int32_t most,
                                                  int32_t threads, lethe_buffer** out_detections);

/** What an evaluation measures, and how. */
typedef struct lethe_evaluate_options {
  uint32_t struct_size;
  int32_t threads;  /**< 0 (default): all processors */
  int32_t batch;    /**< default 250 */
  int32_t margin;   /**< 1: the head's margin at the true class, as the paper's tables; default 0 */
  int32_t base;     /**< 1: the base alone, without adapters; default 0 */
  int32_t reserved0;
  const int64_t* forget_classes; /**< of Acc_f; NULL: those of the last enabled adapter */
  size_t forget_class_count;     /**< of forget_classes */
  const int64_t* past_classes;   /**< of Acc_o; NULL: those of the earlier enabled adapters, and those
                                      forgotten in the base (see lethe_model_merge) */
  size_t past_class_count;       /**< of past_classes */
  uint64_t reserved[8];
} lethe_evaluate_options;

/** Fills `options` with the defaults. [any-thread] [fast]
 *  Example: `lethe_evaluate_options o; lethe_evaluate_options_init(&o, sizeof o);` */
LETHE_API lethe_status lethe_evaluate_options_init(lethe_evaluate_options* options, size_t size);

/** Accuracy over a dataset. Metrics: acc (all), acc_f, acc_r, acc_o, acc_class.N for each class with
 *  samples, samples, seconds. Since 1.3 of a detector over a dataset with boxes the COCO AP in percent:
 *  ap, ap_f, ap_r, ap_o, ap_class.N, the same as ap50 at the IoU 0.50, samples (images), seconds.
 *  `options` NULL: defaults. [any-thread] [compute]
 *  Example: `lethe_model_evaluate(model, test, NULL, &report);` */
LETHE_API lethe_status lethe_model_evaluate(const lethe_model* model, const lethe_dataset* dataset,
                                            const lethe_evaluate_options* options,
                                            lethe_report** out_report);

/* ================================================================== 8. Adapters */

enum {
  LETHE_ALLOW_UNVERIFIED = 1 /**< accept a stack that no task was trained on, see set_adapters */
};

/** Number of adapters in the stack, enabled or not. 0 for NULL. [any-thread] [fast]
 *  Example: `int32_t n = lethe_model_adapter_count(model);` */
LETHE_API int32_t lethe_model_adapter_count(const lethe_model* model);

/** Adapter `index` of the stack, oldest first. LETHE_E_NOT_FOUND outside 0..count-1. [any-thread] [fast]
 *  Example: `lethe_model_adapter_at(model, 0, &adapter);` */
LETHE_API lethe_status lethe_model_adapter_at(const lethe_model* model, int32_t index,
                                              lethe_adapter** out_adapter);

/** The adapter of this request id. LETHE_E_NOT_FOUND. [any-thread] [fast]
 *  Example: `lethe_model_adapter_find(model, "req-1", &adapter);` */
LETHE_API lethe_status lethe_model_adapter_find(const lethe_model* model, const char* request_id,
                                                lethe_adapter** out_adapter);

/** The manifest as JSON: ids, parents, method and settings, classes forgotten, groups with norms and
 *  effect, tensors, metrics, data digests, environment. [any-thread] [fast]
 *  Example: `lethe_adapter_info_json(adapter, &json);` */
LETHE_API lethe_status lethe_adapter_info_json(const lethe_adapter* adapter,
                                               lethe_buffer** out_json);

/** Writes an adapter checkpoint (zstd over safetensors; `zstd -d` gives a plain .safetensors). Atomic,
 *  and read back before it counts. `options` NULL: defaults. LETHE_E_IO. [any-thread] [io]
 *  Example: `lethe_adapter_export(adapter, "req-1.lethe", NULL);` */
LETHE_API lethe_status lethe_adapter_export(const lethe_adapter* adapter, const char* path,
                                            const lethe_export_options* options);

/** The same into memory. [any-thread] [compute]
 *  Example: `lethe_adapter_export_memory(adapter, NULL, &buffer);` */
LETHE_API lethe_status lethe_adapter_export_memory(const lethe_adapter* adapter,
                                                   const lethe_export_options* options,
                                                   lethe_buffer** out_bytes);

/** Reads an adapter checkpoint; no model is needed. Every byte is checked before anything counts.
 *  LETHE_E_NOT_FOUND, LETHE_E_IO, LETHE_E_CORRUPT, LETHE_E_LIMIT_EXCEEDED, LETHE_E_VERSION.
 *  `limits` NULL: defaults. [any-thread] [io]
 *  Example: `lethe_adapter_load(runtime, "req-1.lethe", NULL, &adapter);` */
LETHE_API lethe_status lethe_adapter_load(lethe_runtime* runtime, const char* path,
                                          const lethe_limits* limits, lethe_adapter** out_adapter);

/** The same from memory. [any-thread] [compute]
 *  Example: `lethe_adapter_load_memory(runtime, bytes, size, NULL, &adapter);` */
LETHE_API lethe_status lethe_adapter_load_memory(lethe_runtime* runtime, const uint8_t* data,
                                                 size_t size, const lethe_limits* limits,
                                                 lethe_adapter** out_adapter);

/** Runs every check of lethe_adapter_load and keeps nothing. `out_findings` (may be NULL) gets JSON,
 *  also when a check fails: {"ok", "bytes", "adapter_id", "request_id", "error": null or {"code": as
 *  lethe_status_name, "message"}}; what could not be read is null. Codes as lethe_adapter_load. Since
 *  ABI 1.1. [any-thread] [io]
 *  Example: `lethe_adapter_verify("req-1.lethe", NULL, &findings);` */
LETHE_API lethe_status lethe_adapter_verify(const char* path, const lethe_limits* limits,
                                            lethe_buffer** out_findings);

/** Writes an adapter in the format of Hugging Face's PEFT: adapter_config.json and
 *  adapter_model.safetensors in `folder`, which is made when it is missing (its parent is not). Modules
 *  have the names that `options` chooses (NULL, and LETHE_NAMES_ORIGINAL, as an adapter knows of no
 *  checkpoint: the architecture's own). Each file is replaced atomically. What PEFT has no field for
 *  (parents, figures, digests) stays behind. LETHE_E_UNSUPPORTED: the architecture has no such names.
 *  LETHE_E_IO. Since ABI 1.1. [any-thread] [io]
 *  Example: `lethe_adapter_export_peft(adapter, "req-1-peft", NULL);` */
LETHE_API lethe_status lethe_adapter_export_peft(const lethe_adapter* adapter, const char* folder,
                                                 const lethe_export_options* options);

/** Reads a folder of PEFT's LoRA format as an adapter for the present state of `model`: its base and
 *  the enabled adapters become the adapter's base and parents. `request_id`: 1..128 bytes, the name it
 *  gets. `classes`: what it makes the model forget, for evaluation and later tasks; nothing in the
 *  folder says so, and nobody has measured it: evaluate before you rely on it. Modules may have any
 *  names of lethe_naming. Scaling, rank_pattern, alpha_pattern and use_rslora are read as PEFT reads
 *  them. Attach the adapter with lethe_model_attach.
 *
 *  LETHE_E_NOT_FOUND: the folder or a file in it, or a class that the model does not have. LETHE_E_IO.
 *  LETHE_E_CORRUPT: contradictory or not finite. LETHE_E_UNSUPPORTED: another PEFT method, DoRA,
 *  biases, saved modules, a base changed at initialisation. LETHE_E_BASE_MISMATCH: a module that the
 *  model does not have or that cannot carry adapters (see adapter_layers at lethe_model_create), or a
 *  shape that does not fit it. LETHE_E_LIMIT_EXCEEDED: over `limits` (NULL: defaults). Since ABI 1.1.
 *  [any-thread] [io]
 *  Example: `lethe_adapter_import_peft(model, "peft", "req-1", c, 2, NULL, &adapter);` */
LETHE_API lethe_status lethe_adapter_import_peft(const lethe_model* model, const char* folder,
                                                 const char* request_id, const int64_t* classes,
                                                 size_t class_count, const lethe_limits* limits,
                                                 lethe_adapter** out_adapter);

/** Frees an adapter handle. Models that carry it keep it. [any-thread] [fast]
 *  Example: `lethe_adapter_free(adapter);` */
LETHE_API void lethe_adapter_free(lethe_adapter* adapter);

/** Puts an adapter on top of the stack. LETHE_E_BASE_MISMATCH: made for another base, or on other
 *  adapters than those now enabled; the message says which. LETHE_E_EXISTS: already there.
 *  LETHE_E_STATE: an engine has tasks of this model queued or running. [any-thread] [compute]
 *  Example: `lethe_model_attach(model, adapter);` */
LETHE_API lethe_status lethe_model_attach(lethe_model* model, const lethe_adapter* adapter);

/** Replaces the whole stack at once: `count` adapters, oldest first, each with a scale (NULL: all 1;
 *  0 keeps it listed but disabled). Without LETHE_ALLOW_UNVERIFIED in `flags` only stacks are accepted
 *  that a task was trained on: each adapter's parents are exactly those before it, all with scale 1.
 *  Codes as lethe_model_attach. [any-thread] [compute]
 *  Example: `lethe_model_set_adapters(model, list, NULL, 2, 0);` */
LETHE_API lethe_status lethe_model_set_adapters(lethe_model* model,
                                                const lethe_adapter* const* adapters,
                                                const double* scales, size_t count, int32_t flags);

/** Back to the state after the task `request_id` (NULL: before the first); later adapters leave the
 *  stack, last in first out. The logits are those of that state bit for bit, because weights are
 *  always summed anew from the untouched base. LETHE_E_NOT_FOUND: no such adapter in the stack.
 *  LETHE_E_STATE as lethe_model_attach. [any-thread] [compute]
 *  Example: `lethe_model_rollback_to(model, "req-2");` */
LETHE_API lethe_status lethe_model_rollback_to(lethe_model* model, const char* request_id);

/** Enables (`enabled` 1) or disables (0) the adapter of a request; it stays in its place, and nothing
 *  happens when it is so already. Enabling gives it scale 1: unless it had another one, the logits after
 *  disabling and enabling are those of before bit for bit. All or nothing.
 *
 *  A state that no task was trained on needs LETHE_ALLOW_UNVERIFIED in `flags`, LETHE_E_BASE_MISMATCH
 *  otherwise: one where the enabled adapters are not, all with scale 1, each on exactly the parents it
 *  was trained on. So the topmost enabled adapter can be disabled and enabled again, others not.
 *  LETHE_E_NOT_FOUND: no such adapter in the stack. LETHE_E_UNSUPPORTED: an unknown flag. LETHE_E_STATE
 *  as lethe_model_attach. Since ABI 1.1. [any-thread] [compute]
 *  Example: `lethe_model_enable(model, "req-2", 0, 0);` */
LETHE_API lethe_status lethe_model_enable(lethe_model* model, const char* request_id,
                                          int32_t enabled, int32_t flags);

/** Takes the adapter of a request out of the stack. Needs LETHE_ALLOW_UNVERIFIED where
 *  lethe_model_enable would to disable it. Codes as there. Since ABI 1.1. [any-thread] [compute]
 *  Example: `lethe_model_detach(model, "req-2", 0);` */
LETHE_API lethe_status lethe_model_detach(lethe_model* model, const char* request_id,
                                          int32_t flags);

/* ================================================================== 9. Reports */

/** The whole report as JSON. [any-thread] [fast]
 *  Example: `lethe_report_json(report, &json);` */
LETHE_API lethe_status lethe_report_json(const lethe_report* report, lethe_buffer** out_json);

/** Number of metrics. 0 for NULL. [any-thread] [fast]
 *  Example: `int32_t n = lethe_report_metric_count(report);` */
LETHE_API int32_t lethe_report_metric_count(const lethe_report* report);

/** Name of metric `index` (name order), NULL outside. Borrowed until the report is freed.
 *  [any-thread] [fast]
 *  Example: `puts(lethe_report_metric_name(report, 0));` */
LETHE_API const char* lethe_report_metric_name(const lethe_report* report, int32_t index);

/** A metric by name. LETHE_E_NOT_FOUND: there is no such figure; it is never silently 0 or NaN. After a
 *  forget task:
 *    acc_f, acc_r, acc_o, acc_m    percent right of the classes to forget, of those that stay, of those
 *                                  forgotten earlier, of retained ones without training samples
 *    ..._before, ..._start         the same classes with the base, at this task's start
 *    h, h_start                    2 acc_r drop / (acc_r + drop), drop = acc_f_before - acc_f (or _start)
 *    ..._margin                    since 1.2: all of these with the head's margin at the true class
 *    over_forgetting               since 1.2: points of acc_r lost since the base; since 1.4 the JSON says
 *                                  as "over_forgets" whether they are more than 10
 *    groups_kept, groups_total     of methods with LoRA; since 1.2 zero_group_ratio, percent
 *    tunable_ratio                 since 1.2: what training could change, percent of all parameters
 *    steps, seconds, peak_memory_mib (since 1.2, of the process so far)
 *  since 1.3 of detectors ap for acc in every name, the COCO AP in percent, and ap50_f, ap50_r ... at the
 *  IoU 0.50; detectors have no audits;
 *  and since 1.2 what the settings' audits ask for, held-out samples given:
 *    mia_loss_auc, mia_entropy_auc, mia_modified_entropy_auc   0 to 1, best what Retrain has, about 0.5;
 *                                  ..._advantage |2 auc - 1|, ..._tpr percent found at 1 % false alarms
 *    mia_lira_auc, mia_..._auc_retrain, mia_..._gap   with LETHE_AUDIT_RETRAIN: LiRA by these networks,
 *                                  what they have themselves, and the distance from it
 *    verification_auc_r, _tar_r, _eer_r, and _f; verification_tar_f_at_r   see src/engine/audit.h;
 *                                  since 1.4 _f also of a single class, against all others
 *    probe_f, probe_r              percent that a linear probe on the embeddings gets right
 *    relearning_steps, relearning_reached   until half of the base's accuracy is back
 *  [any-thread] [fast]
 *  Example: `double h = 0; lethe_report_metric(report, "h", &h);` */
LETHE_API lethe_status lethe_report_metric(const lethe_report* report, const char* name,
                                           double* out_value);

/** Frees a report. [any-thread] [fast]
 *  Example: `lethe_report_free(report);` */
LETHE_API void lethe_report_free(lethe_report* report);

/* ================================================================== 10. Receipts and journals */

/* A receipt is the signed record of one ended task: what was asked and when, the settings, digests of
 * base, data, parents and adapter, the figures before and after, the environment, how it ended, and the
 * digest of the receipt before it. It is one line of canonical JSON (keys sorted, no spaces):
 *
 *   {"key":"<hex>","receipt":{...,"number":1,"previous":"<hex>"},"signature":"<hex>"}
 *
 * `signature` is Ed25519 over the bytes of the value of "receipt"; `previous` is the SHA-256 of the
 * whole previous line, zeros in the first. A receipt holds no image and outlives adapter and data. It
 * proves what was done to the weights, not that nobody else has a copy: see "mode" in it, `reversible`
 * while base and adapter exist, `sealed` after lethe_model_seal. */

/** Number of receipts. 0 for NULL. Since ABI 1.1. [any-thread] [fast]
 *  Example: `int32_t n = lethe_engine_receipt_count(engine);` */
LETHE_API int32_t lethe_engine_receipt_count(const lethe_engine* engine);

/** The receipt of a request: one line without its end. LETHE_E_NOT_FOUND: no such request has ended.
 *  Since ABI 1.1. [any-thread] [io]
 *  Example: `lethe_engine_receipt(engine, "req-1", &line);` */
LETHE_API lethe_status lethe_engine_receipt(const lethe_engine* engine, const char* request_id,
                                            lethe_buffer** out_line);

/** All receipts, oldest first, each line ended by '\n': what lethe_receipts_verify reads.
 *  Since ABI 1.1. [any-thread] [io]
 *  Example: `lethe_engine_receipts(engine, &lines);` */
LETHE_API lethe_status lethe_engine_receipts(const lethe_engine* engine, lethe_buffer** out_lines);

/** The Ed25519 public key that this engine's receipts are signed with: 32 bytes. Publish it where
 *  those who verify receipts trust it. Since ABI 1.1. [any-thread] [fast]
 *  Example: `uint8_t key[32]; lethe_engine_public_key(engine, key);` */
LETHE_API lethe_status lethe_engine_public_key(const lethe_engine* engine, uint8_t* out_key);

/** Checks a chain of receipts as lethe_engine_receipts writes it: the form, every signature, every
 *  link. `public_key`: 32 bytes that all must be signed with; NULL: each with the key it names, which
 *  shows only that nothing was changed afterwards. `out_findings` (may be NULL) gets JSON, also on
 *  failure: {"ok", "receipts": good ones before the first break, "first_break": null or {"line",
 *  "request_id", "reason"}}. LETHE_E_CORRUPT: the chain is broken. Cut-off ends cannot be seen: compare
 *  the count or keep the newest digest elsewhere. Since ABI 1.1. [any-thread] [compute]
 *  Example: `lethe_receipts_verify(data, size, key, &findings);` */
LETHE_API lethe_status lethe_receipts_verify(const uint8_t* data, size_t size,
                                             const uint8_t* public_key,
                                             lethe_buffer** out_findings);

/** What an engine's folder holds, as JSON, without opening an engine; also while one works on it, in
 *  this process or another: {"schema", "base", "holder_pid" (null when nobody has it open), "jobs":
 *  [{"job_id", "request_id", "kind", "state", "classes", "priority", "created", "started", "ended",
 *  "step", "total_steps" (of the last checkpoint), "error", "message", "metrics"}], "adapters":
 *  [{"request_id", "adapter_id", "scale"}], "receipts": count}. Times are UTC, milliseconds since 1970,
 *  or null. LETHE_E_NOT_FOUND: no journal there. LETHE_E_CORRUPT, LETHE_E_VERSION, LETHE_E_IO.
 *  Since ABI 1.1. [any-thread] [io]
 *  Example: `lethe_journal_info_json("/var/lib/lethe", &json);` */
LETHE_API lethe_status lethe_journal_info_json(const char* folder, lethe_buffer** out_json);

/** The receipts in a folder, as lethe_engine_receipts. Codes as lethe_journal_info_json.
 *  Since ABI 1.1. [any-thread] [io]
 *  Example: `lethe_journal_receipts("/var/lib/lethe", &lines);` */
LETHE_API lethe_status lethe_journal_receipts(const char* folder, lethe_buffer** out_lines);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* LETHE_LETHE_H_ */
