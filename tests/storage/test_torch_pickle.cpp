// PyTorch state dicts: a file that PyTorch wrote, files made by hand, pickles that want to run
// code, damaged zip archives.
#include <ATen/ATen.h>
#include <sodium.h>

#include "storage/bytes.h"
#include "storage/file.h"
#include "storage/torch_fixture.h"
#include "storage/torch_pickle.h"
#include "test.h"

namespace lethe {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

// --- the zip format, by hand ---

struct ZipEntry {
  std::string name, bytes;
  uint16_t flags = 0, method = 0;
  uint32_t size_error = 0, offset_error = 0;
};

std::string zip(const std::vector<ZipEntry>& entries, const std::string& comment = "") {
  std::string file, directory;
  for (const ZipEntry& entry : entries) {
    const auto size = static_cast<uint32_t>(entry.bytes.size());
    std::string common;  // the fields that both headers share
    append_number<uint16_t>(common, 20);
    append_number(common, entry.flags);
    append_number(common, entry.method);
    common += std::string(8, '\0');  // time, date, CRC-32
    append_number(common, size);
    append_number(common, size + entry.size_error);
    append_number(common, static_cast<uint16_t>(entry.name.size()));
    append_number<uint16_t>(common, 3);  // extra bytes

    directory += std::string("PK\1\2\0\0", 6) + common + std::string(10, '\0');
    append_number(directory, static_cast<uint32_t>(file.size()) + entry.offset_error);
    directory += entry.name + "abc";
    file += "PK\3\4" + common + entry.name + "abc" + entry.bytes;
  }
  const auto offset = static_cast<uint32_t>(file.size());
  file += directory + std::string("PK\5\6\0\0\0\0", 8);
  append_number(file, static_cast<uint16_t>(entries.size()));
  append_number(file, static_cast<uint16_t>(entries.size()));
  append_number(file, static_cast<uint32_t>(directory.size()));
  append_number(file, offset);
  append_number(file, static_cast<uint16_t>(comment.size()));
  return file + comment;
}

// --- pickle instructions, by hand ---

std::string text(const std::string& value) {
  std::string code = "X";
  append_number(code, static_cast<uint32_t>(value.size()));
  return code + value;
}

std::string integer(int32_t value) {
  std::string code = "J";
  append_number(code, value);
  return code;
}

std::string tuple(const std::string& items) { return "(" + items + "t"; }

std::string integers(const std::vector<int32_t>& values) {
  std::string items;
  for (const int32_t value : values) items += integer(value);
  return tuple(items);
}

std::string callable(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

std::string dict(const std::string& items) { return "}(" + items + "u"; }

std::string storage(const std::string& type, const std::string& key, int32_t elements) {
  return tuple(text("storage") + callable("torch", type) + text(key) + text("cpu") +
               integer(elements)) +
         "Q";
}

std::string tensor(const std::string& storage, int32_t offset, const std::vector<int32_t>& sizes,
                   const std::vector<int32_t>& strides) {
  const std::string hooks = callable("collections", "OrderedDict") + ")R";
  return callable("torch._utils", "_rebuild_tensor_v2") +
         tuple(storage + integer(offset) + integers(sizes) + integers(strides) + "\x89" + hooks) +
         "R";
}

std::string pickle(const std::string& code) { return "\x80\x02" + code + "."; }

/// The whole file, with one storage "0" of these bytes.
std::string file_of(const std::string& code, const std::string& data = "") {
  return zip({{"m/data.pkl", pickle(code)}, {"m/byteorder", "little"}, {"m/data/0", data}});
}

const std::string kFourFloats("\0\0\0\0\0\0\x80?\0\0\0@\0\0@@", 16);  // 0, 1, 2, 3

Weights parse(const std::string& bytes, const Limits& limits = {}) {
  return parse_torch_state_dict(bytes, "the file", limits);
}

void refused(Code code, const std::string& part, const std::string& bytes,
             const Limits& limits = {}) {
  expect_error(code, part, [&] { parse(bytes, limits); });
}

std::string torch_file() {
  const std::string hex = testing::kTorchFileHex;
  std::string bytes(hex.size() / 2, '\0');
  sodium_hex2bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), hex.data(),
                 hex.size(), nullptr, nullptr, nullptr);
  return bytes;
}

