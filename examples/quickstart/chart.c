/* Line charts and bars as inline SVG. Colours come from the page's style, so both themes fit. */
#include <math.h>

#include "common.h"

static const double width = 330, height = 196, left = 34, right = 88, top = 10, bottom = 24;

/* The tick distance, 1, 2 or 5 times a power of ten, that divides 0..limit into at most 5 parts. */
static double tick_step(double limit) {
  double power = pow(10, floor(log10(limit / 5)));
  double part = limit / 5 / power;
  return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

static double largest_value(const line_chart* chart) {
  double largest = 0;
  for (size_t s = 0; s < chart->line_count; ++s)
    for (size_t i = 0; i < chart->length; ++i)
      if (chart->lines[s].values[i] > largest) largest = chart->lines[s].values[i];
  return largest;
}

static double x_of(const line_chart* chart, double step) {
  double last = chart->steps[chart->length - 1];
  return left + (width - left - right) * (last > 0 ? step / last : 0);
}

static double y_of(double value, double limit) {
  return top + (height - top - bottom) * (1 - value / limit);
}

static void write_axes(FILE* html, const line_chart* chart, double limit, double step) {
  double last = chart->steps[chart->length - 1];
  for (int i = 0; i * step <= limit * 1.0001; ++i) {
    double y = y_of(i * step, limit);
    fprintf(html, "<line class=\"grid\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>", left,
            width - right, y, y);
    fprintf(html, "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%g</text>", left - 6, y + 4,
            i * step);
  }
  fprintf(html, "<text x=\"%.0f\" y=\"%.0f\">0</text>", left, height - 6);
  fprintf(html, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">step %.0f</text>\n", width - right,
          height - 6, last);
}

static void write_line(FILE* html, const line_chart* chart, const series* line, double limit) {
  const char* command = "M";
  double y = 0;
  fprintf(html, "<path class=\"line %s\" d=\"", line->css);
  for (size_t i = 0; i < chart->length; ++i) {
    if (!isfinite(line->values[i])) {
      command = "M";
      continue;
    }
    double x = x_of(chart, chart->steps[i]);
    if (chart->is_stairs && *command == 'L') fprintf(html, "L%.1f %.1f", x, y);
    y = y_of(line->values[i], limit);
    fprintf(html, "%s%.1f %.1f", command, x, y);
    command = "L";
  }
  fputs("\"/>\n", html);
}

/* Names each line at its end, keeping the labels apart when lines end close together. */
static void write_labels(FILE* html, const line_chart* chart, double limit) {
  enum { MAX_LINES = 4 };
  static const double gap = 13;
  double y[MAX_LINES];
  size_t order[MAX_LINES], count = 0;
  for (size_t s = 0; s < chart->line_count && s < MAX_LINES; ++s) {
    double value = chart->lines[s].values[chart->length - 1];
    if (!isfinite(value)) continue;
    size_t place = count++;
    for (; place > 0 && y[place - 1] > y_of(value, limit); --place) {
      y[place] = y[place - 1];
      order[place] = order[place - 1];
    }
    y[place] = y_of(value, limit);
    order[place] = s;
  }
  for (size_t i = 1; i < count; ++i)
    if (y[i] < y[i - 1] + gap) y[i] = y[i - 1] + gap;
  double floor_y = height - bottom;
  for (size_t i = count; i-- > 0; floor_y = y[i] - gap)
    if (y[i] > floor_y) y[i] = floor_y;
  for (size_t i = 0; i < count; ++i) {
    const series* line = &chart->lines[order[i]];
    fprintf(html, "<text class=\"label %s\" x=\"%.0f\" y=\"%.1f\">", line->css, width - right + 6,
            y[i] + 4);
    html_text(html, line->name);
    fprintf(html, " %.*f</text>", chart->decimals, line->values[chart->length - 1]);
  }
}

void chart_write(FILE* html, const line_chart* chart) {
  if (chart->length == 0) return;
  double limit = chart->top > 0 ? chart->top : largest_value(chart) * 1.02;
  if (!(limit > 0)) limit = 1;
  double step = tick_step(limit);
  if (chart->top <= 0) limit = ceil(limit / step - 1e-9) * step;
  fputs("<figure><figcaption>", html);
  html_text(html, chart->title);
  fprintf(html, "</figcaption><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", width,
          height);
  html_text(html, chart->title);
  for (size_t s = 0; s < chart->line_count; ++s) {
    const double* values = chart->lines[s].values;
    fputs("; ", html);
    html_text(html, chart->lines[s].name);
    fprintf(html, " from %.*f to %.*f", chart->decimals, values[0], chart->decimals,
            values[chart->length - 1]);
  }
  fputs("\">\n", html);
  write_axes(html, chart, limit, step);
  for (size_t s = 0; s < chart->line_count; ++s) write_line(html, chart, &chart->lines[s], limit);
  write_labels(html, chart, limit);
  fputs("</svg></figure>\n", html);
}

void bars_write(FILE* html, double before, double after, const char* css) {
  fputs("<svg class=\"bars\" aria-hidden=\"true\">", html);
  for (int tick = 0; tick <= 100; tick += 25)
    fprintf(html, "<line class=\"grid\" x1=\"%d%%\" x2=\"%d%%\" y1=\"0\" y2=\"100%%\"/>", tick,
            tick);
  fprintf(html, "<rect class=\"before\" y=\"4\" height=\"7\" width=\"%.2f%%\"/>", before);
  fprintf(html, "<rect class=\"%s\" y=\"12\" height=\"9\" width=\"%.2f%%\"/>", css, after);
  fprintf(html, "<rect class=\"%s\" y=\"12\" height=\"9\" width=\"2\"/></svg>", css); /* 0 %% */
}
