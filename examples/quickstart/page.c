/* A report's page: one HTML file that needs nothing else. What is on the pages of both programs. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "common.h"

void html_text(FILE* html, const char* text) {
  for (; *text != '\0'; ++text) {
    if (*text == '&')
      fputs("&amp;", html);
    else if (*text == '<')
      fputs("&lt;", html);
    else if (*text == '"')
      fputs("&quot;", html);
    else
      fputc(*text, html);
  }
}

void html_number(FILE* html, double value, int decimals) {
  if (isfinite(value))
    fprintf(html, "%.*f", decimals, value);
  else
    fputs("&ndash;", html);
}

void html_count(FILE* html, size_t count, const char* one, const char* many) {
  fprintf(html, "%zu %s", count, count == 1 ? one : many);
}

FILE* page_open(const char* path) {
  FILE* html = fopen(path, "wb");
  if (html == NULL) die("IO", "cannot write %s: %s", path, strerror(errno));
  return html;
}

void page_begin(FILE* html, const options* opts, const char* subject) {
  char date[64] = "";
  time_t now = time(NULL);
  struct tm* utc = gmtime(&now);
  if (utc != NULL) strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", utc);
  fputs(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<title>Lethe: what the model forgot and what it kept</title>\n",
      html);
  page_style(html);
  fputs("</head>\n<body>\n<main>\n<header>\n<p class=\"meta\">", html);
  fprintf(html, "Lethe %s &middot; %s &middot; ", lethe_version_string(),
          method_title(opts->method));
  html_text(html, subject);
  fprintf(html, " &middot; seed %lld &middot; ", (long long)opts->seed);
  html_text(html, opts->device);
  fprintf(html, " &middot; %s</p>\n<h1>What the model forgot, and what it kept</h1>\n", date);
}

void page_close(FILE* html, const char* path) {
  fputs("</main>\n</body>\n</html>\n", html);
  int good = !ferror(html);
  if (fclose(html) != 0 || !good) die("IO", "cannot write %s: %s", path, strerror(errno));
}

/* ------------------------------------------------------------------ tiles */

void tile_change(FILE* html, const char* name, double before, double after, const char* css) {
  fprintf(html, "<div><dt>%s</dt><dd class=\"%s\">", name, css);
  html_number(html, after, 1);
  fputs("&nbsp;% <small>from ", html);
  html_number(html, before, 1);
  fputs("&nbsp;%</small></dd></div>\n", html);
}

void tiles_run(FILE* html, const request* requests, size_t count, double seconds, double peak_mb) {
  double bytes = 0;
  size_t adapters = 0;
  char time_text[32];
  for (size_t t = 0; t < count; ++t)
    if (isfinite(requests[t].adapter_bytes)) {
      bytes += requests[t].adapter_bytes;
      ++adapters;
    }
  fprintf(html, "<div><dt>Adapters</dt><dd>%.0f&nbsp;kB <small>in ", bytes / 1000);
  html_count(html, adapters, "file", "files");
  fprintf(html,
          "</small></dd></div>\n<div><dt>Whole run</dt><dd>%s <small>%.0f&nbsp;MiB "
          "peak</small></dd></div>\n",
          duration(seconds, time_text, sizeof time_text), peak_mb);
}

/* ------------------------------------------------------------------ table of requests */

void cell_change(FILE* html, double before, double after) {
  fputs("<td><i>", html);
  html_number(html, before, 2);
  fputs(" &rarr;</i> ", html);
  html_number(html, after, 2);
  fputs("</td>", html);
}

void cells_run(FILE* html, const request* q) {
  char text[32];
  fputs("<td>", html);
  html_number(html, q->groups_kept, 0);
  fputs(" <i>of ", html);
  html_number(html, q->groups_total, 0);
  fprintf(html, "</i></td><td>%lld</td><td>%s</td><td>", (long long)q->steps,
          duration(q->seconds, text, sizeof text));
  if (isfinite(q->adapter_bytes))
    fprintf(html, "%.1f&nbsp;kB", q->adapter_bytes / 1000);
  else
    fputs("none", html);
  fputs("</td>", html);
}

void row_reason(FILE* html, const request* q, int columns) {
  if (q->state == LETHE_JOB_SUCCEEDED) return;
  fprintf(html, "<tr><td class=\"reason\" colspan=\"%d\"><b>%s</b> ", columns,
          q->state == LETHE_JOB_REJECTED ? "Rejected, the model is as before." : "Failed.");
  html_text(html, q->reason);
  fputs("</td></tr>\n", html);
}

/* ------------------------------------------------------------------ limits, settings */

void section_limits(FILE* html, const char* figure) {
  fprintf(
      html,
      "<section>\n<h2>What this does not promise</h2>\n<div class=\"note\">\n"
      "<p>An adapter over a base that is kept is <b>suppression that can be undone</b>. Whoever "
      "has the base weights has the classes, as the roll-back shows, and whoever has merged "
      "weights and a copy of the adapter can subtract it.</p>\n"
      "<p>%s near zero says that the model no longer gives these answers. It does not "
      "prove that nothing about the classes can be read from its weights or "
      "embeddings.</p>\n</div>\n</section>\n",
      figure);
}

void section_settings(FILE* html, const char* sentence, const lethe_forget_config* config) {
  lethe_buffer* json = NULL;
  check(lethe_forget_config_to_json(config, &json));
  fprintf(html,
          "<section>\n<h2>Settings</h2>\n<p>%s</p>\n"
          "<details><summary>All of them, as <code>--config</code> takes them</summary>\n<p><code>",
          sentence);
  html_text(html, lethe_buffer_data(json));
  fputs("</code></p></details>\n</section>\n", html);
  lethe_buffer_free(json);
}
