/* The report: one HTML file that needs nothing else. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quickstart.h"

void html_number(FILE* html, double value, int decimals) {
  if (isfinite(value))
    fprintf(html, "%.*f", decimals, value);
  else
    fputs("&ndash;", html);
}

/* Every class that a task names. */
static class_set named_classes(const run* r) {
  class_set set = {{0}, 0};
  for (size_t t = 0; t < r->task_count; ++t)
    for (size_t i = 0; i < r->tasks[t].forget.count; ++i)
      set.ids[set.count++] = r->tasks[t].forget.ids[i];
  return set;
}

static void write_number_of(FILE* html, size_t count, const char* one, const char* many) {
  fprintf(html, "%zu %s", count, count == 1 ? one : many);
}

/* ------------------------------------------------------------------ head */

static void write_lead(FILE* html, const run* r) {
  class_set named = named_classes(r), kept = kept_classes(r, (int)r->task_count - 1);
  char text[32];
  fprintf(html, "<p class=\"lead\">A vision transformer with %s parameters, trained on ",
          grouped(r->parameters, text, sizeof text));
  html_text(html, r->data.title);
  fputs(", was asked in ", html);
  write_number_of(html, r->task_count, "request", "requests");
  fprintf(html, " to forget %zu of its %lld classes. It is now right on <b class=\"gone\">",
          named.count, (long long)r->data.class_count);
  html_number(html, percent(&r->final, &r->data, &named), 2);
  fputs("&nbsp;%</b> of their test images (before: ", html);
  html_number(html, percent(&r->base, &r->data, &named), 2);
  fputs("&nbsp;%) and on <b class=\"kept\">", html);
  html_number(html, percent(&r->final, &r->data, &kept), 2);
  fputs("&nbsp;%</b> of those of the other ", html);
  write_number_of(html, kept.count, "class", "classes");
  fputs(" (before: ", html);
  html_number(html, percent(&r->base, &r->data, &kept), 2);
  fputs(
      "&nbsp;%). The base weights were not touched: each finished request left an adapter, a small "
      "file of "
      "its own.</p>\n",
      html);
}

static void write_tile(FILE* html, const char* name, double before, double after, const char* css) {
  fprintf(html, "<div><dt>%s</dt><dd class=\"%s\">", name, css);
  html_number(html, after, 1);
  fputs("&nbsp;% <small>from ", html);
  html_number(html, before, 1);
  fputs("&nbsp;%</small></dd></div>\n", html);
}

static void write_tiles(FILE* html, const run* r) {
  class_set named = named_classes(r), kept = kept_classes(r, (int)r->task_count - 1);
  double bytes = 0;
  size_t adapters = 0;
  char time_text[32];
  for (size_t t = 0; t < r->task_count; ++t)
    if (isfinite(r->tasks[t].adapter_bytes)) {
      bytes += r->tasks[t].adapter_bytes;
      ++adapters;
    }
  fputs("<dl class=\"tiles\">\n", html);
  write_tile(html, "Accuracy, classes to forget", percent(&r->base, &r->data, &named),
             percent(&r->final, &r->data, &named), "gone");
  write_tile(html, "Accuracy, other classes", percent(&r->base, &r->data, &kept),
             percent(&r->final, &r->data, &kept), "kept");
  fprintf(html, "<div><dt>Adapters</dt><dd>%.0f&nbsp;kB <small>in ", bytes / 1000);
  write_number_of(html, adapters, "file", "files");
  fprintf(html,
          "</small></dd></div>\n<div><dt>Whole run</dt><dd>%s <small>%.0f&nbsp;MiB "
          "peak</small></dd></div>\n</dl>\n",
          duration(r->total_seconds, time_text, sizeof time_text), r->peak_mb);
}

static void write_head(FILE* html, const run* r) {
  char date[64] = "";
  time_t now = time(NULL);
  struct tm* utc = gmtime(&now);
  if (utc != NULL) strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", utc);
  fputs(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<title>Lethe: what the model forgot and what it kept</title>\n",
      html);
  report_style(html);
  fputs("</head>\n<body>\n<main>\n<header>\n<p class=\"meta\">", html);
  fprintf(html, "Lethe %s &middot; %s &middot; ", lethe_version_string(),
          method_title(r->opts.method));
  html_text(html, r->data.title);
  fprintf(html, " &middot; seed %lld &middot; ", (long long)r->opts.seed);
  html_text(html, r->opts.device);
  fprintf(html, " &middot; %s</p>\n<h1>What the model forgot, and what it kept</h1>\n", date);
  write_lead(html, r);
  write_tiles(html, r);
  fputs("</header>\n", html);
}

/* ------------------------------------------------------------------ table of tasks */

