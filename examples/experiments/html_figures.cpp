// The figures of the page, as inline SVG. Colours come from its style, so both themes fit.
#include <algorithm>
#include <cmath>

#include "render.h"

namespace experiments {
namespace {

constexpr size_t kColours = 7, kShapes = 5;

std::string at(double value) { return fixed(value, 1); }

/// A circle, square, diamond, triangle or triangle on its tip: no two of 35 are alike.
std::string mark(size_t index, double x, double y, const std::string& title) {
  const auto polygon = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string points;
    for (const auto& [dx, dy] : corners) points += at(x + dx) + "," + at(y + dy) + " ";
    return "<polygon points=\"" + points + "\"";
  };
  std::string shape;
  switch (index % kShapes) {
    case 0:
      shape = "<circle cx=\"" + at(x) + "\" cy=\"" + at(y) + "\" r=\"4.5\"";
      break;
    case 1:
      shape = polygon({{-4, -4}, {4, -4}, {4, 4}, {-4, 4}});
      break;
    case 2:
      shape = polygon({{0, -5.5}, {5.5, 0}, {0, 5.5}, {-5.5, 0}});
      break;
    case 3:
      shape = polygon({{0, -5}, {5, 4}, {-5, 4}});
      break;
    default:
      shape = polygon({{0, 5}, {5, -4}, {-5, -4}});
  }
  return shape + " class=\"m" + std::to_string(index % kColours) + "\"><title>" + escaped(title) +
         "</title>" + (index % kShapes == 0 ? "</circle>" : "</polygon>");
}

std::string text_at(double x, double y, const std::string& text, const char* anchor = "start",
                    const char* css = "") {
  return "<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + anchor + "\" class=\"" +
         css + "\">" + escaped(text) + "</text>";
}

std::string line_at(const char* css, double x1, double y1, double x2, double y2) {
  return std::string("<line class=\"") + css + "\" x1=\"" + at(x1) + "\" y1=\"" + at(y1) +
         "\" x2=\"" + at(x2) + "\" y2=\"" + at(y2) + "\"/>";
}

std::string svg_head(double width, double height, const std::string& label) {
  return "<svg viewBox=\"0 0 " + at(width) + " " + at(height) + "\" role=\"img\" aria-label=\"" +
         escaped(label) + "\">\n";
}

/// An axis from `low` to `high`, both multiples of `step`, mapped to first..last.
struct Axis {
  double low, high, step, first, last;

  /// Room for all values in at most eight steps of 1, 2, 5, 10 or 20.
  static Axis around(double least, double most, double first, double last) {
    for (const double step : {1.0, 2.0, 5.0, 10.0, 20.0}) {
      const double low = std::floor(least / step) * step;
      const double high = std::max(low + step, std::ceil(most / step) * step);
      if ((high - low) / step <= 8 || step == 20) return {low, high, step, first, last};
    }
    return {0, 100, 20, first, last};
  }
  double place(double value) const { return first + (last - first) * (value - low) / (high - low); }
};

std::string horizontal_grid(const Axis& y, double left, double right) {
  std::string svg;
  for (double v = y.low; v <= y.high + 1e-9; v += y.step) {
    svg += line_at("grid", left, y.place(v), right, y.place(v)) +
           text_at(left - 6, y.place(v) + 4, fixed(v, 0), "end");
  }
  return svg + "\n";
}

/// Least and most of a metric over rows and steps; nothing when no row has it.
std::optional<std::pair<double, double>> extremes(const Tables& tables, const std::string& metric) {
  std::optional<std::pair<double, double>> range;
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    for (size_t i = 0; i < tables.steps().size(); ++i) {
      const auto figure = tables.figure(row, i, metric);
      if (!figure) continue;
      if (!range) range = {figure->mean, figure->mean};
      range->first = std::min(range->first, figure->mean - figure->deviation);
      range->second = std::max(range->second, figure->mean + figure->deviation);
    }
  }
  return range;
}

std::string key_of(const std::vector<std::string>& names) {
  std::string html = "<ul class=\"key\">";
  for (size_t i = 0; i < names.size(); ++i) {
    html += "<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\">" + mark(i, 7, 7, names[i]) +
            "</svg>" + escaped(names[i]) + "</li>";
  }
  return html + "</ul>\n";
}

std::vector<std::string> labels_of(const Tables& tables) {
  std::vector<std::string> labels;
  for (const TableRow& row : tables.rows()) labels.push_back(row.label);
  return labels;
}

/// Where a percentage lies on an axis of square roots, which gives small ones more room.
double root_place(double percent, double most, double first, double last) {
  return first + (last - first) * std::sqrt(std::max(percent, 0.0) / most);
}

}  // namespace

