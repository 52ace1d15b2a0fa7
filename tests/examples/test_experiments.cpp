// The experiment runner without training: class order, slicing, protocols, settings, tables, pages.
#include "../../examples/experiments/experiment.h"
#include "../../examples/experiments/head_rows.h"
#include "../../examples/experiments/python_shuffle.h"
#include "../../examples/experiments/render.h"
#include "../../examples/experiments/results.h"
#include "../../examples/experiments/task.h"
#include "test.h"

#include <fstream>

namespace experiments {
namespace {

using lethe::testing::expect_close;
using lethe::testing::TemporaryFolder;

/// Fails unless `body` throws a Failure with this code whose message contains `part`.
void expect_failure(lethe_status status, const std::string& part,
                    const std::function<void()>& body) {
  try {
    body();
  } catch (const Failure& failure) {
    if (failure.status != status) {
      fail_msg("code %d instead of %d: %s", failure.status, status, failure.what());
    }
    if (std::string(failure.what()).find(part) == std::string::npos) {
      fail_msg("\"%s\" does not name \"%s\"", failure.what(), part.c_str());
    }
    return;
  }
  fail_msg("nothing was thrown; expected a failure naming \"%s\"", part.c_str());
}

void expect_contains(const std::string& text, const std::string& part) {
  if (text.find(part) == std::string::npos) {
    fail_msg("\"%s\" is not in:\n%s", part.c_str(), text.c_str());
  }
}

// ------------------------------------------------------------------ order and slicing

// list(range(100)) after random.seed(1337); random.shuffle(...), as CPython 3.11 prints it.
void the_order_is_the_papers(void**) {
  const Classes expected = {83, 17, 10, 9,  89, 52, 7,  32, 37, 77, 61, 34, 78, 55, 56, 63, 69,
                            22, 75, 66, 35, 72, 71, 23, 86, 38, 24, 5,  29, 30, 16, 11, 82, 19,
                            57, 14, 91, 27, 98, 53, 0,  20, 59, 28, 47, 18, 6,  48, 12, 62, 1,
                            43, 3,  60, 41, 85, 4,  95, 97, 36, 94, 65, 67, 99, 25, 33, 70, 40,
                            92, 31, 58, 15, 45, 2,  87, 76, 80, 44, 64, 8,  51, 54, 13, 88, 84,
                            26, 50, 39, 96, 81, 49, 42, 21, 93, 74, 73, 46, 90, 68, 79};
  assert_true(python_shuffled(100, 1337) == expected);
}

// The same with other seeds, one of them of two words, and lists that are too short to shuffle.
void other_seeds_and_sizes_are_cpythons_too(void**) {
  assert_true(python_shuffled(10, 0) == (Classes{7, 8, 1, 5, 3, 4, 2, 0, 9, 6}));
  assert_true(python_shuffled(10, 0x123456789abcull) == (Classes{7, 5, 2, 9, 1, 8, 4, 3, 0, 6}));
  assert_true(python_shuffled(1, 5) == Classes{0});
  assert_true(python_shuffled(0, 5).empty());
}

// 4 tasks of 20 of 100: T_1 forgets order[80:100], T_4 order[20:40] (algorithm.md 1.3).
void four_steps_slice_as_the_paper(void**) {
  const Classes order = python_shuffled(100, 1337);
  const std::vector<Step> steps = continual_steps(order, 80, 20, 4, 0);
  assert_int_equal(steps.size(), 4);
  const char* names[] = {"100-20", "80-20", "60-20", "40-20"};
  for (size_t i = 0; i < 4; ++i) {
    const auto retained = static_cast<std::ptrdiff_t>(80 - 20 * i);
    assert_string_equal(steps[i].name.c_str(), names[i]);
    assert_true(steps[i].retained == Classes(order.begin(), order.begin() + retained));
    assert_true(steps[i].forget ==
                Classes(order.begin() + retained, order.begin() + retained + 20));
    assert_true(steps[i].past == Classes(order.begin() + retained + 20, order.end()));
    assert_true(steps[i].missing.empty() && steps[i].replay == steps[i].retained);
  }
  assert_int_equal(steps[0].forget.front(), 51);
  assert_int_equal(steps[0].forget.back(), 79);
}

// Continual runs miss the first classes of the order, single steps the last of those retained.
void missing_classes_lie_where_the_paper_has_them(void**) {
  const Classes order = {4, 2, 0, 1, 5, 3};
  const std::vector<Step> steps = continual_steps(order, 4, 2, 2, 1);
  assert_true(steps[1].missing == Classes{4} && steps[1].replay == Classes{2});
  assert_true(steps[1].retained == (Classes{4, 2}) && steps[1].past == (Classes{5, 3}));
  const Step single = single_step(order, 2, 1);
  assert_string_equal(single.name.c_str(), "6-2");
  assert_true(single.missing == Classes{1} && single.replay == (Classes{4, 2, 0}));
  assert_true(single.past.empty() && single.forget == (Classes{5, 3}));
}

void impossible_slices_are_refused(void**) {
  const Classes order = {0, 1, 2, 3, 4, 5};
  expect_failure(LETHE_E_INVALID_ARGUMENT, "first 3 and per_task 2",
                 [&] { continual_steps(order, 3, 2, 1, 0); });
  expect_failure(LETHE_E_INVALID_ARGUMENT, "retains 0 classes",
                 [&] { continual_steps(order, 4, 2, 3, 0); });
  expect_failure(LETHE_E_INVALID_ARGUMENT, "2 would be missing",
                 [&] { continual_steps(order, 4, 2, 2, 2); });
  expect_failure(LETHE_E_INVALID_ARGUMENT, "1 to 5", [&] { single_step(order, 6, 0); });
}

// ------------------------------------------------------------------ protocols

Json protocol_json() {
  return Json::parse(R"({
    "name": "tiny", "title": "A tiny one",
    "data": {"kind": "idx", "root": "images", "train": ["a", "b"], "test": ["c", "d"],
             "class_count": 6, "prepare": "make images"},
    "model": {"spec": {"arch": "vit"}, "weights": "w.safetensors"},
    "tasks": {"order": [4, 2, 0, 1, 5, 3], "first": 4, "per_task": 2, "count": 2},
    "few_shot": 4,
    "settings": {"epochs": 3, "rank": 4},
    "methods": [{"name": "gs-lora", "label": "GS-LoRA"},
                {"name": "gs-lora++", "settings": {"rank": 2, "forget_weight": [0.1, 0.2]}}],
    "seeds": [7, 8]
  })");
}

void a_protocol_is_read(void**) {
  const Protocol protocol = parse_protocol(protocol_json(), "folder");
  assert_string_equal(protocol.data.root.c_str(), "folder/images");
  assert_string_equal(protocol.model.weights.c_str(), "folder/w.safetensors");
  assert_true(protocol.model.start.empty());
  assert_int_equal(protocol.steps.size(), 2);
  assert_string_equal(protocol.rows[1].label.c_str(), "gs-lora++");
  assert_false(protocol.independent);
  Json further = protocol_json();
  further["model"] = {{"spec", {{"arch", "vit"}}}, {"pretrain", {{"epochs", 1}}}, {"start", "s"}};
  assert_string_equal(parse_protocol(further, "folder").model.start.c_str(), "folder/s");
  Json single = protocol_json();
  single["tasks"] = {{"single", {1, 3}}};
  single["methods"] = {{{"name", "ewc"}}};
  const Protocol two = parse_protocol(single, "");
  assert_true(two.independent && two.steps[1].name == "6-3" && two.steps[1].past.empty());
  assert_true(two.order == python_shuffled(6, 1337));
}

// Gates are off; then few_shot, the common settings, the row's, the step's of a list; then the
// seed.
void settings_are_layered(void**) {
  const Protocol protocol = parse_protocol(protocol_json(), "");
  const Json expected = {{"gate_max_acc_f", -1},
                         {"gate_max_acc_r_drop", -1},
                         {"few_shot", 4},
                         {"epochs", 3},
                         {"rank", 2},
                         {"forget_weight", 0.2},
                         {"seed", 8}};
  assert_true(settings_of(protocol, protocol.rows[1], 1, 8) == expected);
  assert_int_equal(settings_of(protocol, protocol.rows[0], 0, 7).at("rank"), 4);
}

struct Mistake {
  const char* patch;  ///< a JSON merge patch on the protocol above
  const char* named;
};

void mistakes_in_protocols_are_named(void**) {
  const Mistake mistakes[] = {
      {R"({"retries": 3})", "unknown key \"retries\""},
      {R"({"name": null})", "lacks the key \"name\""},
      {R"({"name": "../up"})", "\"name\" is \"../up\""},
      {R"({"data": {"shuffle": true}})", "data has the unknown key \"shuffle\""},
      {R"({"data": {"kind": "video"}})", "not \"video\""},
      {R"({"data": {"train": "a"}})", "\"train\" must be a list"},
      {R"({"data": {"train": ["a"]}})", "[images, labels]"},
      {R"({"data": {"class_count": "6"}})", "\"class_count\" must be an integer, not \"6\""},
      {R"({"data": {"class_count": 1}})", "2 to 1000000"},
      {R"({"model": {"weights": null}})", "neither \"weights\" nor \"pretrain\""},
      {R"({"model": {"start": "s.safetensors"}})", "\"start\" is where pre-training begins"},
      {R"({"model": {"sepc": 1}})", "unknown key \"sepc\""},
      {R"({"model": {"spec": 3}})", "\"spec\" must be an object or the path"},
      {R"({"tasks": {"order": [0, 1, 2]}})", "each class from 0 to 5 once"},
      {R"({"tasks": {"order": "random"}})", "\"order\" must be a list"},
      {R"({"tasks": {"order_sede": 1}})", "unknown key \"order_sede\""},
      {R"({"tasks": {"count": 3}})", "retains 0 classes"},
      {R"({"missing": 2})", "2 would be missing"},
      {R"({"methods": []})", "methods is empty"},
      {R"({"methods": [{"name": "ewc"}, {"name": "ewc"}]})", "\"ewc\" is there already"},
      {R"({"methods": [{"name": "ewc", "setings": {}}]})", "methods[0] has the unknown key"},
      {R"({"methods": [{"name": "ewc", "id": "a/b"}]})", "\"a/b\" names a folder"},
      {R"({"methods": [{"name": "ewc", "settings": {"rank": [1, 2, 3]}}]})", "has 3 values"},
      {R"({"seeds": [1, 1]})", "each once"},
      {R"({"seeds": []})", "seeds is empty"},
      {R"({"threads": -1})", "threads"},
  };
  for (const Mistake& mistake : mistakes) {
    Json json = protocol_json();
    json.merge_patch(Json::parse(mistake.patch));
    expect_failure(LETHE_E_INVALID_ARGUMENT, mistake.named, [&] { parse_protocol(json, ""); });
  }
}

Json detector_protocol_json() {
  Json json = protocol_json();
  json["data"] = Json::parse(R"({"kind": "coco", "root": "scenes", "train": ["train.json", "train"],
                                 "test": ["test.json", "test"], "class_count": 6})");
  return json;
}

