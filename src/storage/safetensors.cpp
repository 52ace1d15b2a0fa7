#include "storage/safetensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "storage/bytes.h"
#include "storage/file.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr const char* kMetadataKey = "__metadata__";

struct DtypeName {
  at::ScalarType type;
  std::string_view name;
};

/// In the order by which the official writer sorts, last one first.
constexpr DtypeName kDtypes[] = {
    {at::kBool, "BOOL"},  {at::kByte, "U8"},       {at::kChar, "I8"}, {at::kShort, "I16"},
    {at::kHalf, "F16"},   {at::kBFloat16, "BF16"}, {at::kInt, "I32"}, {at::kFloat, "F32"},
    {at::kDouble, "F64"}, {at::kLong, "I64"},
};

const DtypeName& find_dtype(at::ScalarType type) {
  for (const DtypeName& known : kDtypes) {
    if (known.type == type) return known;
  }
  fail(Code::kUnsupported, "tensors of type ", c10::toString(type),
       " cannot be stored; convert to float32 first");
}

int64_t non_negative_integer(const Json& json, const std::string& where) {
  require(json.is_number_unsigned() && json.get<uint64_t>() <= uint64_t{INT64_MAX}, Code::kCorrupt,
          where, " must be an integer >= 0, not ", in_quotes(json.dump()));
  return json.get<int64_t>();
}

SafetensorsEntry parse_entry(const std::string& name, const Json& json, std::string_view what,
                             const Limits& limits) {
  const std::string where = str(what, ": tensor ", in_quotes(name));
  require(json.is_object() && json.size() == 3 && json.contains("dtype") &&
              json.contains("shape") && json.contains("data_offsets"),
          Code::kCorrupt, where, " must have dtype, shape and data_offsets and nothing else");
  const Json& dtype = json["dtype"];
  const Json& shape = json["shape"];
  const Json& offsets = json["data_offsets"];
  require(dtype.is_string() && shape.is_array() && offsets.is_array() && offsets.size() == 2,
          Code::kCorrupt, where, " has a dtype, shape or data_offsets of the wrong kind");

  SafetensorsEntry entry;
  entry.name = name;
  entry.dtype = dtype_from_name(dtype.get_ref<const std::string&>(), where);
  for (const Json& size : shape)
    entry.shape.push_back(non_negative_integer(size, where + " shape"));
  entry.begin = non_negative_integer(offsets[0], where + " data_offsets");
  entry.end = non_negative_integer(offsets[1], where + " data_offsets");

  const int64_t bytes = checked_tensor_bytes(entry.shape, entry.dtype, where, limits);
  require(entry.begin <= entry.end && entry.end - entry.begin == bytes, Code::kCorrupt, where,
          " needs ", bytes, " bytes but its data_offsets are ", entry.begin, " to ", entry.end);
  return entry;
}

