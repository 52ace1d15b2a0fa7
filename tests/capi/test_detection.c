/* Detectors over the C ABI: datasets with boxes, detections, tasks on them. */
#include <math.h>

#include "common.h"

/* Three classes of coloured squares in images of 3x32x32 pixels, one in each. */
enum { SIDE_D = 32, COUNT = 6, AREA = SIDE_D * SIDE_D, KINDS = 3 };
#define DETECTOR                                                                                \
  "{\"arch\":\"deformable_detr\",\"classes\":3,\"backbone\":\"resnet18\",\"backbone_width\":8," \
  "\"feature_levels\":2,\"dim\":32,\"heads\":2,\"encoder_layers\":1,\"decoder_layers\":1,"      \
  "\"ffn_dim\":32,\"points\":2,\"queries\":4,\"shorter_side\":0,\"dropout\":0,\"seed\":1}"

static lethe_model* make_detector(lethe_runtime* runtime) {
  lethe_model* model = NULL;
  assert_ok(lethe_model_create(runtime, DETECTOR, "cpu", &model));
  return model;
}

typedef struct scene {
  uint8_t pixels[COUNT * 3 * AREA];
  float boxes[COUNT * 4];
  int64_t labels[COUNT], image_of[COUNT], image_shape[4], box_shape[2], count[1];
} scene;

/* The box of image i: 8 + i pixels a side, at (i, 2 i). */
static void fill(scene* s) {
  int64_t i, y, x;
  memset(s->pixels, 90, sizeof s->pixels);
  for (i = 0; i < COUNT; ++i) {
    const int64_t side = 8 + i;
    for (y = 2 * i; y < 2 * i + side; ++y)
      for (x = i; x < i + side; ++x) s->pixels[(i * 3 + i % KINDS) * AREA + y * SIDE_D + x] = 255;
    s->boxes[4 * i] = (float)i;
    s->boxes[4 * i + 1] = (float)(2 * i);
    s->boxes[4 * i + 2] = (float)(i + side);
    s->boxes[4 * i + 3] = (float)(2 * i + side);
    s->labels[i] = i % KINDS;
    s->image_of[i] = i;
  }
  s->image_shape[0] = s->box_shape[0] = s->count[0] = COUNT;
  s->image_shape[1] = 3;
  s->image_shape[2] = s->image_shape[3] = SIDE_D;
  s->box_shape[1] = 4;
}

static lethe_tensor_view view_of(lethe_dtype dtype, const void* data, size_t size,
                                 const int64_t* shape, int32_t ndim) {
  lethe_tensor_view view;
  memset(&view, 0, sizeof view);
  view.struct_size = sizeof view;
  view.dtype = dtype;
  view.data = data;
  view.size = size;
  view.ndim = ndim;
  view.shape = shape;
  return view;
}

static lethe_status from_boxes(lethe_runtime* runtime, const scene* s, int64_t classes,
                               lethe_dataset** out) {
  lethe_tensor_view images = view_of(LETHE_U8, s->pixels, sizeof s->pixels, s->image_shape, 4);
  lethe_tensor_view boxes = view_of(LETHE_F32, s->boxes, sizeof s->boxes, s->box_shape, 2);
  lethe_tensor_view labels = view_of(LETHE_I64, s->labels, sizeof s->labels, s->count, 1);
  lethe_tensor_view image_of = view_of(LETHE_I64, s->image_of, sizeof s->image_of, s->count, 1);
  return lethe_dataset_from_boxes(runtime, &images, &boxes, &labels, &image_of, classes, out);
}

static lethe_dataset* make_scenes(lethe_runtime* runtime) {
  scene s;
  lethe_dataset* data = NULL;
  fill(&s);
  assert_ok(from_boxes(runtime, &s, KINDS, &data));
  memset(&s, 0, sizeof s); /* arrays were copied */
  return data;
}

