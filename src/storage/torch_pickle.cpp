#include "storage/torch_pickle.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

#include "storage/file.h"
#include "storage/pickle.h"
#include "storage/zip.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr std::string_view kZipStart = "PK\x03\x04";

/// What torch.save() writes: "<folder>/data.pkl", "<folder>/data/0" and so on.
struct Archive {
  std::map<std::string, std::string_view> entries;
  std::string folder;
  std::string_view what;

  std::string_view entry(const std::string& name) const {
    const auto found = entries.find(folder + name);
    require(found != entries.end(), Code::kCorrupt, what, " lacks the zip entry ", in_quotes(name));
    return found->second;
  }
};

Archive open_archive(std::string_view bytes, std::string_view what) {
  constexpr std::string_view kPickle = "/data.pkl";
  Archive archive{read_stored_zip(bytes, what), "", what};
  for (const auto& [name, entry] : archive.entries) {
    const size_t slash = name.find('/');
    if (slash != std::string::npos && name.substr(slash) == kPickle) {
      archive.folder = name.substr(0, slash + 1);
    }
  }
  require(!archive.folder.empty(), Code::kUnsupported, what,
          " is a zip archive without data.pkl; only what torch.save() writes is read");
  require(!archive.entries.count(archive.folder + "byteorder") ||
              archive.entry("byteorder") == "little",
          Code::kUnsupported, what,
          " was saved on a big-endian machine; convert it to safetensors");
  return archive;
}

/// The dictionary itself, or what it has under "state_dict" or "model" when it holds no tensors.
const PickleDict& find_state_dict(const PickleValue& root, std::string_view what) {
  const auto* dict = std::get_if<PickleDict*>(&root);
  require(dict != nullptr, Code::kUnsupported, what,
          " holds no dictionary; save only model.state_dict()");
  const auto& items = (*dict)->items;
  const bool has_tensors = std::any_of(items.begin(), items.end(), [](const auto& item) {
    return std::holds_alternative<PickleTensor*>(item.second);
  });
  if (has_tensors) return **dict;
  for (const std::string_view wanted : {"state_dict", "model"}) {
    for (const auto& [key, value] : items) {
      const auto* text = std::get_if<std::string_view>(&key);
      const auto* inner = std::get_if<PickleDict*>(&value);
      if (text && inner && *text == wanted) return **inner;
    }
  }
  return **dict;
}

/// How many elements lie from the first to the last one that the tensor uses, both included; 0 for
/// an empty tensor. kCorrupt unless all of them belong to the storage.
int64_t checked_span(const PickleTensor& tensor, std::string_view where) {
  bool fits = tensor.offset >= 0;
  bool empty = false;
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.sizes.size(); ++i) {
    int64_t reach = 0;
    empty = empty || tensor.sizes[i] == 0;
    fits = fits && tensor.strides[i] >= 0 &&
           !__builtin_mul_overflow(tensor.sizes[i] - 1, tensor.strides[i], &reach) &&
           !__builtin_add_overflow(last, reach, &last);
  }
  require(empty || (fits && last < tensor.storage.elements), Code::kCorrupt, where,
          " reaches outside its storage of ", tensor.storage.elements, " elements");
  return empty ? 0 : last - tensor.offset + 1;
}

std::string_view storage_bytes(const Archive& archive, const PickleStorage& storage,
                               std::string_view where) {
  const std::string_view bytes = archive.entry("data/" + std::string(storage.key));
  const size_t element = c10::elementSize(storage.dtype);
  require(bytes.size() % element == 0 &&
              static_cast<int64_t>(bytes.size() / element) == storage.elements,
          Code::kCorrupt, where, " needs a storage of ", storage.elements, " elements of ", element,
          " bytes, the file has ", bytes.size(), " bytes");
  return bytes;
}

/// A contiguous tensor of its own: storages that tensors share come apart here.
at::Tensor copy_tensor(const PickleTensor& tensor, std::string_view storage, int64_t span,
                       std::string_view name) {
  const at::ScalarType dtype = tensor.storage.dtype;
  if (span == 0) return at::empty(tensor.sizes, dtype);
  const size_t element = c10::elementSize(dtype);
  at::Tensor used = at::empty({span}, dtype);
  std::memcpy(used.mutable_data_ptr(), storage.data() + tensor.offset * element, span * element);
  check_booleans(used, name);
  return used.as_strided(tensor.sizes, tensor.strides).contiguous();
}

Weights copy_tensors(const PickleDict& dict, const Archive& archive, size_t file_bytes,
                     const Limits& limits) {
  Weights weights;
  int64_t total = 0;
  for (const auto& [key, value] : dict.items) {
    const auto* name = std::get_if<std::string_view>(&key);
    const auto* tensor = std::get_if<PickleTensor*>(&value);
    if (!name || !tensor) continue;  // an epoch count, say
    const std::string where = str(archive.what, ": tensor ", in_quotes(*name));
    require(name->find('\0') == std::string_view::npos, Code::kCorrupt, where,
            " has a NUL byte in its name");
    const PickleTensor& source = **tensor;
    const int64_t bytes = checked_tensor_bytes(source.sizes, source.storage.dtype, where, limits);
    const int64_t span = checked_span(source, where);
    const std::string_view storage = storage_bytes(archive, source.storage, where);
    const auto element = static_cast<int64_t>(c10::elementSize(source.storage.dtype));
    total += std::max(bytes, span * element);
    require(total <= limits.total_bytes &&
                within_expansion(static_cast<uint64_t>(total), file_bytes, limits),
            Code::kLimitExceeded, where, " brings the tensors to ", total,
            " bytes, the limits are ", limits.total_bytes, " and ", limits.expansion,
            " times the file's size");
    require(static_cast<int64_t>(weights.size()) < limits.tensors, Code::kLimitExceeded,
            archive.what, " holds more than ", limits.tensors, " tensors, the limit");
    require(weights.emplace(*name, copy_tensor(source, storage, span, *name)).second,
            Code::kCorrupt, where, " appears twice");
  }
  require(!weights.empty(), Code::kUnsupported, archive.what,
          " holds no tensors by name; save only model.state_dict()");
  return weights;
}

}  // namespace

bool looks_like_torch_pickle(std::string_view head) {
  // A safetensors file begins with the length of its header, whose first bytes may be any.
  const bool safetensors =
      head.size() > 8 && head[8] == '{' && head.substr(4, 4) == std::string_view("\0\0\0\0", 4);
  const bool pickle = head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5;
  return !safetensors && (head.substr(0, kZipStart.size()) == kZipStart || pickle);
}

Weights parse_torch_state_dict(std::string_view bytes, std::string_view what,
                               const Limits& limits) {
  require(bytes.substr(0, kZipStart.size()) == kZipStart, Code::kUnsupported, what,
          " is not a zip archive: files of PyTorch before 1.6 are not read; load it there and save "
          "it with PyTorch 1.6 or newer, or as safetensors");
  const Archive archive = open_archive(bytes, what);
  const std::string_view pickle = archive.entry("data.pkl");
  require(static_cast<int64_t>(pickle.size()) <= limits.header_bytes, Code::kLimitExceeded, what,
          " holds a pickle of ", pickle.size(), " bytes, the limit is ", limits.header_bytes);
  PickleReader reader(pickle, what, limits);
  const PickleValue root = reader.read();
  return copy_tensors(find_state_dict(root, what), archive, bytes.size(), limits);
}

Weights read_torch_state_dict(const std::string& path, const Limits& limits) {
  return parse_torch_state_dict(read_file(path, limits.file_bytes), in_quotes(base_name(path)),
                                limits);
}

}  // namespace lethe
