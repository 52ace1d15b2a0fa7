// The figures of the page, as inline SVG. Colours come from its style, so both themes fit.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "render.h"

namespace experiments {
namespace {

constexpr size_t kColours = 7, kShapes = 5;

std::string at(double value) { return fixed(value, 1); }

/// A circle, square, diamond, triangle or triangle on its tip; two rows differ in colour or shape.
std::string mark(size_t row, double x, double y, const std::string& title) {
  const auto polygon = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string points;
    for (const auto& [dx, dy] : corners) points += at(x + dx) + "," + at(y + dy) + " ";
    return "<polygon points=\"" + points + "\"";
  };
  std::string shape;
  switch (row % kShapes) {
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
  return shape + " class=\"m" + std::to_string(row % kColours) + "\"><title>" + escaped(title) +
         "</title>" + (row % kShapes == 0 ? "</circle>" : "</polygon>");
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

  /// Room for all values in at most ten steps of 1, 2, 5, 10 or 20.
  static Axis around(double least, double most, double first, double last) {
    for (const double step : {1.0, 2.0, 5.0, 10.0, 20.0}) {
      const double low = std::floor(least / step) * step;
      const double high = std::max(low + step, std::ceil(most / step) * step);
      if ((high - low) / step <= 6 || step == 20) return {low, high, step, first, last};
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
std::optional<std::pair<double, double>> extremes(const Tables& tables, const char* metric) {
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

/// Moves labels apart that would overlap, keeping their order. `y` ascending on return.
void spread(std::vector<std::pair<double, size_t>>& labels, double bottom) {
  constexpr double kGap = 13;
  std::sort(labels.begin(), labels.end());
  for (size_t i = 1; i < labels.size(); ++i) {
    labels[i].first = std::max(labels[i].first, labels[i - 1].first + kGap);
  }
  double limit = bottom;
  for (size_t i = labels.size(); i-- > 0; limit = labels[i].first - kGap) {
    labels[i].first = std::min(labels[i].first, limit);
  }
}

std::string key_of(const Tables& tables) {
  std::string html = "<ul class=\"key\">";
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    html += "<li><svg viewBox=\"0 0 14 14\" aria-hidden=\"true\">" + mark(row, 7, 7, "") +
            "</svg>" + escaped(tables.rows()[row].label) + "</li>";
  }
  return html + "</ul>\n";
}

}  // namespace

std::string figure_h(const Tables& tables) {
  const auto range = extremes(tables, "h");
  if (!range) return "";
  const size_t steps = tables.steps().size();
  const double width = 820, left = 40, right = 640;
  const double height = std::max(280.0, 13.0 * static_cast<double>(tables.rows().size()) + 60);
  const double bottom = height - 28;
  const Axis y = Axis::around(range->first, range->second, bottom, 12);
  const auto x = [&](size_t i) {
    return left + (right - left) * (static_cast<double>(i) + 0.5) / static_cast<double>(steps);
  };
  std::string svg = svg_head(width, height, "H of each method after each task");
  svg += horizontal_grid(y, left, right);
  for (size_t i = 0; i < steps; ++i) {
    svg += text_at(x(i), height - 8, tables.steps()[i], "middle", "name");
  }
  std::vector<std::pair<double, size_t>> labels;
  std::vector<double> ends(tables.rows().size());
  for (size_t row = 0; row < tables.rows().size(); ++row) {
    std::string path, marks;
    const std::string colour = "c" + std::to_string(row % kColours);
    for (size_t i = 0; i < steps; ++i) {
      const auto h = tables.figure(row, i, "h");
      if (!h) continue;
      const double place = y.place(h->mean);
      path += (path.empty() ? "M" : "L") + at(x(i)) + " " + at(place);
      if (h->deviation > 0) {
        marks += line_at(colour.c_str(), x(i), y.place(h->mean - h->deviation), x(i),
                         y.place(h->mean + h->deviation));
      }
      marks += mark(row, x(i), place,
                    tables.rows()[row].label + ", " + tables.steps()[i] + ": H " + shown(h, 2));
      ends[row] = place;
    }
    if (path.empty()) continue;
    svg += "<path class=\"line " + colour + "\" d=\"" + path + "\"/>" + marks + "\n";
    labels.emplace_back(ends[row], row);
  }
  spread(labels, bottom);
  for (const auto& [place, row] : labels) {
    svg += mark(row, right + 8, place, "") +
           text_at(right + 20, place + 4, tables.rows()[row].label, "start", "name");
  }
  return "<figure><figcaption>Percent; the axis begins at " + fixed(y.low, 0) + ".</figcaption>" +
         svg + "\n</svg></figure>\n";
}

std::string figure_scatter(const Tables& tables) {
  auto kept = extremes(tables, "acc_r");
  const auto left_over = extremes(tables, "acc_f");
  if (!kept || !left_over) return "";
  for (size_t i = 0; i < tables.steps().size(); ++i) {
    if (const auto base = tables.base(i, "acc_r")) kept->second = std::max(kept->second, *base);
  }
  const double width = 330, height = 270, left = 36, right = 320, top = 10, bottom = 226;
  const Axis x = Axis::around(0, std::max(5.0, left_over->second), left, right);
  const Axis y = Axis::around(kept->first, kept->second, bottom, top);
  std::string html = key_of(tables) + "<div class=\"panels\">\n";
  for (size_t i = 0; i < tables.steps().size(); ++i) {
    html += "<figure><figcaption>" + escaped(tables.steps()[i]) + "</figcaption>" +
            svg_head(width, height, "Acc_r over Acc_f after " + tables.steps()[i]) +
            horizontal_grid(y, left, right);
    for (double v = x.low; v <= x.high + 1e-9; v += x.step) {
      html += text_at(x.place(v), bottom + 16, fixed(v, 0), "middle");
    }
    html += text_at(right, bottom + 34, "Acc_f, percent (less is better)", "end") +
            text_at(left + 4, top + 2, "Acc_r, percent");
    if (const auto base = tables.base(i, "acc_r")) {
      html += line_at("base", left, y.place(*base), right, y.place(*base)) +
              text_at(right, y.place(*base) - 5, "pre-trained", "end");
    }
    for (size_t row = 0; row < tables.rows().size(); ++row) {
      const auto f = tables.figure(row, i, "acc_f"), r = tables.figure(row, i, "acc_r");
      if (!f || !r) continue;
      html += mark(row, x.place(f->mean), y.place(r->mean),
                   tables.rows()[row].label + ": Acc_f " + shown(f, 2) + ", Acc_r " + shown(r, 2));
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
