/* What the suites of the C ABI share: a tiny model, tiny images, checks that show the message. */
#ifndef LETHE_TESTS_CAPI_COMMON_H_
#define LETHE_TESTS_CAPI_COMMON_H_

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>
#include <lethe/lethe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** Of the tiny model and its images: 1x8x8 pixels, class c has its bright quarter at place c. */
enum { CLASSES = 4, SIDE = 8, PIXELS = SIDE * SIDE };
#define TINY_SPEC                                                                                \
  "{\"arch\":\"vit\",\"classes\":4,\"image_size\":8,\"channels\":1,\"patch_size\":4,\"dim\":16," \
  "\"depth\":2,\"heads\":2,\"head_dim\":8,\"mlp_dim\":32,\"seed\":1}"

/** The call succeeds, and clears the message of the failure before it. */
#define assert_ok(call) check_ok((leave_message(), (call)), #call, __FILE__, __LINE__)
void leave_message(void);
void check_ok(lethe_status status, const char* call, const char* file, int line);

/** The call fails with this code and one sentence that contains `part`. */
#define assert_fails(code, part, call) check_fails((call), code, part, #call, __FILE__, __LINE__)
void check_fails(lethe_status status, lethe_status code, const char* part, const char* call,
                 const char* file, int line);

/** The buffer's text contains `part`; frees the buffer. */
#define assert_text(buffer, part) check_text(buffer, part, __FILE__, __LINE__)
void check_text(lethe_buffer* buffer, const char* part, const char* file, int line);

/** Images float32 [count,1,8,8] with labels 0,1,2,3,0,1,...; equal seeds give equal pixels. */
typedef struct images {
  float* pixels;
  int64_t* labels;
  int64_t shape[4];
  int64_t count;
} images;
images make_images(int64_t count, unsigned seed);
void free_images(images* set);
lethe_tensor_view pixel_view(const images* set);
lethe_tensor_view label_view(const images* set);

lethe_runtime* make_runtime(void);
lethe_model* make_model(lethe_runtime* runtime);
lethe_dataset* make_dataset(lethe_runtime* runtime, int64_t count, unsigned seed);

/** An engine of one thread. */
lethe_engine* make_engine(lethe_model* model);

/** A model that tells the four classes apart, trained in an instant. */
lethe_model* make_trained_model(lethe_runtime* runtime);
/** Settings under which the trained tiny model forgets one class in an instant. */
lethe_forget_config quick_config(void);
/** Forgets a class and requires that it worked. */
void forget(lethe_engine* engine, const char* request_id, int64_t class_id,
            const lethe_dataset* data);
/** Two adapters, "first" (class 1) and "second" (class 2), on the model. */
void forget_two(lethe_runtime* runtime, lethe_model* model);

/** Logits of `count` images as a new array. */
float* predict(const lethe_model* model, const images* set);
/** Base (first 32 bytes) and state of a model: whether something changed it. */
typedef struct identity {
  uint8_t bytes[64];
} identity;
identity identity_of(const lethe_model* model);
void assert_unchanged(const lethe_model* model, const identity* before);

/** A new folder, and its removal with all that is in it. */
char* make_folder(void);
void remove_folder(char* folder);
/** folder/name, valid until the next call but seven. */
const char* in_folder(const char* folder, const char* name);
void write_file(const char* path, const void* data, size_t size);
char* read_file(const char* path, size_t* size);
int file_count(const char* folder);

#endif /* LETHE_TESTS_CAPI_COMMON_H_ */
