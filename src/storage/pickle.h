// A pickle interpreter that can build dictionaries, lists, numbers, strings and descriptions of
// tensors, and nothing else. It knows the instructions and the callables that PyTorch writes into a
// state dict; any other callable is an error, and no callable ever runs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "storage/bytes.h"
#include "storage/limits.h"

namespace lethe {

struct PickleCallable;
struct PickleList;
struct PickleDict;

/// The elements of a tensor as they lie in the archive, entry "data/<key>".
struct PickleStorage {
  at::ScalarType dtype;
  std::string_view key;
  int64_t elements;
};

/// torch._utils._rebuild_tensor_v2: a strided view of a storage. As many sizes as strides, at most
/// Limits::dimensions; all else is unchecked.
struct PickleTensor {
  PickleStorage storage;
  int64_t offset;
  std::vector<int64_t> sizes, strides;
};

/// None is the first alternative.
using PickleValue =
    std::variant<std::monostate, bool, int64_t, double, std::string_view, const PickleCallable*,
                 PickleStorage, PickleList*, PickleDict*, PickleTensor*>;

/// A list or a tuple.
struct PickleList {
  std::vector<PickleValue> items;
};

struct PickleDict {
  std::vector<std::pair<PickleValue, PickleValue>> items;  ///< in order of insertion, as they came
};

/// Runs one pickle of protocol 2. The values point into `bytes` and into the reader, which owns
/// them: cycles and deep nesting cost nothing.
class PickleReader {
 public:
  PickleReader(std::string_view bytes, std::string_view what, const Limits& limits);

  /// The value that the pickle describes. Call once. Throws kUnsupported for a callable, protocol
  /// or instruction outside the list, kCorrupt for a pickle that no pickler writes, kLimitExceeded.
  PickleValue read();

 private:
  bool step();  // false at the end of the pickle
  void call();
  void set_items(PickleValue& target, const std::vector<PickleValue>& pairs);
  void append_items(PickleValue& target, const std::vector<PickleValue>& items);
  void memoize(uint32_t slot);
  PickleValue recall(uint32_t slot) const;
  PickleValue lookup_callable();
  PickleValue read_long();
  PickleStorage storage_from(const PickleValue& id) const;
  PickleTensor tensor_from(const PickleList& arguments) const;
  std::vector<int64_t> integers(const PickleValue& value) const;

  void push(PickleValue value) { stack_.push_back(value); }
  void push_tuple(std::vector<PickleValue> items);
  PickleValue pop();
  PickleValue& top();
  std::vector<PickleValue> pop_last(size_t count);
  std::vector<PickleValue> pop_to_mark();
  std::string_view line();

  template <typename T>
  const T& as(const PickleValue& value, const char* expected) const;

  ByteReader bytes_;
  std::string_view what_;
  const Limits& limits_;
  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint32_t, PickleValue> memo_;
  std::deque<PickleList> lists_;
  std::deque<PickleDict> dicts_;
  std::deque<PickleTensor> tensors_;
};

}  // namespace lethe
