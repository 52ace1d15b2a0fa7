/* What a person at the terminal sees while it runs, and the line of JSON for a program. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "quickstart.h"
#include "settings.h"

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

/* ------------------------------------------------------------------ progress */

progress_view progress_begin(const char* title) {
  progress_view view = {title, isatty(STDOUT_FILENO), 0};
  return view;
}

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

void progress_show(progress_view* view, const lethe_progress* p) {
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

static void add_to_curve(task* t, const lethe_progress* p) {
  if (t->curve_length == t->curve_capacity) {
    t->curve_capacity = t->curve_capacity == 0 ? 128 : 2 * t->curve_capacity;
    t->curve = realloc(t->curve, t->curve_capacity * sizeof *t->curve);
    if (t->curve == NULL) die("OUT_OF_MEMORY", "no memory for the curves");
  }
  t->curve[t->curve_length++] = *p;
}

lethe_job_status_info follow(lethe_engine* engine, lethe_job* job, const char* title, task* curve) {
  progress_view view = progress_begin(title);
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
      if (curve != NULL) add_to_curve(curve, &event.progress);
    }
    ended = event.kind == LETHE_EVENT_STATE && event.state >= LETHE_JOB_SUCCEEDED;
  }
  status_line("");
  check(lethe_engine_wait_idle(engine, -1));
  info.struct_size = sizeof info;
  check(lethe_job_status(job, &info));
  return info;
}

/* ------------------------------------------------------------------ table */

void print_intro(const run* r) {
  char train[32], gate[32], test[32], size[32];
  class_set all = all_classes(&r->data);
  const char* slash = strrchr(r->weights, '/');
  printf("  images  %s, %lld classes: %s to train, %s for the gate, %s to test\n", r->data.title,
         (long long)r->data.class_count,
         grouped(lethe_dataset_size(r->data.train), train, sizeof train),
         grouped(lethe_dataset_size(r->data.validation), gate, sizeof gate),
         grouped(lethe_dataset_size(r->data.test), test, sizeof test));
  printf("  model   vision transformer, %s parameters, from %s\n",
         grouped(r->parameters, size, sizeof size), slash != NULL ? slash + 1 : r->weights);
  double right = percent(&r->base, &r->data, &all);
  printf("          right on %.2f %% of the test images\n", right);
  if (right < 50 && !r->opts.pretrain)
    puts("          This model was trained on Fashion-MNIST: add --pretrain for other images.");
}

void print_table_head(void) {
  printf("          %-12s %16s  %16s  %6s %7s  %-8s %10s  %s\n", "forgets", "Acc_f", "Acc_r",
         "Acc_o", "H", "groups", "time", "adapter");
}

/* "12.34", or "-" where there is no such figure. */
static const char* figure(double value, int decimals, char* text, size_t size) {
  if (isfinite(value))
    snprintf(text, size, "%.*f", decimals, value);
  else
    snprintf(text, size, "-");
  return text;
}

static void set_text(const class_set* set, char* text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < set->count && used + 1 < size; ++i) {
    int added =
        snprintf(text + used, size - used, "%s%lld", i > 0 ? "," : "", (long long)set->ids[i]);
    used += added > 0 ? (size_t)added : 0;
  }
}

void print_task(const task* t, size_t number) {
  char forget[128], f0[16], f1[16], r0[16], r1[16], o[16], h[16], groups[32] = "-", time[32];
  char adapter[32] = "-";
  set_text(&t->forget, forget, sizeof forget);
  if (isfinite(t->groups_total))
    snprintf(groups, sizeof groups, "%.0f of %.0f", t->groups_kept, t->groups_total);
  if (isfinite(t->adapter_bytes))
    snprintf(adapter, sizeof adapter, "%.1f kB", t->adapter_bytes / 1000);
  printf("  task %-3zu%-12s %6s -> %6s  %6s -> %6s  %6s %7s  %-8s %10s  %s\n", number, forget,
         figure(t->acc_f_before, 2, f0, sizeof f0), figure(t->acc_f, 2, f1, sizeof f1),
         figure(t->acc_r_before, 2, r0, sizeof r0), figure(t->acc_r, 2, r1, sizeof r1),
         figure(t->acc_o, 2, o, sizeof o), figure(t->h, 2, h, sizeof h), groups,
         duration(t->seconds, time, sizeof time), adapter);
  if (t->state == LETHE_JOB_REJECTED) printf("          REJECTED: %s\n", t->reason);
  if (t->state == LETHE_JOB_FAILED) printf("          FAILED: %s\n", t->reason);
  if (t->state == LETHE_JOB_CANCELLED) printf("          CANCELLED: %s\n", t->reason);
  fflush(stdout);
}

/* ------------------------------------------------------------------ JSON */

static void json_number(FILE* out, const char* before, double value) {
  if (isfinite(value))
    fprintf(out, "%s%.10g", before, value);
  else
    fprintf(out, "%snull", before);
}

void print_json(FILE* out, const run* r) {
  class_set all = all_classes(&r->data);
  json_number(out, "{\"pretrained_acc\":", percent(&r->base, &r->data, &all));
  fputs(",\"tasks\":[", out);
  for (size_t i = 0; i < r->task_count; ++i) {
    const task* t = &r->tasks[i];
    char forget[8 * MAX_CLASSES];
    set_text(&t->forget, forget, sizeof forget);
    fprintf(out, "%s{\"forget\":[%s]", i > 0 ? "," : "", forget);
    json_number(out, ",\"acc_f_before\":", t->acc_f_before);
    json_number(out, ",\"acc_f\":", t->acc_f);
    json_number(out, ",\"acc_r_before\":", t->acc_r_before);
    json_number(out, ",\"acc_r\":", t->acc_r);
    json_number(out, ",\"acc_o\":", t->acc_o);
    json_number(out, ",\"h\":", t->h);
    json_number(out, ",\"groups_kept\":", t->groups_kept);
    json_number(out, ",\"groups_total\":", t->groups_total);
    json_number(out, ",\"adapter_bytes\":", t->adapter_bytes);
    json_number(out, ",\"seconds\":", t->seconds);
    json_number(out, ",\"steps\":", (double)t->steps);
    fputc('}', out);
  }
  json_number(out, "],\"reload_max_abs_diff\":", r->reload_max_abs_diff);
  json_number(out, ",\"rollback_acc_f\":", r->rollback_acc_f);
  json_number(out, ",\"peak_rss_mb\":", r->peak_mb);
  json_number(out, ",\"total_seconds\":", r->total_seconds);
  fputs("}\n", out);
}
