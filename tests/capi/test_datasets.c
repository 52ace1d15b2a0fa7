/* Datasets: their sources, parts and samples. */
#include <sys/stat.h>

#include "common.h"

static void arrays_come_back_as_the_model_sees_them(void** state) {
  lethe_runtime* runtime = make_runtime();
  images set = make_images(6, 3);
  lethe_tensor_view pixels = pixel_view(&set), labels = label_view(&set);
  lethe_dataset* data = NULL;
  lethe_buffer* image = NULL;
  int64_t label = -1;
  (void)state;
  assert_ok(lethe_dataset_from_tensors(runtime, &pixels, &labels, CLASSES, NULL, &data));
  lethe_runtime_free(runtime);
  assert_int_equal(lethe_dataset_size(data), 6);
  assert_ok(lethe_dataset_sample(data, 5, &image, &label));
  assert_int_equal(label, 1);
  assert_int_equal(lethe_buffer_size(image), PIXELS * sizeof(float));
  assert_memory_equal(lethe_buffer_data(image), set.pixels + 5 * PIXELS, PIXELS * sizeof(float));
  lethe_buffer_free(image);
  set.pixels[5 * PIXELS] = 9; /* arrays are copied */
  assert_ok(lethe_dataset_sample(data, 5, &image, NULL));
  assert_true(*(const float*)lethe_buffer_data(image) < 2);
  lethe_buffer_free(image);
  assert_ok(lethe_dataset_sample(data, 0, NULL, &label));
  assert_int_equal(label, 0);
  assert_fails(LETHE_E_NOT_FOUND, "sample 6", lethe_dataset_sample(data, 6, &image, &label));
  assert_null(image);
  assert_int_equal(label, 0);
  assert_fails(LETHE_E_NOT_FOUND, "sample -1", lethe_dataset_sample(data, -1, &image, &label));
  assert_int_equal(lethe_dataset_size(NULL), 0);
  lethe_dataset_free(data);
  lethe_dataset_free(NULL);
  free_images(&set);
}

static void bytes_are_scaled_and_normalised(void** state) {
  lethe_runtime* runtime = make_runtime();
  const uint8_t bytes[] = {0, 51, 255, 102};
  const int64_t shape[] = {1, 1, 2, 2}, label = 0;
  lethe_tensor_view pixels = {sizeof pixels, LETHE_U8, bytes, 4, 4, 0, shape, NULL};
  lethe_tensor_view labels = {sizeof labels, LETHE_I64, &label, 8, 1, 0, shape, NULL};
  lethe_dataset* data = NULL;
  lethe_buffer* image = NULL;
  const float* values;
  (void)state;
  assert_ok(lethe_dataset_from_tensors(runtime, &pixels, &labels, 2,
                                       "{\"mean\":[0.2],\"std\":[0.5]}", &data));
  assert_ok(lethe_dataset_sample(data, 0, &image, NULL));
  values = lethe_buffer_data(image);
  assert_true(values[0] > -0.401f && values[0] < -0.399f);
  assert_true(values[1] > -0.001f && values[1] < 0.001f);
  assert_true(values[2] > 1.599f && values[2] < 1.601f);
  lethe_buffer_free(image);
  lethe_dataset_free(data);
  lethe_runtime_free(runtime);
}

/* N,H,W,C in memory, and one row of images repeated by a stride of 0. */
static void strides_are_followed(void** state) {
  lethe_runtime* runtime = make_runtime();
  uint8_t bytes[2 * 2 * 2 * 3];
  const int64_t shape[] = {2, 3, 2, 2}, strides[] = {12, 1, 6, 3}, repeat[] = {0, 1, 6, 3};
  const int64_t ids[] = {0, 1, 7}, label_shape[] = {2}, label_stride[] = {8};
  lethe_tensor_view pixels = {sizeof pixels, LETHE_U8, bytes, 24, 4, 0, shape, strides};
  lethe_tensor_view labels = {sizeof labels, LETHE_I64, ids, 16, 1, 0, label_shape, label_stride};
  lethe_dataset* data = NULL;
  lethe_buffer* image = NULL;
  const float* values;
  int i;
  (void)state;
  for (i = 0; i < 24; ++i) bytes[i] = (uint8_t)(i * 5);
  assert_ok(lethe_dataset_from_tensors(runtime, &pixels, &labels, 2, NULL, &data));
  assert_ok(lethe_dataset_sample(data, 1, &image, NULL));
  values = lethe_buffer_data(image);
  assert_true(values[0] == 60 / 255.0f); /* channel 0, place 0 */
  assert_true(values[1] == 75 / 255.0f); /* channel 0, place 1 */
  assert_true(values[4] == 65 / 255.0f); /* channel 1, place 0 */
  lethe_buffer_free(image);
  lethe_dataset_free(data);
  pixels.byte_strides = repeat;
  pixels.size = 12;
  assert_ok(lethe_dataset_from_tensors(runtime, &pixels, &labels, 2, NULL, &data));
  lethe_dataset_free(data);
  lethe_runtime_free(runtime);
}

