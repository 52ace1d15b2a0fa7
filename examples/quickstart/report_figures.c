/* The pictures of the report: accuracy of every class, sample images. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quickstart.h"
#include "settings.h"

enum { SAMPLES = 8, SHOWN_KEPT_CLASSES = 6 };

/* The classes of task `group`, or for the group after the last task those that are kept. */
static class_set group_classes(const run* r, size_t group) {
  return group < r->request_count ? r->requests[group].forget
                                  : kept_classes(r, (int)r->request_count - 1);
}

static int is_forgotten(const run* r, size_t group) {
  return group < r->request_count && r->requests[group].state == LETHE_JOB_SUCCEEDED;
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
    fputs(group < r->request_count ? "not forgotten" : "kept", html);
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
  for (size_t group = 0; group <= r->request_count; ++group) {
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
  bmp_uri(html, pixels, IMAGE_SIDE, IMAGE_SIDE, 1);
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
  for (size_t group = 0; group <= r->request_count; ++group) {
    class_set classes = group_classes(r, group);
    if (group < r->request_count && is_forgotten(r, group))
      fprintf(html, "<h3>Forgotten in task %zu</h3>\n", group + 1);
    else if (group < r->request_count)
      fprintf(html, "<h3>Named in task %zu, which did not succeed</h3>\n", group + 1);
    else
      fputs("<h3>Kept</h3>\n", html);
    size_t shown = group < r->request_count || classes.count < SHOWN_KEPT_CLASSES
                       ? classes.count
                       : SHOWN_KEPT_CLASSES;
    for (size_t i = 0; i < shown; ++i) write_row(html, r, classes.ids[i]);
  }
  fputs("</section>\n", html);
}