static const float* rows_of(const lethe_buffer* buffer, size_t rows) {
  assert_int_equal(lethe_buffer_size(buffer), rows * 6 * sizeof(float));
  return (const float*)lethe_buffer_data(buffer);
}

static void boxes_come_back_as_they_were_given(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_dataset *data = make_scenes(runtime), *part = NULL, *first = NULL, *second = NULL;
  lethe_buffer *image = NULL, *objects = NULL, *json = NULL;
  int64_t height = 0, width = 0, label = 0;
  const int64_t kept[] = {1}, dropped[] = {0, 2};
  const float* row;
  scene s;
  (void)state;
  fill(&s);
  assert_int_equal(lethe_dataset_size(data), COUNT);
  assert_ok(lethe_dataset_image(data, 4, &image, &height, &width));
  assert_true(height == SIDE_D && width == SIDE_D);
  assert_int_equal(lethe_buffer_size(image), 3 * AREA);
  assert_memory_equal(lethe_buffer_data(image), s.pixels + 4 * 3 * AREA, 3 * AREA);
  assert_ok(lethe_dataset_objects(data, 4, &objects));
  row = rows_of(objects, 1);
  assert_memory_equal(row, s.boxes + 16, 4 * sizeof(float));
  assert_true(row[4] == 1 && row[5] == 1);
  lethe_buffer_free(image);
  lethe_buffer_free(objects);
  assert_ok(lethe_dataset_info_json(data, &json));
  assert_text(json, "\"class_count\":3");

  assert_ok(lethe_dataset_select(data, LETHE_KEEP_CLASSES, kept, 1, 0, 0, &part));
  assert_int_equal(lethe_dataset_size(part), 2);
  lethe_dataset_free(part);
  assert_ok(lethe_dataset_select(data, LETHE_DROP_CLASSES, dropped, 2, 0, 0, &part));
  assert_int_equal(lethe_dataset_size(part), 2);
  lethe_dataset_free(part);
  assert_ok(lethe_dataset_select(data, LETHE_TAKE_INDICES, dropped, 2, 0, 0, &part));
  assert_int_equal(lethe_dataset_size(part), 2);
  lethe_dataset_free(part);
  assert_ok(lethe_dataset_split(data, 0.5, 1, &first, &second));
  assert_int_equal(lethe_dataset_size(first), 3);
  lethe_dataset_free(first);
  lethe_dataset_free(second);
  assert_ok(lethe_dataset_drop_objects(data, 1, 1, &part));
  assert_int_equal(lethe_dataset_size(part), COUNT);
  assert_ok(lethe_dataset_objects(part, 0, &objects));
  assert_int_equal(lethe_buffer_size(objects), 0);
  lethe_buffer_free(objects);
  lethe_dataset_free(part);

  assert_fails(LETHE_E_UNSUPPORTED, "has boxes", lethe_dataset_sample(data, 0, NULL, &label));
  assert_fails(LETHE_E_NOT_FOUND, "no sample 6", lethe_dataset_image(data, 6, NULL, NULL, NULL));
  assert_fails(LETHE_E_NOT_FOUND, "no sample -1", lethe_dataset_objects(data, -1, &objects));
  assert_null(objects);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "1.5", lethe_dataset_drop_objects(data, 1.5, 1, &part));
  assert_null(part);
  lethe_dataset_free(data);
  lethe_runtime_free(runtime);
}