void what_detectors_do_not_have_is_refused(void**) {
  const Json json = detector_protocol_json();
  const Protocol protocol = parse_protocol(json, "folder");
  assert_string_equal(protocol.data.root.c_str(), "folder/scenes");
  assert_true(protocol.data.test == (std::vector<std::string>{"test.json", "test"}));
  assert_int_equal(settings_of(protocol, protocol.rows[0], 0, 7).at("few_shot"), 4);
  const Mistake mistakes[] = {
      {R"({"data": {"train": "train.json"}})", "\"train\" must be a list"},
      {R"({"data": {"test": ["test.json"]}})", "must be [annotations, image folder]"},
      {R"({"data": {"labels": "place"}})", "\"labels\" is of the kind \"coco\" alone"},
      {R"({"data": {"transform": {"resize": 8}}})", "\"transform\" is of images with labels"},
      {R"({"model": {"head_rows": {"order": "names.txt"}}})", "\"head_rows\" are of image"},
      {R"({"margin": true})", "detectors have none"},
      {R"({"tasks": {"order": "paper"}})", "must list its classes"},
      {R"({"tasks": {"order": null}})", "must list its classes"},
  };
  for (const Mistake& mistake : mistakes) {
    Json changed = json;
    changed.merge_patch(Json::parse(mistake.patch));
    expect_failure(LETHE_E_INVALID_ARGUMENT, mistake.named, [&] { parse_protocol(changed, ""); });
  }
}

