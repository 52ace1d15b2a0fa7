// Adapter files that lie: damage without and with all checksums made right again, bombs, limits.
#include <ATen/ATen.h>

#include <limits>

#include "container_parts.h"
#include "storage/adapter_file.h"
#include "test.h"

namespace lethe {
namespace {

using testing::ContainerParts;
using testing::expect_error;
using testing::FramePart;
using testing::put;
using testing::zstd_frame;

constexpr size_t kTail = 40;  // file digest and end mark

Weights tensors() {
  return {{"a", at::arange(12, at::kFloat).reshape({3, 4})}, {"b", at::ones({2}, at::kFloat)}};
}

ContainerParts parts() { return ContainerParts::of(tensors()); }

AdapterFile parse(const std::string& bytes, const Limits& limits = {}) {
  return parse_adapter_file(bytes, "the file", limits);
}

void refused(Code code, const std::string& part, const std::string& bytes,
             const Limits& limits = {}) {
  expect_error(code, part, [&] { parse(bytes, limits); });
}

/// Expects that good parts, after `change`, are refused.
void refused(Code code, const std::string& part, const std::function<void(ContainerParts&)>& change,
             const Limits& limits = {}) {
  ContainerParts changed = parts();
  change(changed);
  refused(code, part, changed.build(), limits);
}

void good_parts_are_read(void**) {
  const AdapterFile file = parse(parts().build());
  assert_int_equal(file.tensors.size(), 2);
  assert_true(at::equal(file.tensors.at("a"), tensors().at("a")));
  assert_int_equal(file.manifest["format"].get<int>(), 1);
}

// --- accidental damage ---

void every_flipped_bit_is_refused(void**) {
  const std::string file = parts().build();
  for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
    std::string changed = file;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ 1 << bit % 8);
    refused(Code::kCorrupt, "the file", changed);
  }
}

void every_changed_byte_is_refused(void**) {
  const std::string file = parts().build();
  for (size_t i = 0; i < file.size(); ++i) {
    for (const char value : {'\0', '\xff', static_cast<char>(~file[i])}) {
      if (file[i] == value) continue;
      std::string changed = file;
      changed[i] = value;
      refused(Code::kCorrupt, "the file", changed);
    }
  }
}

void every_truncation_and_extension_is_refused(void**) {
  const std::string file = parts().build();
  for (size_t size = 0; size < file.size(); ++size) {
    refused(Code::kCorrupt, "the file", file.substr(0, size));
    refused(Code::kCorrupt, "the file", file.substr(size + 1));
  }
  refused(Code::kCorrupt, "the file", file + '\0');
  refused(Code::kCorrupt, "the file", file + file);
}

void other_files_are_refused(void**) {
  refused(Code::kCorrupt, "truncated", std::string());
  refused(Code::kCorrupt, "not an adapter file", serialize_safetensors(tensors()));
  refused(Code::kCorrupt, "not an adapter file", zstd_frame(serialize_safetensors(tensors())));
  refused(Code::kCorrupt, "not an adapter file", [](ContainerParts& p) {
    p.edit_header = [](std::string& header) { header.replace(0, 8, "LETHEADQ"); };
  });
}

// --- the fixed header ---

void versions_and_features(void**) {
  const auto header = [](size_t offset, auto value) {
    return [=](ContainerParts& p) { p.edit_header = put(offset, value); };
  };
  refused(Code::kVersion, "has format 2.0, this version of Lethe reads format 1",
          header(8, uint16_t{2}));
  refused(Code::kVersion, "has format 0.0", header(8, uint16_t{0}));
  refused(Code::kVersion, "needs features (bits 1)", header(12, uint32_t{1}));
  refused(Code::kVersion, "needs features", header(12, uint32_t{1} << 31));
  refused(Code::kCorrupt, "reserved", header(84, uint8_t{1}));
  refused(Code::kCorrupt, "reserved", header(91, uint8_t{1}));
  refused(Code::kCorrupt, "declares a manifest of 5 bytes", header(24, uint64_t{5}));
  refused(Code::kCorrupt, "checksum of its manifest", header(80, uint32_t{7}));
  refused(Code::kCorrupt, "index should begin at byte 18446744073709551615",
          header(40, UINT64_MAX));
  refused(Code::kCorrupt, "index should begin at byte 100", header(40, uint64_t{100}));
  refused(Code::kCorrupt, "a frame does not begin", header(40, uint64_t{120}));

  ContainerParts newer = parts();
  newer.edit_header = put(10, uint16_t{9});  // minor version
  parse(newer.build());
  newer.edit_header = put(16, UINT32_MAX);  // optional features
  parse(newer.build());
}