static void bad_boxes_are_refused(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_dataset* data = NULL;
  scene s;
  (void)state;
#define REFUSED(code, part, change)                                \
  fill(&s);                                                        \
  change;                                                          \
  assert_fails(code, part, from_boxes(runtime, &s, KINDS, &data)); \
  assert_null(data)
  REFUSED(LETHE_E_INVALID_ARGUMENT, "box 2 is in image 6", s.image_of[2] = 6);
  REFUSED(LETHE_E_INVALID_ARGUMENT, "box 0 is in image -1", s.image_of[0] = -1);
  REFUSED(LETHE_E_INVALID_ARGUMENT, "box 3 has the label 3", s.labels[3] = 3);
  REFUSED(LETHE_E_INVALID_ARGUMENT, "box 1 has the corners (nan", s.boxes[4] = NAN);
  REFUSED(LETHE_E_INVALID_ARGUMENT, "box 1", s.boxes[6] = 33);         /* leaves its image */
  REFUSED(LETHE_E_INVALID_ARGUMENT, "box 1", s.boxes[6] = s.boxes[4]); /* no area */
  REFUSED(LETHE_E_INVALID_ARGUMENT, "must be [M,4], [M] and [M]", s.box_shape[0] = 5);
  REFUSED(LETHE_E_INVALID_ARGUMENT, "", s.image_shape[1] = 1);
  fill(&s);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "class_count is 0", from_boxes(runtime, &s, 0, &data));
  assert_fails(LETHE_E_NOT_FOUND, "nothing.json",
               lethe_dataset_from_coco(runtime, "nothing.json", ".", &data));
  assert_fails(LETHE_E_NOT_FOUND, "nowhere",
               lethe_dataset_from_voc(runtime, "nowhere", ".", NULL, &data));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "class_names_json is no list",
               lethe_dataset_from_voc(runtime, ".", ".", "{}", &data));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "annotations_path is NULL",
               lethe_dataset_from_coco(runtime, NULL, ".", &data));
  assert_null(data);
  lethe_runtime_free(runtime);
}

/* One image with a dog, the category 18 of three; a person is the first, a toothbrush the last. */
static const char* write_instances(const char* folder) {
  static const char instances[] =
      "{\"categories\":[{\"id\":18,\"name\":\"dog\"},{\"id\":1,\"name\":\"person\"},"
      "{\"id\":90,\"name\":\"toothbrush\"}],\"images\":[{\"id\":5,\"file_name\":\"a.pgm\","
      "\"width\":4,\"height\":2}],\"annotations\":[{\"id\":1,\"image_id\":5,\"category_id\":18,"
      "\"bbox\":[1,0,2,1]}]}";
  static const char negative[] =
      "{\"categories\":[{\"id\":-7,\"name\":\"dog\"}],\"images\":[{\"id\":5,\"file_name\":"
      "\"a.pgm\",\"width\":4,\"height\":2}],\"annotations\":[]}";
  static const char image[] = "P5 4 2 255\n12345678";
  write_file(in_folder(folder, "a.pgm"), image, sizeof image - 1);
  write_file(in_folder(folder, "negative.json"), negative, sizeof negative - 1);
  write_file(in_folder(folder, "instances.json"), instances, sizeof instances - 1);
  return in_folder(folder, "instances.json");
}

static float class_of_only_object(const lethe_dataset* data) {
  lethe_buffer* objects = NULL;
  float class_id;
  assert_ok(lethe_dataset_objects(data, 0, &objects));
  class_id = rows_of(objects, 1)[5];
  lethe_buffer_free(objects);
  return class_id;
}

