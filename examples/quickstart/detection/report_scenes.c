/* Test scenes with what the model found before anything was forgotten, and what it finds now. */
#include <stdlib.h>

#include "detection.h"
#include "settings.h"

/* The categories whose request succeeded. */
static void mark_gone(const run* r, unsigned char gone[MAX_CLASSES]) {
  for (size_t t = 0; t < r->request_count; ++t)
    if (r->requests[t].state == LETHE_JOB_SUCCEEDED)
      for (size_t i = 0; i < r->requests[t].forget.count; ++i)
        gone[r->requests[t].forget.ids[i]] = 1;
}

/* ------------------------------------------------------------------ which boxes, which scenes */

static double overlap(const found* a, const found* b) {
  double width =
      (a->right < b->right ? a->right : b->right) - (a->left > b->left ? a->left : b->left);
  double height =
      (a->bottom < b->bottom ? a->bottom : b->bottom) - (a->top > b->top ? a->top : b->top);
  if (width <= 0 || height <= 0) return 0;
  double both = width * height;
  return both / ((a->right - a->left) * (a->bottom - a->top) +
                 (b->right - b->left) * (b->bottom - b->top) - both);
}

/* Of an image's rows, best first, those that are sure enough and the best in their place. */
static size_t boxes_to_show(const found* rows, found shown[PROBE_BOXES]) {
  size_t count = 0;
  for (size_t i = 0; i < PROBE_BOXES && rows[i].label >= 0 && rows[i].score >= SHOWN_SCORE; ++i) {
    int is_best = 1;
    for (size_t k = 0; k < count && is_best; ++k)
      is_best = overlap(&rows[i], &shown[k]) < SAME_PLACE;
    if (is_best) shown[count++] = rows[i];
  }
  return count;
}

/* Does a scene show an object of this set, and one of a category that no task names? */
static int suits(const found* objects, size_t count, const class_set* set, const class_set* kept) {
  int has_one = set->count == 0, has_kept = 0, has_other = 0;
  for (size_t i = 0; i < count; ++i) {
    int in_set = 0, is_kept = 0;
    for (size_t k = 0; k < set->count; ++k) in_set |= set->ids[k] == (int64_t)objects[i].label;
    for (size_t k = 0; k < kept->count; ++k) is_kept |= kept->ids[k] == (int64_t)objects[i].label;
    has_one |= in_set;
    has_kept |= is_kept;
    has_other |= !is_kept;
  }
  return has_one && has_kept && !(set->count == 0 && has_other);
}

/* ------------------------------------------------------------------ pictures */

/* Pictures are drawn this wide, whatever their images are, so that lines and letters fit. */
enum { DRAWN_WIDTH = 128 };

static void write_rect(FILE* html, const found* box, const char* css, double scale) {
  fprintf(html, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", css,
          box->left * scale, box->top * scale, (box->right - box->left) * scale,
          (box->bottom - box->top) * scale);
}

/* A name and a score at the upper edge of a box, inside the picture. */
static void write_tag(FILE* html, const run* r, const found* box, int is_gone, double scale) {
  static const double line = 7;
  double left = box->left * scale, top = box->top * scale;
  int from_right = left > 0.6 * DRAWN_WIDTH;
  fprintf(html, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\"%s>", is_gone ? "gone" : "kept",
          from_right ? box->right * scale - 0.5 : left + 0.5, top > line ? top - 1.5 : top + line,
          from_right ? " text-anchor=\"end\"" : "");
  html_text(html, r->data.names[(int)box->label]);
  fprintf(html, " %.2f</text>\n", box->score);
}

/* An image, its objects, and which categories are gone. */
typedef struct scene {
  size_t index; /* among the probe scenes */
  const found* truth;
  size_t truth_count;
  const unsigned char* gone;
} scene;

