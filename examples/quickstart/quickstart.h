/* The parts of the quickstart on classification and what they hand to each other. main.c tells the
 * story. */
#ifndef QUICKSTART_QUICKSTART_H_
#define QUICKSTART_QUICKSTART_H_

#include "common.h"

/* ------------------------------------------------------------------ command.c */

void command_parse(int argc, char** argv, options* out);

/* ------------------------------------------------------------------ images.c */

/* The test images whose scores are compared: the first PROBES_PER_CLASS of every class. */
typedef struct probe_set {
  lethe_dataset* images;
  size_t count;
  size_t begin[MAX_CLASSES + 1]; /* class c holds positions begin[c] .. begin[c+1]-1 */
} probe_set;

typedef struct image_data {
  lethe_dataset* train;
  lethe_dataset* validation;
  lethe_dataset* test;
  probe_set probe;
  int64_t class_count;
  char title[NAME_SIZE]; /* "Fashion-MNIST", or the name of the folder */
  char names[MAX_CLASSES][NAME_SIZE];
  int64_t test_count[MAX_CLASSES]; /* test images of each class */
  int is_fashion;
} image_data;

void images_open(lethe_runtime* runtime, const options* opts, image_data* out);
/* Only the test images and the probe, for the second process. */
void images_open_test(lethe_runtime* runtime, const options* opts, image_data* out);
void images_close(image_data* data);
/* Grey values 0..255 of a probe image. */
void probe_pixels(const probe_set* probe, size_t index,
                  unsigned char pixels[/* IMAGE_SIDE * IMAGE_SIDE */]);
/* "Trouser, Pullover". Returns `text`. */
char* class_list(const image_data* data, const class_set* classes, char* text, size_t size);

/* ------------------------------------------------------------------ base.c */

/* Leaves OUT/model.json and names the base weights in `weights`: the committed ones, or new ones.
 */
void base_prepare(lethe_runtime* runtime, const options* opts, const image_data* data,
                  char weights[PATH_SIZE]);
/* The model that OUT/model.json describes with the weights of that file. */
lethe_model* base_load(lethe_runtime* runtime, const options* opts, const char* weights);

/* ------------------------------------------------------------------ tasks.c */

/* Right answers of each class over the whole test split. */
typedef struct scores {
  int64_t right[MAX_CLASSES];
} scores;

/* Of a task, in percent of the test split; *_before: the pre-trained model on the same classes. */
typedef struct figures {
  double acc_f_before, acc_f, acc_r_before, acc_r, acc_o, h; /* NaN: none */
} figures;

/* Everything a run finds out. */
typedef struct run {
  options opts;
  image_data data;
  char weights[PATH_SIZE];
  int64_t parameters;
  lethe_forget_config config;
  scores base, final;
  float *probe_base, *probe_previous, *probe_now; /* scores before, before the last success, now */
  request requests[MAX_TASKS];
  figures figures[MAX_TASKS];
  size_t request_count;
  int last_success, previous_success; /* positions in `requests`; -1: none */
  double reload_max_abs_diff, rollback_acc_f;
  int rollback_is_exact;
  double total_seconds, peak_mb;
} run;

/* Counts right answers on the test images, or on all of those of some classes. */
scores measure(const lethe_model* model, const lethe_dataset* set, const run* r);
/* Percent over all samples of these classes; NaN when there are none. */
double percent(const scores* s, const image_data* data, const class_set* classes);
class_set all_classes(const image_data* data);
/* Every class that no task up to and including `last` names; -1: every class. */
class_set kept_classes(const run* r, int last);
/* Scores of the probe images, float32 [probe, classes]. The caller frees them. */
float* probe_scores(const lethe_model* model, const probe_set* probe, int32_t threads,
                    size_t* out_size);
/* Runs task `index` to its end and fills in its figures. */
void task_run(run* r, lethe_model* model, lethe_engine* engine, size_t index);

/* ------------------------------------------------------------------ reload.c */

/* The second process: base and adapters from files, scores into OUT/logits-reloaded.bin. */
int reload_here(const options* opts);

/* ------------------------------------------------------------------ terminal.c */

void print_intro(const run* r);
void print_table_head(void);
void print_task(const run* r, size_t index);
void print_json(FILE* out, const run* r);

/* ------------------------------------------------------------------ report*.c */

void report_write(const run* r, const char* path);
/* Sections of the page. */
void report_classes(FILE* html, const run* r); /* accuracy of every class */
void report_answers(FILE* html, const run* r); /* sample images with old and new prediction */

#endif /* QUICKSTART_QUICKSTART_H_ */