static void coco_ids_can_be_classes(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_detector(runtime);
  char* folder = make_folder();
  const char* path = write_instances(folder);
  lethe_dataset *data = NULL, *part = NULL;
  lethe_buffer* json = NULL;
  lethe_engine* engine = make_engine(model);
  lethe_job* job = NULL;
  const int64_t unused = 12, dog = 18;
  (void)state;
  assert_ok(lethe_dataset_from_coco(runtime, path, folder, &data));
  assert_true(class_of_only_object(data) == 1);
  lethe_dataset_free(data);
  assert_ok(lethe_dataset_from_coco_ids(runtime, path, folder, &data));
  assert_true(class_of_only_object(data) == 18);
  assert_ok(lethe_dataset_info_json(data, &json));
  assert_text(json, "\"class_count\":91");
  assert_ok(lethe_dataset_info_json(data, &json));
  assert_text(json, "{\"id\":12,\"name\":\"unused 12\"}");
  assert_ok(lethe_dataset_info_json(data, &json));
  assert_text(json, "{\"id\":18,\"name\":\"dog\"}");
  assert_ok(lethe_dataset_select(data, LETHE_KEEP_CLASSES, &unused, 1, 0, 0, &part));
  assert_int_equal(lethe_dataset_size(part), 0);
  lethe_dataset_free(part);
  assert_ok(lethe_dataset_select(data, LETHE_KEEP_CLASSES, &dog, 1, 0, 0, &part));
  assert_int_equal(lethe_dataset_size(part), 1);
  lethe_dataset_free(part);
  assert_fails(LETHE_E_INVALID_ARGUMENT, "has 91 classes, the model knows 3",
               lethe_engine_enqueue(engine, NULL, &(const int64_t){1}, 1, NULL, data, NULL, NULL,
                                    &job));
  assert_null(job);
  lethe_dataset_free(data);

  assert_fails(LETHE_E_INVALID_ARGUMENT, "a category with the id -7",
               lethe_dataset_from_coco_ids(runtime, in_folder(folder, "negative.json"), folder,
                                           &data));
  assert_null(data);
  assert_fails(LETHE_E_NOT_FOUND, "nothing.json",
               lethe_dataset_from_coco_ids(runtime, "nothing.json", folder, &data));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "annotations_path is NULL",
               lethe_dataset_from_coco_ids(runtime, NULL, folder, &data));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "image_folder is NULL",
               lethe_dataset_from_coco_ids(runtime, path, NULL, &data));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "runtime is NULL",
               lethe_dataset_from_coco_ids(NULL, path, folder, &data));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "out_dataset is NULL",
               lethe_dataset_from_coco_ids(runtime, path, folder, NULL));
  assert_null(data);
  remove_folder(folder);
  lethe_engine_free(engine);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static void detections_have_their_form(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model* model = make_detector(runtime);
  lethe_dataset* data = make_scenes(runtime);
  lethe_buffer *found = NULL, *again = NULL;
  const float* row;
  int64_t i, k;
  scene s;
  lethe_tensor_view images;
  (void)state;
  fill(&s);
  images = view_of(LETHE_U8, s.pixels, sizeof s.pixels, s.image_shape, 4);
  /* 4 queries of 3 classes: 12 detections, then none. */
  assert_ok(lethe_model_detect(model, &images, 20, 1, &found));
  row = rows_of(found, COUNT * 20);
  for (i = 0; i < COUNT; ++i)
    for (k = 0; k < 20; ++k, row += 6) {
      if (k >= 12) {
        assert_true(row[4] == 0 && row[5] == -1);
        continue;
      }
      assert_true(row[4] > 0 && row[4] < 1 && row[0] < row[2] && row[1] < row[3]);
      assert_true(row[5] == 0 || row[5] == 1 || row[5] == 2);
      if (k > 0) assert_true(row[4] <= row[-2]);
    }
  assert_ok(lethe_model_detect_dataset(model, data, 20, 1, &again));
  assert_memory_equal(lethe_buffer_data(found), lethe_buffer_data(again), lethe_buffer_size(found));
  lethe_buffer_free(found);
  lethe_buffer_free(again);
  assert_ok(lethe_model_detect_dataset(model, data, 1, 1, &again));
  rows_of(again, COUNT);
  lethe_buffer_free(again);
  s.image_shape[0] = 0;
  images = view_of(LETHE_U8, s.pixels, 0, s.image_shape, 4);
  assert_ok(lethe_model_detect(model, &images, 5, 0, &found));
  rows_of(found, 0);
  lethe_buffer_free(found);
  lethe_dataset_free(data);
  lethe_model_free(model);
  lethe_runtime_free(runtime);
}

