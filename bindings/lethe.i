/* The generated floor under the Java, C# and Go packages: every function of lethe.h under its name
 * without the prefix, in one class or package that is not public. What users see stands on it and is
 * written by hand, a few lines a function, in java/, csharp/ and go/.
 *
 * How things cross, in all three languages:
 *   handles    as integers that own nothing (C#: as SafeHandle); the hand-written classes own them
 *   outputs    `lethe_x** out_x` and `T* out_x` as a cell that the call fills
 *   arrays     the pair (data, count) as one array, pinned or copied for the call only
 *   text       UTF-8 with no NUL inside
 *   lethe_status   failures become the language's own error inside the native call that failed, while
 *              the thread's record still tells of it; LETHE_OK, LETHE_TIMEOUT, LETHE_END are returned
 *   structs    numbers only; lethe.h's pointers into memory become arguments of the stand-ins below
 *
 * A language's own typemaps, in its lethe_<language>.i, say how. */
#ifdef SWIGJAVA
%module Native
#elif defined(SWIGCSHARP)
%module Native
#else
%module native
#endif

%{
#include <lethe/lethe.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
%}

%include <stdint.i>
typedef unsigned long size_t;
#define LETHE_API

%rename("%(strip:[lethe_])s") "";

/* ------------------------------------------------------------------------------- left out */

/* What belongs to the calling thread is read inside the failing call and nowhere else. */
%ignore lethe_last_error;
%ignore lethe_last_error_code;
%ignore lethe_last_error_clear;
/* For hosts that load the library themselves. */
%ignore lethe_get_api;
%ignore lethe_get_api_function;
%ignore lethe_api_v1;
/* Foreign threads do not enter a virtual machine: lines are pulled, see log_wait(). */
%ignore lethe_runtime_set_log;
%ignore lethe_log_callback;
%ignore lethe_log_level;  /* the type: log_level() below is the name of a function */
%ignore lethe_runtime_options;
%ignore lethe_runtime_options_init;
/* Structs that point into memory: their stand-ins below take arrays. */
%ignore lethe_tensor_view;
%ignore lethe_tensor_info;
%ignore lethe_engine_options;
%ignore lethe_engine_options_init;
%ignore lethe_evaluate_options;
%ignore lethe_evaluate_options_init;
%ignore lethe_runtime_create;
%ignore lethe_buffer_data;
%ignore lethe_model_fingerprint;
%ignore lethe_model_tensor_info;
%ignore lethe_dataset_from_tensors;
%ignore lethe_dataset_from_boxes;
%ignore lethe_engine_create;
%ignore lethe_engine_public_key;
%ignore lethe_model_predict;
%ignore lethe_model_embed;
%ignore lethe_model_detect;
%ignore lethe_model_evaluate;
%ignore lethe_model_set_adapters;
%ignore lethe_receipts_verify;
/* Filled by the structs' constructors and by the library. */
%ignore struct_size;
%rename("$ignore", regextarget=1, fullname=1) "::reserved[0-9]*$";

#ifdef SWIGJAVA
%include "java/lethe_java.i"
#elif defined(SWIGCSHARP)
%include "csharp/lethe_csharp.i"
#else
%include "go/lethe_go.i"
#endif

/* Handles. LETHE_HANDLE comes from the language's file. */
LETHE_HANDLE(runtime)
LETHE_HANDLE(model)
LETHE_HANDLE(dataset)
LETHE_HANDLE(engine)
LETHE_HANDLE(job)
LETHE_HANDLE(adapter)
LETHE_HANDLE(report)
LETHE_HANDLE(buffer)
LETHE_HANDLE(log_queue)