std::string figure_h(const Tables& tables) {
  const auto range = extremes(tables, "h");
  if (!range) return "";
  const double width = 820, left = 190, right = 805, top = 8, line = 24;
  const double bottom = top + line * static_cast<double>(tables.rows().size());
  const Axis x = Axis::around(range->first, range->second, left, right);
  std::string svg = svg_head(width, bottom + 24, "H of each method after each task");
  for (double v = x.low; v <= x.high + 1e-9; v += x.step) {
    svg += line_at("grid", x.place(v), top, x.place(v), bottom) +
           text_at(x.place(v), bottom + 18, fixed(v, 0), "middle");
  }
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    const double y = top + line * (static_cast<double>(row) + 0.5);
    const std::string& label = tables.rows()[row].label;
    svg +=
        "\n" + line_at("grid", left, y, right, y) + text_at(left - 12, y + 4, label, "end", "name");
    for (size_t i = 0; i < tables.steps().size(); ++i) {
      const auto h = tables.figure(row, i, "h");
      if (!h) continue;
      const std::string colour = "c" + std::to_string(i % kColours);
      svg += line_at(colour.c_str(), x.place(h->mean - h->deviation), y,
                     x.place(h->mean + h->deviation), y) +
             mark(i, x.place(h->mean), y, label + ", " + tables.steps()[i] + ": H " + shown(h, 2));
    }
  }
  return key_of(tables.steps()) +
         "<figure><figcaption>Percent, more is better; the axis begins at " + fixed(x.low, 0) +
         (tables.seed_count() > 1 ? "; lines: one standard deviation" : "") + ".</figcaption>" +
         svg + "\n</svg></figure>\n";
}

std::string figure_scatter(const Tables& tables) {
  const cli::FigureNames& names = tables.names();
  const std::string key_r = names.key + "_r", key_f = names.key + "_f";
  const std::string name_r = names.shown + "_r", name_f = names.shown + "_f";
  auto kept = extremes(tables, key_r);
  const auto left_over = extremes(tables, key_f);
  if (!kept || !left_over) return "";
  for (size_t i = 0; i < tables.steps().size(); ++i) {
    if (const auto base = tables.base(i, key_r)) kept->second = std::max(kept->second, *base);
  }
  const double width = 330, height = 270, left = 36, right = 320, top = 22, bottom = 226;
  const double most = std::max(5.0, left_over->second);
  const Axis y = Axis::around(kept->first, kept->second, bottom, top);
  std::string html = key_of(labels_of(tables)) + "<div class=\"panels\">\n";
  for (size_t i = 0; i < tables.steps().size(); ++i) {
    html += "<figure><figcaption>" + escaped(tables.steps()[i]) + "</figcaption>" +
            svg_head(width, height, name_r + " over " + name_f + " after " + tables.steps()[i]) +
            horizontal_grid(y, left, right);
    for (const double v : {0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0}) {
      if (v <= most) {
        html += text_at(root_place(v, most, left, right), bottom + 16, fixed(v, 0), "middle");
      }
    }
    html += text_at(right, bottom + 34, name_f + ", percent, less is better (square-root axis)",
                    "end") +
            text_at(left, 10, name_r + ", percent");
    if (const auto base = tables.base(i, key_r)) {
      html += line_at("base", left, y.place(*base), right, y.place(*base)) +
              text_at(right, y.place(*base) - 5, "pre-trained", "end");
    }
    for (size_t row = 0; row < tables.rows().size(); ++row) {
      const auto f = tables.figure(row, i, key_f), r = tables.figure(row, i, key_r);
      if (!f || !r) continue;
      html += mark(row, root_place(f->mean, most, left, right), y.place(r->mean),
                   tables.rows()[row].label + ": " + name_f + " " + shown(f, 2) + ", " + name_r +
                       " " + shown(r, 2));
    }
    html += "\n</svg></figure>\n";
  }
  return html + "</div>\n";
}

std::string figure_groups(const Tables& tables) {
  const double side = 18, left = 260;
  std::string body;
  double y = 0;
  size_t most = 0;
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    for (size_t i = 0; i < tables.steps().size(); ++i) {
      const Json& groups = tables.groups(row, i);
      if (groups.is_null()) continue;
      size_t kept = 0;
      body += text_at(left - 10, y + 13, tables.rows()[row].label + ", " + tables.steps()[i], "end",
                      "name");
      for (size_t g = 0; g < groups.size(); ++g) {
        const bool is_kept = groups[g].at("kept");
        kept += is_kept;
        body += "<rect x=\"" + at(left + side * static_cast<double>(g)) + "\" y=\"" + at(y + 1) +
                "\" width=\"16\" height=\"16\" rx=\"2\" class=\"" + (is_kept ? "kept" : "cell") +
                "\"><title>" + escaped(groups[g].at("name")) + (is_kept ? ": kept" : ": dropped") +
                "</title></rect>";
      }
      body += text_at(left + side * static_cast<double>(groups.size()) + 8, y + 13,
                      std::to_string(kept) + " of " + std::to_string(groups.size())) +
              "\n";
      most = std::max(most, groups.size());
      y += side;
    }
    if (!body.empty()) y += 4;
  }
  if (body.empty()) return "";
  const double width = std::max(820.0, left + side * static_cast<double>(most) + 80);
  return "<figure><figcaption>Filled: kept; empty: dropped as zero. From the first group of the "
         "model to the last; first seed.</figcaption>" +
         svg_head(width, y, "Groups that each method kept in each task") + body +
         "</svg></figure>\n";
}

}  // namespace experiments