/* One half of a pair: the true boxes thin, what was found over them. */
static void write_half(FILE* html, const run* r, const scene* s, const found* detections,
                       int64_t width, int64_t height) {
  found shown[PROBE_BOXES];
  size_t count = boxes_to_show(detections + s->index * PROBE_BOXES, shown);
  double scale = (double)DRAWN_WIDTH / (double)width;
  fprintf(html, "<svg class=\"scene\" viewBox=\"0 0 %d %.1f\"><use href=\"#scene-%zu\"/>\n",
          DRAWN_WIDTH, (double)height * scale, s->index);
  for (size_t i = 0; i < s->truth_count; ++i) write_rect(html, &s->truth[i], "truth", scale);
  for (size_t i = count; i-- > 0;) { /* the surest on top; dark below, so that they show anywhere */
    write_rect(html, &shown[i], "halo", scale);
    write_rect(html, &shown[i], s->gone[(int)shown[i].label] ? "box gone" : "box kept", scale);
  }
  for (size_t i = count; i-- > 0;)
    write_tag(html, r, &shown[i], s->gone[(int)shown[i].label], scale);
  fputs("</svg>\n", html);
}

static void write_pair(FILE* html, const run* r, const scene* s) {
  lethe_buffer* pixels = NULL;
  int64_t width = 0, height = 0;
  check(lethe_dataset_image(r->data.probe, (int64_t)s->index, &pixels, &height, &width));
  fprintf(html,
          "<figure><svg class=\"store\" aria-hidden=\"true\"><defs><image id=\"scene-%zu\" "
          "width=\"%d\" height=\"%.1f\" href=\"",
          s->index, DRAWN_WIDTH, (double)height * DRAWN_WIDTH / (double)width);
  bmp_uri(html, lethe_buffer_data(pixels), (size_t)width, (size_t)height, 3);
  lethe_buffer_free(pixels);
  fputs("\"/></defs></svg>\n<div class=\"pair\">", html);
  write_half(html, r, s, r->probe_base, width, height);
  write_half(html, r, s, r->probe_now, width, height);
  fputs("</div><figcaption class=\"pair\"><span>before; in it: ", html);
  for (size_t i = 0; i < s->truth_count; ++i) {
    size_t label = (size_t)s->truth[i].label;
    fprintf(html, "%s<span class=\"%s\">", i > 0 ? ", " : "", s->gone[label] ? "gone" : "kept");
    html_text(html, r->data.names[label]);
    fputs("</span>", html);
  }
  fputs("</span><span>now</span></figcaption></figure>\n", html);
}

/* The first probe scenes that suit and were not shown yet. */
static void write_group(FILE* html, const run* r, const class_set* set, unsigned char* was_shown,
                        const unsigned char gone[MAX_CLASSES]) {
  class_set kept = kept_classes(r, (int)r->request_count - 1);
  size_t scenes = (size_t)lethe_dataset_size(r->data.probe), shown = 0;
  fputs("<div class=\"scenes\">\n", html);
  for (size_t i = 0; i < scenes && shown < SHOWN_SCENES; ++i) {
    scene s = {.index = i, .gone = gone};
    found* truth = scene_objects(&r->data, i, &s.truth_count);
    s.truth = truth;
    if (!was_shown[i] && suits(truth, s.truth_count, set, &kept)) {
      write_pair(html, r, &s);
      was_shown[i] = 1;
      ++shown;
    }
    free(truth);
  }
  fputs("</div>\n", html);
}

void report_scenes(FILE* html, const run* r) {
  unsigned char was_shown[PROBE_SCENES] = {0}, gone[MAX_CLASSES] = {0};
  mark_gone(r, gone);
  fprintf(
      html,
      "<section>\n<h2>What the model finds</h2>\n<p class=\"soft\">Test scenes, each twice: what "
      "the pre-trained model finds, then what it finds now after all requests. Boxes of "
      "<b class=\"gone\">forgotten</b> and of <b class=\"kept\">kept</b> categories from a score "
      "of %.1f on, of several in one place the best; dashed and thin what is really there. The "
      "first test scenes that show something of the request and something that is kept, "
      "unselected.</p>\n",
      SHOWN_SCORE);
  for (size_t t = 0; t < r->request_count; ++t) {
    char names[1024];
    const request* q = &r->requests[t];
    fprintf(html, "<h3>Task %zu, %s: ", t + 1,
            q->state == LETHE_JOB_SUCCEEDED ? "forgotten" : "which did not succeed");
    html_text(html, category_list(&r->data, &q->forget, ", ", names, sizeof names));
    fputs("</h3>\n", html);
    write_group(html, r, &q->forget, was_shown, gone);
  }
  class_set nothing = {{0}, 0};
  fputs("<h3>Kept categories alone</h3>\n", html);
  write_group(html, r, &nothing, was_shown, gone);
  fputs("</section>\n", html);
}
