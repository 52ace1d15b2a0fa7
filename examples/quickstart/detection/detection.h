/* The parts of the quickstart on detection and what they hand to each other. main.c tells the
 * story.
 */
#ifndef QUICKSTART_DETECTION_H_
#define QUICKSTART_DETECTION_H_

#include "../common.h"

/* ------------------------------------------------------------------ command.c */

void command_parse(int argc, char** argv, options* out);

/* ------------------------------------------------------------------ json.c */

/* The value of member `name` of the JSON object that `object` points to; NULL: it has none. */
const char* json_member(const char* object, const char* name);
/* The first element of an array, and the one after `item`; NULL: there is none. */
const char* json_first(const char* array);
const char* json_next(const char* item);
/* Just past the value at `value`. */
const char* json_end(const char* value);
/* A string's content, cut to `size`. Returns `text`. */
char* json_string(const char* value, char* text, size_t size);

/* ------------------------------------------------------------------ scenes.c */

/* What lethe_model_detect and lethe_dataset_objects say of an object. */
typedef struct found {
  float left, top, right, bottom, score, label;
} found;

typedef struct scene_data {
  lethe_dataset* train;
  lethe_dataset* validation;
  lethe_dataset* test;
  lethe_dataset* probe; /* the first test scenes */
  int64_t class_count;
  char title[NAME_SIZE];
  char names[MAX_CLASSES][NAME_SIZE];
} scene_data;

void scenes_open(lethe_runtime* runtime, const options* opts, scene_data* out);
/* Only the test scenes and the probe, for the second process. */
void scenes_open_test(lethe_runtime* runtime, const options* opts, scene_data* out);
void scenes_close(scene_data* data);
/* Finds the categories that --forget names and fills in `forget` and `task_count`. */
void scenes_find_categories(const scene_data* data, options* opts);
/* The objects of a probe scene. The caller frees them. */
found* scene_objects(const scene_data* data, size_t index, size_t* count);
/* "Trouser, Pullover", with `between` for ", ". Returns `text`. */
char* category_list(const scene_data* data, const class_set* classes, const char* between,
                    char* text, size_t size);

/* ------------------------------------------------------------------ detector.c */

/* COCO AP of each category in percent, the mean over the IoU 0.50 to 0.95 and at 0.50; NaN: none.
 */
typedef struct precision {
  double ap[MAX_CLASSES], ap50[MAX_CLASSES];
} precision;

/* Writes OUT/model.json: what the file beside the weights says of the model. */
void detector_prepare(const options* opts, const scene_data* data);
/* The model that OUT/model.json describes with the weights of that file. */
lethe_model* detector_load(lethe_runtime* runtime, const options* opts, const char* weights);
precision measure(const lethe_model* model, const lethe_dataset* set, const options* opts,
                  int64_t class_count);
/* Over those of `classes` that have objects; NaN when none has. */
double mean_over(const double* values, const class_set* classes);
/* PROBE_BOXES rows for each probe scene, best first. The caller frees them. */
found* detect_probe(const lethe_model* model, const scene_data* data, int32_t threads,
                    size_t* out_size);

/* ------------------------------------------------------------------ main.c */

/* Of a task, in percent of the test scenes; *_before: the pre-trained model on the same categories.
 * NaN: none. */
typedef struct figures {
  double ap_f_before, ap_f, ap_r_before, ap_r, ap_o, h;
  double ap50_f_before, ap50_f, ap50_r_before, ap50_r, ap50_o;
} figures;

/* Everything a run finds out. */
typedef struct run {
  options opts;
  scene_data data;
  int64_t parameters;
  lethe_forget_config config; /* of the last task; only the gate differs between tasks */
  precision base, final;
  found *probe_base, *probe_previous, *probe_now; /* before, before the last success, now */
  size_t probe_bytes;
  request requests[MAX_TASKS];
  figures figures[MAX_TASKS];
  size_t request_count;
  int last_success, previous_success; /* positions in `requests`; -1: none */
  double reload_max_abs_diff, rollback_ap_f;
  int rollback_is_exact;
  double total_seconds, peak_mb;
} run;

class_set all_classes(const scene_data* data);
/* Every category that no task up to and including `last` names; -1: every category. */
class_set kept_classes(const run* r, int last);

/* ------------------------------------------------------------------ terminal.c */

void print_intro(const run* r);
void print_table_head(void);
void print_task(const run* r, size_t index);
void print_json(FILE* out, const run* r);

/* ------------------------------------------------------------------ report*.c */

void report_write(const run* r, const char* path);
/* The section of test scenes with the boxes before and after. */
void report_scenes(FILE* html, const run* r);

#endif /* QUICKSTART_DETECTION_H_ */
