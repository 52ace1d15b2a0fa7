// The safetensors format: files of the official writer, round trips, hostile files, the writer's
// own refusals.
#include <ATen/ATen.h>

#include <numeric>

#include "storage/bytes.h"
#include "storage/file.h"
#include "storage/safetensors.h"
#include "test.h"

namespace lethe {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

std::string with_length(const std::string& header, const std::string& data = "") {
  std::string bytes;
  append_number<uint64_t>(bytes, header.size());
  return bytes + header + data;
}

/// Written by the Python package safetensors 0.5.3.
std::string official_file() {
  return with_length(
      R"({"__metadata__":{"format":"pt"},"i64":{"dtype":"I64","shape":[],"data_offsets":[0,8]},)"
      R"("f64":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},)"
      R"("empty":{"dtype":"F32","shape":[0,4],"data_offsets":[16,16]},)"
      R"("w.f32":{"dtype":"F32","shape":[2,3],"data_offsets":[16,40]},)"
      R"("i32":{"dtype":"I32","shape":[1],"data_offsets":[40,44]},)"
      R"("a.bf16":{"dtype":"BF16","shape":[2],"data_offsets":[44,48]},)"
      R"("b.f16":{"dtype":"F16","shape":[2],"data_offsets":[48,52]},)"
      R"("i16":{"dtype":"I16","shape":[1],"data_offsets":[52,54]},)"
      R"("i8":{"dtype":"I8","shape":[1],"data_offsets":[54,55]},)"
      R"("u8":{"dtype":"U8","shape":[1],"data_offsets":[55,56]},)"
      R"("bool":{"dtype":"BOOL","shape":[3],"data_offsets":[56,59]}}     )",
      std::string("\0\0\0\0\0\1\0\0\x9a\x99\x99\x99\x99\x99\xb9?\0\0\0\0\0\0\x80?\0\0\0@\0\0@@"
                  "\0\0\x80@\0\0\xa0@\xf9\xff\xff\xff\xc0?@@\0008\0\xc0\xd4\xfe\xfd\xc8\1\0\1",
                  59));
}

Weights official_tensors() {
  return {
      {"w.f32", at::arange(6, at::kFloat).reshape({2, 3})},
      {"b.f16", at::tensor({0.5, -2.0}).to(at::kHalf)},
      {"a.bf16", at::tensor({1.5, 3.0}).to(at::kBFloat16)},
      {"f64", at::tensor({0.1}, at::kDouble)},
      {"i64", at::scalar_tensor(int64_t{1} << 40, at::kLong)},
      {"i32", at::tensor({-7}, at::kInt)},
      {"i16", at::tensor({-300}, at::kShort)},
      {"i8", at::tensor({-3}, at::kChar)},
      {"u8", at::tensor({200}, at::kByte)},
      {"bool", at::tensor({1, 0, 1}).to(at::kBool)},
      {"empty", at::empty({0, 4}, at::kFloat)},
  };
}

void expect_same(const Weights& actual, const Weights& expected) {
  assert_int_equal(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    const at::Tensor& found = actual.at(name);
    if (found.scalar_type() != tensor.scalar_type() || !at::equal(found, tensor)) {
      fail_msg("%s differs", name.c_str());
    }
    assert_true(found.is_contiguous());
  }
}

// --- good files ---

void reads_what_the_official_writer_writes(void**) {
  const SafetensorsFile file = parse_safetensors(official_file(), "file");
  expect_same(file.tensors, official_tensors());
  assert_true((file.metadata == Metadata{{"format", "pt"}}));
}

void writes_what_the_official_writer_writes(void**) {
  assert_true(serialize_safetensors(official_tensors(), {{"format", "pt"}}) == official_file());
}

void header_names_may_come_in_any_order(void**) {
  const SafetensorsFile file =
      parse_safetensors(with_length(R"({"z":{"data_offsets":[4,8],"shape":[1],"dtype":"I32"},)"
                                    R"("a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}})"
                                    "  \n\t ",
                                    std::string("\1\0\0\0\2\0\0\0", 8)),
                        "file");
  assert_int_equal(file.tensors.at("a").item<int>(), 1);
  assert_int_equal(file.tensors.at("z").item<int>(), 2);
}

void unaligned_data_is_read(void**) {
  const SafetensorsFile file =
      parse_safetensors(with_length(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                                    R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
                                    std::string("\7\0\0\x80?", 5)),
                        "file");
  assert_true(file.tensors.at("b").item<float>() == 1.0f);
}