static void parts_are_selected(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_dataset *data = make_dataset(runtime, 40, 1), *part = NULL, *again = NULL;
  const int64_t ids[] = {1, 3}, places[] = {7, 0, 7}, missing = 4;
  int64_t label = -1;
  lethe_buffer* json = NULL;
  (void)state;
  assert_ok(lethe_dataset_select(data, LETHE_KEEP_CLASSES, ids, 2, 0, 0, &part));
  assert_int_equal(lethe_dataset_size(part), 20);
  assert_ok(lethe_dataset_info_json(part, &json));
  assert_text(json, "\"histogram\":[0,10,0,10]");
  lethe_dataset_free(part);
  assert_ok(lethe_dataset_select(data, LETHE_DROP_CLASSES, ids, 1, 0, 0, &part));
  assert_int_equal(lethe_dataset_size(part), 30);
  lethe_dataset_free(part);
  assert_ok(lethe_dataset_select(data, LETHE_DROP_CLASSES, NULL, 0, 0, 0, &part));
  assert_int_equal(lethe_dataset_size(part), 40);
  lethe_dataset_free(part);
  assert_ok(lethe_dataset_select(data, LETHE_TAKE_INDICES, places, 3, 0, 0, &part));
  assert_int_equal(lethe_dataset_size(part), 3);
  assert_ok(lethe_dataset_sample(part, 2, NULL, &label));
  assert_int_equal(label, 3);
  lethe_dataset_free(part);

  assert_ok(lethe_dataset_select(data, LETHE_DROP_CLASSES, NULL, 0, 3, 9, &part));
  assert_int_equal(lethe_dataset_size(part), 12);
  assert_ok(lethe_dataset_select(data, LETHE_DROP_CLASSES, NULL, 0, 3, 9, &again));
  assert_ok(lethe_dataset_info_json(part, &json));
  assert_text(json, "\"histogram\":[3,3,3,3]");
  assert_ok(lethe_dataset_info_json(part, &json));
  {
    char digest[256];
    const char* found = strstr(lethe_buffer_data(json), "\"content_digest\"");
    assert_non_null(found);
    snprintf(digest, 80, "%s", found);
    lethe_buffer_free(json);
    assert_ok(lethe_dataset_info_json(again, &json));
    assert_text(json, digest);
  }
  lethe_dataset_free(part);
  lethe_dataset_free(again);

  assert_fails(LETHE_E_NOT_FOUND, "4",
               lethe_dataset_select(data, LETHE_KEEP_CLASSES, &missing, 1, 0, 0, &part));
  assert_null(part);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "what is 4",
               lethe_dataset_select(data, 4, ids, 1, 0, 0, &part));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "values is NULL",
               lethe_dataset_select(data, LETHE_KEEP_CLASSES, NULL, 1, 0, 0, &part));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "few_shot is -1",
               lethe_dataset_select(data, LETHE_KEEP_CLASSES, ids, 1, -1, 0, &part));
  lethe_dataset_free(data);
  lethe_runtime_free(runtime);
}

