#include "engine/environment.h"

#include <ATen/Version.h>
#include <torch/version.h>
#include <zstd.h>

#include "support/threads.h"

namespace lethe {

const char* library_version() { return LETHE_VERSION; }

Json describe_environment(int threads) {
  return {{"lethe", library_version()},
          {"libtorch", TORCH_VERSION},
          {"zstd", ZSTD_versionString()},
          {"cpu", at::get_cpu_capability()},
          {"threads", threads > 0 ? threads : available_processors()}};
}

}  // namespace lethe