void files_that_are_no_protocol_are_named(void**) {
  const TemporaryFolder folder;
  expect_failure(LETHE_E_NOT_FOUND, "nowhere.json", [] { read_protocol("nowhere.json"); });
  std::ofstream(folder / "broken.json") << "{\"name\": ";
  expect_failure(LETHE_E_CORRUPT, "broken.json is no JSON",
                 [&] { read_protocol(folder / "broken.json"); });
  std::ofstream(folder / "list.json") << "[]";
  expect_failure(LETHE_E_INVALID_ARGUMENT, "list.json: the protocol must be an object",
                 [&] { read_protocol(folder / "list.json"); });
}

// A recipe brings spec, pre-training and transform; weights may then be absent.
void a_recipe_brings_what_made_the_model(void**) {
  const TemporaryFolder folder;
  std::ofstream(folder / "recipe.json")
      << R"({"spec": {"arch": "vit"}, "transform": {"resize": 8}, "pretrain": {"epochs": 2},
             "train": ["x"], "test": ["y"]})";
  Json json = protocol_json();
  json["model"] = {{"recipe", "recipe.json"}};
  const Protocol protocol = parse_protocol(json, folder.path());
  assert_true(protocol.model.spec == Json({{"arch", "vit"}}));
  assert_true(protocol.data.transform == Json({{"resize", 8}}));
  assert_true(protocol.model.pretrain == Json::parse(R"([{"epochs": 2}])"));
}

// The protocols of examples/experiments; their recipes come with the models, so they may be absent.
void every_protocol_here_is_well_formed(void**) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(LETHE_PROTOCOLS)) {
    if (entry.path().extension() != ".json") continue;
    Json json = read_json(entry.path());
    Json& model = json.at("model");
    if (model.contains("recipe") && !fs::exists(LETHE_PROTOCOLS / fs::path(model.at("recipe")))) {
      model.erase("recipe");
      model["spec"] = Json::object();
    }
    const Protocol protocol = parse_protocol(json, LETHE_PROTOCOLS);
    assert_string_equal(protocol.name.c_str(), entry.path().stem().c_str());
    ++count;
  }
  assert_true(count >= 17);
}

/// The settings of a method's row, those of all rows included, in a protocol of the folder.
Json settings_in(const char* file, const char* method) {
  const Protocol protocol = read_protocol(fs::path(LETHE_PROTOCOLS) / file);
  for (const Row& row : protocol.rows) {
    if (row.id == method) return settings_of(protocol, row, 0, 1337);
  }
  fail_msg("%s has no row %s", file, method);
  return {};
}

// algorithm.md 4.4 and 4.6: continual runs take prototypes at each task's start, single steps
// ignore the structure term for 20 epochs and take prototypes of random weights. 4.12: few-shot.
void the_papers_protocols_have_its_settings(void**) {
  for (const char* file : {"casia100_4x20.json", "casia100_4shot_4x20.json",
                           "casia100_missing5.json", "imagenet100_4x20.json"}) {
    assert_true(settings_in(file, "gs-lora++").at("prototype_source") == "task-start");
  }
  for (const char* file : {"casia100_single.json", "casia100_4shot_single.json"}) {
    for (const char* method : {"gs-lora", "gs-lora++"}) {
      const Json settings = settings_in(file, method);
      assert_true(settings.at("structure_start_epoch") == 20);
      assert_true(settings.at("prototype_source") == "random-network");
      assert_true(settings.at("forget_bound") == 110 && settings.at("epochs") == 100);
    }
  }
  for (const char* file : {"casia100_4shot_single.json", "typefaces_4shot_single.json"}) {
    assert_true(settings_in(file, "gs-lora++").at("few_shot") == 4);
    const Protocol protocol = read_protocol(fs::path(LETHE_PROTOCOLS) / file);
    assert_true(protocol.independent && protocol.steps.size() == 4);
    assert_string_equal(protocol.steps[3].name.c_str(), "100-90");
  }
  assert_true(settings_in("casia100_4shot_single.json", "gs-lora++").at("retain_batch") == 4);
}

/// A 2x2 image in the folder of each class.
void write_class_folders(const fs::path& folder, const std::vector<std::string>& classes) {
  for (const std::string& name : classes) {
    fs::create_directories(folder / name);
    std::ofstream(folder / name / "one.ppm", std::ios::binary) << "P6 2 2 255\n"
                                                               << std::string(12, 'Z');
  }
}

// Class 1 would be "b" in training and "c" in the test, though both splits have three classes.
void splits_with_other_classes_are_refused(void**) {
  const TemporaryFolder folder;
  write_class_folders(folder / "train", {"a", "b", "c"});
  write_class_folders(folder / "test", {"a", "c", "d"});
  write_class_folders(folder / "same", {"a", "b", "c"});
  Json json = protocol_json();
  json["data"] = {
      {"kind", "image_folder"}, {"train", "train"}, {"test", "test"}, {"class_count", 3}};
  json["tasks"] = {{"order", {0, 1, 2}}, {"first", 2}, {"per_task", 1}, {"count", 1}};
  json["methods"] = {{{"name", "ewc"}}};
  cli::Runtime runtime;
  cli::check(lethe_runtime_create(nullptr, cli::out(runtime)));
  expect_failure(LETHE_E_INVALID_ARGUMENT,
                 "class 1 is \"b\" in the training split and \"c\" in the test split",
                 [&] { read_images(parse_protocol(json, folder.path()), runtime.get()); });
  json["data"]["test"] = "same";
  const Images images = read_images(parse_protocol(json, folder.path()), runtime.get());
  assert_true(images.test_count == (std::vector<int64_t>{1, 1, 1}));
}

void missing_data_and_places_that_cannot_be_written_are_named(void**) {
  const TemporaryFolder folder;
  Experiment experiment;
  experiment.protocol = parse_protocol(protocol_json(), folder.path());
  experiment.options.out = folder / "out";
  experiment.options.quiet = true;
  expect_failure(LETHE_E_NOT_FOUND, "prepare the data with:  make images",
                 [&] { run_experiment(experiment); });
  std::ofstream(folder / "file") << "x";
  experiment.options.out = folder / "file/out";
  expect_failure(LETHE_E_IO, "name another --out", [&] { run_experiment(experiment); });
}

