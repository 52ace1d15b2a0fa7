#include "options.h"

#include "guard.h"
#include "structs.h"

namespace lethe::capi {
namespace {

lethe_limits default_limits() {
  const Limits limits;
  lethe_limits out{};
  out.struct_size = sizeof out;
  out.max_tensors = static_cast<int32_t>(limits.tensors);
  out.max_file_bytes = limits.file_bytes;
  out.max_header_bytes = limits.header_bytes;
  out.max_total_bytes = limits.total_bytes;
  out.max_tensor_bytes = limits.tensor_bytes;
  out.max_expansion = limits.expansion;
  return out;
}

lethe_export_options default_export_options() {
  lethe_export_options options{};
  options.struct_size = sizeof options;
  options.dtype = LETHE_F32;
  options.level = 3;
  options.naming = LETHE_NAMES_ORIGINAL;
  return options;
}

void set_limit(int64_t& limit, int64_t given, const char* name) {
  require(given >= 0, Code::kInvalidArgument, "limits.", name, " is ", given,
          ", allowed is 0 (the default) and more");
  if (given > 0) limit = given;
}

}  // namespace

Limits read_limits(const lethe_limits* given) {
  Limits limits;
  if (!given) return limits;
  const lethe_limits read = read_struct(given, default_limits(), "limits");
  require_reserved(read.reserved, "limits");
  set_limit(limits.tensors, read.max_tensors, "max_tensors");
  set_limit(limits.file_bytes, read.max_file_bytes, "max_file_bytes");
  set_limit(limits.header_bytes, read.max_header_bytes, "max_header_bytes");
  limits.json.max_bytes = limits.header_bytes;
  set_limit(limits.total_bytes, read.max_total_bytes, "max_total_bytes");
  set_limit(limits.tensor_bytes, read.max_tensor_bytes, "max_tensor_bytes");
  set_limit(limits.expansion, read.max_expansion, "max_expansion");
  return limits;
}

lethe_export_options read_export_options(const lethe_export_options* given) {
  if (!given) return default_export_options();
  const auto options = read_struct(given, default_export_options(), "options");
  require_reserved(options.reserved0, "options");
  require_reserved(options.reserved, "options");
  require_reserved(options.reserved1, "options");
  require(options.naming >= LETHE_NAMES_ORIGINAL && options.naming <= LETHE_NAMES_HUGGING_FACE,
          Code::kUnsupported, "the naming is ", options.naming,
          ", known are LETHE_NAMES_ORIGINAL (1) to LETHE_NAMES_HUGGING_FACE (4)");
  require(options.dtype == LETHE_F32 || options.dtype == LETHE_F16, Code::kInvalidArgument,
          "the export dtype is ", options.dtype, ", allowed is LETHE_F32 (3) or LETHE_F16 (4)");
  require(options.level >= 1 && options.level <= 19, Code::kInvalidArgument, "the zstd level is ",
          options.level, ", allowed is 1 to 19");
  return options;
}

std::string_view bytes_in_memory(const uint8_t* data, size_t size, const Limits& limits) {
  require(data, Code::kInvalidArgument, "data is NULL");
  require(size <= static_cast<uint64_t>(limits.file_bytes), Code::kLimitExceeded, "the data has ",
          size, " bytes, the limit is ", limits.file_bytes);
  return {reinterpret_cast<const char*>(data), size};
}

int checked_threads(int32_t threads) {
  require(threads >= 0 && threads <= 256, Code::kInvalidArgument, "threads is ", threads,
          ", allowed is 0 (all processors) to 256");
  return threads;
}

}  // namespace lethe::capi

using namespace lethe::capi;

lethe_status lethe_limits_init(lethe_limits* limits, size_t size) {
  return guard([&] { init_struct(limits, size, default_limits(), "limits"); });
}

lethe_status lethe_export_options_init(lethe_export_options* options, size_t size) {
  return guard([&] { init_struct(options, size, default_export_options(), "options"); });
}
