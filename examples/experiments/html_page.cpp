// results.html: tables and figures on one page.
#include "render.h"

namespace experiments {
namespace {

std::string table_of(const Grid& grid) {
  std::string html =
      "<div class=\"wide\"><table>\n<caption>" + escaped(grid.caption) + "</caption>\n<thead><tr>";
  for (const std::string& cell : grid.heading) {
    const size_t colon = cell.find(": ");  // "100-20: H / Acc_r": two lines
    html += "<th scope=\"col\">" +
            (colon == std::string::npos ? escaped(cell)
                                        : "<b>" + escaped(cell.substr(0, colon)) + "</b><br>" +
                                              escaped(cell.substr(colon + 2))) +
            "</th>";
  }
  html += "</tr></thead>\n<tbody>\n";
  for (size_t r = 0; r < grid.rows.size(); ++r) {
    html += "<tr>";
    for (size_t c = 0; c < grid.rows[r].size(); ++c) {
      const bool flagged = !grid.flagged.empty() && grid.flagged[r][c];
      const std::string text = escaped(grid.rows[r][c]);
      html += c == 0    ? "<th scope=\"row\">" + text + "</th>"
              : flagged ? "<td class=\"over\">" + text +
                              " <span title=\"over-forgetting\">\u25bc</span></td>"
                        : "<td>" + text + "</td>";
    }
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string list_of(const std::vector<std::string>& sentences) {
  std::string html = "<ul>\n";
  for (const std::string& sentence : sentences) html += "<li>" + escaped(sentence) + "</li>\n";
  return html + "</ul>\n";
}

std::string section(const std::string& heading, const std::string& body) {
  return body.empty() ? "" : "<section>\n<h2>" + heading + "</h2>\n" + body + "</section>\n";
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string html;
  for (const char c : text) {
    html += c == '&'   ? "&amp;"
            : c == '<' ? "&lt;"
            : c == '>' ? "&gt;"
            : c == '"' ? "&quot;"
                       : std::string(1, c);
  }
  return html;
}

std::string html_of(const Json& results) {
  const Tables tables(results);
  const std::string title = escaped(results.at("title"));
  std::string html =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>" +
      title + "</title>\n" + html_style() + "</head>\n<body>\n<main>\n<h1>" + title + "</h1>\n";
  html += table_of(main_grid(tables, Measure::kProtocol)) + list_of(notes_on(tables));
  if (tables.has_other()) {
    html += section(other_heading(tables), table_of(main_grid(tables, Measure::kOther)));
  }
  html += section("H after each task", figure_h(tables));
  html += section("What is kept and what is left of the forgotten", figure_scatter(tables));
  html += section("Groups kept", figure_groups(tables));
  html += section("Cost and audits", table_of(cost_grid(tables)));
  html += section("This run", table_of(run_grid(tables)) + list_of(run_facts(results, tables)));
  return html + "</main>\n</body>\n</html>\n";
}

}  // namespace experiments