// ------------------------------------------------------------------ heads

/// Scores of one image, filled with 0.5, by a model of 8x8 pixels.
std::vector<float> scores_of(const lethe_model* model) {
  const std::vector<float> pixels(64, 0.5f);
  const int64_t shape[] = {1, 1, 8, 8};
  lethe_tensor_view image{};
  image.struct_size = sizeof image;
  image.dtype = LETHE_F32;
  image.data = pixels.data();
  image.size = pixels.size() * sizeof(float);
  image.ndim = 4;
  image.shape = shape;
  cli::Buffer logits;
  cli::check(lethe_model_predict(model, &image, 1, cli::out(logits)));
  const auto* values = static_cast<const float*>(lethe_buffer_data(logits.get()));
  return {values, values + lethe_buffer_size(logits.get()) / sizeof(float)};
}

/// Fills the head's weights in a safetensors file with 0, 0.01, 0.02 ...: new models begin with
/// zeros.
void count_up_head(const std::string& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  uint64_t size = 0;
  stream.read(reinterpret_cast<char*>(&size), sizeof size);
  std::string header(size, ' ');
  stream.read(header.data(), static_cast<std::streamsize>(size));
  const Json range = Json::parse(header).at("heads.head.weight").at("data_offsets");
  std::vector<float> values((range[1].get<size_t>() - range[0].get<size_t>()) / sizeof(float));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.01f * static_cast<float>(i);
  stream.seekp(static_cast<std::streamoff>(8 + size + range[0].get<size_t>()));
  stream.write(reinterpret_cast<const char*>(values.data()),
               static_cast<std::streamsize>(values.size() * sizeof(float)));
}

// Outputs e, b, d of a model whose outputs are a to e: its rows 4, 1 and 3.
void a_head_is_reduced_to_the_datas_classes(void**) {
  const TemporaryFolder folder;
  const Json spec = {{"arch", "vit"},   {"classes", 5}, {"image_size", 8}, {"channels", 1},
                     {"patch_size", 4}, {"dim", 8},     {"depth", 1},      {"heads", 2},
                     {"mlp_dim", 16},   {"seed", 3}};
  Json small = spec;
  small["classes"] = 3;
  small["seed"] = 4;
  cli::Runtime runtime;
  cli::Model whole, reduced;
  cli::check(lethe_runtime_create(nullptr, cli::out(runtime)));
  cli::check(lethe_model_create(runtime.get(), spec.dump().c_str(), "cpu", cli::out(whole)));
  cli::check(lethe_model_create(runtime.get(), small.dump().c_str(), "cpu", cli::out(reduced)));
  std::ofstream(folder / "order.txt") << "a first\nb second\nc third\nd fourth\ne fifth\n";
  const std::vector<std::string> order = read_lines(folder / "order.txt");
  assert_int_equal(order.size(), 5);
  const std::string file = folder / "whole.safetensors";
  cli::check(lethe_model_export_merged(whole.get(), file.c_str(), nullptr));
  count_up_head(file);
  cli::check(lethe_model_load_weights(whole.get(), file.c_str(), nullptr));
  load_head_rows(runtime.get(), small, file, order, {"e", "b", "d"}, reduced.get());
  const std::vector<float> all = scores_of(whole.get()), kept = scores_of(reduced.get());
  assert_int_equal(kept.size(), 3);
  expect_close(kept[0], all[4]);
  expect_close(kept[1], all[1]);
  expect_close(kept[2], all[3]);
  assert_true(all[4] != all[1] && all[1] != all[3]);
  expect_failure(LETHE_E_NOT_FOUND, "\"z\" is not among the 5 names", [&] {
    load_head_rows(runtime.get(), small, file, order, {"e", "b", "z"}, reduced.get());
  });
}

// ------------------------------------------------------------------ detectors

// 50 % of 4 and 25 % of 8 samples are 4 of 12; of APs the plain mean, classes without objects left
// out.
void figures_of_several_classes(void**) {
  const std::vector<int64_t> samples = {4, 8, 0};
  const ClassFigures accuracy({{"acc", 33.0}, {"acc_class.0", 50.0}, {"acc_class.1", 25.0}},
                              samples);
  expect_close(accuracy.percent({0, 1, 2}), 100.0 * 4 / 12);
  expect_close(accuracy.percent({1, 2}), 25);
  assert_true(accuracy.percent({2}).is_null());
  const ClassFigures precision({{"ap", 37.5}, {"ap_class.0", 50.0}, {"ap_class.1", 25.5}}, samples);
  expect_close(precision.percent({0, 1, 2}), 37.75);
  expect_close(precision.percent({1}), 25.5);
  assert_true(precision.percent({2}).is_null());
}

/// 32x32 images with a square each, of a colour for each of three classes: FOLDER/NAME.json and
/// FOLDER/NAME.
void write_scenes(const fs::path& folder, const std::string& name, int count) {
  fs::create_directories(folder / name);
  Json images = Json::array(), objects = Json::array(), categories = Json::array();
  for (int c = 0; c < 3; ++c) categories.push_back({{"id", c + 1}, {"name", std::to_string(c)}});
  for (int i = 0; i < count; ++i) {
    const int side = 10 + i, left = 2 * i, top = i, c = i % 3;
    const std::string file = std::to_string(i) + ".ppm";
    std::string pixels(3 * 32 * 32, 'Z');
    for (int y = top; y < top + side; ++y) {
      for (int x = left; x < left + side; ++x) pixels[3 * (32 * y + x) + c] = '\xff';
    }
    std::ofstream(folder / name / file, std::ios::binary) << "P6 32 32 255\n" << pixels;
    images.push_back({{"id", i}, {"file_name", file}, {"width", 32}, {"height", 32}});
    objects.push_back({{"id", i},
                       {"image_id", i},
                       {"category_id", c + 1},
                       {"bbox", {left, top, side, side}},
                       {"area", side * side},
                       {"iscrowd", 0}});
  }
  std::ofstream(folder / (name + ".json"))
      << Json{{"images", images}, {"annotations", objects}, {"categories", categories}};
}