void empty_files(void**) {
  assert_true(parse_safetensors(with_length("{}"), "file").tensors.empty());
  const std::string bytes = serialize_safetensors({});
  assert_true(bytes == with_length("{}      "));
}

void tensors_own_their_memory(void**) {
  std::string bytes = official_file();
  const SafetensorsFile file = parse_safetensors(bytes, "file");
  bytes.assign(bytes.size(), '\x55');
  expect_same(file.tensors, official_tensors());
}

void round_trip_through_a_file(void**) {
  const TemporaryFolder folder;
  const at::Tensor numbers = at::randn({5, 7});
  const Weights tensors = {{"plain", numbers},
                           {"transposed", numbers.t()},
                           {"slice", numbers.slice(1, 0, 7, 2)},
                           {"expanded", numbers.slice(0, 0, 1).expand({3, 7})},
                           {"nested.näme/ \"quoted\"", at::ones({1, 1, 1, 1, 1, 1, 1, 2})}};
  const Metadata metadata = {{"a", "ä\n\""}, {"b", ""}};
  write_safetensors(folder / "f", tensors, metadata);
  const SafetensorsFile file = read_safetensors(folder / "f");
  expect_same(file.tensors, tensors);
  assert_true(file.metadata == metadata);
  const std::string bytes = serialize_safetensors(tensors, metadata);
  assert_true(read_file(folder / "f", 1 << 20) == bytes);
  assert_true(serialize_safetensors(file.tensors, file.metadata) == bytes);
  expect_error(Code::kNotFound, "\"none\"", [&] { read_safetensors(folder / "none"); });
}

void header_alone(void**) {
  const std::string header = safetensors_header(official_tensors(), {{"format", "pt"}});
  const std::string file = official_file();
  assert_true(file.substr(0, file.size() - 59) == header);
  assert_int_equal(header.size() % 8, 0);
  const SafetensorsHeader parsed = parse_safetensors_header(header, "header");
  assert_int_equal(parsed.header_bytes, header.size());
  assert_int_equal(parsed.data_bytes, 59);
  assert_string_equal(parsed.entries[3].name.c_str(), "w.f32");
  assert_int_equal(parsed.entries[3].begin, 16);
}

void dtype_names(void**) {
  assert_true(dtype_name(at::kBFloat16) == "BF16");
  assert_true(dtype_from_name("I16") == at::kShort);
  expect_error(Code::kUnsupported, "ComplexFloat", [] { dtype_name(at::kComplexFloat); });
  expect_error(Code::kCorrupt, "unknown dtype \"F8_E4M3\"", [] { dtype_from_name("F8_E4M3"); });
}

// --- hostile files ---

/// A header of one tensor "x" with these fields.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"x":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

void refused(Code code, const std::string& part, const std::string& bytes,
             const Limits& limits = {}) {
  expect_error(code, part, [&] { parse_safetensors(bytes, "the file", limits); });
}

void hostile_frames(void**) {
  for (size_t size = 0; size < 8; ++size) {
    refused(Code::kCorrupt, "truncated", std::string(size, '\0'));
  }
  refused(Code::kCorrupt, "claims 9 bytes, 2 are there", std::string("\x09\0\0\0\0\0\0\0{}", 10));
  refused(Code::kCorrupt, "claims 18446744073709551615 bytes", std::string(8, '\xff') + "{}");
  refused(Code::kCorrupt, "does not begin with {", std::string(8, '\0'));
  refused(Code::kCorrupt, "does not begin with {", with_length(" {}"));
  refused(Code::kCorrupt, "does not begin with {", with_length("\xef\xbb\xbf{}"));
  refused(Code::kCorrupt, "does not begin with {", with_length("[]"));
  refused(Code::kCorrupt, "not valid JSON", with_length("{"));
  refused(Code::kCorrupt, "not valid JSON", with_length("{}x"));
  refused(Code::kCorrupt, "not valid JSON", with_length(std::string("{}\0\0", 4)));
  refused(Code::kCorrupt, "not valid JSON", with_length("{\"\xff\":1}"));
  refused(Code::kCorrupt, "holds 1 bytes of tensors where its header declares 0",
          with_length("{}", "x"));
}