Metadata parse_metadata(const Json& json, std::string_view what) {
  require(json.is_object(), Code::kCorrupt, what, ": __metadata__ must be an object");
  Metadata metadata;
  for (const auto& [key, value] : json.items()) {
    require(value.is_string(), Code::kCorrupt, what, ": __metadata__ ", in_quotes(key),
            " must be a string");
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// Sorts by offset and checks that the tensors cover the data without gaps and overlaps.
int64_t order_by_offset(std::vector<SafetensorsEntry>& entries, std::string_view what) {
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  int64_t position = 0;
  for (const SafetensorsEntry& entry : entries) {
    require(entry.begin == position, Code::kCorrupt, what, ": tensor ", in_quotes(entry.name),
            " begins at byte ", entry.begin, " of the data, where byte ", position,
            " comes next: tensors must neither overlap nor leave gaps");
    position = entry.end;
  }
  return position;
}

std::vector<const Weights::value_type*> in_data_order(const Weights& tensors) {
  std::vector<const Weights::value_type*> order;
  for (const auto& item : tensors) {
    const auto& [name, tensor] = item;
    require(tensor.defined() && tensor.device().is_cpu() && tensor.layout() == at::kStrided,
            Code::kInvalidArgument, "the tensor ", in_quotes(name),
            " must be dense and lie on the CPU to be stored; copy it there first");
    order.push_back(&item);
  }
  const auto rank = [](const auto* item) { return &find_dtype(item->second.scalar_type()); };
  std::stable_sort(order.begin(), order.end(),
                   [&](const auto* a, const auto* b) { return rank(a) > rank(b); });
  return order;
}

std::string json_string(const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const Json::type_error&) {
    fail(Code::kInvalidArgument, "the name or value ", in_quotes(text), " is not valid UTF-8");
  }
}

std::string header_json(const std::vector<const Weights::value_type*>& order,
                        const Metadata& metadata) {
  std::string json = "{";
  const auto begin_field = [&json](const std::string& key) {
    if (json.back() != '{') json += ',';
    json += json_string(key) + ':';
  };
  if (!metadata.empty()) {
    begin_field(kMetadataKey);
    json += '{';
    for (const auto& [key, value] : metadata) {
      begin_field(key);
      json += json_string(value);
    }
    json += '}';
  }
  int64_t position = 0;
  for (const auto* item : order) {
    const auto& [name, tensor] = *item;
    require(name != kMetadataKey && name.find('\0') == std::string::npos, Code::kInvalidArgument,
            "no tensor can be named ", in_quotes(name), "; rename it");
    const int64_t end = position + static_cast<int64_t>(tensor.nbytes());
    begin_field(name);
    json += R"({"dtype":")" + std::string(dtype_name(tensor.scalar_type())) + R"(","shape":)" +
            Json(tensor.sizes().vec()).dump() + R"(,"data_offsets":)" +
            Json({position, end}).dump() + '}';
    position = end;
  }
  return json + '}';
}

/// The bytes of a file in pieces: the header, then the tensors. `tensors` keeps them alive.
struct Pieces {
  std::string header;
  std::vector<at::Tensor> tensors;

  std::vector<std::string_view> views() const {
    std::vector<std::string_view> views = {header};
    for (const at::Tensor& tensor : tensors) {
      views.emplace_back(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
    }
    return views;
  }
};

Pieces cut(const Weights& tensors, const Metadata& metadata, const Limits& limits) {
  Pieces pieces;
  pieces.header = safetensors_header(tensors, metadata, limits);
  for (const auto* item : in_data_order(tensors)) {
    pieces.tensors.push_back(item->second.contiguous());
  }
  int64_t size = 0;
  for (const std::string_view piece : pieces.views()) size += static_cast<int64_t>(piece.size());
  require(size <= limits.file_bytes, Code::kLimitExceeded, "the file to write would be ", size,
          " bytes, the limit is ", limits.file_bytes);
  return pieces;
}

}  // namespace

std::string_view dtype_name(at::ScalarType type) { return find_dtype(type).name; }

at::ScalarType dtype_from_name(std::string_view name, std::string_view where) {
  for (const DtypeName& known : kDtypes) {
    if (known.name == name) return known.type;
  }
  fail(Code::kCorrupt, where, " has the unknown dtype ", in_quotes(name));
}

int64_t checked_tensor_bytes(const std::vector<int64_t>& shape, at::ScalarType dtype,
                             std::string_view name, const Limits& limits) {
  require(static_cast<int64_t>(shape.size()) <= limits.dimensions, Code::kLimitExceeded, name,
          " has ", shape.size(), " dimensions, the limit is ", limits.dimensions);
  auto bytes = static_cast<int64_t>(c10::elementSize(dtype));
  for (const int64_t size : shape) {
    require(size >= 0, Code::kCorrupt, name, " has the negative dimension ", size);
    require(size <= limits.dimension_size, Code::kLimitExceeded, name, " has a dimension of ", size,
            ", the limit is ", limits.dimension_size);
    require(!__builtin_mul_overflow(bytes, size, &bytes), Code::kCorrupt, name,
            " has a shape whose byte count overflows");
  }
  require(bytes <= limits.tensor_bytes, Code::kLimitExceeded, name, " is ", bytes,
          " bytes, the limit is ", limits.tensor_bytes);
  return bytes;
}

void check_booleans(const at::Tensor& tensor, std::string_view name) {
  if (tensor.scalar_type() != at::kBool) return;
  const auto* bytes = static_cast<const uint8_t*>(tensor.const_data_ptr());
  require(std::all_of(bytes, bytes + tensor.nbytes(), [](uint8_t byte) { return byte <= 1; }),
          Code::kCorrupt, "tensor ", in_quotes(name),
          " of truth values holds a byte other than 0, 1");
}

SafetensorsHeader parse_safetensors_header(std::string_view bytes, std::string_view what,
                                           const Limits& limits) {
  ByteReader reader(bytes, what);
  const auto length = reader.number<uint64_t>();
  require(length <= reader.rest().size(), Code::kCorrupt, what,
          " is truncated or not a safetensors file: its header claims ", length, " bytes, ",
          reader.rest().size(), " are there");
  require(length <= static_cast<uint64_t>(limits.header_bytes), Code::kLimitExceeded, what,
          ": the safetensors header is ", length, " bytes, the limit is ", limits.header_bytes);
  const std::string_view text = reader.take(length);
  require(text.substr(0, 1) == "{", Code::kCorrupt, what,
          " is not a safetensors file: its header does not begin with {");
  JsonLimits json_limits = limits.json;
  json_limits.max_bytes = limits.header_bytes;
  const Json json = parse_json(text, str(what, " (safetensors header)"), json_limits);

  SafetensorsHeader header;
  for (const auto& [name, value] : json.items()) {
    if (name == kMetadataKey) {
      header.metadata = parse_metadata(value, what);
      continue;
    }
    require(static_cast<int64_t>(header.entries.size()) < limits.tensors, Code::kLimitExceeded,
            what, " holds more than ", limits.tensors, " tensors, the limit");
    header.entries.push_back(parse_entry(name, value, what, limits));
  }
  header.header_bytes = static_cast<int64_t>(sizeof length + length);
  header.data_bytes = order_by_offset(header.entries, what);
  require(header.data_bytes <= limits.total_bytes, Code::kLimitExceeded, what, " holds ",
          header.data_bytes, " bytes of tensors, the limit is ", limits.total_bytes);
  return header;
}

SafetensorsFile parse_safetensors(std::string_view bytes, std::string_view what,
                                  const Limits& limits) {
  SafetensorsHeader header = parse_safetensors_header(bytes, what, limits);
  const std::string_view data = bytes.substr(static_cast<size_t>(header.header_bytes));
  require(static_cast<int64_t>(data.size()) == header.data_bytes, Code::kCorrupt, what, " holds ",
          data.size(), " bytes of tensors where its header declares ", header.data_bytes);

  SafetensorsFile file;
  file.metadata = std::move(header.metadata);
  for (const SafetensorsEntry& entry : header.entries) {
    at::Tensor tensor = at::empty(entry.shape, entry.dtype);
    const std::string_view raw = data.substr(entry.begin, entry.end - entry.begin);
    if (!raw.empty()) std::memcpy(tensor.mutable_data_ptr(), raw.data(), raw.size());
    check_booleans(tensor, entry.name);
    file.tensors.emplace(entry.name, std::move(tensor));
  }
  return file;
}

SafetensorsFile read_safetensors(const std::string& path, const Limits& limits) {
  return parse_safetensors(read_file(path, limits.file_bytes), in_quotes(base_name(path)), limits);
}

std::string safetensors_header(const Weights& tensors, const Metadata& metadata,
                               const Limits& limits) {
  std::string json = header_json(in_data_order(tensors), metadata);
  json.resize((json.size() + 7) / 8 * 8, ' ');
  std::string header;
  append_number<uint64_t>(header, json.size());
  header += json;
  parse_safetensors_header(header, "the file to write", limits);  // refuse what no reader takes
  return header;
}

std::string serialize_safetensors(const Weights& tensors, const Metadata& metadata,
                                  const Limits& limits) {
  const Pieces pieces = cut(tensors, metadata, limits);
  std::string file;
  for (const std::string_view piece : pieces.views()) file += piece;
  return file;
}

void write_safetensors(const std::string& path, const Weights& tensors, const Metadata& metadata,
                       const Limits& limits) {
  const Pieces pieces = cut(tensors, metadata, limits);
  write_file_atomically(path, pieces.views());
}

}  // namespace lethe