static void the_other_kind_is_refused(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model *detector = make_detector(runtime), *classifier = make_model(runtime);
  lethe_dataset *boxes = make_scenes(runtime), *labels = make_dataset(runtime, 8, 1);
  lethe_engine* engine = make_engine(detector);
  lethe_buffer* out = NULL;
  lethe_report* report = NULL;
  lethe_job* job = NULL;
  const int64_t one = 1;
  images set = make_images(2, 1);
  lethe_tensor_view view = pixel_view(&set), bytes;
  scene s;
  (void)state;
  fill(&s);
  bytes = view_of(LETHE_U8, s.pixels, sizeof s.pixels, s.image_shape, 4);
  assert_fails(LETHE_E_UNSUPPORTED, "is a detector", lethe_model_predict(detector, &view, 0, &out));
  assert_fails(LETHE_E_UNSUPPORTED, "is a detector", lethe_model_embed(detector, &view, 0, &out));
  assert_fails(LETHE_E_UNSUPPORTED, "has boxes",
               lethe_model_predict_dataset(classifier, boxes, 0, &out));
  assert_fails(LETHE_E_UNSUPPORTED, "is an image classifier",
               lethe_model_detect(classifier, &bytes, 10, 0, &out));
  assert_fails(LETHE_E_UNSUPPORTED, "labels alone",
               lethe_model_detect_dataset(detector, labels, 10, 0, &out));
  assert_fails(LETHE_E_UNSUPPORTED, "is an image classifier",
               lethe_model_evaluate(classifier, boxes, NULL, &report));
  assert_fails(LETHE_E_UNSUPPORTED, "is a detector",
               lethe_model_evaluate(detector, labels, NULL, &report));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "most is 0",
               lethe_model_detect(detector, &bytes, 0, 0, &out));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "most is 1001",
               lethe_model_detect(detector, &bytes, 1001, 0, &out));
  s.image_shape[1] = 1;
  bytes.size = COUNT * AREA;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "1 channels",
               lethe_model_detect(detector, &bytes, 10, 0, &out));
  assert_null(out);
  assert_fails(LETHE_E_UNSUPPORTED, "is a detector",
               lethe_engine_enqueue(engine, NULL, &one, 1, NULL, labels, NULL, NULL, &job));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "validation_set is of another kind",
               lethe_engine_enqueue(engine, NULL, &one, 1, NULL, boxes, NULL, labels, &job));
  assert_fails(LETHE_E_INVALID_ARGUMENT, "retain_set is of another kind",
               lethe_engine_enqueue(engine, NULL, &one, 1, NULL, boxes, labels, NULL, &job));
  assert_null(job);
  free_images(&set);
  lethe_engine_free(engine);
  lethe_dataset_free(boxes);
  lethe_dataset_free(labels);
  lethe_model_free(detector);
  lethe_model_free(classifier);
  lethe_runtime_free(runtime);
}

static double figure(const lethe_report* report, const char* name) {
  double value = NAN;
  assert_ok(lethe_report_metric(report, name, &value));
  return value;
}