void hostile_entries(void**) {
  const std::string good = R"({"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  refused(Code::kCorrupt, "the key \"x\" twice",
          with_length(R"({"x":)" + good + R"(,"x":)" + good + "}", "1"));
  refused(
      Code::kCorrupt, "the key \"dtype\" twice",
      with_length(R"({"x":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "1"));
  refused(Code::kCorrupt, "NUL", with_length(R"({"x\u0000":)" + good + "}", "1"));
  refused(Code::kCorrupt, "nothing else", with_length(R"({"x":1})"));
  refused(Code::kCorrupt, "nothing else", with_length(R"({"x":{"dtype":"U8","shape":[1]}})"));
  refused(Code::kCorrupt, "nothing else",
          with_length(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"path":"/"}})", "1"));
  refused(Code::kCorrupt, "unknown dtype \"U9\"", with_length(one("\"U9\"", "[1]", "[0,1]"), "1"));
  refused(Code::kCorrupt, "wrong kind", with_length(one("7", "[1]", "[0,1]"), "1"));
  refused(Code::kCorrupt, "wrong kind", with_length(one("\"U8\"", "1", "[0,1]"), "1"));
  refused(Code::kCorrupt, "wrong kind", with_length(one("\"U8\"", "[1]", "[0,1,1]"), "1"));
  refused(Code::kCorrupt, "wrong kind", with_length(one("\"U8\"", "[1]", "{}"), "1"));
  for (const char* size : {"-1", "1.0", "\"1\"", "null", "9223372036854775808"}) {
    refused(Code::kCorrupt, "must be an integer >= 0",
            with_length(one("\"U8\"", str("[", size, "]"), "[0,1]"), "1"));
    refused(Code::kCorrupt, "must be an integer >= 0",
            with_length(one("\"U8\"", "[1]", str("[0,", size, "]")), "1"));
  }
  refused(Code::kCorrupt, "must be an object", with_length(R"({"__metadata__":[]})"));
  refused(Code::kCorrupt, "\"a\" must be a string", with_length(R"({"__metadata__":{"a":1}})"));
  refused(Code::kCorrupt, "other than 0, 1",
          with_length(one("\"BOOL\"", "[2]", "[0,2]"), std::string("\1\2", 2)));
}

void hostile_sizes(void**) {
  // 65536^4 is 2^64, which wraps to 0.
  refused(Code::kCorrupt, "overflows",
          with_length(one("\"U8\"", "[65536,65536,65536,65536]", "[0,0]")));
  refused(Code::kCorrupt, "overflows",
          with_length(one("\"F64\"", "[2147483647,1073741824,0]", "[0,0]")));
  refused(Code::kCorrupt, "needs 8 bytes but its data_offsets are 0 to 4",
          with_length(one("\"F32\"", "[2]", "[0,4]"), "1234"));
  refused(Code::kCorrupt, "data_offsets are 4 to 0",
          with_length(one("\"F32\"", "[1]", "[4,0]"), "1234"));
  refused(Code::kCorrupt, "begins at byte 1 of the data, where byte 0 comes next",
          with_length(one("\"U8\"", "[1]", "[1,2]"), "12"));
  const auto two = [](const char* first, const char* second) {
    return with_length(str(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)", first,
                           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)", second, "}}"),
                       "12345");
  };
  refused(Code::kCorrupt, "\"b\" begins at byte 3", two("[0,2]", "[3,5]"));
  refused(Code::kCorrupt, "\"b\" begins at byte 1", two("[0,2]", "[1,3]"));
  refused(Code::kCorrupt, "\"b\" begins at byte 0", two("[0,2]", "[0,2]"));
  refused(Code::kCorrupt, "5 bytes of tensors where its header declares 4", two("[0,2]", "[2,4]"));
  refused(Code::kCorrupt, "where its header declares 1000000",
          with_length(one("\"U8\"", "[1000000]", "[0,1000000]"), "123"));
}

