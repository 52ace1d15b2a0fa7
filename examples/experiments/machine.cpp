#include "machine.h"

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace experiments {
namespace {

/// What follows "name" and ':' in a file of such lines; "" when nothing does.
std::string entry(const char* file, const std::string& name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (line.rfind(name, 0) != 0) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

int64_t kib_entry(const char* file, const std::string& name) {
  int64_t kib = 0;
  std::istringstream(entry(file, name)) >> kib;
  return kib * 1024;
}

}  // namespace

Json describe_machine() {
  const std::string cpu = entry("/proc/cpuinfo", "model name");
  const int64_t memory = kib_entry("/proc/meminfo", "MemTotal");
  return {{"cpu", cpu.empty() ? Json() : Json(cpu)},
          {"cores", ::sysconf(_SC_NPROCESSORS_ONLN)},
          {"memory_bytes", memory == 0 ? Json() : Json(memory)}};
}

std::string git_commit() {
  std::FILE* pipe = ::popen("git rev-parse HEAD 2>/dev/null", "r");
  if (!pipe) return "";
  char text[80] = "";
  const bool read = std::fgets(text, sizeof text, pipe) != nullptr;
  const bool fine = ::pclose(pipe) == 0;
  std::string commit = read && fine ? text : "";
  while (!commit.empty() && commit.back() == '\n') commit.pop_back();
  return commit;
}

void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace experiments