void expect_tensor(const Weights& weights, const std::string& name, const at::Tensor& expected) {
  const at::Tensor& found = weights.at(name);
  if (found.scalar_type() != expected.scalar_type() || !at::equal(found, expected)) {
    fail_msg("%s differs", name.c_str());
  }
  assert_true(found.is_contiguous());
  assert_int_equal(found.storage_offset(), 0);
}

// --- good files ---

void reads_what_torch_writes(void**) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "model.pt", {torch_file()});
  const Weights weights = read_torch_state_dict(folder / "model.pt");
  const at::Tensor six = at::arange(6, at::kFloat).reshape({2, 3});
  assert_int_equal(weights.size(), 17);
  expect_tensor(weights, "f32", six / 2);
  expect_tensor(weights, "transposed", six.t().contiguous());
  expect_tensor(weights, "left", at::arange(4, at::kFloat));
  expect_tensor(weights, "right", at::arange(4, 8, at::kFloat).reshape({2, 2}));
  expect_tensor(weights, "every_second", at::arange(0, 8, 2, at::kFloat));
  expect_tensor(weights, "f16", at::tensor({0.5, -2.0}).to(at::kHalf));
  expect_tensor(weights, "bf16", at::tensor({1.5, 3.0}).to(at::kBFloat16));
  expect_tensor(weights, "f64", at::tensor({0.1}, at::kDouble));
  expect_tensor(weights, "i64", at::scalar_tensor(int64_t{1} << 40, at::kLong));
  expect_tensor(weights, "i32", at::tensor({-7}, at::kInt));
  expect_tensor(weights, "i16", at::tensor({-300}, at::kShort));
  expect_tensor(weights, "i8", at::tensor({-3}, at::kChar));
  expect_tensor(weights, "u8", at::tensor({200}, at::kByte));
  expect_tensor(weights, "bool", at::tensor({1, 0, 1}).to(at::kBool));
  expect_tensor(weights, "empty", at::empty({0, 4}));
  expect_tensor(weights, "parameter", at::tensor({9.0}, at::kFloat));
  expect_tensor(weights, "expanded", at::full({3}, 4.0));
}

void shared_storages_come_apart(void**) {
  Weights weights = parse(torch_file());
  weights.at("left").fill_(-1);
  expect_tensor(weights, "every_second", at::arange(0, 8, 2, at::kFloat));
}

void state_dict_at_the_top_or_under_a_key(void**) {
  const std::string x = text("x") + tensor(storage("FloatStorage", "0", 4), 1, {3}, {1});
  const at::Tensor expected = at::arange(1, 4, at::kFloat);
  for (const std::string& code :
       {dict(x), dict(text("epoch") + integer(3) + x),
        dict(text("state_dict") + dict(x) + text("epoch") + integer(3)),
        dict(text("model") + dict(x)), dict(text("model") + "N" + text("state_dict") + dict(x))}) {
    const Weights weights = parse(file_of(code, kFourFloats));
    assert_int_equal(weights.size(), 1);
    expect_tensor(weights, "x", expected);
  }
}

void ordinary_values_are_read_past(void**) {
  std::string values = text("none") + "N" + text("yes") + "\x88" + text("byte") + "K\x07" +
                       text("short") + "M\x01\x02" + text("float") + "G\x3f\xf0";
  values += std::string(6, '\0') + text("long") + std::string("\x8a\0", 2) + text("negative") +
            "\x8a\x01\xff" + text("list") + "](" + integer(1) + integer(2) + "e" + text("one") +
            "]" + integer(1) + "a" + text("memo") + "]r" + std::string("\0\1\0\0", 4) +
            text("again") + "j" + std::string("\0\1\0\0", 4) + text("tuples") + integer(1) +
            "\x85" + text("two") + integer(1) + integer(2) + "\x86";
  const std::string x = text("x") + tensor(storage("FloatStorage", "0", 4), 0, {}, {});
  assert_int_equal(parse(file_of(dict(values + x), kFourFloats)).size(), 1);
}

