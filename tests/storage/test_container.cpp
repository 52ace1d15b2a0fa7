// Adapter files: round trips, equal bytes, what zstd makes of them, what the writer refuses.
#include <ATen/ATen.h>

#include <cstdlib>
#include <limits>

#include "container_parts.h"
#include "storage/adapter_file.h"
#include "storage/file.h"
#include "test.h"

namespace lethe {
namespace {

using testing::ContainerParts;
using testing::expect_error;
using testing::TemporaryFolder;

AdapterFile example() {
  AdapterFile file;
  file.manifest = {{"format", 1}, {"task", "forget 3, 7"}, {"näme", {1, 2.5, nullptr, true}}};
  file.base_fingerprint = sha256("base");
  for (int i = 0; i < 3; ++i) {
    file.tensors[str("blocks.", i, ".lora_A")] =
        at::arange(12.0, at::kFloat).reshape({3, 4}) / 7 + i;
    file.tensors[str("blocks.", i, ".lora_B")] = at::arange(6.0, at::kFloat).reshape({2, 3}) - i;
  }
  return file;
}

void expect_same(const AdapterFile& actual, const AdapterFile& expected) {
  assert_true(actual.manifest == expected.manifest);
  assert_true(actual.base_fingerprint == expected.base_fingerprint);
  assert_int_equal(actual.tensors.size(), expected.tensors.size());
  for (const auto& [name, tensor] : expected.tensors) {
    const at::Tensor& found = actual.tensors.at(name);
    assert_true(found.scalar_type() == tensor.scalar_type());
    assert_true(at::equal(found, tensor));
    assert_true(found.is_contiguous());
  }
}

AdapterFile parse(const std::string& bytes, const Limits& limits = {}) {
  return parse_adapter_file(bytes, "the file", limits);
}

// --- round trips ---

void round_trip_in_memory(void**) {
  expect_same(parse(serialize_adapter_file(example())), example());
}

void round_trip_of_every_type_and_shape(void**) {
  AdapterFile file = example();
  const at::Tensor numbers = at::randn({6, 5});
  file.tensors = {{"half", numbers.to(at::kHalf)},
                  {"brain", numbers.to(at::kBFloat16)},
                  {"float", numbers},
                  {"transposed", numbers.t()},
                  {"empty", at::empty({0, 3})},
                  {"scalar", at::scalar_tensor(0.5f)},
                  {"eight", at::ones({1, 1, 1, 1, 1, 1, 2, 1})}};
  expect_same(parse(serialize_adapter_file(file)), file);
}

void round_trip_without_tensors(void**) {
  AdapterFile file;
  file.manifest = Json::object();
  file.base_fingerprint = {};
  expect_same(parse(serialize_adapter_file(file)), file);
}

void round_trip_of_large_tensors(void**) {
  AdapterFile file = example();
  file.tensors["large"] = at::randn({3'000'000});  // 12 MB: more than one zstd window
  const std::string bytes = serialize_adapter_file(file);
  expect_same(parse(bytes), file);
  assert_true(bytes.size() < 12'000'000);
}

void round_trip_through_a_file(void**) {
  const TemporaryFolder folder;
  const std::string path = folder / "task.lethe";
  write_adapter_file(path, example());
  expect_same(read_adapter_file(path), example());
  assert_true(read_file(path, 1 << 20) == serialize_adapter_file(example()));
  expect_error(Code::kIo, "cannot write \"x\": its folder does not exist",
               [&] { write_adapter_file(folder / "none/x", example()); });
  expect_error(Code::kNotFound, "\"none\" does not exist",
               [&] { read_adapter_file(folder / "none"); });
  write_file_atomically(path, {std::string(200, 'x')});
  expect_error(Code::kCorrupt, "\"task.lethe\" is not an adapter file",
               [&] { read_adapter_file(path); });
  Limits limits;
  limits.file_bytes = 199;
  expect_error(Code::kLimitExceeded, "\"task.lethe\" is 200 bytes, the limit is 199",
               [&] { read_adapter_file(path, limits); });
}

// --- the bytes ---

void follows_the_written_format(void**) {
  AdapterFile file = example();
  file.manifest = Json::parse(ContainerParts().manifest);
  assert_true(serialize_adapter_file(file) == ContainerParts::of(file.tensors).build());
}

void equal_input_gives_equal_bytes(void**) {
  const std::string once = serialize_adapter_file(example());
  AdapterFile file = example();
  for (auto& [name, tensor] : file.tensors) tensor = tensor.t().contiguous().t();  // other strides
  assert_true(serialize_adapter_file(file) == once);
  assert_true(serialize_adapter_file(parse(once)) == once);
  file.tensors.begin()->second = file.tensors.begin()->second + 1;
  assert_true(serialize_adapter_file(file) != once);
}

void levels(void**) {
  for (const int level : {1, 3, 9, 22}) {
    expect_same(parse(serialize_adapter_file(example(), level)), example());
  }
  for (const int level : {-1, 0, 23}) {
    expect_error(Code::kInvalidArgument, str("level is ", level, ", allowed is 1 to 22"),
                 [&] { serialize_adapter_file(example(), level); });
  }
}

void windows_stay_within_the_limit(void**) {
  AdapterFile file = example();
  file.tensors["large"] = at::arange(100'000, at::kFloat);
  Limits limits;
  limits.window_log = 16;  // 64 KiB for 400 KB
  const std::string bytes = serialize_adapter_file(file, 22, limits);
  expect_same(parse(bytes, limits), file);
  limits.window_log = 15;
  expect_error(Code::kLimitExceeded, "needs a zstd window of 65536 bytes, the limit is 2^15",
               [&] { parse(bytes, limits); });
}

void zstd_makes_a_safetensors_file(void**) {
  if (std::system("command -v zstd >/dev/null 2>&1") != 0) {
    print_message("the zstd program is not installed: not tested\n");
    skip();
  }
  const TemporaryFolder folder;
  AdapterFile file = example();
  file.tensors["half"] = at::ones({3}).to(at::kHalf);
  write_adapter_file(folder / "a.lethe", file);
  const std::string command = "cd '" + folder.path() + "' && zstd -q -d -c a.lethe > a.safetensors";
  assert_int_equal(std::system(command.c_str()), 0);
  assert_true(read_file(folder / "a.safetensors", 1 << 20) == serialize_safetensors(file.tensors));
  const SafetensorsFile plain = read_safetensors(folder / "a.safetensors");
  assert_true(at::equal(plain.tensors.at("blocks.1.lora_A"), file.tensors.at("blocks.1.lora_A")));
}

// --- what the writer refuses ---

void writer_refuses_bad_tensors(void**) {
  const auto refuse = [](Code code, const std::string& part, const at::Tensor& tensor) {
    AdapterFile file = example();
    file.tensors["x"] = tensor;
    expect_error(code, part, [&] { serialize_adapter_file(file); });
  };
  const std::string type = "\"x\" must be float32, float16 or bfloat16";
  refuse(Code::kInvalidArgument, type, at::Tensor());
  refuse(Code::kInvalidArgument, type, at::ones({2}, at::kDouble));
  refuse(Code::kInvalidArgument, type, at::ones({2}, at::kLong));
  refuse(Code::kInvalidArgument, type, at::empty({2}, at::TensorOptions(at::kMeta)));
  refuse(Code::kInvalidArgument, "\"x\"", at::eye(2).to_sparse());
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      refuse(Code::kNumeric, "\"x\" holds a NaN or an infinite value", at::full({2}, bad, dtype));
    }
  }
}

void writer_refuses_bad_manifests(void**) {
  const auto refuse = [](Code code, const std::string& part, const Json& manifest) {
    AdapterFile file = example();
    file.manifest = manifest;
    expect_error(code, part, [&] { serialize_adapter_file(file); });
  };
  refuse(Code::kInvalidArgument, "must be a JSON object, not null", Json());
  refuse(Code::kInvalidArgument, "must be a JSON object, not array", Json::array());
  refuse(Code::kInvalidArgument, "not valid UTF-8", {{"a", "\xff"}});
  refuse(Code::kCorrupt, "NUL", {{"a", std::string("\0", 1)}});
  refuse(Code::kLimitExceeded, "string of 70000 bytes", {{"a", std::string(70'000, 'x')}});
  Json deep = Json::object();
  for (int i = 0; i < 40; ++i) deep = Json{{"a", deep}};
  refuse(Code::kLimitExceeded, "deeper than 32", deep);
}

void writer_obeys_the_limits_of_the_reader(void**) {
  const auto refuse = [](const std::string& part, const std::function<void(Limits&)>& change) {
    Limits limits;
    change(limits);
    expect_error(Code::kLimitExceeded, part, [&] { serialize_adapter_file(example(), 3, limits); });
  };
  refuse("more than 5 tensors", [](Limits& l) { l.tensors = 5; });
  refuse("48 bytes, the limit is 40", [](Limits& l) { l.tensor_bytes = 40; });
  refuse("216 bytes of tensors, the limit is 200", [](Limits& l) { l.total_bytes = 200; });
  refuse("the limit is 60", [](Limits& l) { l.header_bytes = 60; });
  refuse("the limit is 100", [](Limits& l) { l.header_bytes = 100; });
  refuse("the limit is 1000", [](Limits& l) { l.file_bytes = 1000; });
  refuse("2 dimensions, the limit is 1", [](Limits& l) { l.dimensions = 1; });
  refuse("dimension of 4, the limit is 3", [](Limits& l) { l.dimension_size = 3; });

  AdapterFile zeros = example();
  zeros.tensors["zeros"] = at::zeros({1 << 20});
  expect_error(Code::kLimitExceeded, "the limit is 1000 : 1",
               [&] { serialize_adapter_file(zeros); });
  zeros.tensors["zeros"] = at::zeros({1 << 17});  // half a MiB may compress as far as it likes
  expect_same(parse(serialize_adapter_file(zeros)), zeros);
}

}  // namespace
}  // namespace lethe

int main() {
  using namespace lethe;
  const CMUnitTest tests[] = {
      cmocka_unit_test(round_trip_in_memory),
      cmocka_unit_test(round_trip_of_every_type_and_shape),
      cmocka_unit_test(round_trip_without_tensors),
      cmocka_unit_test(round_trip_of_large_tensors),
      cmocka_unit_test(round_trip_through_a_file),
      cmocka_unit_test(follows_the_written_format),
      cmocka_unit_test(equal_input_gives_equal_bytes),
      cmocka_unit_test(levels),
      cmocka_unit_test(windows_stay_within_the_limit),
      cmocka_unit_test(zstd_makes_a_safetensors_file),
      cmocka_unit_test(writer_refuses_bad_tensors),
      cmocka_unit_test(writer_refuses_bad_manifests),
      cmocka_unit_test(writer_obeys_the_limits_of_the_reader),
  };
  return cmocka_run_group_tests_name("container", tests, nullptr, nullptr);
}