void limits_are_checked_in_the_header(void**) {
  const auto header = [](size_t offset, auto value) {
    return [=](ContainerParts& p) { p.edit_header = put(offset, value); };
  };
  refused(Code::kLimitExceeded, "declares 16385 tensors, the limit is 16384",
          header(20, uint32_t{16'385}));
  refused(Code::kLimitExceeded, "declares 18446744073709551615 bytes of tensors",
          header(32, UINT64_MAX));
  Limits limits;
  limits.header_bytes = 11;
  refused(Code::kLimitExceeded, "declares 12 bytes of manifest, the limit is 11", parts().build(),
          limits);
  limits = {};
  limits.file_bytes = 100;
  refused(Code::kLimitExceeded, "bytes, the limit is 100", parts().build(), limits);
  // The header's checksum comes before its version and its limits.
  std::string file = parts().build();
  put(16, uint16_t{2})(file);
  refused(Code::kCorrupt, "checksum of its header", file);
}

void manifests(void**) {
  const auto manifest = [](const std::string& text) {
    return [=](ContainerParts& p) { p.manifest = text; };
  };
  refused(Code::kCorrupt, "(manifest) is not valid JSON", manifest(""));
  refused(Code::kCorrupt, "(manifest) is not valid JSON", manifest("{\"a\":"));
  refused(Code::kCorrupt, "(manifest) is not valid JSON", manifest("{\"\xff\":1}"));
  refused(Code::kCorrupt, "the key \"a\" twice", manifest(R"({"a":1,"a":2})"));
  refused(Code::kCorrupt, "not a JSON object", manifest("[]"));
  refused(Code::kLimitExceeded, "deeper than 32", manifest(std::string(100, '[')));
  refused(Code::kLimitExceeded, "string of 70000 bytes",
          manifest("{\"a\":\"" + std::string(70'000, 'x') + "\"}"));
}

// --- the index ---

void index_entries(void**) {
  const auto entry = [](size_t frame, size_t offset, auto value) {
    return [=](ContainerParts& p) { p.frames[frame].edit = put(offset, value); };
  };
  refused(Code::kCorrupt, "frame 0 of its index", entry(0, 0, uint64_t{0}));
  refused(Code::kCorrupt, "frame 1 of its index", entry(1, 0, UINT64_MAX));
  refused(Code::kCorrupt, "checksum of frame 1", entry(1, 8, uint64_t{1}));
  refused(Code::kCorrupt, "frame 2 of its index", entry(2, 8, UINT64_MAX));
  refused(Code::kCorrupt, "checksum of frame 2", entry(2, 8, uint64_t{1}));
  refused(Code::kCorrupt, "frame 1 of its index", entry(1, 28, uint32_t{1}));  // reserved
  refused(Code::kCorrupt, "checksum of frame 1", entry(1, 24, uint32_t{1}));
  refused(Code::kCorrupt, "tensor \"a\" is damaged: its digest", entry(1, 40, uint8_t{1}));
  refused(Code::kCorrupt, "digest of the safetensors header", entry(0, 40, uint8_t{1}));
  refused(Code::kCorrupt, "belong to nothing", [](ContainerParts& p) { p.gap = "x"; });
  refused(Code::kCorrupt, "more than the 55 bytes of tensors",
          [](ContainerParts& p) { p.tensor_bytes = 55; });
  refused(Code::kCorrupt, "less than the 57 bytes of tensors",
          [](ContainerParts& p) { p.tensor_bytes = 57; });
}

void index_frame(void**) {
  refused(Code::kCorrupt, "3 frames need 232",
          [](ContainerParts& p) { p.edit_index = put(4, uint32_t{231}); });
  refused(Code::kCorrupt, "3 frames need 232",
          [](ContainerParts& p) { p.edit_index = [](std::string& index) { index += "x"; }; });
  refused(Code::kCorrupt, "a frame does not begin",
          [](ContainerParts& p) { p.edit_index = put(0, uint32_t{0x184D2A5E}); });
  std::string file = parts().build();
  file.back() = 'E';
  refused(Code::kCorrupt, "end mark", file);
  file = parts().build();
  file[file.size() - kTail] ^= 1;
  refused(Code::kCorrupt, "digest of the file", file);
  // One tensor more than the index has.
  refused(Code::kCorrupt, "4 frames need 296",
          [](ContainerParts& p) { p.edit_header = put(20, uint32_t{3}); });
}

// --- zstd frames ---

void frames_of_another_kind(void**) {
  const auto stored = [](const std::string& bytes) {
    return [=](ContainerParts& p) { p.frames[1].stored = bytes; };
  };
  const std::string raw = parts().frames[1].raw;
  const std::string frame = zstd_frame(raw);
  refused(Code::kCorrupt, "\"a\" is not a zstd frame", stored(""));
  refused(Code::kCorrupt, "\"a\" is not a zstd frame", stored(raw));
  refused(Code::kCorrupt, "without a checksum", stored(zstd_frame(raw, /*checksum=*/false)));
  refused(Code::kCorrupt, "does not declare the 48 bytes",
          stored(zstd_frame(raw, true, /*content_size=*/false)));
  refused(Code::kCorrupt, "does not declare the 48 bytes", stored(zstd_frame(raw + "x")));
  refused(Code::kCorrupt, "followed by other bytes", stored(frame + "x"));
  refused(Code::kCorrupt, "followed by other bytes", stored(frame + zstd_frame("")));
  refused(Code::kCorrupt, "followed by other bytes", stored(frame.substr(0, frame.size() - 1)));
  refused(Code::kCorrupt, "digest does not match", stored(zstd_frame(std::string(48, 'x'))));
  std::string with_dictionary = frame;
  with_dictionary[4] |= 1;
  refused(Code::kCorrupt, "with a dictionary", stored(with_dictionary));
  std::string checksum = frame;
  checksum.back() ^= 1;
  refused(Code::kCorrupt, "cannot be decompressed", stored(checksum));
}

void windows(void**) {
  Limits limits;
  limits.window_log = 12;
  ContainerParts changed = ContainerParts::of({{"x", at::ones({2500})}});
  const std::string raw = changed.frames[1].raw;  // a single segment: the window is the content
  refused(Code::kLimitExceeded, "window of 10000 bytes, the limit is 2^12", changed.build(),
          limits);
  changed.frames[1].stored = zstd_frame(raw, true, true, 13);
  refused(Code::kLimitExceeded, "window of 8192 bytes", changed.build(), limits);
  changed.frames[1].stored = zstd_frame(raw, true, true, 12);
  parse(changed.build(), limits);
}

void bombs(void**) {
  // 64 MiB of zeros in 2 KiB, honestly declared.
  ContainerParts honest = ContainerParts::of({{"zeros", at::zeros({16 << 20})}});
  refused(Code::kLimitExceeded, "the limit is 1000 : 1", honest.build());
  // The same frame, declared small in the index, then also in its own header.
  ContainerParts modest = parts();
  modest.frames[1].stored = zstd_frame(std::string(64 << 20, '\0'));
  refused(Code::kCorrupt, "does not declare the 48 bytes", modest.build());
  std::string frame("\x28\xb5\x2f\xfd\x24\x30", 6);  // single segment, checksum, 48 bytes
  frame += std::string("\xfb\xff\x0f\0", 4);         // last block: 131071 times one zero byte
  frame += std::string(4, '\0');
  modest.frames[1].stored = frame;
  refused(Code::kCorrupt, "the file: tensor \"a\"", modest.build());
  // Declared larger than every limit.
  modest.frames[1].raw_bytes = uint64_t{2} << 30;
  refused(Code::kLimitExceeded, "2147483648 bytes for one tensor", modest.build());
  modest = parts();
  modest.frames[0].raw_bytes = 17 << 20;
  refused(Code::kLimitExceeded, "bytes of safetensors header", modest.build());
}

void resealed_flips_are_refused_or_harmless(void**) {
  // Whoever damages the frames and makes every checksum of the container right again still meets
  // zstd's checks and the digests of the raw bytes.
  const ContainerParts good = parts();
  size_t harmless = 0;
  for (size_t part = 0; part < good.frames.size(); ++part) {
    const std::string frame = zstd_frame(good.frames[part].raw);
    for (size_t bit = 0; bit < 8 * frame.size(); ++bit) {
      ContainerParts changed = good;
      changed.frames[part].stored = frame;
      std::string& stored = *changed.frames[part].stored;
      stored[bit / 8] = static_cast<char>(stored[bit / 8] ^ 1 << bit % 8);
      try {
        const AdapterFile file = parse(changed.build());
        for (const auto& [name, tensor] : tensors()) {
          assert_true(at::equal(file.tensors.at(name), tensor));
        }
        ++harmless;
      } catch (const Error& error) {
        assert_true(error.code() == Code::kCorrupt || error.code() == Code::kLimitExceeded);
      }
    }
  }
  assert_true(harmless < 20);  // bits that zstd does not use
}

// --- the safetensors file inside ---

void inner_headers(void**) {
  const auto inner = [](const Weights& header_of) {
    return [=](ContainerParts& p) { p.frames[0].raw = safetensors_header(header_of); };
  };
  const at::Tensor a = tensors().at("a"), b = tensors().at("b");
  refused(Code::kCorrupt, "names 1 tensors, its fixed header 2", inner({{"a", a}}));
  refused(Code::kCorrupt, "names 3 tensors", inner({{"a", a}, {"b", b}, {"c", b}}));
  refused(Code::kCorrupt, "\"a\" needs 8 bytes, its frame has 48", inner({{"a", b}, {"b", a}}));
  for (const at::ScalarType dtype : {at::kDouble, at::kInt, at::kLong, at::kByte, at::kBool}) {
    refused(Code::kCorrupt, str("type ", dtype_name(dtype), "; adapters hold F32, F16 and BF16"),
            ContainerParts::of({{"x", at::ones({2}, dtype)}}).build());
  }
  const auto raw = [](const std::function<void(std::string&)>& edit) {
    return [=](ContainerParts& p) { edit(p.frames[0].raw); };
  };
  refused(Code::kCorrupt, "names 2 tensors", raw([](std::string& header) { header += "x"; }));
  refused(Code::kCorrupt, "truncated", raw([](std::string& header) { header.pop_back(); }));
  refused(Code::kCorrupt, "truncated", raw([](std::string& header) { header.clear(); }));
  refused(Code::kCorrupt, "comes next",
          raw([](std::string& header) { header.replace(header.find("[48,56]"), 7, "[47,55]"); }));
  refused(Code::kCorrupt, "twice",
          raw([](std::string& header) { header.replace(header.find("\"b\""), 3, "\"a\""); }));
}

void non_finite_values(void**) {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16}) {
      at::Tensor tensor = at::ones({100}, dtype);
      tensor[99] = bad;
      refused(Code::kCorrupt, "tensor \"x\" holds a NaN or an infinite value",
              ContainerParts::of({{"x", tensor}}).build());
    }
  }
}

}  // namespace
}  // namespace lethe

int main() {
  using namespace lethe;
  const CMUnitTest tests[] = {
      cmocka_unit_test(good_parts_are_read),
      cmocka_unit_test(every_flipped_bit_is_refused),
      cmocka_unit_test(every_changed_byte_is_refused),
      cmocka_unit_test(every_truncation_and_extension_is_refused),
      cmocka_unit_test(other_files_are_refused),
      cmocka_unit_test(versions_and_features),
      cmocka_unit_test(limits_are_checked_in_the_header),
      cmocka_unit_test(manifests),
      cmocka_unit_test(index_entries),
      cmocka_unit_test(index_frame),
      cmocka_unit_test(frames_of_another_kind),
      cmocka_unit_test(windows),
      cmocka_unit_test(bombs),
      cmocka_unit_test(resealed_flips_are_refused_or_harmless),
      cmocka_unit_test(inner_headers),
      cmocka_unit_test(non_finite_values),
  };
  return cmocka_run_group_tests_name("container_hostile", tests, nullptr, nullptr);
}