void zip_comments_and_other_entries(void**) {
  const std::string code = dict(text("x") + tensor(storage("FloatStorage", "0", 4), 0, {4}, {1}));
  const std::vector<ZipEntry> entries = {{"m/data.pkl", pickle(code)},
                                         {"m/data/0", kFourFloats},
                                         {"m/version", "3\n"},
                                         {"other", "x"}};
  assert_int_equal(parse(zip(entries, "a comment PK\5\6 with a false end record")).size(), 1);
}

void guesses_the_kind_of_file(void**) {
  assert_true(looks_like_torch_pickle(torch_file()));
  assert_true(looks_like_torch_pickle("PK\3\4"));
  assert_true(looks_like_torch_pickle("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 "));  // before PyTorch 1.6
  assert_false(looks_like_torch_pickle(""));
  assert_false(looks_like_torch_pickle("{}"));
  // Safetensors whose header is 0x280 bytes long, which begin like a pickle.
  assert_false(looks_like_torch_pickle(std::string("\x80\x02\0\0\0\0\0\0{", 9)));
}

// --- pickles that want to run code ---

void callables_are_refused_by_name(void**) {
  const auto attempt = [](const std::string& module, const std::string& name) {
    const std::string code = callable(module, name) + tuple(text("touch owned")) + "R";
    refused(Code::kUnsupported, "names the callable \"" + module + "." + name + "\"",
            file_of(dict(text("x") + code), kFourFloats));
  };
  attempt("os", "system");
  attempt("posix", "system");
  attempt("builtins", "eval");
  attempt("torch", "load");
  attempt("torch.nn.modules.linear", "Linear");
  attempt("collections", "OrderedDict.fromkeys");
  attempt("torch._utils", "_rebuild_tensor");
}

void other_instructions_are_refused(void**) {
  // INST, OBJ, NEWOBJ, the extension registry, protocol 0 and protocol 4 instructions.
  for (const std::string& code :
       {std::string("(ios\nsystem\n"), std::string("o"), std::string("\x81"),
        std::string("\x82\x01"), std::string("I1\n"), std::string("P1\n"), std::string("\x8c\x01x"),
        std::string("\x93")}) {
    refused(Code::kUnsupported, "pickle instruction", file_of(code));
  }
  refused(Code::kUnsupported, "protocol 2",
          zip({{"m/data.pkl", std::string("\x80\x04N.")}, {"m/data/0", ""}}));
  refused(Code::kUnsupported, "calls torch.FloatStorage",
          file_of(callable("torch", "FloatStorage") + ")R"));
  refused(Code::kUnsupported, "OrderedDict from arguments",
          file_of(callable("collections", "OrderedDict") + tuple(integer(1)) + "R"));
  refused(Code::kUnsupported, "no dictionary", file_of(integer(1)));
  refused(Code::kUnsupported, "no tensors by name", file_of(dict(text("x") + integer(1))));
}

void broken_pickles(void**) {
  for (const std::string& code :
       {std::string(""),
        std::string("t"),
        std::string("u"),
        std::string("R"),
        std::string("("),
        std::string("NN"),
        std::string("b"),
        std::string("h\x05"),
        std::string("q\x05"),
        std::string("X\xff\xff\xff\xff"),
        std::string("cos"),
        std::string("NNs"),
        std::string("}(Nu"),
        std::string("N)R"),
        std::string("]Nb"),
        std::string("N(a"),
        std::string("Q"),
        std::string(")Q"),
        std::string("N.N"),
        std::string("\x85"),
        tuple(text("storage") + "NNNN") + "Q",
        tuple(text("other") + "NNNN") + "Q",
        tuple(text("storage") + callable("collections", "OrderedDict") + "NNN") + "Q",
        callable("torch._utils", "_rebuild_tensor_v2") + ")R",
        callable("torch._utils", "_rebuild_parameter") + ")R",
        callable("torch._utils", "_rebuild_parameter") + tuple("NNN") + "R"}) {
    refused(Code::kCorrupt, "the file", file_of(code));
  }
  refused(Code::kCorrupt, "truncated", zip({{"m/data.pkl", "\x80\x02}"}}));
  refused(Code::kUnsupported, "integer of 9 bytes", file_of("\x8a\x09" + std::string(9, '1')));
}

