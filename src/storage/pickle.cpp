#include "storage/pickle.h"

#include <bit>

#include "support/error.h"

namespace lethe {

struct PickleCallable {
  enum Kind { kOrderedDict, kRebuildTensor, kRebuildParameter, kStorageType };

  std::string_view module, name;
  Kind kind;
  at::ScalarType dtype = at::kFloat;  // of a kStorageType
};

namespace {

constexpr PickleCallable kCallables[] = {
    {"collections", "OrderedDict", PickleCallable::kOrderedDict},
    {"torch._utils", "_rebuild_tensor_v2", PickleCallable::kRebuildTensor},
    {"torch._utils", "_rebuild_parameter", PickleCallable::kRebuildParameter},
    {"torch", "FloatStorage", PickleCallable::kStorageType, at::kFloat},
    {"torch", "HalfStorage", PickleCallable::kStorageType, at::kHalf},
    {"torch", "BFloat16Storage", PickleCallable::kStorageType, at::kBFloat16},
    {"torch", "DoubleStorage", PickleCallable::kStorageType, at::kDouble},
    {"torch", "LongStorage", PickleCallable::kStorageType, at::kLong},
    {"torch", "IntStorage", PickleCallable::kStorageType, at::kInt},
    {"torch", "ShortStorage", PickleCallable::kStorageType, at::kShort},
    {"torch", "CharStorage", PickleCallable::kStorageType, at::kChar},
    {"torch", "ByteStorage", PickleCallable::kStorageType, at::kByte},
    {"torch", "BoolStorage", PickleCallable::kStorageType, at::kBool},
};

/// The instructions of protocol 2 that occur in a state dict (Python's Lib/pickle.py).
enum Opcode : uint8_t {
  kProtocol = 0x80,
  kStop = '.',
  kMark = '(',
  kGlobal = 'c',
  kReduce = 'R',
  kBuild = 'b',
  kPersistentId = 'Q',
  kPut = 'q',
  kLongPut = 'r',
  kGet = 'h',
  kLongGet = 'j',
  kNone = 'N',
  kTrue = 0x88,
  kFalse = 0x89,
  kInt32 = 'J',
  kUint8 = 'K',
  kUint16 = 'M',
  kLong = 0x8a,
  kFloat = 'G',
  kText = 'X',
  kEmptyTuple = ')',
  kTuple = 't',
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kEmptyList = ']',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyDict = '}',
  kSetItem = 's',
  kSetItems = 'u',
};

// A state dict takes about 40 instructions a tensor; this bounds what a hostile pickle can build.
constexpr int64_t kInstructionsPerTensor = 100;

}  // namespace

PickleReader::PickleReader(std::string_view bytes, std::string_view what, const Limits& limits)
    : bytes_(bytes, what), what_(what), limits_(limits) {}

PickleValue PickleReader::read() {
  require(bytes_.number<uint8_t>() == kProtocol && bytes_.number<uint8_t>() == 2,
          Code::kUnsupported, what_,
          " is not a pickle of protocol 2, PyTorch's own; save it again "
          "without another pickle_protocol");
  const int64_t limit = kInstructionsPerTensor * limits_.tensors;
  for (int64_t count = 0; step(); ++count) {
    require(count < limit, Code::kLimitExceeded, what_, " has more than ", limit,
            " pickle instructions, the limit");
  }
  require(stack_.size() == 1 && marks_.empty() && bytes_.rest().empty(), Code::kCorrupt, what_,
          " is damaged: its pickle does not end where it should");
  return pop();
}

bool PickleReader::step() {
  const auto opcode = bytes_.number<uint8_t>();
  switch (opcode) {
    case kStop:
      return false;
    case kMark:
      marks_.push_back(stack_.size());
      break;
    case kGlobal:
      push(lookup_callable());
      break;
    case kReduce:
      call();
      break;
    case kBuild:  // sets attributes of a dictionary (PyTorch's _metadata), which nothing here needs
      pop();
      as<PickleDict*>(top(), "a dictionary");
      break;
    case kPersistentId:
      push(storage_from(pop()));
      break;
    case kPut:
      memoize(bytes_.number<uint8_t>());
      break;
    case kLongPut:
      memoize(bytes_.number<uint32_t>());
      break;
    case kGet:
      push(recall(bytes_.number<uint8_t>()));
      break;
    case kLongGet:
      push(recall(bytes_.number<uint32_t>()));
      break;
    case kNone:
      push({});
      break;
    case kTrue:
      push(true);
      break;
    case kFalse:
      push(false);
      break;
    case kInt32:
      push(int64_t{bytes_.number<int32_t>()});
      break;
    case kUint8:
      push(int64_t{bytes_.number<uint8_t>()});
      break;
    case kUint16:
      push(int64_t{bytes_.number<uint16_t>()});
      break;
    case kLong:
      push(read_long());
      break;
    case kFloat:  // the only big-endian number of the format
      push(std::bit_cast<double>(__builtin_bswap64(bytes_.number<uint64_t>())));
      break;
    case kText:
      push(bytes_.take(bytes_.number<uint32_t>()));
      break;
    case kEmptyTuple:
    case kEmptyList:
      push_tuple({});
      break;
    case kTuple:
      push_tuple(pop_to_mark());
      break;
    case kTuple1:
    case kTuple2:
    case kTuple3:
      push_tuple(pop_last(opcode - kTuple1 + 1));
      break;
    case kAppend: {
      const std::vector<PickleValue> item = pop_last(1);
      append_items(top(), item);
      break;
    }
    case kAppends: {
      const std::vector<PickleValue> items = pop_to_mark();
      append_items(top(), items);
      break;
    }
    case kEmptyDict:
      push(&dicts_.emplace_back());
      break;
    case kSetItem: {
      const std::vector<PickleValue> pair = pop_last(2);
      set_items(top(), pair);
      break;
    }
    case kSetItems: {
      const std::vector<PickleValue> pairs = pop_to_mark();
      set_items(top(), pairs);
      break;
    }
    default:
      fail(Code::kUnsupported, what_, " holds the pickle instruction ", int{opcode},
           ", which no state dict needs; save only model.state_dict()");
  }
  return true;
}

void PickleReader::call() {
  const PickleValue arguments_value = pop();
  const PickleList& arguments = *as<PickleList*>(arguments_value, "a tuple of arguments");
  const PickleCallable& callable = *as<const PickleCallable*>(pop(), "a callable");
  switch (callable.kind) {
    case PickleCallable::kOrderedDict:
      require(arguments.items.empty(), Code::kUnsupported, what_,
              " makes an OrderedDict from arguments; save only model.state_dict()");
      return push(&dicts_.emplace_back());
    case PickleCallable::kRebuildTensor:
      return push(&tensors_.emplace_back(tensor_from(arguments)));
    case PickleCallable::kRebuildParameter:  // data, requires_grad, hooks
      require(arguments.items.size() == 3, Code::kCorrupt, what_, " rebuilds a parameter from ",
              arguments.items.size(), " arguments instead of 3");
      return push(as<PickleTensor*>(arguments.items[0], "a tensor"));
    case PickleCallable::kStorageType:
      fail(Code::kUnsupported, what_, " calls ", callable.module, ".", callable.name,
           "; save only model.state_dict()");
  }
}

PickleTensor PickleReader::tensor_from(const PickleList& arguments) const {
  // storage, offset, sizes, strides, requires_grad, hooks and, in newer versions, metadata
  const std::vector<PickleValue>& items = arguments.items;
  require(items.size() == 6 || items.size() == 7, Code::kCorrupt, what_, " rebuilds a tensor from ",
          items.size(), " arguments instead of 6 or 7");
  PickleTensor tensor{as<PickleStorage>(items[0], "a storage"), as<int64_t>(items[1], "an integer"),
                      integers(items[2]), integers(items[3])};
  require(tensor.sizes.size() == tensor.strides.size(), Code::kCorrupt, what_,
          " rebuilds a tensor of ", tensor.sizes.size(), " sizes with ", tensor.strides.size(),
          " strides");
  return tensor;
}

PickleStorage PickleReader::storage_from(const PickleValue& id) const {
  // ("storage", type, key, location, elements)
  const std::vector<PickleValue>& items = as<PickleList*>(id, "a persistent id")->items;
  require(items.size() == 5 && as<std::string_view>(items[0], "a text") == "storage",
          Code::kCorrupt, what_, " refers to something that is not a storage");
  const PickleCallable& type = *as<const PickleCallable*>(items[1], "a storage type");
  require(type.kind == PickleCallable::kStorageType, Code::kCorrupt, what_,
          " gives a storage the type ", type.name);
  return {type.dtype, as<std::string_view>(items[2], "a text"),
          as<int64_t>(items[4], "an integer")};
}

std::vector<int64_t> PickleReader::integers(const PickleValue& value) const {
  const std::vector<PickleValue>& items = as<PickleList*>(value, "a tuple")->items;
  require(static_cast<int64_t>(items.size()) <= limits_.dimensions, Code::kLimitExceeded, what_,
          " holds a tensor of ", items.size(), " dimensions, the limit is ", limits_.dimensions);
  std::vector<int64_t> numbers;
  numbers.reserve(items.size());
  for (const PickleValue& item : items) numbers.push_back(as<int64_t>(item, "an integer"));
  return numbers;
}

void PickleReader::set_items(PickleValue& target, const std::vector<PickleValue>& pairs) {
  PickleDict& dict = *as<PickleDict*>(target, "a dictionary");
  require(pairs.size() % 2 == 0, Code::kCorrupt, what_, " sets a key without a value");
  for (size_t i = 0; i < pairs.size(); i += 2) dict.items.emplace_back(pairs[i], pairs[i + 1]);
}

void PickleReader::append_items(PickleValue& target, const std::vector<PickleValue>& items) {
  PickleList& list = *as<PickleList*>(target, "a list");
  list.items.insert(list.items.end(), items.begin(), items.end());
}

void PickleReader::memoize(uint32_t slot) { memo_[slot] = top(); }

PickleValue PickleReader::recall(uint32_t slot) const {
  const auto found = memo_.find(slot);
  require(found != memo_.end(), Code::kCorrupt, what_, " recalls the value ", slot,
          ", which it never stored");
  return found->second;
}

PickleValue PickleReader::lookup_callable() {
  const std::string_view module = line();
  const std::string_view name = line();
  for (const PickleCallable& known : kCallables) {
    if (known.module == module && known.name == name) return &known;
  }
  fail(Code::kUnsupported, what_, " names the callable ", in_quotes(str(module, ".", name)),
       ", which is not part of a plain state dict; nothing was run; save only model.state_dict()");
}

PickleValue PickleReader::read_long() {
  const std::string_view bytes = bytes_.take(bytes_.number<uint8_t>());
  require(bytes.size() <= sizeof(int64_t), Code::kUnsupported, what_, " holds an integer of ",
          bytes.size(), " bytes, 8 is the most that is supported");
  if (bytes.empty()) return int64_t{0};
  const bool negative = bytes.back() & 0x80;
  int64_t number = negative ? -1 : 0;
  std::memcpy(&number, bytes.data(), bytes.size());
  return number;
}

void PickleReader::push_tuple(std::vector<PickleValue> items) {
  push(&lists_.emplace_back(PickleList{std::move(items)}));
}

PickleValue& PickleReader::top() {
  require(stack_.size() > (marks_.empty() ? 0 : marks_.back()), Code::kCorrupt, what_,
          " is damaged: its pickle takes a value where none is");
  return stack_.back();
}

PickleValue PickleReader::pop() {
  PickleValue value = top();
  stack_.pop_back();
  return value;
}

std::vector<PickleValue> PickleReader::pop_last(size_t count) {
  std::vector<PickleValue> items(count);
  while (count > 0) items[--count] = pop();
  return items;
}

std::vector<PickleValue> PickleReader::pop_to_mark() {
  require(!marks_.empty(), Code::kCorrupt, what_, " is damaged: its pickle lacks a mark");
  std::vector<PickleValue> items = pop_last(stack_.size() - marks_.back());
  marks_.pop_back();
  return items;
}

std::string_view PickleReader::line() {
  const size_t end = bytes_.rest().find('\n');
  require(end != std::string_view::npos, Code::kCorrupt, what_, " is truncated inside a name");
  const std::string_view text = bytes_.take(end);
  bytes_.take(1);
  return text;
}

template <typename T>
const T& PickleReader::as(const PickleValue& value, const char* expected) const {
  const T* found = std::get_if<T>(&value);
  require(found != nullptr, Code::kCorrupt, what_,
          " is damaged: its pickle holds another value "
          "where ",
          expected, " belongs");
  return *found;
}

}  // namespace lethe