void reader_limits(void**) {
  Limits limits;
  limits.header_bytes = 100;
  refused(Code::kLimitExceeded, "header is 101 bytes, the limit is 100",
          with_length("{" + std::string(100, ' ')), limits);
  limits = {};
  limits.tensors = 10;
  refused(Code::kLimitExceeded, "more than 10 tensors", official_file(), limits);
  limits = {};
  limits.tensor_bytes = 23;
  refused(Code::kLimitExceeded, "\"w.f32\" is 24 bytes, the limit is 23", official_file(), limits);
  limits = {};
  limits.total_bytes = 58;
  refused(Code::kLimitExceeded, "59 bytes of tensors, the limit is 58", official_file(), limits);
  limits = {};
  limits.json.max_keys = 10;
  refused(Code::kLimitExceeded, "more than 10 keys", official_file(), limits);
  refused(Code::kLimitExceeded, "9 dimensions, the limit is 8",
          with_length(one("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), "1"));
  refused(Code::kLimitExceeded, "dimension of 2147483648",
          with_length(one("\"U8\"", "[2147483648]", "[0,2147483648]")));
  refused(Code::kLimitExceeded, "is 2147483647 bytes, the limit is 1073741824",
          with_length(one("\"U8\"", "[2147483647]", "[0,2147483647]")));
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", {official_file()});
  limits = {};
  limits.file_bytes = 100;
  expect_error(Code::kLimitExceeded, "\"f\" is 739 bytes, the limit is 100",
               [&] { read_safetensors(folder / "f", limits); });
}

void every_truncation_is_refused(void**) {
  const std::string file = official_file();
  for (size_t size = 0; size < file.size(); ++size) {
    refused(Code::kCorrupt, "the file", file.substr(0, size));
  }
}

void any_flipped_bit_gives_tensors_or_an_error(void**) {
  const std::string file = official_file();
  size_t errors = 0;
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::string changed = file;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ 1 << bit % 8);
    try {
      parse_safetensors(changed, "the file");
    } catch (const Error& error) {
      assert_true(error.code() == Code::kCorrupt || error.code() == Code::kLimitExceeded);
      ++errors;
    }
  }
  assert_true(errors > 1000 && errors < 8 * file.size());
}

// --- the writer ---

void writer_refusals(void**) {
  const auto refuse = [](Code code, const std::string& part, const Weights& tensors,
                         const Metadata& metadata = {}, const Limits& limits = {}) {
    expect_error(code, part, [&] { serialize_safetensors(tensors, metadata, limits); });
  };
  const at::Tensor x = at::ones({2});
  refuse(Code::kInvalidArgument, "\"x\" must be dense", {{"x", at::Tensor()}});
  refuse(Code::kInvalidArgument, "\"x\" must be dense", {{"x", at::eye(2).to_sparse()}});
  refuse(Code::kInvalidArgument, "\"x\" must be dense",
         {{"x", at::empty({2}, at::TensorOptions(at::kMeta))}});
  refuse(Code::kUnsupported, "ComplexFloat", {{"x", x.to(at::kComplexFloat)}});
  refuse(Code::kInvalidArgument, "__metadata__", {{"__metadata__", x}});
  refuse(Code::kInvalidArgument, "no tensor can be named", {{std::string("a\0b", 3), x}});
  refuse(Code::kInvalidArgument, "not valid UTF-8", {{"\xff", x}});
  refuse(Code::kInvalidArgument, "not valid UTF-8", {{"x", x}}, {{"a", "\xc3"}});
  refuse(Code::kLimitExceeded, "9 dimensions", {{"x", at::ones({1, 1, 1, 1, 1, 1, 1, 1, 1})}});
  refuse(Code::kLimitExceeded, "string of 70000 bytes", {{std::string(70'000, 'n'), x}});
  Limits limits;
  limits.tensors = 1;
  refuse(Code::kLimitExceeded, "more than 1 tensors", {{"x", x}, {"y", x}}, {}, limits);
  limits = {};
  limits.file_bytes = 50;
  refuse(Code::kLimitExceeded, "the limit is 50", {{"x", x}}, {}, limits);
  const TemporaryFolder folder;
  expect_error(Code::kIo, "folder does not exist", [&] {
    write_safetensors(folder / "none/x", {{"x", x}});
  });
}

}  // namespace
}  // namespace lethe

int main() {
  using namespace lethe;
  const CMUnitTest tests[] = {
      cmocka_unit_test(reads_what_the_official_writer_writes),
      cmocka_unit_test(writes_what_the_official_writer_writes),
      cmocka_unit_test(header_names_may_come_in_any_order),
      cmocka_unit_test(unaligned_data_is_read),
      cmocka_unit_test(empty_files),
      cmocka_unit_test(tensors_own_their_memory),
      cmocka_unit_test(round_trip_through_a_file),
      cmocka_unit_test(header_alone),
      cmocka_unit_test(dtype_names),
      cmocka_unit_test(hostile_frames),
      cmocka_unit_test(hostile_entries),
      cmocka_unit_test(hostile_sizes),
      cmocka_unit_test(reader_limits),
      cmocka_unit_test(every_truncation_is_refused),
      cmocka_unit_test(any_flipped_bit_gives_tensors_or_an_error),
      cmocka_unit_test(writer_refusals),
  };
  return cmocka_run_group_tests_name("safetensors", tests, nullptr, nullptr);
}
