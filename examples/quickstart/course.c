/* The course of a task as charts. */
#include <math.h>
#include <stdlib.h>

#include "common.h"

typedef struct columns {
  double *step, *retain, *forget, *prototype, *acc_f, *acc_r, *groups;
} columns;

enum { COLUMNS = 7 };

/* Weighted loss terms, as they add up; one block of memory that begins at `step`. */
static columns take_columns(const curve* course, double forget_weight) {
  size_t n = course->length;
  double* all = allocate(COLUMNS * n * sizeof *all);
  columns c = {all, all + n, all + 2 * n, all + 3 * n, all + 4 * n, all + 5 * n, all + 6 * n};
  for (size_t i = 0; i < n; ++i) {
    const lethe_progress* p = &course->points[i];
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

void charts_write(FILE* html, const request* q, const lethe_forget_config* config) {
  if (q->course.length == 0) return;
  columns c = take_columns(&q->course, config->forget_weight);
  const lethe_progress* last = &q->course.points[q->course.length - 1];
  const series losses[] = {{"forget", "gone", c.forget},
                           {"keep", "kept", c.retain},
                           {"prototype", "third", c.prototype}};
  const series accuracies[] = {{"kept", "kept", c.acc_r}, {"forgotten", "gone", c.acc_f}};
  const series live[] = {{"in use", "kept", c.groups}};
  const line_chart charts[] = {{.title = "Terms of the loss, weighted",
                                .lines = losses,
                                .line_count = config->method == LETHE_GS_LORA_PP ? 3 : 2,
                                .decimals = 2},
                               {.title = "Accuracy in the training batches, %",
                                .lines = accuracies,
                                .line_count = isfinite(last->acc_r) ? 2 : 0,
                                .top = 100,
                                .decimals = 1},
                               {.title = "Groups that are not zero",
                                .lines = live,
                                .line_count = 1,
                                .top = last->groups_total,
                                .is_stairs = 1}};
  fputs("<div class=\"charts\">\n", html);
  for (size_t i = 0; i < sizeof charts / sizeof *charts; ++i) {
    line_chart chart = charts[i];
    chart.steps = c.step;
    chart.length = q->course.length;
    if (chart.line_count > 0) chart_write(html, &chart);
  }
  fputs("</div>\n", html);
  free(c.step);
}