/* A struct is born with the library's defaults, or, when the library fills it, with its size. */
%define LETHE_OPTIONS(NAME)
%ignore lethe_##NAME##_init;
%extend lethe_##NAME {
  lethe_##NAME() {
    lethe_##NAME* self = new lethe_##NAME();
    lethe_##NAME##_init(self, sizeof *self);
    return self;
  }
}
%enddef
%define LETHE_OUTPUT(NAME)
%extend lethe_##NAME {
  lethe_##NAME() {
    lethe_##NAME* self = new lethe_##NAME();
    self->struct_size = sizeof *self;
    return self;
  }
}
%enddef
LETHE_OPTIONS(limits)
LETHE_OPTIONS(export_options)
LETHE_OPTIONS(pretrain_config)
LETHE_OPTIONS(task_options)
LETHE_OUTPUT(event)
LETHE_OUTPUT(job_status_info)
%ignore lethe_forget_config_init;
%extend lethe_forget_config {
  lethe_forget_config() {
    lethe_forget_config* self = new lethe_forget_config();
    self->struct_size = sizeof *self;
    return self;
  }
}

%include "lethe/lethe.h"

/* ------------------------------------------------------------------------------- stand-ins
 * A function of lethe.h without its prefix, said with arrays. */

%{
namespace {

/* Rows of a tensor in the caller's memory. */
lethe_tensor_view view_of(lethe_dtype dtype, const void* data, size_t bytes, const int64_t* shape,
                          size_t dims) {
  lethe_tensor_view view{};
  view.struct_size = sizeof view;
  view.dtype = dtype;
  view.data = data;
  view.size = bytes;
  view.ndim = static_cast<int32_t>(dims);
  view.shape = shape;
  return view;
}

}  // namespace

struct lethe_log_queue {
  struct Line {
    lethe_log_level level;
    std::string component, message;
  };
  static constexpr size_t kRoom = 1024;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Line> lines;
  bool closed = false;
  Line taken;

  static void hear(lethe_log_level level, const char* component, const char* message, void* self) {
    auto& queue = *static_cast<lethe_log_queue*>(self);
    try {
      const std::lock_guard<std::mutex> lock(queue.mutex);
      if (queue.lines.size() == kRoom) queue.lines.pop_front();
      queue.lines.push_back({level, component, message});
    } catch (...) {  // a line that finds no memory is lost
    }
    queue.changed.notify_one();
  }
};
%}

%inline %{
typedef struct lethe_log_queue lethe_log_queue;

/* `level` 0: no log, and no queue. Of the lines that nobody takes the newest 1024 are kept. Free the
 * runtime before its queue. */
lethe_status runtime_create(int32_t level, lethe_runtime** out_runtime, lethe_log_queue** out_log) {
  *out_runtime = nullptr;
  *out_log = nullptr;
  lethe_runtime_options options;
  lethe_runtime_options_init(&options, sizeof options);
  lethe_log_queue* queue = level ? new lethe_log_queue : nullptr;
  if (queue) {
    options.log_level = level;
    options.log_callback = lethe_log_queue::hear;
    options.log_user_data = queue;
  }
  const lethe_status status = lethe_runtime_create(&options, out_runtime);
  if (status < 0) delete queue;
  else *out_log = queue;
  return status;
}

/* Takes the next line, which log_level() and so on then tell: LETHE_OK, LETHE_TIMEOUT, or LETHE_END after
 * log_close(). One thread takes. */
int32_t log_wait(lethe_log_queue* log, int64_t timeout_ms) {
  std::unique_lock<std::mutex> lock(log->mutex);
  const auto ready = [&] { return log->closed || !log->lines.empty(); };
  if (timeout_ms < 0) {
    log->changed.wait(lock, ready);
  } else if (!log->changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready)) {
    return LETHE_TIMEOUT;
  }
  if (log->lines.empty()) return LETHE_END;
  log->taken = std::move(log->lines.front());
  log->lines.pop_front();
  return LETHE_OK;
}
int32_t log_level(const lethe_log_queue* log) { return log->taken.level; }
const char* log_component(const lethe_log_queue* log) { return log->taken.component.c_str(); }
const char* log_message(const lethe_log_queue* log) { return log->taken.message.c_str(); }
void log_close(lethe_log_queue* log) {
  const std::lock_guard<std::mutex> lock(log->mutex);
  log->closed = true;
  log->changed.notify_all();
}
void log_free(lethe_log_queue* log) { delete log; }

