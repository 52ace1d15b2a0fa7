/* What the two programs of the quickstart share: classification (quickstart.h) and detection
 * (detection/detection.h). */
#ifndef QUICKSTART_COMMON_H_
#define QUICKSTART_COMMON_H_

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
int is_folder(const char* path);
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
  const char* model;  /* weights of another model, where the program offers the choice */
  int pretrain;
  const char* pretrain_path; /* a further copy of the trained weights, or NULL */
  const char* forget_text;   /* as given */
  class_set forget[MAX_TASKS];
  size_t task_count;
  int reload;          /* 1: this is the second process */
  char** reload_files; /* base weights, then adapters, oldest first */
  int reload_file_count;
} options;

/* What the command lines of the programs differ in. */
typedef struct command {
  void (*help)(void);
  void (*read_forget)(options* opts); /* looks at forget_text; may fill in `forget` */
  const char* data;
  const char* model; /* NULL: there is no --model */
  const char* forget;
  int64_t seed;
  int can_pretrain;
} command;

/* Ends the program with code 2 when it is called wrongly, and with 0 after --help. */
void options_parse(const command* command, int argc, char** argv, options* out);
void usage_error(const char* format, ...) __attribute__((noreturn, format(printf, 1, 2)));
const char* method_title(lethe_method method);

/* ------------------------------------------------------------------ request.c */

typedef struct curve {
  lethe_progress* points;
  size_t length, capacity;
} curve;

/* One forget task and how it ended, the figures on the test split aside. */
typedef struct request {
  char id[32];
  class_set forget;
  lethe_job_state state;
  char reason[512];                                /* why it did not succeed */
  double groups_kept, groups_total, adapter_bytes; /* NaN: none */
  double seconds;
  int64_t steps;
  char adapter[PATH_SIZE]; /* the exported file, when it succeeded */
  curve course;
} request;

/* `settings`: JSON over Lethe's defaults; the options are over both. */
void forget_settings(const options* opts, lethe_head head, const char* settings,
                     lethe_forget_config* out);
/* An engine for the model; adapters of an earlier run, which must not pass for this one's, are
 * gone. */
lethe_engine* engine_begin(lethe_model* model, const options* opts);
/* Works off request `index` of the options, shows its course and exports its adapter. */
void request_run(request* q, lethe_engine* engine, const options* opts, size_t index,
                 const lethe_forget_config* config, const lethe_dataset* train,
                 const lethe_dataset* validation);
/* NaN: there is no such figure. */
double metric(const lethe_report* report, const char* name);
int64_t parameter_count(const lethe_model* model);
/* The classes that the tasks before `end` name. */
class_set named_before(const options* opts, size_t end);
/* The other ones. */
class_set not_named_before(const options* opts, size_t end, int64_t class_count);

/* ------------------------------------------------------------------ restart.c */

/* The adapters of the files after the first on top of `model`, which has the first one's weights.
 */
void load_stack(const options* opts, lethe_runtime* runtime, lethe_model* model);
/* Starts this program again with --reload, the base and the adapters. The second process writes the
 * numbers that the first finds in `now` to OUT/NAME-reloaded.bin; the largest difference is
 * returned.
 */
double reload_elsewhere(const options* opts, const char* weights, const request* requests,
                        size_t request_count, const char* name, const float* now, size_t count);
/* What the second process does with its numbers. */
void reload_answer(const options* opts, const char* name, const float* numbers, size_t size);

/* ------------------------------------------------------------------ progress.c */

/* What happens now, on a terminal only; "" clears the line. */
void status_line(const char* text);
/* Takes the engine's events until `job` has ended; `course` (may be NULL) collects its progress. */
lethe_job_status_info follow(lethe_engine* engine, lethe_job* job, const char* title,
                             curve* course);
/* These return `text`: "41 s", "2 min 05 s"; "469,134"; "12.34", or "-" for NaN; "1,2"; "3 of 6".
 */
char* duration(double seconds, char* text, size_t size);
char* grouped(int64_t number, char* text, size_t size);
char* figure(double value, int decimals, char* text, size_t size);
char* set_text(const class_set* set, char* text, size_t size);
char* groups_text(const request* q, char* text, size_t size);
/* Why a request did not succeed, on a line of its own. */
void print_reason(const request* q);
/* `before`, then the number, or null for NaN. */
void json_number(FILE* out, const char* before, double value);

/* ------------------------------------------------------------------ page*.c */

/* A page without its sections; `subject`: what the images are. */
void page_begin(FILE* html, const options* opts, const char* subject);
FILE* page_open(const char* path);
void page_close(FILE* html, const char* path);
void page_style(FILE* html);
void html_text(FILE* html, const char* text);
/* "93.4", or a dash where there is no such figure. */
void html_number(FILE* html, double value, int decimals);
/* "3 classes", "1 class". */
void html_count(FILE* html, size_t count, const char* one, const char* many);
void tile_change(FILE* html, const char* name, double before, double after, const char* css);
/* The tiles of the adapters and of the whole run. */
void tiles_run(FILE* html, const request* requests, size_t count, double seconds, double peak_mb);
/* Cells of a table of requests: before and after; groups to adapter; the row of a failure's reason.
 */
void cell_change(FILE* html, double before, double after);
void cells_run(FILE* html, const request* q);
void row_reason(FILE* html, const request* q, int columns);
/* "What this does not promise": `figure` is what near zero does not prove. */
void section_limits(FILE* html, const char* figure);
/* The settings, unfolded at a click; `sentence` says what they are. */
void section_settings(FILE* html, const char* sentence, const lethe_forget_config* config);

/* ------------------------------------------------------------------ course.c, chart.c, bmp.c */

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

/* Charts of a request's course: loss terms, the running accuracies where there are any, groups. */
void charts_write(FILE* html, const request* q, const lethe_forget_config* config);
void chart_write(FILE* html, const line_chart* chart);
/* Two bars, before and after, 0..100 %. */
void bars_write(FILE* html, double before, double after, const char* css);
/* An image of `channels` planes (1: grey, 3: red, green, blue), rows from the top, as a URI. */
void bmp_uri(FILE* html, const unsigned char* planes, size_t width, size_t height, int channels);

#endif /* QUICKSTART_COMMON_H_ */
