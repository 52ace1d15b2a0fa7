/* The pictures of the report: accuracy of every class, sample images, the course of every task. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quickstart.h"
#include "settings.h"

enum { SAMPLES = 8, SHOWN_KEPT_CLASSES = 6 };

/* The classes of task `group`, or for the group after the last task those that are kept. */
static class_set group_classes(const run* r, size_t group) {
  return group < r->task_count ? r->tasks[group].forget : kept_classes(r, (int)r->task_count - 1);
}

static int is_forgotten(const run* r, size_t group) {
  return group < r->task_count && r->tasks[group].state == LETHE_JOB_SUCCEEDED;
}

/* ------------------------------------------------------------------ accuracy of every class */

static void write_class(FILE* html, const run* r, size_t group, int64_t c) {
  class_set one = {{c}, 1};
  double before = percent(&r->base, &r->data, &one), after = percent(&r->final, &r->data, &one);
  if (!isfinite(before)) return; /* no test image */
  fputs("<tr><th scope=\"row\">", html);
  html_text(html, r->data.names[c]);
  fputs("</th><td class=\"task\">", html);
  if (is_forgotten(r, group))
    fprintf(html, "task %zu", group + 1);
  else
    fputs(group < r->task_count ? "not forgotten" : "kept", html);
  fputs("</td><td class=\"bar\">", html);
  bars_write(html, before, after, is_forgotten(r, group) ? "gone" : "kept");
  fprintf(html, "</td><td><i>%.1f</i></td><td class=\"%s\">%.1f</td></tr>\n", before,
          is_forgotten(r, group) ? "gone" : "", after);
}

void report_classes(FILE* html, const run* r) {
  fputs(
      "<section>\n<h2>Accuracy of each class</h2>\n<p class=\"soft\"><span class=\"key before\">"
      "</span>pre-trained model<span class=\"key gone\"></span>now, forgotten"
      "<span class=\"key kept\"></span>now, kept. Lines at 0, 25, 50, 75 and 100&nbsp;%.</p>\n"
      "<div class=\"wide\"><table class=\"classes\">\n<thead><tr>"
      "<th scope=\"col\" class=\"text\">Class</th><th scope=\"col\" class=\"text\">Request</th>"
      "<th scope=\"col\"></th><th scope=\"col\">Before</th><th "
      "scope=\"col\">Now</th></tr></thead>\n",
      html);
  for (size_t group = 0; group <= r->task_count; ++group) {
    class_set classes = group_classes(r, group);
    fputs("<tbody>\n", html);
    for (size_t i = 0; i < classes.count; ++i) write_class(html, r, group, classes.ids[i]);
    fputs("</tbody>\n", html);
  }
  fputs("</table></div>\n</section>\n", html);
}

/* ------------------------------------------------------------------ sample images */

static int64_t best_class(const float* row, int64_t class_count) {
  int64_t best = 0;
  for (int64_t c = 1; c < class_count; ++c)
    if (row[c] > row[best]) best = c;
  return best;
}

static void write_sample(FILE* html, const run* r, int64_t truth, size_t index) {
  unsigned char pixels[IMAGE_SIDE * IMAGE_SIDE];
  size_t row = index * (size_t)r->data.class_count;
  int64_t before = best_class(r->probe_base + row, r->data.class_count);
  int64_t now = best_class(r->probe_now + row, r->data.class_count);
  probe_pixels(&r->data.probe, index, pixels);
  fputs("<figure><img width=\"84\" height=\"84\" alt=\"", html);
  html_text(html, r->data.names[truth]);
  fputs("\" src=\"", html);
  bmp_uri(html, pixels, IMAGE_SIDE, IMAGE_SIDE);
  fputs("\"><figcaption><span>", html);
  html_text(html, r->data.names[before]);
  fprintf(html, "</span><b class=\"%s\">&rarr; ", now == truth ? "kept" : "gone");
  html_text(html, r->data.names[now]);
  fputs("</b></figcaption></figure>\n", html);
}

static void write_row(FILE* html, const run* r, int64_t c) {
  const probe_set* probe = &r->data.probe;
  fputs("<div class=\"row\"><h4>", html);
  html_text(html, r->data.names[c]);
  fputs("</h4><div class=\"strip\">\n", html);
  for (size_t i = 0; i < SAMPLES && probe->begin[c] + i < probe->begin[c + 1]; ++i)
    write_sample(html, r, c, probe->begin[c] + i);
  fputs("</div></div>\n", html);
}