Json small_detector_protocol() {
  return Json::parse(R"({
    "name": "squares",
    "data": {"kind": "coco", "train": ["train.json", "train"], "test": ["test.json", "test"],
             "class_count": 3},
    "model": {
      "spec": {"arch": "deformable_detr", "classes": 3, "backbone": "resnet18",
               "backbone_width": 8, "feature_levels": 2, "dim": 32, "heads": 2,
               "encoder_layers": 1, "decoder_layers": 1, "ffn_dim": 32, "points": 2, "queries": 4,
               "shorter_side": 0, "dropout": 0},
      "pretrain": {"max_steps": 2, "batch": 3}
    },
    "tasks": {"order": [2, 0, 1], "first": 2, "per_task": 1, "count": 2},
    "few_shot": 2,
    "settings": {"max_steps": 2, "zero_threshold": 0},
    "methods": [{"name": "gs-lora++", "label": "GS-LoRA++"}]
  })");
}

// The ids are 1 to 3, so that there is a class 0 without objects.
void classes_can_be_category_ids(void**) {
  const TemporaryFolder folder;
  write_scenes(folder.path(), "train", 6);
  write_scenes(folder.path(), "test", 3);
  cli::Runtime runtime;
  cli::check(lethe_runtime_create(nullptr, cli::out(runtime)));
  Json json = small_detector_protocol();
  json["data"]["labels"] = "id";
  expect_failure(LETHE_E_INVALID_ARGUMENT, "has 4 classes, the protocol says 3",
                 [&] { read_images(parse_protocol(json, folder.path()), runtime.get()); });
  json["data"]["class_count"] = 4;
  json["tasks"]["order"] = Json::array({0, 3, 1, 2});
  json["tasks"]["first"] = 3;
  const Images images = read_images(parse_protocol(json, folder.path()), runtime.get());
  assert_true(images.test_count == (std::vector<int64_t>{0, 1, 1, 1}));
}

// COCO's categories have names, too.
void splits_with_other_categories_are_refused(void**) {
  const TemporaryFolder folder;
  write_scenes(folder.path(), "train", 3);
  write_scenes(folder.path(), "test", 3);
  Json test = read_json(folder / "test.json");
  test["categories"][1]["name"] = "other";
  std::ofstream(folder / "test.json") << test;
  cli::Runtime runtime;
  cli::check(lethe_runtime_create(nullptr, cli::out(runtime)));
  const Protocol protocol = parse_protocol(small_detector_protocol(), folder.path());
  expect_failure(LETHE_E_INVALID_ARGUMENT, "class 1 is \"1\" in the training split and \"other\"",
                 [&] { read_images(protocol, runtime.get()); });
}

/// What made a task of GS-LoRA(++) in a document.
Json origin_in_file(const Json& results, const std::string& row, const std::string& step) {
  return results.at("run").at("tasks").at(task_key(row, 1337, step)).at("origin");
}

/// Runs a second row with another command and asks what made each.
void add_a_row(Experiment experiment, const fs::path& folder) {
  Json json = small_detector_protocol();
  json["methods"].push_back({{"name", "gs-lora"}, {"label", "GS-LoRA"}});
  experiment.protocol = parse_protocol(json, folder);
  experiment.command = "the second command";
  experiment.only = {"gs-lora"};
  assert_true(run_experiment(experiment));
  const Json results = read_json(folder / "out/results.json");
  assert_true(origin_in_file(results, "gs-lora++", "3-1").at("command") == "the first command");
  assert_true(origin_in_file(results, "gs-lora", "3-1").at("command") == "the second command");
}

// Pre-training, two tasks; then the same again, which the journals answer. Each task has the origin
// of the run that ended it, also when a later run adds a row.
void a_detector_runs_from_start_to_end(void**) {
  const TemporaryFolder folder;
  write_scenes(folder.path(), "train", 6);
  write_scenes(folder.path(), "test", 3);
  Experiment experiment;
  experiment.protocol = parse_protocol(small_detector_protocol(), folder.path());
  experiment.options.out = folder / "out";
  experiment.options.threads = 1;
  experiment.options.quiet = true;
  experiment.command = "the first command";
  experiment.commit = "c0ffee";
  assert_true(run_experiment(experiment));
  const Json results = read_json(folder / "out/results.json");
  for (const char* step : {"3-1", "2-1"}) {
    const Json origin = origin_in_file(results, "gs-lora++", step);
    assert_true(origin.at("command") == "the first command" && origin.at("commit") == "c0ffee");
    assert_true(origin.at("threads") == 1 && origin.at("machine").at("cores") >= 1);
    assert_true(origin.at("version") == lethe_version_string() && !origin.contains("shared"));
  }
  assert_true(results.at("base").contains("ap") && !results.at("base").contains("acc"));
  const Json& tasks = results.at("rows")[0].at("tasks");
  for (size_t i = 0; i < 2; ++i) {
    const Json &task = tasks[i], &base = results.at("base").at("steps")[i];
    assert_string_equal(task.at("state").get<std::string>().c_str(), "succeeded");
    expect_close(task.at("metrics").at("ap_f_before"), base.at("ap_f"));
    expect_close(task.at("metrics").at("ap_r_before"), base.at("ap_r"));
    assert_true(task.at("settings").at("gradient_clip") == 0.1);  // a detector's
    assert_true(task.at("settings").at("few_shot") == 2 && task.at("settings").at("audits") == 0);
  }
  assert_true(!tasks[0].at("metrics").contains("ap_o") && tasks[1].at("metrics").contains("ap_o"));
  expect_contains(markdown_of(results), "3-1: H / AP_r / AP_f | 2-1: H / AP_r / AP_f / AP_o |");
  add_a_row(experiment, folder.path());
  fs::remove(folder / "out/results.json");
  assert_true(run_experiment(experiment));
  const Json again = read_json(folder / "out/results.json");
  assert_string_equal(first_difference(results, again).c_str(), "");
  assert_true(origin_in_file(again, "gs-lora++", "3-1").is_null());
}

// ------------------------------------------------------------------ results

