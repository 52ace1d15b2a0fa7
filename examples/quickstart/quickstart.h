/* The parts of the quickstart and what they hand to each other. main.c tells the story. */
#ifndef QUICKSTART_QUICKSTART_H_
#define QUICKSTART_QUICKSTART_H_

#include <lethe/lethe.h>
#include <stdio.h>

enum { MAX_CLASSES = 256, MAX_TASKS = 16, NAME_SIZE = 64, PATH_SIZE = 4096 };

/* ------------------------------------------------------------------ support.c */

/* Prints "quickstart: NAME: sentence" to stderr and ends the program with code 1. */
void die(const char* name, const char* format, ...) __attribute__((noreturn, format(printf, 2, 3)));
/* Dies with Lethe's own sentence when `status` is a failure. */
void check(lethe_status status);
void* allocate(size_t size);
double clock_seconds(void);
/* The peak resident memory of this process and of the largest one it waited for, in MiB. */
double peak_memory_mb(void);
/* Writes DIR/NAME into `path`, which holds PATH_SIZE bytes. */
void path_in(char* path, const char* dir, const char* name);
void make_folder(const char* path);
/* The whole file with a NUL after its last byte. `out_size` may be NULL. The caller frees it. */
char* read_file(const char* path, size_t* out_size);
void write_file(const char* path, const void* data, size_t size);

/* ------------------------------------------------------------------ options.c */

typedef struct class_set {
  int64_t ids[MAX_CLASSES];
  size_t count;
} class_set;

typedef struct options {
  const char* program; /* argv[0]: how to start this program again */
  const char* data;
  const char* out;
  const char* device;
  lethe_method method;
  int64_t seed;
  int64_t steps;      /* 0: what the settings say */
  const char* config; /* JSON over the settings, or NULL */
  int32_t threads;    /* 0: all processors */
  int pretrain;
  const char* pretrain_path; /* a further copy of the trained weights, or NULL */
  class_set forget[MAX_TASKS];
  size_t task_count;
  int reload;          /* 1: this is the second process */
  char** reload_files; /* base weights, then adapters, oldest first */
  int reload_file_count;
} options;

/* Ends the program with code 2 when it is called wrongly, and with 0 after --help. */
void options_parse(int argc, char** argv, options* out);
const char* method_title(lethe_method method);

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
int64_t parameter_count(const lethe_model* model);

/* ------------------------------------------------------------------ tasks.c */

/* Right answers of each class over the whole test split. */
typedef struct scores {
  int64_t right[MAX_CLASSES];
} scores;

typedef struct task {
  char id[32];
  class_set forget;
  lethe_job_state state;
  char reason[512]; /* why it did not succeed */
  /* Percent on the test split; *_before: the pre-trained model on the same classes. NaN: none. */
  double acc_f_before, acc_f, acc_r_before, acc_r, acc_o, h;
  double groups_kept, groups_total, adapter_bytes; /* NaN: none */
  double seconds;
  int64_t steps;
  char adapter[PATH_SIZE]; /* the exported file, when it succeeded */
  lethe_progress* curve;
  size_t curve_length, curve_capacity;
} task;

/* Everything a run finds out. */
typedef struct run {
  options opts;
  image_data data;
  char weights[PATH_SIZE];
  int64_t parameters;
  lethe_forget_config config;
  scores base, final;
  float *probe_base, *probe_previous, *probe_now; /* scores before, before the last success, now */
  task tasks[MAX_TASKS];
  size_t task_count;
  int last_success, previous_success; /* positions in `tasks`; -1: none */
  double reload_max_abs_diff, rollback_acc_f;
  int rollback_is_exact;
  double total_seconds, peak_mb;
} run;

void task_config(const options* opts, lethe_forget_config* config);
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
/* Runs task `index` to its end, shows it, exports its adapter and fills in its figures. */
void task_run(run* r, lethe_model* model, lethe_engine* engine, size_t index);

/* ------------------------------------------------------------------ reload.c */

/* The second process: base and adapters from files, scores into OUT/logits-reloaded.bin. */
int reload_here(const options* opts);
/* Starts that process and returns the largest difference between its scores and ours. */
double reload_elsewhere(const run* r);

/* ------------------------------------------------------------------ terminal.c */

/* One line that lives at the bottom of a terminal, or a line every 10 % elsewhere. */
typedef struct progress_view {
  const char* title;
  int is_terminal;
  int64_t tenth;
} progress_view;

/* What happens now, on a terminal only; "" clears the line. */
void status_line(const char* text);
progress_view progress_begin(const char* title);
void progress_show(progress_view* view, const lethe_progress* p);
/* Takes the engine's events until `job` has ended; `curve` (may be NULL) collects its progress. */
lethe_job_status_info follow(lethe_engine* engine, lethe_job* job, const char* title, task* curve);
void print_intro(const run* r);
void print_table_head(void);
void print_task(const task* t, size_t number);
void print_json(FILE* out, const run* r);
/* "41 s", "2 min 05 s". Returns `text`, as does the next one: "469,134". */
char* duration(double seconds, char* text, size_t size);
char* grouped(int64_t number, char* text, size_t size);

/* ------------------------------------------------------------------ report*.c */

void report_write(const run* r, const char* path);
void report_style(FILE* html);
/* Sections of the page. */
void report_classes(FILE* html, const run* r); /* accuracy of every class */
void report_answers(FILE* html, const run* r); /* sample images with old and new prediction */
void report_curves(FILE* html, const run* r);  /* the course of every task */
/* "93.4", or a dash where there is no such figure. */
void html_number(FILE* html, double value, int decimals);

/* ------------------------------------------------------------------ chart.c, bmp.c */

typedef struct series {
  const char* name;
  const char* css;      /* class that colours it */
  const double* values; /* one for each step; NaN leaves a gap */
} series;

typedef struct line_chart {
  const char* title;
  const double* steps; /* ascending */
  size_t length;
  const series* lines;
  size_t line_count; /* 1..4 */
  double top;        /* of the y axis; 0: from the values */
  int is_stairs;     /* 1: a value holds until the next one */
  int decimals;      /* of the last values that label the lines */
} line_chart;

void chart_write(FILE* html, const line_chart* chart);
/* Two bars, before and after, 0..100 %. */
void bars_write(FILE* html, double before, double after, const char* css);
void html_text(FILE* html, const char* text);
/* A grey image, rows from the top, as a URI for <img src>. */
void bmp_uri(FILE* html, const unsigned char* pixels, size_t width, size_t height);

#endif /* QUICKSTART_QUICKSTART_H_ */