static void write_change(FILE* html, double before, double after) {
  fputs("<td><i>", html);
  html_number(html, before, 2);
  fputs(" &rarr;</i> ", html);
  html_number(html, after, 2);
  fputs("</td>", html);
}

static void write_task(FILE* html, const run* r, size_t index) {
  const task* t = &r->tasks[index];
  char text[1024];
  fprintf(html, "<tr><th scope=\"row\">Task&nbsp;%zu</th><td class=\"text\">", index + 1);
  html_text(html, class_list(&r->data, &t->forget, text, sizeof text));
  fputs("</td>", html);
  write_change(html, t->acc_f_before, t->acc_f);
  write_change(html, t->acc_r_before, t->acc_r);
  fputs("<td>", html);
  html_number(html, t->acc_o, 2);
  fputs("</td><td>", html);
  html_number(html, t->h, 2);
  fputs("</td><td>", html);
  html_number(html, t->groups_kept, 0);
  fputs(" <i>of ", html);
  html_number(html, t->groups_total, 0);
  fprintf(html, "</i></td><td>%lld</td><td>%s</td><td>", (long long)t->steps,
          duration(t->seconds, text, sizeof text));
  if (isfinite(t->adapter_bytes))
    fprintf(html, "%.1f&nbsp;kB", t->adapter_bytes / 1000);
  else
    fputs("none", html);
  fputs("</td></tr>\n", html);
  if (t->state == LETHE_JOB_SUCCEEDED) return;
  fprintf(html, "<tr><td class=\"reason\" colspan=\"10\"><b>%s</b> ",
          t->state == LETHE_JOB_REJECTED ? "Rejected, the model is as before." : "Failed.");
  html_text(html, t->reason);
  fputs("</td></tr>\n", html);
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
  for (size_t t = 0; t < r->task_count; ++t) write_task(html, r, t);
  fputs(
      "</tbody>\n</table></div>\n"
      "<p class=\"soft\">Acc<sub>f</sub>: on the classes of this task. Acc<sub>r</sub>: on those "
      "that no task so far has named. Acc<sub>o</sub>: on those of earlier tasks. H: harmonic mean "
      "of Acc<sub>r</sub> and the drop of Acc<sub>f</sub>. Groups: transformer blocks that the "
      "adapter changes; the others are exactly zero and are not in its file.</p>\n</section>\n",
      html);
}

/* ------------------------------------------------------------------ restart, limits, settings */

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
    const task* last = &r->tasks[r->last_success];
    fprintf(html, "<p>Then the adapter of task %d was taken off. On ", r->last_success + 1);
    html_text(html, class_list(&r->data, &last->forget, names, sizeof names));
    fputs(" the model is right on <b>", html);
    html_number(html, r->rollback_acc_f, 2);
    fputs("&nbsp;%</b> again (while forgotten: ", html);
    html_number(html, last->acc_f, 2);
    fprintf(html, "&nbsp;%%), and its scores %s.</p>\n",
            r->rollback_is_exact ? "are those from before the task, <b>bit for bit</b>"
                                 : "<b class=\"gone\">differ</b> from those before the task");
  }
  fputs("</section>\n", html);
}

static void write_limits(FILE* html) {
  fputs(
      "<section>\n<h2>What this does not promise</h2>\n<div class=\"note\">\n"
      "<p>An adapter over a base that is kept is <b>suppression that can be undone</b>. Whoever "
      "has "
      "the base weights has the classes, as the roll-back shows, and whoever has merged weights "
      "and "
      "a copy of the adapter can subtract it.</p>\n"
      "<p>An accuracy near zero says that the model no longer gives these answers. It does not "
      "prove that nothing about the classes can be read from its weights or "
      "embeddings.</p>\n</div>\n</section>\n",
      html);
}

static void write_settings(FILE* html, const run* r) {
  lethe_buffer* json = NULL;
  check(lethe_forget_config_to_json(&r->config, &json));
  fputs(
      "<section>\n<h2>Settings</h2>\n<p>Every task ran with the same settings.</p>\n"
      "<details><summary>All of them, as <code>--config</code> takes them</summary>\n<p><code>",
      html);
  html_text(html, lethe_buffer_data(json));
  fputs("</code></p></details>\n</section>\n", html);
  lethe_buffer_free(json);
}

void report_write(const run* r, const char* path) {
  FILE* html = fopen(path, "wb");
  if (html == NULL) die("IO", "cannot write %s: %s", path, strerror(errno));
  write_head(html, r);
  write_tasks(html, r);
  report_classes(html, r);
  report_answers(html, r);
  report_curves(html, r);
  write_checks(html, r);
  write_limits(html);
  write_settings(html, r);
  fputs("</main>\n</body>\n</html>\n", html);
  int good = !ferror(html);
  if (fclose(html) != 0 || !good) die("IO", "cannot write %s: %s", path, strerror(errno));
}
