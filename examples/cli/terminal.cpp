#include "terminal.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>

namespace cli {
namespace {

constexpr double kSecondsBetweenLines = 5;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string format(const char* pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

std::string figure(const char* name, const char* pattern, double value) {
  return std::isnan(value) ? "" : std::string("  ") + name + " " + format(pattern, value);
}

/// Columns on a terminal: UTF-8 continuation bytes take none.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; }));
}

bool is_number(const std::string& cell) {
  return cell == "-" ||
         (!cell.empty() && cell.find_first_not_of("0123456789.+-% ") == std::string::npos);
}

}  // namespace

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

bool has_colour(std::FILE* stream) {
  const char* refused = std::getenv("NO_COLOR");
  return is_terminal(stream) && (!refused || !*refused);
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  std::vector<bool> right;
  for (size_t r = 0; r < rows.size(); ++r) {
    widths.resize(std::max(widths.size(), rows[r].size()));
    right.resize(widths.size(), true);
    for (size_t c = 0; c < rows[r].size(); ++c) {
      widths[c] = std::max(widths[c], width(rows[r][c]));
      if (r > 0 && !is_number(rows[r][c])) right[c] = false;
    }
  }
  const bool bold = has_colour(stdout);
  for (size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (size_t c = 0; c < rows[r].size(); ++c) {
      const std::string gap(widths[c] - width(rows[r][c]), ' ');
      const bool last = c + 1 == rows[r].size();
      line += right[c] ? gap + rows[r][c] : rows[r][c] + (last ? "" : gap);
      if (!last) line += "  ";
    }
    std::printf(r == 0 && bold ? "\033[1m%s\033[0m\n" : "%s\n", line.c_str());
  }
}

std::string percent(const Json& value) {
  return value.is_number() ? format("%.2f %%", value.get<double>()) : "-";
}

std::string shown(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "-";
  if (found->is_number_float() && found->get<double>() == std::floor(found->get<double>())) {
    return format("%.0f", found->get<double>());
  }
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string counted(int64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string duration(double seconds) {
  if (std::isnan(seconds)) return "-";
  if (seconds < 60) return format("%.1f s", seconds);
  const auto whole = static_cast<long long>(seconds + 0.5);
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

std::string time_of(const Json& ms) {
  if (!ms.is_number()) return "-";
  const auto seconds = static_cast<std::time_t>(ms.get<int64_t>() / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  return text;
}

void ProgressLine::show(const std::string& request_id, const lethe_progress& p) {
  if (quiet_) return;
  const bool end = p.step == p.total_steps;
  if (!terminal_ && !end && now() - last_ < kSecondsBetweenLines) return;
  last_ = now();
  std::string line = request_id + "  " + std::to_string(p.step) + "/" +
                     std::to_string(p.total_steps) + "  " + duration(p.eta_seconds) + " left" +
                     figure("loss", "%.3f", p.loss) + figure("Acc_f", "%.1f", p.acc_f) +
                     figure("Acc_r", "%.1f", p.acc_r);
  if (p.groups_total > 0) {
    line += "  groups " + std::to_string(p.groups_live) + "/" + std::to_string(p.groups_total);
  }
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
  std::fflush(stderr);
  drawn_ = terminal_;
}

void ProgressLine::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

}  // namespace cli
