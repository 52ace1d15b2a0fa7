/* The report on classification. */
#include "quickstart.h"

/* ------------------------------------------------------------------ head */

static void write_lead(FILE* html, const run* r) {
  class_set named = named_before(&r->opts, r->request_count),
            kept = kept_classes(r, (int)r->request_count - 1);
  char text[32];
  fprintf(html, "<p class=\"lead\">A vision transformer with %s parameters, trained on ",
          grouped(r->parameters, text, sizeof text));
  html_text(html, r->data.title);
  fputs(", was asked in ", html);
  html_count(html, r->request_count, "request", "requests");
  fprintf(html, " to forget %zu of its %lld classes. It is now right on <b class=\"gone\">",
          named.count, (long long)r->data.class_count);
  html_number(html, percent(&r->final, &r->data, &named), 2);
  fputs("&nbsp;%</b> of their test images (before: ", html);
  html_number(html, percent(&r->base, &r->data, &named), 2);
  fputs("&nbsp;%) and on <b class=\"kept\">", html);
  html_number(html, percent(&r->final, &r->data, &kept), 2);
  fputs("&nbsp;%</b> of those of the other ", html);
  html_count(html, kept.count, "class", "classes");
  fputs(" (before: ", html);
  html_number(html, percent(&r->base, &r->data, &kept), 2);
  fputs(
      "&nbsp;%). The base weights were not touched: each finished request left an adapter, a small "
      "file of "
      "its own.</p>\n",
      html);
}

static void write_head(FILE* html, const run* r) {
  class_set named = named_before(&r->opts, r->request_count);
  class_set kept = kept_classes(r, (int)r->request_count - 1);
  page_begin(html, &r->opts, r->data.title);
  write_lead(html, r);
  fputs("<dl class=\"tiles\">\n", html);
  tile_change(html, "Accuracy, classes to forget", percent(&r->base, &r->data, &named),
              percent(&r->final, &r->data, &named), "gone");
  tile_change(html, "Accuracy, other classes", percent(&r->base, &r->data, &kept),
              percent(&r->final, &r->data, &kept), "kept");
  tiles_run(html, r->requests, r->request_count, r->total_seconds, r->peak_mb);
  fputs("</dl>\n</header>\n", html);
}

/* ------------------------------------------------------------------ table of tasks */

static void write_task(FILE* html, const run* r, size_t index) {
  const request* q = &r->requests[index];
  const figures* f = &r->figures[index];
  char text[1024];
  fprintf(html, "<tr><th scope=\"row\">Task&nbsp;%zu</th><td class=\"text\">", index + 1);
  html_text(html, class_list(&r->data, &q->forget, text, sizeof text));
  fputs("</td>", html);
  cell_change(html, f->acc_f_before, f->acc_f);
  cell_change(html, f->acc_r_before, f->acc_r);
  fputs("<td>", html);
  html_number(html, f->acc_o, 2);
  fputs("</td><td>", html);
  html_number(html, f->h, 2);
  fputs("</td>", html);
  cells_run(html, q);
  fputs("</tr>\n", html);
  row_reason(html, q, 10);
}

static void write_tasks(FILE* html, const run* r) {
  fputs(
      "<section>\n<h2>The requests</h2>\n<div class=\"wide\"><table>\n"
      "<caption>Percent of the whole test split, pre-trained model &rarr; after the "
      "task</caption>\n<thead><tr><th scope=\"col\"></th>"
      "<th scope=\"col\" class=\"text\">Forgets</th><th scope=\"col\">Acc<sub>f</sub></th>"
      "<th scope=\"col\">Acc<sub>r</sub></th><th scope=\"col\">Acc<sub>o</sub></th>"
      "<th scope=\"col\">H</th><th scope=\"col\">Groups</th><th scope=\"col\">Steps</th>"
      "<th scope=\"col\">Time</th><th scope=\"col\">Adapter</th></tr></thead>\n<tbody>\n",
      html);
  for (size_t t = 0; t < r->request_count; ++t) write_task(html, r, t);
  fputs(
      "</tbody>\n</table></div>\n"
      "<p class=\"soft\">Acc<sub>f</sub>: on the classes of this task. Acc<sub>r</sub>: on those "
      "that no task so far has named. Acc<sub>o</sub>: on those of earlier tasks. H: harmonic mean "
      "of Acc<sub>r</sub> and the drop of Acc<sub>f</sub>. Groups: transformer blocks that the "
      "adapter changes; the others are exactly zero and are not in its file.</p>\n</section>\n",
      html);
}

/* ------------------------------------------------------------------ restart */

static void write_checks(FILE* html, const run* r) {
  char names[1024];
  fputs("<section>\n<h2>Restart and roll-back</h2>\n<p>", html);
  fprintf(html,
          "A second process read the base and the adapters from their files and predicted %zu test "
          "images. Its scores ",
          r->data.probe.count);
  if (r->reload_max_abs_diff == 0)
    fputs("equal those of the first, <b>bit for bit</b>.</p>\n", html);
  else
    fprintf(html, "differ from those of the first by at most <b>%g</b>.</p>\n",
            r->reload_max_abs_diff);
  if (r->last_success >= 0) {
    const request* last = &r->requests[r->last_success];
    fprintf(html, "<p>Then the adapter of task %d was taken off. On ", r->last_success + 1);
    html_text(html, class_list(&r->data, &last->forget, names, sizeof names));
    fputs(" the model is right on <b>", html);
    html_number(html, r->rollback_acc_f, 2);
    fputs("&nbsp;%</b> again (while forgotten: ", html);
    html_number(html, r->figures[r->last_success].acc_f, 2);
    fprintf(html, "&nbsp;%%), and its scores %s.</p>\n",
            r->rollback_is_exact ? "are those from before the task, <b>bit for bit</b>"
                                 : "<b class=\"gone\">differ</b> from those before the task");
  }
  fputs("</section>\n", html);
}

void report_write(const run* r, const char* path) {
  FILE* html = page_open(path);
  write_head(html, r);
  write_tasks(html, r);
  report_classes(html, r);
  report_answers(html, r);
  fputs("<section>\n<h2>The course of each task</h2>\n", html);
  for (size_t i = 0; i < r->request_count; ++i) {
    char names[1024];
    fprintf(html, "<h3>Task %zu: ", i + 1);
    html_text(html, class_list(&r->data, &r->requests[i].forget, names, sizeof names));
    fputs("</h3>\n", html);
    charts_write(html, &r->requests[i], &r->config);
  }
  fputs("</section>\n", html);
  write_checks(html, r);
  section_limits(html, "An accuracy");
  section_settings(html, "Every task ran with the same settings.", &r->config);
  page_close(html, path);
}