void cycles_and_deep_nesting_are_harmless(void**) {
  refused(Code::kUnsupported, "no tensors",
          file_of("}q" + std::string(1, '\0') + text("me") + "h" + std::string(1, '\0') + "s"));
  std::string deep(500'000, ')');
  deep += std::string(499'999, '\x86');
  refused(Code::kUnsupported, "no dictionary", file_of(deep));
}

// --- hostile tensors ---

void tensors_stay_inside_their_storage(void**) {
  const auto refuse = [](Code code, const std::string& part, const std::string& tensor_code,
                         const Limits& limits = {}) {
    refused(code, part, file_of(dict(text("x") + tensor_code), kFourFloats), limits);
  };
  const std::string four = storage("FloatStorage", "0", 4);
  const std::string outside = "tensor \"x\" reaches outside its storage of 4 elements";
  refuse(Code::kCorrupt, outside, tensor(four, 0, {5}, {1}));
  refuse(Code::kCorrupt, outside, tensor(four, 1, {4}, {1}));
  refuse(Code::kCorrupt, outside, tensor(four, -1, {2}, {1}));
  refuse(Code::kCorrupt, outside, tensor(four, 0, {2, 2}, {3, 1}));
  refuse(Code::kCorrupt, outside, tensor(four, 3, {2}, {-1}));
  refuse(Code::kCorrupt, outside, tensor(four, 4, {}, {}));
  refuse(Code::kCorrupt, outside, tensor(four, 0, {65536, 2}, {INT32_MAX, INT32_MAX}));
  refuse(Code::kCorrupt, "negative dimension -1", tensor(four, 0, {-1}, {1}));
  refuse(Code::kCorrupt, "2 sizes with 1 strides", tensor(four, 0, {2, 2}, {1}));
  refuse(Code::kCorrupt, "the file has 16 bytes",
         tensor(storage("FloatStorage", "0", 5), 0, {1}, {1}));
  refuse(Code::kCorrupt, "the file has 16 bytes",
         tensor(storage("FloatStorage", "0", 3), 0, {1}, {1}));
  refuse(Code::kCorrupt, "the file has 16 bytes",
         tensor(storage("DoubleStorage", "0", 4), 0, {1}, {1}));
  refuse(Code::kCorrupt, "lacks the zip entry \"data/7\"",
         tensor(storage("FloatStorage", "7", 4), 0, {4}, {1}));
  refuse(Code::kCorrupt, "other than 0, 1", tensor(storage("BoolStorage", "0", 16), 0, {16}, {1}));
  refuse(Code::kLimitExceeded, "9 dimensions",
         tensor(four, 0, std::vector<int32_t>(9, 1), std::vector<int32_t>(9, 1)));
  refuse(Code::kLimitExceeded, "is 8589934588 bytes", tensor(four, 0, {INT32_MAX}, {0}));
  refuse(Code::kCorrupt, "overflows", tensor(four, 0, {INT32_MAX, INT32_MAX, 8}, {0, 0, 0}));
  refuse(Code::kLimitExceeded, "brings the tensors to 4194304 bytes",
         tensor(four, 0, {1 << 20}, {0}));  // a bomb: one element seen a million times
  Limits limits;
  limits.total_bytes = 15;
  refuse(Code::kLimitExceeded, "limits are 15", tensor(four, 0, {4}, {1}), limits);
}

void names_and_counts(void**) {
  const std::string x = tensor(storage("FloatStorage", "0", 4), 0, {4}, {1});
  refused(Code::kCorrupt, "\"x\" appears twice",
          file_of(dict(text("x") + x + text("x") + x), kFourFloats));
  refused(Code::kCorrupt, "NUL", file_of(dict(text(std::string("a\0", 2)) + x), kFourFloats));
  Limits limits;
  limits.tensors = 1;
  refused(Code::kLimitExceeded, "more than 1 tensors",
          file_of(dict(text("x") + x + text("y") + x), kFourFloats), limits);
  refused(Code::kLimitExceeded, "more than 100 pickle instructions", file_of(std::string(200, 'N')),
          limits);
  limits.header_bytes = 5;
  refused(Code::kLimitExceeded, "pickle of 6 bytes", file_of("NNN"), limits);
}

// --- damaged archives ---

void hostile_archives(void**) {
  const std::string code = pickle("N");
  refused(Code::kUnsupported, "before 1.6", "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.");
  refused(Code::kUnsupported, "before 1.6", "");
  refused(Code::kCorrupt, "no end record", "PK\3\4");
  refused(Code::kUnsupported, "without data.pkl", zip({{"m/other", code}}));
  refused(Code::kUnsupported, "without data.pkl", zip({{"a/b/data.pkl", code}}));
  refused(Code::kUnsupported, "big-endian", zip({{"m/data.pkl", code}, {"m/byteorder", "big"}}));
  refused(Code::kUnsupported, "compressed or encrypted", zip({{"m/data.pkl", code, 0, 8}}));
  refused(Code::kUnsupported, "compressed or encrypted", zip({{"m/data.pkl", code, 1, 0}}));
  refused(Code::kCorrupt, "two sizes", zip({{"m/data.pkl", code, 0, 0, 1}}));
  refused(Code::kCorrupt, "no local header", zip({{"m/data.pkl", code, 0, 0, 0, 1}}));
  refused(Code::kCorrupt, "outside the archive", zip({{"m/data.pkl", code, 0, 0, 0, 1 << 30}}));
  refused(Code::kCorrupt, "appears twice", zip({{"m/data.pkl", code}, {"m/data.pkl", code}}));

  const std::string good = zip({{"m/data.pkl", code}});
  const auto changed = [&](size_t from_end, uint32_t value) {
    std::string bytes = good;
    std::memcpy(&bytes[bytes.size() - from_end], &value, sizeof value);
    return bytes;
  };
  refused(Code::kUnsupported, "zip64", changed(6, UINT32_MAX));
  refused(Code::kUnsupported, "zip64", changed(10, UINT32_MAX));
  refused(Code::kUnsupported, "zip64", changed(14, UINT32_MAX));
  refused(Code::kUnsupported, "split", changed(18, 1));
  refused(Code::kCorrupt, "outside the file", changed(6, 1 << 30));
  refused(Code::kCorrupt, "truncated", changed(14, 0x00020002));
}

void every_truncation_is_refused(void**) {
  const std::string file = torch_file();
  for (size_t size = 0; size < file.size(); ++size) {
    try {
      parse(file.substr(0, size));
      fail_msg("%zu bytes of %zu were read", size, file.size());
    } catch (const Error&) {
    }
  }
}

void any_flipped_bit_gives_tensors_or_an_error(void**) {
  const std::string file = torch_file();
  size_t errors = 0;
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::string changed = file;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ 1 << bit % 8);
    try {
      parse(changed);
    } catch (const Error&) {
      ++errors;
    }
  }
  assert_true(errors > 1000);
}

}  // namespace
}  // namespace lethe

int main() {
  using namespace lethe;
  const CMUnitTest tests[] = {
      cmocka_unit_test(reads_what_torch_writes),
      cmocka_unit_test(shared_storages_come_apart),
      cmocka_unit_test(state_dict_at_the_top_or_under_a_key),
      cmocka_unit_test(ordinary_values_are_read_past),
      cmocka_unit_test(zip_comments_and_other_entries),
      cmocka_unit_test(guesses_the_kind_of_file),
      cmocka_unit_test(callables_are_refused_by_name),
      cmocka_unit_test(other_instructions_are_refused),
      cmocka_unit_test(broken_pickles),
      cmocka_unit_test(cycles_and_deep_nesting_are_harmless),
      cmocka_unit_test(tensors_stay_inside_their_storage),
      cmocka_unit_test(names_and_counts),
      cmocka_unit_test(hostile_archives),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(any_flipped_bit_gives_tensors_or_an_error),
  };
  return cmocka_run_group_tests_name("torch_pickle", tests, nullptr, nullptr);
}
