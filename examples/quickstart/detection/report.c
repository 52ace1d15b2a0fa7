/* The report on detection. */
#include <math.h>
#include <string.h>

#include "detection.h"
#include "settings.h"

/* ------------------------------------------------------------------ head */

static void write_lead(FILE* html, const run* r, const class_set* named, const class_set* kept) {
  char text[32];
  fprintf(html,
          "<p class=\"lead\">A Deformable DETR with %s parameters, trained to find %lld categories "
          "of objects, was asked in ",
          grouped(r->parameters, text, sizeof text), (long long)r->data.class_count);
  html_count(html, r->request_count, "request", "requests");
  fprintf(html, " to forget %zu of them. It now finds those with an AP of <b class=\"gone\">",
          named->count);
  html_number(html, mean_over(r->final.ap, named), 2);
  fputs("</b> (before: ", html);
  html_number(html, mean_over(r->base.ap, named), 2);
  fputs(") and the other ", html);
  html_count(html, kept->count, "category", "categories");
  fputs(" with <b class=\"kept\">", html);
  html_number(html, mean_over(r->final.ap, kept), 2);
  fputs("</b> (before: ", html);
  html_number(html, mean_over(r->base.ap, kept), 2);
  fputs(
      "). The base weights were not touched: each finished request left an adapter, a small file "
      "of its own.</p>\n",
      html);
}

static void write_head(FILE* html, const run* r) {
  class_set named = named_before(&r->opts, r->request_count);
  class_set kept = kept_classes(r, (int)r->request_count - 1);
  page_begin(html, &r->opts, r->data.title);
  write_lead(html, r, &named, &kept);
  fputs("<dl class=\"tiles\">\n", html);
  tile_change(html, "AP, categories to forget", mean_over(r->base.ap, &named),
              mean_over(r->final.ap, &named), "gone");
  tile_change(html, "AP, other categories", mean_over(r->base.ap, &kept),
              mean_over(r->final.ap, &kept), "kept");
  tiles_run(html, r->requests, r->request_count, r->total_seconds, r->peak_mb);
  fputs("</dl>\n</header>\n", html);
}

/* ------------------------------------------------------------------ table of tasks */

static void write_task(FILE* html, const run* r, size_t index) {
  const request* q = &r->requests[index];
  const figures* f = &r->figures[index];
  char text[1024];
  fprintf(html, "<tr><th scope=\"row\">Task&nbsp;%zu</th><td class=\"text\">", index + 1);
  html_text(html, category_list(&r->data, &q->forget, ", ", text, sizeof text));
  fputs("</td>", html);
  cell_change(html, f->ap_f_before, f->ap_f);
  cell_change(html, f->ap_r_before, f->ap_r);
  fputs("<td>", html);
  html_number(html, f->ap_o, 2);
  fputs("</td>", html);
  cell_change(html, f->ap50_f_before, f->ap50_f);
  cell_change(html, f->ap50_r_before, f->ap50_r);
  cells_run(html, q);
  fputs("</tr>\n", html);
  row_reason(html, q, 11);
}

static void write_tasks(FILE* html, const run* r) {
  fputs(
      "<section>\n<h2>The requests</h2>\n<div class=\"wide\"><table>\n"
      "<caption>COCO AP in percent over all test scenes, pre-trained model &rarr; after the "
      "task</caption>\n<thead><tr><th scope=\"col\"></th>"
      "<th scope=\"col\" class=\"text\">Forgets</th><th scope=\"col\">AP<sub>f</sub></th>"
      "<th scope=\"col\">AP<sub>r</sub></th><th scope=\"col\">AP<sub>o</sub></th>"
      "<th scope=\"col\">AP50<sub>f</sub></th><th scope=\"col\">AP50<sub>r</sub></th>"
      "<th scope=\"col\">Groups</th><th scope=\"col\">Steps</th>"
      "<th scope=\"col\">Time</th><th scope=\"col\">Adapter</th></tr></thead>\n<tbody>\n",
      html);
  for (size_t t = 0; t < r->request_count; ++t) write_task(html, r, t);
  fputs(
      "</tbody>\n</table></div>\n"
      "<p class=\"soft\">AP<sub>f</sub>: of the categories of this task. AP<sub>r</sub>: of those "
      "that no task so far has named. AP<sub>o</sub>: of those of earlier tasks. AP is the mean "
      "over the IoU 0.50 to 0.95, AP50 at 0.50 alone. Groups: linear layers of the transformer "
      "that the adapter changes; the others are exactly zero and are not in its "
      "file.</p>\n</section>\n",
      html);
}

/* ------------------------------------------------------------------ AP of every category */