static void a_detector_forgets(void** state) {
  lethe_runtime* runtime = make_runtime();
  lethe_model *model = make_detector(runtime), *other = make_detector(runtime);
  lethe_dataset* data = make_scenes(runtime);
  lethe_engine* engine = make_engine(model);
  lethe_pretrain_config training;
  lethe_forget_config config;
  lethe_job* job = NULL;
  lethe_adapter* adapter = NULL;
  lethe_report* report = NULL;
  lethe_buffer *bytes = NULL, *json = NULL, *here = NULL, *there = NULL;
  lethe_job_status_info info = {sizeof info, 0, 0, 0, 0, {0}};
  const int64_t forgotten = 1;
  (void)state;
  assert_ok(lethe_model_info_json(model, &json));
  assert_text(json, "\"arch\":\"deformable_detr\"");
  assert_ok(lethe_pretrain_config_init(&training, sizeof training));
  training.max_steps = 3;
  training.batch = 3;
  assert_ok(lethe_engine_enqueue_pretraining(engine, "base", &training, data, data, &job));
  assert_ok(lethe_job_wait(job, -1));
  assert_ok(lethe_job_result(job, NULL, &report));
  assert_true(figure(report, "ap") >= 0 && figure(report, "ap50") >= figure(report, "ap"));
  lethe_report_free(report);
  lethe_job_free(job);
  training.shift = 2;
  assert_fails(LETHE_E_INVALID_ARGUMENT, "shift",
               lethe_engine_enqueue_pretraining(engine, "bad", &training, data, NULL, &job));
  assert_null(job);

  assert_ok(
      lethe_forget_config_init(&config, sizeof config, LETHE_GS_LORA_PP, LETHE_HEAD_DETECTION));
  assert_true(config.gradient_clip == 0.1 && config.audits == 0);
  config.max_steps = 2;
  config.data_ratio = 1;
  config.zero_threshold = 0;
  config.gate_max_acc_f = config.gate_max_acc_r_drop = -1;
  assert_ok(lethe_engine_enqueue(engine, "req-1", &forgotten, 1, &config, data, NULL, data, &job));
  assert_ok(lethe_job_wait(job, -1));
  assert_ok(lethe_job_status(job, &info));
  assert_string_equal(lethe_job_error(job), "");
  assert_int_equal(info.state, LETHE_JOB_SUCCEEDED);
  assert_ok(lethe_job_result(job, &adapter, &report));
  assert_true(figure(report, "ap_f") >= 0 && figure(report, "ap_r_before") >= 0);
  assert_true(figure(report, "groups_total") == 2);
  lethe_report_free(report);
  assert_ok(lethe_model_evaluate(model, data, NULL, &report));
  assert_true(figure(report, "samples") == COUNT && figure(report, "ap50_f") >= 0);
  lethe_report_free(report);

  /* Another model with the same base takes the adapter and finds the same. */
  assert_ok(lethe_adapter_export_memory(adapter, NULL, &bytes));
  lethe_adapter_free(adapter);
  assert_ok(lethe_adapter_load_memory(runtime, lethe_buffer_data(bytes), lethe_buffer_size(bytes),
                                      NULL, &adapter));
  assert_fails(LETHE_E_BASE_MISMATCH, "", lethe_model_attach(other, adapter));
  lethe_model_free(other);
  assert_ok(lethe_model_clone(model, &other));
  assert_ok(lethe_model_rollback_to(other, NULL));
  assert_ok(lethe_model_detect_dataset(other, data, 10, 1, &here));
  assert_ok(lethe_model_attach(other, adapter));
  assert_ok(lethe_model_detect_dataset(model, data, 10, 1, &there));
  assert_memory_not_equal(lethe_buffer_data(here), lethe_buffer_data(there),
                          lethe_buffer_size(here));
  lethe_buffer_free(here);
  assert_ok(lethe_model_detect_dataset(other, data, 10, 1, &here));
  assert_memory_equal(lethe_buffer_data(here), lethe_buffer_data(there), lethe_buffer_size(here));
  lethe_buffer_free(here);
  lethe_buffer_free(there);
  lethe_buffer_free(bytes);
  lethe_adapter_free(adapter);
  lethe_job_free(job);
  lethe_engine_free(engine);
  lethe_dataset_free(data);
  lethe_model_free(model);
  lethe_model_free(other);
  lethe_runtime_free(runtime);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(boxes_come_back_as_they_were_given),
      cmocka_unit_test(bad_boxes_are_refused),
      cmocka_unit_test(coco_ids_can_be_classes),
      cmocka_unit_test(detections_have_their_form),
      cmocka_unit_test(the_other_kind_is_refused),
      cmocka_unit_test(a_detector_forgets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