Json task(double h, double acc_r, double acc_f) {
  return {{"state", "succeeded"},
          {"message", ""},
          {"settings", Json::object()},
          {"metrics",
           {{"h", h},
            {"acc_r", acc_r},
            {"acc_f", acc_f},
            {"groups_kept", 1},
            {"groups_total", 4},
            {"zero_group_ratio", 75},
            {"h_start", 1},
            {"acc_f_margin", 2},
            {"tunable_ratio", 1.5},
            {"steps", 300},
            {"mia_loss_auc", 0.5},
            {"mia_loss_auc_before", 0.625},
            {"mia_loss_tpr", 9},
            {"mia_members", 8}}},
          {"groups",
           {{{"name", "block 0"}, {"kept", true}, {"relative", 0.5}},
            {{"name", "block 1"}, {"kept", false}, {"relative", 0.0}}}}};
}

/// Two seeds of GS-LoRA, one of which has only its first task, and a method that failed.
Json canned() {
  Json json = protocol_json();
  json["methods"][1]["label"] = "Other <&>";
  const Protocol protocol = parse_protocol(json, "");
  Json results = new_results(protocol);
  results["base"] = {
      {"steps", {{{"acc_r", 80.0}, {"acc_f", 90.0}}, {{"acc_r", 82.5}, {"acc_f", 70.25}}}}};
  Json second = task(60, 70, 0.125);
  second["metrics"]["acc_o"] = 2.5;
  second["metrics"]["steps"] = 240;
  put_task(results, protocol, protocol.rows[1], 7, 0,
           {{"state", "failed"},
            {"message", "the loss is not finite"},
            {"settings", nullptr},
            {"metrics", Json::object()},
            {"groups", Json::array()}});
  put_task(results, protocol, protocol.rows[0], 8, 0, task(72, 79, 1));
  put_task(results, protocol, protocol.rows[0], 7, 0, task(70, 75, 3));
  put_task(results, protocol, protocol.rows[0], 7, 1, second);
  results["run"]["tasks"][task_key("gs-lora", 7, "6-2")] = {{"seconds", 12.34}};
  return results;
}

void rows_stand_in_the_protocols_order(void**) {
  const Json results = canned();
  const Json& rows = results.at("rows");
  assert_int_equal(rows.size(), 3);
  assert_true(rows[0].at("id") == "gs-lora" && rows[0].at("seed") == 7);
  assert_true(rows[1].at("id") == "gs-lora" && rows[1].at("seed") == 8);
  assert_true(rows[2].at("id") == "gs-lora++" && rows[2].at("tasks")[1].is_null());
}

// H of 70 and 72: mean 71, standard deviation sqrt(((-1)^2 + 1^2) / 1) = 1.41421.
void seeds_are_averaged(void**) {
  const Json results = canned();
  const Tables tables(results);
  const auto h = tables.figure(0, 0, "h");
  assert_true(h.has_value());
  assert_int_equal(h->count, 2);
  expect_close(h->mean, 71);
  expect_close(h->deviation, 1.4142135623730951);
  assert_int_equal(tables.figure(0, 1, "h")->count, 1);
  assert_false(tables.figure(1, 0, "h").has_value());
  expect_close(tables.figure(0, 0, "seconds")->mean, 12.34);
}

// 82.5 - 70 = 12.5 points are over-forgetting; 80 - 77 are not, nor is the failed method.
void over_forgetting_is_flagged(void**) {
  const Json results = canned();
  const Tables tables(results);
  assert_false(tables.over_forgets(0, 0));
  assert_true(tables.over_forgets(0, 1));
  assert_false(tables.over_forgets(1, 0));
}

void tables_have_the_papers_shape(void**) {
  const std::string text = markdown_of(canned());
  expect_contains(text, "| Method | 6-2: H / Acc_r / Acc_f | 4-2: H / Acc_r / Acc_f / Acc_o |");
  expect_contains(text, "| Pre-train | — / 80.00 / 90.00 | — / 82.50 / 70.25 / — |");
  expect_contains(text,
                  "| GS-LoRA | 71.00 ± 1.41 / 77.00 ± 2.83 / 2.00 ± 1.41 | "
                  "60.00 / 70.00 / 0.12 / 2.50 ▼ |");
  expect_contains(text, "| Other <&> | — / — / — | — / — / — / — |");
  expect_contains(text, "Other <&>, seed 7, 6-2: failed: the loss is not finite");
  expect_contains(text,
                  "| Method | Steps | Tunable, % | Groups dropped as zero, % | mia_loss_auc |");
  expect_contains(text, "| Pre-train | — | — | — | 0.625 |");
  expect_contains(text, "| GS-LoRA | 300 / 240 | 1.50 | 75.0 | 0.500 |");
  assert_true(text.find("12.3") > text.find("## This run"));
}

// With the margin 80 - 40 points are lost; without it 90 - 85, which "over_forgetting" said before.
void figures_with_the_margin_agree_with_each_other(void**) {
  const Json plain = {{"acc_r", 85.0},
                      {"acc_r_before", 90.0},
                      {"acc_r_margin", 40.0},
                      {"acc_r_before_margin", 80.0},
                      {"h", 70.0},
                      {"h_margin", 50.0},
                      {"acc_class.3", 12.0},
                      {"over_forgetting", 5.0},
                      {"steps", 9}};
  const Json expected = {{"acc_r", 40.0},
                         {"acc_r_before", 80.0},
                         {"plain_acc_r", 85.0},
                         {"plain_acc_r_before", 90.0},
                         {"h", 50.0},
                         {"plain_h", 70.0},
                         {"plain_acc_class.3", 12.0},
                         {"over_forgetting", 40.0},
                         {"plain_over_forgetting", 5.0},
                         {"steps", 9}};
  assert_true(with_margin(plain) == expected);
  const Json without = {{"acc_r", 85.0}, {"acc_class.3", 12.0}, {"over_forgetting", 5.0}};
  assert_true(with_margin(without) == without);
  assert_true(with_margin(Json::object()) == Json::object());
}

/// canned() with figures of a head with a margin; `named`: what the document calls them.
Json with_pair(const std::function<std::string(const std::string&)>& named) {
  Json results = canned();
  for (Json& entry : results["rows"]) {
    for (Json& ended : entry["tasks"]) {
      if (!ended.is_null()) ended["metrics"].erase("acc_f_margin");
    }
  }
  Json& metrics = results["rows"][0]["tasks"][0]["metrics"];
  metrics[named("h")] = 44.0;
  metrics[named("acc_r")] = 30.5;
  metrics[named("acc_f")] = 1.25;
  metrics[named("acc_r_before")] = 60.75;
  metrics[named("acc_f_before")] = 55.5;
  return results;
}

