/* What a person at the terminal sees while a task runs, and figures as text. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common.h"

char* duration(double seconds, char* text, size_t size) {
  long whole = lround(seconds);
  if (seconds < 9.95)
    snprintf(text, size, "%.1f s", seconds);
  else if (whole < 100)
    snprintf(text, size, "%ld s", whole);
  else
    snprintf(text, size, "%ld min %02ld s", whole / 60, whole % 60);
  return text;
}

char* grouped(int64_t number, char* text, size_t size) {
  long long n = (long long)number;
  if (n < 1000)
    snprintf(text, size, "%lld", n);
  else if (n < 1000000)
    snprintf(text, size, "%lld,%03lld", n / 1000, n % 1000);
  else
    snprintf(text, size, "%lld,%03lld,%03lld", n / 1000000, n / 1000 % 1000, n % 1000);
  return text;
}

char* figure(double value, int decimals, char* text, size_t size) {
  if (isfinite(value))
    snprintf(text, size, "%.*f", decimals, value);
  else
    snprintf(text, size, "-");
  return text;
}

char* set_text(const class_set* set, char* text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < set->count && used + 1 < size; ++i) {
    int added =
        snprintf(text + used, size - used, "%s%lld", i > 0 ? "," : "", (long long)set->ids[i]);
    used += added > 0 ? (size_t)added : 0;
  }
  return text;
}

char* groups_text(const request* q, char* text, size_t size) {
  if (isfinite(q->groups_total))
    snprintf(text, size, "%.0f of %.0f", q->groups_kept, q->groups_total);
  else
    snprintf(text, size, "-");
  return text;
}

void print_reason(const request* q) {
  if (q->state == LETHE_JOB_REJECTED) printf("          REJECTED: %s\n", q->reason);
  if (q->state == LETHE_JOB_FAILED) printf("          FAILED: %s\n", q->reason);
  if (q->state == LETHE_JOB_CANCELLED) printf("          CANCELLED: %s\n", q->reason);
  fflush(stdout);
}

void json_number(FILE* out, const char* before, double value) {
  if (isfinite(value))
    fprintf(out, "%s%.10g", before, value);
  else
    fprintf(out, "%snull", before);
}

/* ------------------------------------------------------------------ progress */

/* One line that lives at the bottom of a terminal, or a line every 10 % elsewhere. */
typedef struct progress_view {
  const char* title;
  int is_terminal;
  int64_t tenth;
} progress_view;

void status_line(const char* text) {
  if (!isatty(STDOUT_FILENO)) return;
  printf("\r%s\033[K", text);
  fflush(stdout);
}

static void add(char* line, size_t size, const char* format, double value) {
  size_t used = strlen(line);
  if (isfinite(value)) snprintf(line + used, size - used, format, value);
}

/* The most telling figures first: a narrow terminal cuts the rest off. */
static void format_progress(char* line, size_t size, const char* title, const lethe_progress* p) {
  char left[32];
  int digits = snprintf(NULL, 0, "%lld", (long long)p->total_steps);
  double part = p->total_steps > 0 ? 100.0 * (double)p->step / (double)p->total_steps : 0;
  snprintf(line, size, "  %s  %3.0f %%  step %*lld/%lld", title, part, digits, (long long)p->step,
           (long long)p->total_steps);
  if (isfinite(p->eta_seconds)) {
    size_t used = strlen(line);
    snprintf(line + used, size - used, "  %6s left", duration(p->eta_seconds, left, sizeof left));
  }
  add(line, size, "  Acc_f %5.1f", p->acc_f);
  add(line, size, "  Acc_r %5.1f", p->acc_r);
  if (p->groups_total > 0) {
    add(line, size, "  groups %.0f", p->groups_live);
    add(line, size, "/%.0f", p->groups_total);
  }
  add(line, size, "  loss %.3f", p->loss);
  add(line, size, "  keep %.3f", p->loss_retain);
  add(line, size, "  forget %.2f", p->loss_forget);
  add(line, size, "  prototypes %.3f", p->loss_prototype);
  add(line, size, "  norms %.2f", p->loss_structure);
}

static void progress_show(progress_view* view, const lethe_progress* p) {
  char line[256];
  format_progress(line, sizeof line, view->title, p);
  if (view->is_terminal) {
    struct winsize window = {0};
    int width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0
                    ? window.ws_col - 1
                    : 79;
    printf("\r%.*s\033[K", width, line);
    fflush(stdout);
    return;
  }
  int64_t tenth = p->total_steps > 0 ? 10 * p->step / p->total_steps : 0;
  if (tenth <= view->tenth) return;
  view->tenth = tenth;
  puts(line);
  fflush(stdout);
}

static void add_to_curve(curve* course, const lethe_progress* p) {
  if (course->length == course->capacity) {
    course->capacity = course->capacity == 0 ? 128 : 2 * course->capacity;
    course->points = realloc(course->points, course->capacity * sizeof *course->points);
    if (course->points == NULL) die("OUT_OF_MEMORY", "no memory for the curves");
  }
  course->points[course->length++] = *p;
}

lethe_job_status_info follow(lethe_engine* engine, lethe_job* job, const char* title,
                             curve* course) {
  progress_view view = {title, isatty(STDOUT_FILENO), 0};
  lethe_job_status_info info = {.struct_size = sizeof info};
  check(lethe_job_status(job, &info));
  for (int ended = 0; !ended;) {
    lethe_event event = {.struct_size = sizeof event};
    lethe_status status = lethe_engine_next_event(engine, -1, &event);
    check(status);
    if (status == LETHE_END) break;
    if (status != LETHE_OK || event.job_id != info.job_id) continue;
    if (event.kind == LETHE_EVENT_PROGRESS) {
      progress_show(&view, &event.progress);
      if (course != NULL) add_to_curve(course, &event.progress);
    }
    ended = event.kind == LETHE_EVENT_STATE && event.state >= LETHE_JOB_SUCCEEDED;
  }
  status_line("");
  check(lethe_engine_wait_idle(engine, -1));
  info.struct_size = sizeof info;
  check(lethe_job_status(job, &info));
  return info;
}
