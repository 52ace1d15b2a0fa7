#include "engine/environment.h"

#include <ATen/Version.h>
#include <torch/version.h>
#include <zstd.h>

#include <chrono>
#include <ctime>

#include "support/threads.h"

namespace lethe {

const char* library_version() { return LETHE_VERSION; }

int64_t system_now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::string utc_text(int64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, size};
}

Json describe_environment(int threads) {
  return {{"lethe", library_version()},
          {"libtorch", TORCH_VERSION},
          {"zstd", ZSTD_versionString()},
          {"cpu", at::get_cpu_capability()},
          {"threads", threads > 0 ? threads : available_processors()}};
}

}  // namespace lethe