/* A buffer's float32 values; `count` as many as it holds. */
lethe_status buffer_copy_floats(const lethe_buffer* buffer, float* data, size_t count) {
  return lethe_buffer_copy(buffer, data, count * sizeof(float));
}

/* The defaults of a method and a head. */
lethe_status forget_config_init(lethe_forget_config* config, int32_t method, int32_t head) {
  return lethe_forget_config_init(config, sizeof *config, method, head);
}

/* `base` and `state` have 32 bytes each. */
lethe_status model_fingerprint(const lethe_model* model, uint8_t* base, size_t base_size,
                               uint8_t* state, size_t state_size) {
  return lethe_model_fingerprint(model, base_size == 32 ? base : nullptr,
                                 state_size == 32 ? state : nullptr);
}

/* The name through tensor_name(); `shape` has 8 elements, of which `*out_ndim` are filled. */
lethe_status model_tensor_info(const lethe_model* model, int32_t index, int64_t* shape,
                               size_t shape_size, int32_t* out_ndim, int64_t* out_count) {
  lethe_tensor_info info{};
  info.struct_size = sizeof info;
  const lethe_status status = lethe_model_tensor_info(model, index, &info);
  *out_ndim = info.ndim;
  *out_count = info.count;
  std::copy_n(info.shape, std::min<size_t>(shape_size, 8), shape);
  return status;
}
/* NULL when there is none. */
const char* tensor_name(const lethe_model* model, int32_t index) {
  lethe_tensor_info info{};
  info.struct_size = sizeof info;
  return lethe_model_tensor_info(model, index, &info) < 0 ? nullptr : info.name;
}

lethe_status dataset_from_bytes(lethe_runtime* runtime, const uint8_t* data, size_t size,
                                const int64_t* shape, size_t dims, const int64_t* labels,
                                size_t label_count, int64_t class_count,
                                const char* transform_json, lethe_dataset** out_dataset) {
  const int64_t samples = static_cast<int64_t>(label_count);
  const lethe_tensor_view images = view_of(LETHE_U8, data, size, shape, dims);
  const lethe_tensor_view ids = view_of(LETHE_I64, labels, label_count * 8, &samples, 1);
  return lethe_dataset_from_tensors(runtime, &images, &ids, class_count, transform_json, out_dataset);
}
lethe_status dataset_from_floats(lethe_runtime* runtime, const float* data, size_t count,
                                 const int64_t* shape, size_t dims, const int64_t* labels,
                                 size_t label_count, int64_t class_count,
                                 const char* transform_json, lethe_dataset** out_dataset) {
  const int64_t samples = static_cast<int64_t>(label_count);
  const lethe_tensor_view images = view_of(LETHE_F32, data, count * 4, shape, dims);
  const lethe_tensor_view ids = view_of(LETHE_I64, labels, label_count * 8, &samples, 1);
  return lethe_dataset_from_tensors(runtime, &images, &ids, class_count, transform_json, out_dataset);
}
/* Four values of `boxes` for each of `labels`, and one of `image_of`. */
lethe_status dataset_from_boxes(lethe_runtime* runtime, const uint8_t* data, size_t size,
                                const int64_t* shape, size_t dims, const float* boxes,
                                size_t box_count, const int64_t* labels, size_t label_count,
                                const int64_t* image_of, size_t image_of_count, int64_t class_count,
                                lethe_dataset** out_dataset) {
  const int64_t objects = static_cast<int64_t>(label_count);
  const int64_t places_shape = static_cast<int64_t>(image_of_count);
  const int64_t boxes_shape[] = {objects, 4};
  const lethe_tensor_view images = view_of(LETHE_U8, data, size, shape, dims);
  const lethe_tensor_view corners = view_of(LETHE_F32, boxes, box_count * 4, boxes_shape, 2);
  const lethe_tensor_view ids = view_of(LETHE_I64, labels, label_count * 8, &objects, 1);
  const lethe_tensor_view places =
      view_of(LETHE_I64, image_of, image_of_count * 8, &places_shape, 1);
  return lethe_dataset_from_boxes(runtime, &images, &corners, &ids, &places, class_count,
                                  out_dataset);
}