/* The categories of task `group`, or for the group after the last task those that are kept. */
static class_set group_classes(const run* r, size_t group) {
  return group < r->request_count ? r->requests[group].forget
                                  : kept_classes(r, (int)r->request_count - 1);
}

static void write_category(FILE* html, const run* r, size_t group, int64_t c) {
  int gone = group < r->request_count && r->requests[group].state == LETHE_JOB_SUCCEEDED;
  double before = r->base.ap[c], after = r->final.ap[c];
  if (!isfinite(before)) return; /* no such object in the test scenes */
  fputs("<tr><th scope=\"row\">", html);
  html_text(html, r->data.names[c]);
  fputs("</th><td class=\"task\">", html);
  if (gone)
    fprintf(html, "task %zu", group + 1);
  else
    fputs(group < r->request_count ? "not forgotten" : "kept", html);
  fputs("</td><td class=\"bar\">", html);
  bars_write(html, before, after, gone ? "gone" : "kept");
  fprintf(html, "</td><td><i>%.1f</i></td><td class=\"%s\">%.1f</td></tr>\n", before,
          gone ? "gone" : "", after);
}

static void write_categories(FILE* html, const run* r) {
  fputs(
      "<section>\n<h2>AP of each category</h2>\n<p class=\"soft\"><span class=\"key before\">"
      "</span>pre-trained model<span class=\"key gone\"></span>now, forgotten"
      "<span class=\"key kept\"></span>now, kept. Lines at 0, 25, 50, 75 and 100&nbsp;%.</p>\n"
      "<div class=\"wide\"><table class=\"classes\">\n<thead><tr>"
      "<th scope=\"col\" class=\"text\">Category</th><th scope=\"col\" class=\"text\">Request</th>"
      "<th scope=\"col\"></th><th scope=\"col\">Before</th><th "
      "scope=\"col\">Now</th></tr></thead>\n",
      html);
  for (size_t group = 0; group <= r->request_count; ++group) {
    class_set classes = group_classes(r, group);
    fputs("<tbody>\n", html);
    for (size_t i = 0; i < classes.count; ++i) write_category(html, r, group, classes.ids[i]);
    fputs("</tbody>\n", html);
  }
  fputs("</table></div>\n</section>\n", html);
}

/* ------------------------------------------------------------------ course, restart */

static void write_courses(FILE* html, const run* r) {
  fputs("<section>\n<h2>The course of each task</h2>\n", html);
  for (size_t i = 0; i < r->request_count; ++i) {
    char names[1024];
    fprintf(html, "<h3>Task %zu: ", i + 1);
    html_text(html, category_list(&r->data, &r->requests[i].forget, ", ", names, sizeof names));
    fputs("</h3>\n", html);
    charts_write(html, &r->requests[i], &r->config);
  }
  fputs("</section>\n", html);
}

static void write_checks(FILE* html, const run* r) {
  char names[1024];
  fprintf(html,
          "<section>\n<h2>Restart and roll-back</h2>\n<p>A second process read the base and the "
          "adapters from their files and looked at %lld test scenes. Its boxes, scores and "
          "categories ",
          (long long)lethe_dataset_size(r->data.probe));
  if (r->reload_max_abs_diff == 0)
    fputs("equal those of the first, <b>bit for bit</b>.</p>\n", html);
  else
    fprintf(html, "differ from those of the first by at most <b>%g</b>.</p>\n",
            r->reload_max_abs_diff);
  if (r->last_success >= 0) {
    const request* last = &r->requests[r->last_success];
    fprintf(html, "<p>Then the adapter of task %d was taken off. The AP of ", r->last_success + 1);
    html_text(html, category_list(&r->data, &last->forget, ", ", names, sizeof names));
    fputs(" is <b>", html);
    html_number(html, r->rollback_ap_f, 2);
    fputs("</b> again (while forgotten: ", html);
    html_number(html, r->figures[r->last_success].ap_f, 2);
    fprintf(html, "), and what the model finds %s.</p>\n",
            r->rollback_is_exact
                ? "is what it found before the task, <b>bit for bit</b>"
                : "<b class=\"gone\">differs</b> from what it found before the task");
  }
  fputs("</section>\n", html);
}

void report_write(const run* r, const char* path) {
  FILE* html = page_open(path);
  write_head(html, r);
  write_tasks(html, r);
  report_scenes(html, r);
  write_categories(html, r);
  write_courses(html, r);
  write_checks(html, r);
  section_limits(html, "An AP");
  section_settings(html,
                   "Those of the last task. The others differ in their gate alone: it asks for a "
                   "part of the AP<sub>r</sub> of the pre-trained model.",
                   &r->config);
  page_close(html, path);
}
