#include "storage/adapter_file.h"

#include <ATen/ATen.h>

#include "storage/adapter_format.h"
#include "storage/file.h"
#include "storage/zstd_frame.h"
#include "support/error.h"

namespace lethe {
namespace {

bool is_adapter_type(at::ScalarType type) {
  return type == at::kFloat || type == at::kHalf || type == at::kBFloat16;
}

bool all_finite(const at::Tensor& tensor) { return at::isfinite(tensor).all().item<bool>(); }

void check_tensors_to_write(const Weights& tensors) {
  for (const auto& [name, tensor] : tensors) {
    require(tensor.defined() && tensor.device().is_cpu() && tensor.layout() == at::kStrided &&
                is_adapter_type(tensor.scalar_type()),
            Code::kInvalidArgument, "the adapter tensor ", in_quotes(name),
            " must be float32, float16 or bfloat16, dense and on the CPU; convert it first");
    require(all_finite(tensor), Code::kNumeric, "the adapter tensor ", in_quotes(name),
            " holds a NaN or an infinite value; it cannot be stored");
  }
}

std::string manifest_text(const Json& manifest) {
  require(manifest.is_object(), Code::kInvalidArgument, "the manifest must be a JSON object, not ",
          manifest.type_name());
  try {
    return manifest.dump();
  } catch (const Json::type_error&) {
    fail(Code::kInvalidArgument, "the manifest holds a string that is not valid UTF-8");
  }
}

Json parse_manifest(std::string_view text, std::string_view what, const Limits& limits) {
  JsonLimits json_limits = limits.json;
  json_limits.max_bytes = limits.header_bytes;
  Json manifest = parse_json(text, str(what, " (manifest)"), json_limits);
  require(manifest.is_object(), Code::kCorrupt, what, ": the manifest is not a JSON object");
  return manifest;
}

/// Appends the compressed `raw` to the file and its place to the index.
void append_frame(std::string& file, std::vector<AdapterIndexEntry>& index, std::string_view raw,
                  int level, const Limits& limits) {
  const std::string frame = compress_frame(raw, level, limits.window_log);
  index.push_back(
      {file.size(), frame.size(), raw.size(), crc32c(frame.data(), frame.size()), sha256(raw)});
  file += frame;
}

SafetensorsHeader read_tensor_layout(std::string_view bytes, const AdapterLayout& layout,
                                     std::string_view what, const Limits& limits) {
  const AdapterIndexEntry& frame = layout.index[0];
  std::string text(frame.raw_bytes, '\0');
  decompress_frame(bytes.substr(frame.offset, frame.stored_bytes), text.data(), text.size(),
                   str(what, ": the safetensors header"), limits.window_log);
  require(sha256(text) == frame.raw_digest, Code::kCorrupt, what,
          " is damaged: the digest of the safetensors header does not match");

  SafetensorsHeader header = parse_safetensors_header(text, what, limits);
  require(header.header_bytes == static_cast<int64_t>(text.size()) &&
              header.entries.size() == layout.header.tensor_count,
          Code::kCorrupt, what, " is damaged: its safetensors header names ", header.entries.size(),
          " tensors, its fixed header ", layout.header.tensor_count);
  for (size_t i = 0; i < header.entries.size(); ++i) {
    const SafetensorsEntry& entry = header.entries[i];
    require(is_adapter_type(entry.dtype), Code::kCorrupt, what, ": tensor ", in_quotes(entry.name),
            " is of type ", dtype_name(entry.dtype), "; adapters hold F32, F16 and BF16");
    require(static_cast<uint64_t>(entry.end - entry.begin) == layout.index[i + 1].raw_bytes,
            Code::kCorrupt, what, " is damaged: tensor ", in_quotes(entry.name), " needs ",
            entry.end - entry.begin, " bytes, its frame has ", layout.index[i + 1].raw_bytes);
  }
  return header;
}

at::Tensor read_tensor(std::string_view bytes, const AdapterIndexEntry& frame,
                       const SafetensorsEntry& entry, std::string_view what, const Limits& limits) {
  const std::string where = str(what, ": tensor ", in_quotes(entry.name));
  at::Tensor tensor = at::empty(entry.shape, entry.dtype);
  decompress_frame(bytes.substr(frame.offset, frame.stored_bytes), tensor.mutable_data_ptr(),
                   tensor.nbytes(), where, limits.window_log);
  require(sha256(tensor) == frame.raw_digest, Code::kCorrupt, where,
          " is damaged: its digest does not match");
  require(all_finite(tensor), Code::kCorrupt, where, " holds a NaN or an infinite value");
  return tensor;
}

}  // namespace

std::string serialize_adapter_file(const AdapterFile& file, int level, const Limits& limits) {
  check_tensors_to_write(file.tensors);
  const std::string manifest = manifest_text(file.manifest);
  parse_manifest(manifest, "the adapter to write", limits);
  const std::string header = safetensors_header(file.tensors, {}, limits);
  const SafetensorsHeader order = parse_safetensors_header(header, "the adapter to write", limits);

  AdapterFixedHeader fixed{};
  fixed.base_fingerprint = file.base_fingerprint;
  fixed.tensor_count = static_cast<uint32_t>(order.entries.size());
  fixed.tensor_bytes = static_cast<uint64_t>(order.data_bytes);
  std::string bytes = encode_adapter_head(fixed, manifest);
  std::vector<AdapterIndexEntry> index;
  append_frame(bytes, index, header, level, limits);
  for (const SafetensorsEntry& entry : order.entries) {
    const at::Tensor tensor = file.tensors.at(entry.name).contiguous();
    append_frame(bytes, index, {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()},
                 level, limits);
  }
  fixed.index_offset = bytes.size();
  const std::string head = encode_adapter_head(fixed, manifest);
  bytes.replace(0, head.size(), head);
  bytes += encode_adapter_index(index);
  bytes += encode_adapter_tail(bytes);

  parse_adapter_file(bytes, "the adapter to write", limits);  // refuse what no reader takes
  return bytes;
}

AdapterFile parse_adapter_file(std::string_view bytes, std::string_view what,
                               const Limits& limits) {
  const AdapterLayout layout = check_adapter_layout(bytes, what, limits);
  AdapterFile file;
  file.manifest = parse_manifest(layout.manifest, what, limits);
  file.base_fingerprint = layout.header.base_fingerprint;
  const SafetensorsHeader header = read_tensor_layout(bytes, layout, what, limits);
  for (size_t i = 0; i < header.entries.size(); ++i) {
    const SafetensorsEntry& entry = header.entries[i];
    file.tensors.emplace(entry.name, read_tensor(bytes, layout.index[i + 1], entry, what, limits));
  }
  return file;
}

AdapterFile read_adapter_file(const std::string& path, const Limits& limits) {
  return parse_adapter_file(read_file(path, limits.file_bytes), in_quotes(base_name(path)), limits);
}

void write_adapter_file(const std::string& path, const AdapterFile& file, int level,
                        const Limits& limits) {
  const std::string bytes = serialize_adapter_file(file, level, limits);
  write_file_atomically(path, {bytes});
  require(read_file(path, limits.file_bytes) == bytes, Code::kIo, in_quotes(base_name(path)),
          " reads back other bytes than were written; do not trust this disk");
}

}  // namespace lethe