// Both kinds of accuracy have a table; the base's are among the figures of the tasks. 60.75 - 30.5
// points are over-forgetting.
void heads_with_a_margin_have_two_tables(void**) {
  assert_true(markdown_of(canned()).find("head's margin") == std::string::npos);
  const std::string rows =
      "| Pre-train | — / 60.75 / 55.50 | — / — / — / — |\n"
      "| GS-LoRA | 44.00 / 30.50 / 1.25 ▼ | — / — / — / — |\n";
  const Json plain = with_pair([](const std::string& name) { return name + "_margin"; });
  expect_contains(markdown_of(plain), "## With the head's margin\n\nPercent of the whole test");
  expect_contains(markdown_of(plain), rows);
  expect_contains(markdown_of(plain), "- Accuracies are measured without the head's margin at the");
  expect_contains(markdown_of(plain), "| GS-LoRA | 71.00 ± 1.41 / 77.00 ± 2.83 /");
  expect_contains(html_of(plain), "<h2>With the head's margin</h2>");
  Json margin = with_pair([](const std::string& name) { return "plain_" + name; });
  margin["protocol"]["margin"] = true;
  expect_contains(markdown_of(margin), "## Without the head's margin\n\nPercent of the whole test");
  expect_contains(markdown_of(margin), rows);
  expect_contains(markdown_of(margin), "- Accuracies are measured with the head's margin at the");
}

/// The part of a page headed "This run".
std::string this_run(const Json& results) {
  const std::string text = markdown_of(results);
  return text.substr(text.find("## This run"));
}

Json origin(const std::string& command) {
  return {{"command", command},
          {"commit", "abc"},
          {"device", "cpu"},
          {"threads", 1},
          {"machine", {{"cpu", "CPU"}, {"cores", 2}}},
          {"version", "0.5.0"},
          {"libtorch", "2.11.0"}};
}

// A row whose tasks have two origins is named with its tasks; one origin alone needs no names.
void what_made_the_rows_is_told_apart(void**) {
  Json results = canned();
  Json& tasks = results["run"]["tasks"];
  tasks[task_key("gs-lora", 7, "6-2")]["origin"] = origin("first");
  tasks[task_key("gs-lora", 7, "4-2")]["origin"] = origin("second");
  tasks[task_key("gs-lora", 8, "6-2")]["origin"] = origin("first");
  tasks[task_key("gs-lora++", 7, "6-2")]["origin"] = nullptr;
  const std::string text = this_run(results);
  const std::string facts =
      " Machine: CPU, 2 processors, 1 threads, cpu. Library: Lethe 0.5.0, LibTorch 2.11.0, commit "
      "abc. Command: ";
  expect_contains(text, "- GS-LoRA, seed 7 (6-2); GS-LoRA, seed 8." + facts + "first\n");
  expect_contains(text, "- GS-LoRA, seed 7 (4-2)." + facts + "second\n");
  expect_contains(text, "- Other <&>, seed 7. Machine, library, commit and command are not known");
  expect_contains(html_of(results), "<li>GS-LoRA, seed 7 (4-2). Machine: CPU,");
  for (Json& task : tasks) task["origin"] = origin("only");
  expect_contains(this_run(results), "- Machine: CPU, 2 processors, 1 threads, cpu.\n- Library");
  expect_contains(this_run(results), "- Command: only\n");
  assert_true(this_run(results).find("seed 7") == std::string::npos);
}

/// A document as it was before tasks had origins.
Json document_without_origins() {
  Json results = canned();
  results["run"].update(origin("the last one"));
  results["run"]["environment"] = {{"version", "0.3.0"}, {"libtorch", "2.10.0"}};
  for (const char* key : {"version", "libtorch"}) results["run"].erase(key);
  for (const char* step : {"6-2", "4-2"}) {
    results["run"]["tasks"][task_key("gs-lora", 7, step)]["seconds"] = 1.5;
  }
  return results;
}

// Its pages show the last command, and say so. When it is taken up again this is kept.
void documents_without_origins_are_read(void**) {
  const TemporaryFolder folder;
  const Json old = document_without_origins();
  const std::string text = this_run(old);
  expect_contains(text, "- What follows is of the last command; rows before it");
  expect_contains(text, "- Library: Lethe 0.3.0, LibTorch 2.10.0, commit abc.\n");
  expect_contains(text, "- Command: the last one\n");
  write_results(old, folder.path());
  Json json = protocol_json();
  json["methods"][1]["label"] = "Other <&>";
  Json taken_up = load_results(parse_protocol(json, ""), folder.path());
  taken_up["run"].update(origin("a new one"));
  const std::string key = task_key("gs-lora", 7, "4-2");
  const Json kept = origin_of(taken_up.at("run"), key);
  assert_true(kept.at("command") == "the last one" && kept.at("version") == "0.3.0");
  assert_true(kept.at("shared") == true && taken_up.at("rows") == old.at("rows"));
  expect_close(taken_up.at("run").at("tasks").at(key).at("seconds"), 1.5);
}

void missing_classes_add_a_figure(void**) {
  Json json = protocol_json();
  json["missing"] = 1;
  const Protocol protocol = parse_protocol(json, "");
  Json results = new_results(protocol);
  Json done = task(60, 70, 0);
  done["metrics"]["acc_m"] = 33;
  put_task(results, protocol, protocol.rows[0], 7, 0, done);
  expect_contains(markdown_of(results), "6-2: H / Acc_r / Acc_f / Acc_m |");
  expect_contains(markdown_of(results), "| 60.00 / 70.00 / 0.00 / 33.00 |");
}

/// The same figures as APs.
Json canned_precision() {
  std::string text = canned().dump();
  for (size_t i = 0; (i = text.find("\"acc_", i)) != std::string::npos;)
    text.replace(i, 5, "\"ap_");
  return Json::parse(text);
}

