// Section 2 of lethe.h: the runtime, its log, what this build is and can do.
#include <ATen/Version.h>
#include <sodium.h>
#include <sqlite3.h>
#include <torch/version.h>
#include <zstd.h>

#include "guard.h"
#include "handles.h"
#include "kernels/cuda_plugin.h"
#include "structs.h"
#include "support/threads.h"
#include "text.h"

using namespace lethe;
using namespace lethe::capi;

namespace {

lethe_runtime_options default_options() {
  lethe_runtime_options options{};
  options.struct_size = sizeof options;
  options.log_level = LETHE_LOG_WARNING;
  return options;
}

LogLevel checked_level(lethe_log_level level) {
  require(level >= LETHE_LOG_DEBUG && level <= LETHE_LOG_ERROR, Code::kInvalidArgument,
          "the log level is ", level, ", allowed is 1 (debug) to 4 (error)");
  return static_cast<LogLevel>(level);
}

void set_log(Log& log, lethe_log_level level, lethe_log_callback callback, void* user_data) {
  Log::Sink sink;
  if (callback) {
    sink = [callback, user_data](LogLevel line_level, const char* component, const char* message) {
      callback(static_cast<lethe_log_level>(line_level), component, message, user_data);
    };
  }
  log.set(checked_level(level), std::move(sink));
}

Json cuda_info() {
  const CudaStatus& cuda = cuda_status();
  Json info = {{"loaded", cuda.loaded}, {"devices", cuda.device_count}};
  if (!cuda.reason.empty()) info["reason"] = cuda.reason;
  return info;
}

}  // namespace

lethe_status lethe_runtime_options_init(lethe_runtime_options* options, size_t size) {
  return guard([&] { init_struct(options, size, default_options(), "options"); });
}

lethe_status lethe_runtime_create(const lethe_runtime_options* options,
                                  lethe_runtime** out_runtime) {
  return guard([&] {
    clear_required(out_runtime, "out_runtime");
    lethe_runtime_options chosen = default_options();
    if (options) chosen = read_struct(options, chosen, "options");
    require_reserved(chosen.reserved, "options");
    auto log = std::make_shared<Log>();
    set_log(*log, chosen.log_level, chosen.log_callback, chosen.log_user_data);
    *out_runtime = make_handle(&lethe_runtime::log, std::move(log));
  });
}

void lethe_runtime_free(lethe_runtime* runtime) {
  query(0, [&] {
    if (usable(runtime)) runtime->log->close();
    destroy(runtime);
    return 0;
  });
}

lethe_status lethe_runtime_set_log(lethe_runtime* runtime, lethe_log_level level,
                                   lethe_log_callback callback, void* user_data) {
  return guard([&] { set_log(*checked(runtime, "runtime").log, level, callback, user_data); });
}

lethe_status lethe_build_info_json(lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    *out_json = json_buffer({{"version", lethe_version_string()},
                             {"abi", LETHE_ABI_VERSION},
                             {"compiler", __VERSION__},
                             {"libtorch", TORCH_VERSION},
                             {"zstd", ZSTD_versionString()},
                             {"sodium", sodium_version_string()},
                             {"sqlite", sqlite3_libversion()},
                             {"cpu", at::get_cpu_capability()},
                             {"threads", available_processors()},
                             {"cuda", cuda_info()}});
  });
}

lethe_status lethe_runtime_device_count(lethe_runtime* runtime, int32_t* out_count) {
  return guard([&] {
    clear_required(out_count, "out_count");
    checked(runtime, "runtime");
    *out_count = cuda_status().device_count;
  });
}