/* `folder` NULL: in memory. `seed` has 32 bytes, or none: made. A negative `event_capacity`, `threads` or
 * `checkpoint_seconds` is refused, 0 capacity and a NaN of seconds keep the default. */
lethe_status engine_create(lethe_model* model, int32_t threads, int32_t event_capacity,
                           const char* folder, double checkpoint_seconds, const uint8_t* seed,
                           size_t seed_size, int32_t paused, lethe_engine** out_engine) {
  lethe_engine_options options;
  lethe_engine_options_init(&options, sizeof options);
  options.threads = threads;
  if (event_capacity) options.event_capacity = event_capacity;
  options.folder = folder;
  if (checkpoint_seconds == checkpoint_seconds) options.checkpoint_seconds = checkpoint_seconds;
  options.signing_seed = seed_size == 32 ? seed : nullptr;
  options.paused = paused;
  return lethe_engine_create(model, &options, out_engine);
}

/* `key` has 32 bytes. */
lethe_status engine_public_key(const lethe_engine* engine, uint8_t* key, size_t key_size) {
  return lethe_engine_public_key(engine, key_size == 32 ? key : nullptr);
}

lethe_status model_predict(const lethe_model* model, const float* data, size_t count,
                           const int64_t* shape, size_t dims, int32_t threads,
                           lethe_buffer** out_logits) {
  const lethe_tensor_view images = view_of(LETHE_F32, data, count * 4, shape, dims);
  return lethe_model_predict(model, &images, threads, out_logits);
}
lethe_status model_embed(const lethe_model* model, const float* data, size_t count,
                         const int64_t* shape, size_t dims, int32_t threads,
                         lethe_buffer** out_embeddings) {
  const lethe_tensor_view images = view_of(LETHE_F32, data, count * 4, shape, dims);
  return lethe_model_embed(model, &images, threads, out_embeddings);
}
lethe_status model_detect(const lethe_model* model, const uint8_t* data, size_t size,
                          const int64_t* shape, size_t dims, int32_t most, int32_t threads,
                          lethe_buffer** out_detections) {
  const lethe_tensor_view images = view_of(LETHE_U8, data, size, shape, dims);
  return lethe_model_detect(model, &images, most, threads, out_detections);
}

/* `forget_default`, `past_default` 1: the model's own, the array beside it is not read. */
lethe_status model_evaluate(const lethe_model* model, const lethe_dataset* dataset, int32_t threads,
                            int32_t batch, int32_t margin, int32_t base, int32_t forget_default,
                            const int64_t* forget_classes, size_t forget_class_count,
                            int32_t past_default, const int64_t* past_classes,
                            size_t past_class_count, lethe_report** out_report) {
  static const int64_t none = 0;  // an empty list is not no list
  lethe_evaluate_options options;
  lethe_evaluate_options_init(&options, sizeof options);
  options.threads = threads;
  if (batch) options.batch = batch;
  options.margin = margin;
  options.base = base;
  if (!forget_default) {
    options.forget_classes = forget_class_count ? forget_classes : &none;
    options.forget_class_count = forget_class_count;
  }
  if (!past_default) {
    options.past_classes = past_class_count ? past_classes : &none;
    options.past_class_count = past_class_count;
  }
  return lethe_model_evaluate(model, dataset, &options, out_report);
}

/* `adapters`: handles as integers. `scales`: as many, or none: all 1. */
lethe_status model_set_adapters(lethe_model* model, const int64_t* adapters, size_t count,
                                const double* scales, size_t scale_count, int32_t flags) {
  static_assert(sizeof(lethe_adapter*) == sizeof(int64_t), "handles cross as 64-bit integers");
  return lethe_model_set_adapters(model, reinterpret_cast<const lethe_adapter* const*>(adapters),
                                  scale_count ? scales : nullptr, count, flags);
}

/* `key` has 32 bytes, or none: each receipt with the key that it names. */
lethe_status receipts_verify(const uint8_t* data, size_t size, const uint8_t* key, size_t key_size,
                             lethe_buffer** out_findings) {
  return lethe_receipts_verify(data, size, key_size == 32 ? key : nullptr, out_findings);
}
%}
