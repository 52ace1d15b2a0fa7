// What people see: tables, a progress line, figures. Machines get JSON instead.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "handles.h"

namespace cli {

/// Whether the stream is a terminal that may be written over and coloured (NO_COLOR is respected).
bool is_terminal(std::FILE* stream);
bool has_colour(std::FILE* stream);

/// Rows of cells in columns as wide as needed; the first row is the heading. Numbers go right.
void print_table(const std::vector<std::vector<std::string>>& rows);

/// "97.25 %", "-" for null.
std::string percent(const Json& value);
/// A member of an object as text; "-" when it is missing or null.
std::string shown(const Json& object, const char* key);
/// "1 adapter", "2 adapters".
std::string counted(int64_t count, const char* noun);
/// "2 min 5 s".
std::string duration(double seconds);
/// "2026-03-01 12:00:00" (UTC) of milliseconds since 1970; "-" for null.
std::string time_of(const Json& ms);

/// One line on stderr that is written over on a terminal; elsewhere a line every few seconds.
class ProgressLine {
 public:
  explicit ProgressLine(bool quiet) : quiet_(quiet), terminal_(is_terminal(stderr)) {}
  ~ProgressLine() { clear(); }
  void show(const std::string& request_id, const lethe_progress& progress);
  void clear();

 private:
  bool quiet_, terminal_, drawn_ = false;
  double last_ = 0;
};

}  // namespace cli