void tables_of_detectors_say_ap(void**) {
  Json results = canned_precision();
  results["base"]["ap"] = 85.0;
  const std::string text = markdown_of(results), html = html_of(results);
  expect_contains(text, "COCO AP in percent on the whole test split");
  expect_contains(text, "| Method | 6-2: H / AP_r / AP_f | 4-2: H / AP_r / AP_f / AP_o |");
  expect_contains(text, "| Pre-train | — / 80.00 / 90.00 | — / 82.50 / 70.25 / — |");
  expect_contains(text, "60.00 / 70.00 / 0.12 / 2.50 ▼ |");
  expect_contains(text, "H = 2 AP_r Drop / (AP_r + Drop)");
  expect_contains(text,
                  "| Method | Steps | Tunable, % | Groups dropped as zero, % | mia_loss_auc |");
  expect_contains(html, "GS-LoRA: AP_f 2.00");
  expect_contains(csv_of(results), "gs-lora,8,6-2,ap_r,79.0\n");
  assert_true(text.find("Acc") == std::string::npos && html.find("Acc") == std::string::npos);
}

void csv_is_long(void**) {
  const std::string text = csv_of(canned());
  expect_contains(text, "method,seed,task,metric,value\n");
  expect_contains(text, "gs-lora,8,6-2,acc_r,79.0\n");
  assert_true(text.find("seconds") == std::string::npos);
}

void the_page_stands_alone(void**) {
  const std::string html = html_of(canned());
  expect_contains(html, "<title>A tiny one</title>");
  expect_contains(html, "Other &lt;&amp;&gt;");
  expect_contains(html, "prefers-color-scheme:dark");
  expect_contains(html, "GS-LoRA, 6-2: H 71.00 ± 1.41");
  expect_contains(html, "block 1: dropped");
  for (const char* foreign :
       {"http:", "https:", "<script", "<link", "@import", "url(", "Other <&>"}) {
    assert_true(html.find(foreign) == std::string::npos);
  }
  size_t open = 0, closed = 0;
  for (size_t i = 0; (i = html.find("<svg", i)) != std::string::npos; ++i) ++open;
  for (size_t i = 0; (i = html.find("</svg>", i)) != std::string::npos; ++i) ++closed;
  assert_true(open > 3 && open == closed);
}

// A page of a document in which nothing has run yet.
void an_empty_document_has_pages(void**) {
  const Json results = new_results(parse_protocol(protocol_json(), ""));
  expect_contains(markdown_of(results), "| Pre-train | — / — / — | — / — / — / — |");
  expect_contains(html_of(results), "</html>");
}

void only_the_run_may_differ(void**) {
  const Json one = canned();
  Json other = one;
  other["run"]["command"] = "elsewhere";
  assert_string_equal(first_difference(one, other).c_str(), "");
  assert_string_equal(csv_of(one).c_str(), csv_of(other).c_str());
  other["rows"][0]["tasks"][0]["metrics"]["h"] = 70.5;
  assert_string_equal(first_difference(one, other).c_str(),
                      "/rows/0/tasks/0/metrics/h: 70.0 and 70.5");
}

void what_the_clock_decides_is_kept_apart(void**) {
  const SplitMetrics split =
      split_metrics({{"h", 1}, {"seconds", 2}, {"peak_memory_bytes", 3}, {"acc_r", 4}});
  assert_true(split.figures == Json({{"h", 1}, {"acc_r", 4}}));
  assert_true(split.run == Json({{"seconds", 2}, {"peak_memory_bytes", 3}}));
}

// Results are taken up again by the same protocol with more rows, not by another one.
void results_belong_to_their_protocol(void**) {
  const TemporaryFolder folder;
  Json json = protocol_json();
  json["methods"][1]["label"] = "Other <&>";
  const Json before = canned();
  write_results(before, folder.path());
  json["methods"].push_back({{"name", "ewc"}});
  const Json after = load_results(parse_protocol(json, ""), folder.path());
  assert_true(after.at("rows") == before.at("rows") && after.at("base") == before.at("base"));
  json["settings"]["epochs"] = 4;
  expect_failure(LETHE_E_STATE, "another protocol",
                 [&] { load_results(parse_protocol(json, ""), folder.path()); });
}

}  // namespace
}  // namespace experiments

int main() {
  using namespace experiments;
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_order_is_the_papers),
      cmocka_unit_test(other_seeds_and_sizes_are_cpythons_too),
      cmocka_unit_test(four_steps_slice_as_the_paper),
      cmocka_unit_test(missing_classes_lie_where_the_paper_has_them),
      cmocka_unit_test(impossible_slices_are_refused),
      cmocka_unit_test(a_protocol_is_read),
      cmocka_unit_test(settings_are_layered),
      cmocka_unit_test(mistakes_in_protocols_are_named),
      cmocka_unit_test(what_detectors_do_not_have_is_refused),
      cmocka_unit_test(files_that_are_no_protocol_are_named),
      cmocka_unit_test(a_recipe_brings_what_made_the_model),
      cmocka_unit_test(missing_data_and_places_that_cannot_be_written_are_named),
      cmocka_unit_test(a_head_is_reduced_to_the_datas_classes),
      cmocka_unit_test(every_protocol_here_is_well_formed),
      cmocka_unit_test(the_papers_protocols_have_its_settings),
      cmocka_unit_test(splits_with_other_classes_are_refused),
      cmocka_unit_test(splits_with_other_categories_are_refused),
      cmocka_unit_test(figures_of_several_classes),
      cmocka_unit_test(classes_can_be_category_ids),
      cmocka_unit_test(a_detector_runs_from_start_to_end),
      cmocka_unit_test(rows_stand_in_the_protocols_order),
      cmocka_unit_test(seeds_are_averaged),
      cmocka_unit_test(over_forgetting_is_flagged),
      cmocka_unit_test(tables_have_the_papers_shape),
      cmocka_unit_test(tables_of_detectors_say_ap),
      cmocka_unit_test(figures_with_the_margin_agree_with_each_other),
      cmocka_unit_test(heads_with_a_margin_have_two_tables),
      cmocka_unit_test(what_made_the_rows_is_told_apart),
      cmocka_unit_test(documents_without_origins_are_read),
      cmocka_unit_test(missing_classes_add_a_figure),
      cmocka_unit_test(csv_is_long),
      cmocka_unit_test(the_page_stands_alone),
      cmocka_unit_test(an_empty_document_has_pages),
      cmocka_unit_test(only_the_run_may_differ),
      cmocka_unit_test(what_the_clock_decides_is_kept_apart),
      cmocka_unit_test(results_belong_to_their_protocol),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
