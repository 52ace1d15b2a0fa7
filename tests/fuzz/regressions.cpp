// Every file of corpus/ and crashes/ through its target. Usage: fuzz_regressions FOLDER, or
// fuzz_regressions FOLDER --write-corpus to make the corpus anew.
#include <ATen/ATen.h>

#include "adapters/small_adapter.h"
#include "data/fixtures.h"
#include "engine/journal.h"
#include "engine/receipt.h"
#include "forgetting/config.h"
#include "storage/file.h"
#include "storage/torch_fixture.h"
#include "test.h"

#define TARGETS(X)     \
  X(adapter_container) \
  X(manifest)          \
  X(safetensors)       \
  X(torch_pickle) X(pickle) X(idx) X(image) X(settings) X(journal) X(receipts) X(coco) X(voc)
#define DECLARE(name) int fuzz_##name(const uint8_t* data, size_t size);
TARGETS(DECLARE)

namespace lethe::testing {
namespace {

namespace fs = std::filesystem;

using Target = int (*)(const uint8_t*, size_t);
#define ENTRY(name) {#name, fuzz_##name},
const std::pair<const char*, Target> kTargets[] = {TARGETS(ENTRY)};

std::string folder;  // tests/fuzz

void every_known_input_is_refused_or_read(void**) {
  for (const auto& [name, target] : kTargets) {
    int64_t count = 0;
    for (const char* kind : {"corpus", "crashes"}) {
      const std::string path = folder + "/" + kind + "/" + name;
      if (!fs::exists(path)) continue;
      for (const auto& entry : fs::directory_iterator(path)) {
        const std::string bytes = read_file(entry.path(), 1 << 30);
        target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
        ++count;
      }
    }
    print_message("%-18s %lld inputs\n", name, static_cast<long long>(count));
    assert_true(count > 0);
  }
}

void put(const std::string& target, const std::string& name, const std::string& bytes) {
  fs::create_directories(folder + "/corpus/" + target);
  write_file_atomically(folder + "/corpus/" + target + "/" + name, {bytes});
}

std::string from_hex(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

void write_corpus() {
  const auto base = small_base();
  const auto adapter = small_adapter(*base, {}, "req-1", {1}, 1);
  put("adapter_container", "small", serialize_adapter_file(adapter->to_file()));
  Json manifest = adapter->manifest();
  Json tensors = Json::array();
  manifest["rank"] = 2;
  for (const bool b : {false, true}) {
    const at::Tensor tensor = b ? at::ones({3, 2}) : at::ones({2, 3});
    tensors.push_back({{"name", lora_tensor_name("fc", b)},
                       {"target", "fc"},
                       {"role", b ? "B" : "A"},
                       {"shape", tensor.sizes().vec()},
                       {"dtype", "F32"},
                       {"sha256", hex(sha256(tensor))}});
  }
  manifest["tensors"] = tensors;
  manifest["adapter_id"] = derive_adapter_id(manifest);
  put("manifest", "good", manifest.dump());
  put("safetensors", "two",
      serialize_safetensors({{"a", at::ones({2, 3})}, {"b", at::ones({4}, at::kHalf)}},
                            {{"format", "pt"}}));
  put("safetensors", "empty", serialize_safetensors({}));
  const std::string torch_file = from_hex(kTorchFileHex);
  put("torch_pickle", "state_dict", torch_file);
  const size_t begin = torch_file.find("\x80\x02}");
  put("pickle", "state_dict", torch_file.substr(begin, torch_file.find("PK\x07\x08") - begin));
  const std::string labels = idx({2}, bytes_of({0, 1}));
  const std::string pixels = idx({2, 2, 2}, bytes_of({1, 2, 3, 4, 5, 6, 7, 8}));
  put("idx", "plain", bytes_of({static_cast<int>(labels.size()), 0}) + labels + pixels);
  const std::string packed = gzip(labels);
  put("idx", "gzip", bytes_of({static_cast<int>(packed.size()), 0}) + packed + gzip(pixels));
  const std::string rgb = bytes_of({1, 2, 3, 40, 50, 60, 70, 80, 90, 100, 110, 120});
  put("image", "png", png(2, 2, rgb));
  put("image", "png_interlaced", png(2, 2, rgb, {.interlaced = true}));
  put("image", "png_grey", png(2, 2, bytes_of({1, 2, 3, 4}), {.color_type = PNG_COLOR_TYPE_GRAY}));
  put("image", "jpeg", jpeg(2, 2, 3, rgb));
  put("image", "jpeg_progressive", jpeg(2, 2, 3, rgb, true));
  put("image", "jpeg_grey", jpeg(2, 2, 1, bytes_of({1, 2, 3, 4})));
  put("image", "ppm", "P6 2 2 255\n" + rgb);
  put("image", "pgm", "P5 # grey\n2 2 255\n" + bytes_of({1, 2, 3, 4}));
  put("settings", "forget",
      ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, HeadKind::kLinear).to_json().dump());
  put("settings", "pretrain", PretrainConfig{}.to_json().dump());
  for (const std::string& arch : architecture_names()) {
    put("settings", arch, default_spec(arch).dump());
  }
  put("coco", "two_objects",
      R"({"images":[{"id":3,"file_name":"a.pgm","width":8,"height":4}],)"
      R"("categories":[{"id":7,"name":"dog"},{"id":1,"name":"cat"}],)"
      R"("annotations":[{"id":1,"image_id":3,"category_id":7,)"
      R"("bbox":[1,1,3,2],"area":5.5,"iscrowd":0},)"
      R"({"id":2,"image_id":3,"category_id":1,"bbox":[-1,0,12,4],"iscrowd":1}]})");
  put("voc", "one_object",
      "<annotation><filename>a.pgm</filename><size><width>8</width><height>4</height></size>"
      "<object><name>dog</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>"
      "<xmax>5</xmax><ymax>3</ymax></bndbox></object></annotation>");
  put("settings", "transform", R"({"resize":256,"center_crop":224,"mean":[0.5],"std":[0.2]})");
  {
    const TemporaryFolder scratch;
    {
      Journal journal(scratch / "journal.db");
      TaskRecord task;
      task.request_id = "req-1";
      task.kind = "forget";
      task.request = R"({"classes":[1]})";
      journal.add(task);
      journal.set_model({hex(Digest{}), {}, {{hex(Digest{}), 1}}});
    }
    put("journal", "one_task", read_file(scratch / "journal.db", 1 << 20));
  }
  const SigningKey key(SigningKey::Seed{});
  std::string previous = hex(Digest{}), lines;
  for (int64_t number : {1, 2}) {
    const std::string line = sign_receipt({{"request_id", "req"}}, number, previous, key);
    previous = hex(sha256(line));
    lines += line + '\n';
  }
  put("receipts", "two", lines);
}

}  // namespace
}  // namespace lethe::testing

int main(int count, char** arguments) {
  using namespace lethe::testing;
  if (count < 2) return 2;
  folder = arguments[1];
  if (count > 2) {
    write_corpus();
    return 0;
  }
  const CMUnitTest tests[] = {cmocka_unit_test(every_known_input_is_refused_or_read)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