static void splits_are_stratified_and_repeat(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_dataset *data = make_dataset(runtime, 40, 1), *first = NULL, *second = NULL;
  lethe_buffer* json = NULL;
  (void)state;
  assert_ok(lethe_dataset_split(data, 0.2, 1, &first, &second));
  assert_ok(lethe_dataset_info_json(first, &json));
  assert_text(json, "\"histogram\":[8,8,8,8]");
  assert_ok(lethe_dataset_info_json(second, &json));
  assert_text(json, "\"histogram\":[2,2,2,2]");
  lethe_dataset_free(first);
  lethe_dataset_free(second);
  assert_ok(lethe_dataset_split(data, 0.2, 1, NULL, &second));
  lethe_dataset_free(second);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "1.5", lethe_dataset_split(data, 1.5, 1, &first, &second));
  assert_null(first);
  assert_null(second);
  lethe_dataset_free(data);
  lethe_runtime_free(runtime);
}

static void idx_files_are_read(void** state) {
  lethe_runtime* runtime = make_runtime();
  char* folder = make_folder();
  const char *pixels = in_folder(folder, "images"), *labels = in_folder(folder, "labels");
  unsigned char images_file[16 + 3 * 4] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2};
  unsigned char labels_file[8 + 3] = {0, 0, 8, 1, 0, 0, 0, 3, 2, 0, 1};
  lethe_dataset* data = NULL;
  int64_t label = -1;
  (void)state;
  write_file(pixels, images_file, sizeof images_file);
  write_file(labels, labels_file, sizeof labels_file);
  assert_ok(lethe_dataset_from_idx(runtime, pixels, labels, 0, NULL, &data));
  assert_int_equal(lethe_dataset_size(data), 3);
  assert_ok(lethe_dataset_sample(data, 0, NULL, &label));
  assert_int_equal(label, 2);
  lethe_dataset_free(data);

  assert_fails(
      LETHE_E_NOT_FOUND, "nowhere",
      lethe_dataset_from_idx(runtime, in_folder(folder, "nowhere"), labels, 0, NULL, &data));
  assert_null(data);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "2",
               lethe_dataset_from_idx(runtime, pixels, labels, 2, NULL, &data));
  write_file(pixels, images_file, sizeof images_file - 1);
  assert_fails(LETHE_E_CORRUPT, "images",
               lethe_dataset_from_idx(runtime, pixels, labels, 0, NULL, &data));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "images_path",
               lethe_dataset_from_idx(runtime, NULL, labels, 0, NULL, &data));
  remove_folder(folder);
  lethe_runtime_free(runtime);
}

static void image_folders_are_read(void** state) {
  lethe_runtime* runtime = make_runtime();
  char* folder = make_folder();
  lethe_dataset* data = NULL;
  lethe_buffer* json = NULL;
  (void)state;
  mkdir(in_folder(folder, "cat"), 0755);
  mkdir(in_folder(folder, "dog"), 0755);
  write_file(in_folder(folder, "cat/1.pgm"), "P5 2 2 255\n\1\2\3\4", 15);
  write_file(in_folder(folder, "dog/1.pgm"), "P5 2 2 255\n\5\6\7\10", 15);
  assert_ok(lethe_dataset_from_image_folder(runtime, folder, NULL, &data));
  assert_int_equal(lethe_dataset_size(data), 2);
  assert_ok(lethe_dataset_info_json(data, &json));
  assert_text(json, "\"class_names\":[\"cat\",\"dog\"]");
  lethe_dataset_free(data);
  write_file(in_folder(folder, "dog/2.pgm"), "P5 2 2 255\n\5\6", 13);
  assert_fails(LETHE_E_CORRUPT, "2.pgm",
               lethe_dataset_from_image_folder(runtime, folder, NULL, &data));
  assert_null(data);
  assert_fails(LETHE_E_NOT_FOUND, "",
               lethe_dataset_from_image_folder(runtime, in_folder(folder, "cat"), NULL, &data));
  remove_folder(folder);
  lethe_runtime_free(runtime);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arrays_come_back_as_the_model_sees_them),
      cmocka_unit_test(bytes_are_scaled_and_normalised),
      cmocka_unit_test(strides_are_followed),
      cmocka_unit_test(parts_are_selected),
      cmocka_unit_test(splits_are_stratified_and_repeat),
      cmocka_unit_test(idx_files_are_read),
      cmocka_unit_test(image_folders_are_read),
  };
  return cmocka_run_group_tests_name("capi datasets", tests, NULL, NULL);
}