void report_answers(FILE* html, const run* r) {
  fprintf(html,
          "<section>\n<h2>What the model answers</h2>\n<p class=\"soft\">The first %d test images "
          "of each class, unselected. Below each: the answer of the pre-trained model, then the "
          "answer now, <b class=\"kept\">right</b> or <b class=\"gone\">wrong</b>.</p>\n",
          SAMPLES);
  for (size_t group = 0; group <= r->task_count; ++group) {
    class_set classes = group_classes(r, group);
    if (group < r->task_count && is_forgotten(r, group))
      fprintf(html, "<h3>Forgotten in task %zu</h3>\n", group + 1);
    else if (group < r->task_count)
      fprintf(html, "<h3>Named in task %zu, which did not succeed</h3>\n", group + 1);
    else
      fputs("<h3>Kept</h3>\n", html);
    size_t shown = group < r->task_count || classes.count < SHOWN_KEPT_CLASSES ? classes.count
                                                                               : SHOWN_KEPT_CLASSES;
    for (size_t i = 0; i < shown; ++i) write_row(html, r, classes.ids[i]);
  }
  fputs("</section>\n", html);
}

/* ------------------------------------------------------------------ the course of a task */

typedef struct columns {
  double *step, *retain, *forget, *prototype, *acc_f, *acc_r, *groups;
} columns;

enum { COLUMNS = 7 };

/* Weighted loss terms, as they add up; one block of memory that begins at `step`. */
static columns take_columns(const task* t, double forget_weight) {
  size_t n = t->curve_length;
  double* all = allocate(COLUMNS * n * sizeof *all);
  columns c = {all, all + n, all + 2 * n, all + 3 * n, all + 4 * n, all + 5 * n, all + 6 * n};
  for (size_t i = 0; i < n; ++i) {
    const lethe_progress* p = &t->curve[i];
    c.step[i] = (double)p->step;
    c.retain[i] = p->loss_retain;
    c.forget[i] = forget_weight * p->loss_forget;
    c.prototype[i] = p->loss_prototype;
    c.acc_f[i] = p->acc_f;
    c.acc_r[i] = p->acc_r;
    c.groups[i] = p->groups_live;
  }
  return c;
}

static void write_charts(FILE* html, const run* r, const task* t) {
  columns c = take_columns(t, r->config.forget_weight);
  double groups = t->curve[t->curve_length - 1].groups_total;
  const series losses[] = {{"forget", "gone", c.forget},
                           {"keep", "kept", c.retain},
                           {"prototype", "third", c.prototype}};
  const series accuracies[] = {{"kept", "kept", c.acc_r}, {"forgotten", "gone", c.acc_f}};
  const series live[] = {{"in use", "kept", c.groups}};
  const line_chart charts[] = {{.title = "Terms of the loss, weighted",
                                .lines = losses,
                                .line_count = r->opts.method == LETHE_GS_LORA_PP ? 3 : 2,
                                .decimals = 2},
                               {.title = "Accuracy in the training batches, %",
                                .lines = accuracies,
                                .line_count = 2,
                                .top = 100,
                                .decimals = 1},
                               {.title = "Groups that are not zero",
                                .lines = live,
                                .line_count = 1,
                                .top = groups,
                                .is_stairs = 1}};
  fputs("<div class=\"charts\">\n", html);
  for (size_t i = 0; i < sizeof charts / sizeof *charts; ++i) {
    line_chart chart = charts[i];
    chart.steps = c.step;
    chart.length = t->curve_length;
    chart_write(html, &chart);
  }
  fputs("</div>\n", html);
  free(c.step);
}

void report_curves(FILE* html, const run* r) {
  fputs("<section>\n<h2>The course of each task</h2>\n", html);
  for (size_t i = 0; i < r->task_count; ++i) {
    const task* t = &r->tasks[i];
    char names[1024];
    if (t->curve_length == 0) continue;
    fprintf(html, "<h3>Task %zu: ", i + 1);
    html_text(html, class_list(&r->data, &t->forget, names, sizeof names));
    fputs("</h3>\n", html);
    write_charts(html, r, t);
  }
  fputs("</section>\n", html);
}
