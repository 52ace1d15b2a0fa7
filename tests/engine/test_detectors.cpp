// Detectors in an engine: what a classifier's tasks have, theirs have too.
#include <fstream>

#include "data/detection_sources.h"
#include "data/fixtures.h"
#include "data/reference.h"
#include "engine/small_detector.h"
#include "evaluation/class_precision.h"
#include "storage/file.h"

namespace lethe::testing {
namespace {

int64_t fixed_time() { return 1'800'000'000'000; }

EngineOptions options_in(const TemporaryFolder& folder, bool paused = false) {
  EngineOptions options = small_options();
  options.folder = folder / "engine";
  options.checkpoint_seconds = 0;
  options.now_ms = fixed_time;
  options.paused = paused;
  return options;
}

std::string bytes_of(const Job& job) {
  return serialize_adapter_file(job.result().adapter->to_file());
}

size_t files_in(const TemporaryFolder& folder, const char* kind) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       std::filesystem::directory_iterator(folder / "engine" + "/" + kind)) {
    ++count;
  }
  return count;
}

/// The same squares as files: COCO annotations, their categories with these ids, and PNM images.
DetectionDataset coco_squares(const TemporaryFolder& folder, int64_t count, uint64_t seed,
                              const std::vector<int64_t>& ids = {1, 2, 3},
                              CocoLabels labels = CocoLabels::kPlace) {
  const DetectionDataset data = squares(count, seed);
  const std::string name = str("squares-", seed);
  std::filesystem::create_directories(folder / name);
  Json json = {
      {"images", Json::array()}, {"annotations", Json::array()}, {"categories", Json::array()}};
  for (const DetectionCategory& category : data.categories()) {
    json["categories"].push_back({{"id", ids[category.id - 1]}, {"name", category.name}});
  }
  for (int64_t i = 0; i < data.size(); ++i) {
    const DetectionSample sample = data.sample(i);
    const std::string file = str(i, ".ppm");
    const at::Tensor pixels = sample.image.permute({1, 2, 0}).contiguous();
    write_text(folder / name + "/" + file,
               "P6 32 32 255\n" + std::string(static_cast<const char*>(pixels.const_data_ptr()),
                                              static_cast<size_t>(pixels.numel())));
    json["images"].push_back({{"id", i}, {"file_name", file}, {"width", 32}, {"height", 32}});
    for (const DetectionObject& object : sample.objects) {
      const BoxCorners& box = object.box;
      json["annotations"].push_back({{"id", json["annotations"].size()},
                                     {"image_id", i},
                                     {"category_id", ids[object.label]},
                                     {"bbox", {box.left, box.top, box.width(), box.height()}}});
    }
  }
  write_text(folder / name + ".json", json.dump());
  return read_coco(folder / name + ".json", folder / name, labels);
}

DetectorForgetRequest coco_request(const TemporaryFolder& folder, const std::string& id) {
  DetectorForgetRequest request = detector_request(id, {1}, 8);
  const DetectionDataset all = coco_squares(folder, 25, 3);
  request.forget = all.keep_classes({1});
  request.retain = all.keep_classes({0, 2}).drop_objects(0.3, 1);  // not all that the source has
  request.validation = coco_squares(folder, 13, 4);
  return request;
}

// ------------------------------------------------------------------------------------ figures

void pretraining_learns(void**) {
  const auto model = std::make_shared<LiveModel>(random_detector());
  Engine engine(model, small_options());
  const auto job = engine.enqueue(detector_pretraining("", 5));
  expect_state(*job, JobState::kSucceeded);
  const Metrics& m = job->result().report->metrics;
  for (const char* name : {"ap", "ap50", "ap_class.2", "loss", "steps", "seconds"}) {
    if (!m.contains(name)) fail_msg("the report lacks %s", name);
  }
  const auto trained = trained_detector()->snapshot();
  const double ap =
      *class_precision(trained->base->detector(), trained->weights, squares(31, 4)).percent();
  if (ap < 25) fail_msg("AP %g", ap);
}

void a_category_is_forgotten_and_the_others_stay(void**) {
  const auto model = trained_detector();
  Engine engine(model, small_options());
  DetectorForgetRequest request = detector_request("req-1", {1}, 100);
  request.config.gate_max_acc_f = 5;
  request.config.gate_max_acc_r_drop = 20;
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kSucceeded);

  const auto snapshot = model->snapshot();
  assert_int_equal(snapshot->stack.size(), 1);
  const Metrics& m = job->result().report->metrics;
  const ClassPrecision measured =
      class_precision(snapshot->base->detector(), snapshot->weights, squares(31, 4));
  expect_close(m.at("ap_f"), *measured.percent({1}));
  expect_close(m.at("ap_r"), *measured.percent({0, 2}));
  expect_close(m.at("ap50_r"), *measured.percent50({0, 2}));
  expect_close(m.at("ap_class.2"), *measured.percent({2}));
  expect_close(m.at("h"), h_mean(m.at("ap_r"), m.at("ap_f_before"), m.at("ap_f")));
  assert_true(m.at("ap_f") <= 5 && m.at("ap_f_before") > 20);
  for (const char* name :
       {"ap_r_before", "ap_r_start", "h_start", "over_forgetting", "groups_kept", "groups_total",
        "tunable_ratio", "steps", "forget_samples", "retain_samples", "ap50_f"}) {
    if (!m.contains(name)) fail_msg("the report lacks %s", name);
  }
  assert_int_equal(m.at("groups_total"), 3);  // an encoder layer and two decoder layers
  assert_false(m.contains("acc_f"));
  const auto next = engine.enqueue(detector_request("req-2", {0}, 10));
  expect_state(*next, JobState::kSucceeded);
  assert_true(next->result().report->metrics.contains("ap_o"));
  model->rollback_to(nullptr);
  assert_true(same_bits(model->snapshot()->weights, snapshot->base->weights()));
}

void the_gate_speaks_of_precision(void**) {
  const auto model = trained_detector();
  Engine engine(model, small_options());
  DetectorForgetRequest request = detector_request("req-1", {1}, 1);
  request.config.gate_max_acc_f = 0;
  request.config.zero_threshold = 0;
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kRejected);
  if (job->error_message().find("AP_f is") == std::string::npos) {
    fail_msg("%s", job->error_message().c_str());
  }
  assert_int_equal(model->snapshot()->stack.size(), 0);
}

// ---------------------------------------------------------------------------------- refusals

void what_does_not_fit_is_refused(void**) {
  Engine detectors(trained_detector(), small_options());
  Engine classifiers(trained_model(), small_options());
  const auto refused = [](Engine& engine, Code code, const char* part, const Request& request) {
    expect_error(code, part, [&] { engine.enqueue(request); });
  };
  refused(detectors, Code::kUnsupported, "needs an image classifier", small_request("a", {1}));
  refused(classifiers, Code::kUnsupported, "needs a detector", detector_request("a", {1}));
  refused(detectors, Code::kUnsupported, "needs an image classifier", small_pretraining("a"));
  refused(classifiers, Code::kUnsupported, "needs a detector", detector_pretraining("a", 1));
  refused(detectors, Code::kNotFound, "class 3 is unknown", detector_request("a", {3}));

  DetectorForgetRequest request = detector_request("a", {1});
  request.config.method = MethodKind::kLwf;
  refused(detectors, Code::kUnsupported, "has no form for detectors; those that have one are",
          request);
  request = detector_request("a", {1});
  request.config.audits = kAuditMembership;
  refused(detectors, Code::kUnsupported, "audits is 1", request);
  request = detector_request("a", {1});
  request.config.first_block = 3;
  refused(detectors, Code::kInvalidArgument, "first_block is 3", request);
  request = detector_request("a", {1});
  request.forget = squares(25).drop_objects(1, 1);
  refused(detectors, Code::kNotFound, "class 1 has no sample in the forget set", request);
  request = detector_request("a", {1});
  request.retain = squares(25);
  refused(detectors, Code::kInvalidArgument, "the forget set holds class 0", request);

  const DetectionSample five{at::zeros({3, 32, 32}, at::kByte),
                             std::vector<DetectionObject>(5, {0, {0, 0, 9, 9}, 81, false})};
  request = detector_request("a", {1});
  request.forget = DetectionDataset({{1, "red"}, {2, "green"}, {3, "blue"}},
                                    {{77, "", five.image, {}, five.objects}});
  refused(detectors, Code::kNotFound, "class 1 has no sample", [&] {
    DetectorForgetRequest none = request;
    none.forget = squares(2);
    return none;
  }());
  // Green ones are to be forgotten, so an image may show as many others as it likes.
  assert_int_equal(five.objects.size(), 5);
  DetectorForgetRequest crowded = detector_request("a", {1});
  std::vector<DetectionObject> green(5, {1, {0, 0, 9, 9}, 81, false});
  crowded.forget =
      DetectionDataset({{1, "red"}, {2, "green"}, {3, "blue"}}, {{77, "", five.image, {}, green}});
  crowded.retain = squares(25).keep_classes({0, 2});
  refused(detectors, Code::kInvalidArgument, "image 77 of the forget set has 5 objects", crowded);

  request = detector_request("a", {1});
  request.config.lora_position = LoraPosition::kAttention;
  refused(detectors, Code::kUnsupported, "no linear for LoRA", request);
  request = detector_request("a", {1});
  request.config.prototype_source = PrototypeSource::kRandomNetwork;
  refused(detectors, Code::kUnsupported, "\"random-network\"", request);
  request.config = ForgetConfig::defaults_for(MethodKind::kL2, HeadKind::kDetection);
  request.config.data_ratio = 1;
  request.config.augment = true;
  refused(detectors, Code::kUnsupported, "it is of gs-lora and gs-lora++; leave it out with l2", request);
  request.config.augment = false;
  request.config.form = Form::kReference;
  refused(detectors, Code::kInvalidArgument, "the model has the classes 0 to 2", request);
  ForgetRequest labelled = small_request("a", {1});
  labelled.config.augment = true;
  refused(classifiers, Code::kUnsupported, "augment is set, but it is of detectors", labelled);
  labelled.config.augment = false;
  labelled.config.lora_position = LoraPosition::kDecoder;
  refused(classifiers, Code::kUnsupported, "(decoder)", labelled);
  PretrainRequest training = small_pretraining("a");
  training.config.augment = true;
  refused(classifiers, Code::kInvalidArgument, "\"augment\" is true", training);
}

/// Queries are for what is taught: not for crowds, nor for objects whose names the task drops, nor
/// for images that only measure.
void only_what_is_taught_needs_queries(void**) {
  Engine engine(std::make_shared<LiveModel>(random_detector()), small_options());
  const auto set = [](std::vector<DetectionObject> objects) {
    return DetectionDataset(
        {{1, "red"}, {2, "green"}, {3, "blue"}},
        {{77, "", at::zeros({3, 32, 32}, at::kByte), {}, std::move(objects)},
         {78, "", at::zeros({3, 32, 32}, at::kByte), {}, {{2, {0, 0, 9, 9}, 81, false}}}});
  };
  DetectorForgetRequest request = detector_request("a", {1}, 1);
  std::vector<DetectionObject> objects(5, {1, {0, 0, 9, 9}, 81, true});
  objects.front().crowd = false;
  objects.resize(9, {0, {3, 3, 20, 20}, 289, false});  // four more, whose names are dropped there
  request.forget = set(objects);
  request.validation = set(std::vector<DetectionObject>(6, {1, {0, 0, 9, 9}, 81, false}));
  const auto job = engine.enqueue(request);
  assert_true(job->wait(kLong));
  if (job->status().state == JobState::kFailed) fail_msg("%s", job->error_message().c_str());
}

// ----------------------------------------------------------------------------- nothing is lost

void data_in_files_is_read_again(void**) {
  const TemporaryFolder files, calm, folder;
  std::string expected;
  {
    Engine engine(trained_detector(), options_in(calm));
    const auto job = engine.enqueue(coco_request(files, "a"));
    expect_state(*job, JobState::kSucceeded);
    expected = bytes_of(*job);
  }
  {
    Engine(trained_detector(), options_in(folder, /*paused=*/true))
        .enqueue(coco_request(files, "a"));
  }
  assert_int_equal(files_in(folder, "data"), 0);  // nothing is copied
  Engine engine(trained_detector(), options_in(folder));
  expect_state(*engine.find("a"), JobState::kSucceeded);
  assert_true(bytes_of(*engine.find("a")) == expected);
}

/// The numbers of COCO, and the class that the reference form takes for unused.
void ids_of_coco_are_the_classes_of_a_model(void**) {
  const TemporaryFolder files, folder;
  const auto model = [] { return std::make_shared<LiveModel>(random_detector({{"classes", 91}})); };
  DetectorForgetRequest request = detector_request("a", {18});
  request.config = ForgetConfig::defaults_for(MethodKind::kL2, HeadKind::kDetection);
  request.config.form = Form::kReference;
  request.config.data_ratio = 1;
  request.config.max_steps = 2;
  request.config.gate_max_acc_f = request.config.gate_max_acc_r_drop = -1;
  request.forget = coco_squares(files, 7, 3, {1, 18, 90}, CocoLabels::kId);
  request.validation = coco_squares(files, 4, 4, {1, 18, 90}, CocoLabels::kId);
  { Engine(model(), options_in(folder, /*paused=*/true)).enqueue(request); }
  assert_int_equal(files_in(folder, "data"), 0);
  Engine engine(model(), options_in(folder));
  const auto job = engine.find("a");
  expect_state(*job, JobState::kSucceeded);
  const Metrics& m = job->result().report->metrics;
  for (const char* name : {"ap_f", "ap_r", "ap_class.1", "ap_class.18", "ap_class.90"}) {
    if (!m.contains(name)) fail_msg("the report lacks %s", name);
  }
  for (const char* name : {"ap_m", "ap_class.0", "ap_class.12"}) {  // without objects
    if (m.contains(name)) fail_msg("the report has %s", name);
  }

  request.request_id = "b";
  request.classes = {12};
  expect_error(Code::kNotFound, "class 12 has no sample in the forget set",
               [&] { engine.enqueue(request); });
  request.classes = {1};
  request.forget = coco_squares(files, 7, 5, {1, 12, 90}, CocoLabels::kId);
  expect_error(Code::kInvalidArgument, "unused class 12, but the task's images show objects of it",
               [&] { engine.enqueue(request); });
  request.forget = coco_squares(files, 7, 6, {1, 18, 91}, CocoLabels::kId);
  expect_error(Code::kInvalidArgument, "has 92 classes, the model knows 91",
               [&] { engine.enqueue(request); });
}

void arrays_are_kept_until_the_task_ends(void**) {
  const TemporaryFolder folder;
  std::string expected;
  {
    EngineOptions options = small_options();
    options.now_ms = fixed_time;
    Engine engine(trained_detector(), options);
    const auto job = engine.enqueue(detector_request("a", {1}, 8));
    expect_state(*job, JobState::kSucceeded);
    expected = bytes_of(*job);
  }
  {
    Engine engine(trained_detector(), options_in(folder, /*paused=*/true));
    engine.enqueue(detector_request("a", {1}, 8));
    assert_int_equal(files_in(folder, "data"), 2);
  }
  Engine engine(trained_detector(), options_in(folder));
  expect_state(*engine.find("a"), JobState::kSucceeded);
  assert_true(bytes_of(*engine.find("a")) == expected);
  assert_int_equal(files_in(folder, "data"), 0);
}

void a_running_task_goes_on(void**) {
  const TemporaryFolder folder;
  std::string expected;
  {
    EngineOptions options = small_options();
    options.now_ms = fixed_time;
    Engine engine(trained_detector(), options);
    const auto job = engine.enqueue(detector_request("a", {1}, 60));
    expect_state(*job, JobState::kSucceeded);
    expected = bytes_of(*job);
  }
  {
    Engine engine(trained_detector(), options_in(folder));
    wait_for_step(*engine.enqueue(detector_request("a", {1}, 60)));
  }
  Engine engine(trained_detector(), options_in(folder));
  expect_state(*engine.find("a"), JobState::kSucceeded);
  assert_true(bytes_of(*engine.find("a")) == expected);
}

/// An image is a tensor of its own and all their numbers are one text: more than a file from
/// outside may hold.
void many_images_are_kept(void**) {
  std::vector<DetectionImage> images;
  for (int64_t i = 0; i < 17'000; ++i) {
    DetectionImage image;
    image.id = 100'000 + i;
    image.pixels = at::full({3, 1, 1}, i % 256, at::kByte);
    image.objects = {{i % 3, {0, 0, 1, 1}, 1, false}};
    images.push_back(std::move(image));
  }
  const DetectionDataset set({{1, "red"}, {2, "green"}, {3, "blue"}}, std::move(images));
  const TemporaryFolder folder;
  write_dataset(folder / "set", set);
  assert_string_equal(content_digest_of(read_dataset(folder / "set")).c_str(),
                      set.content_digest().c_str());
}

using Damage = std::function<void(SafetensorsFile&)>;

/// Of a row of a kept set's "objects".
Damage with_number(int64_t column, double value) {
  return [=](SafetensorsFile& file) { file.tensors.at("objects")[1][column].fill_(value); };
}

/// Of what a kept set says of itself.
Damage with_fact(const char* name, const Json& value) {
  return [=](SafetensorsFile& file) {
    Json facts = Json::parse(file.metadata.at("detection_dataset"));
    facts[name] = value;
    file.metadata["detection_dataset"] = facts.dump();
  };
}

void damage(const std::string& path, const Damage& how) {
  SafetensorsFile file = read_safetensors(path);
  how(file);
  write_safetensors(path, file.tensors, file.metadata);
}

void a_damaged_copy_is_refused(void**) {
  const TemporaryFolder folder;
  const auto refuse = [&](const char* part, const Damage& how) {
    write_dataset(folder / "set", squares(5));
    damage(folder / "set", how);
    expect_error(Code::kCorrupt, part, [&] { read_dataset(folder / "set"); });
  };
  refuse("the image 5 of 5", with_number(0, 5));
  refuse("the image -1 of 5", with_number(0, -1));
  refuse("the image nan of 5", with_number(0, NAN));
  refuse("the image 1e+300 of 5", with_number(0, 1e300));
  refuse("the category 3 of 3", with_number(1, 3));
  refuse("the category nan of 3", with_number(1, NAN));
  refuse("the corners", with_number(4, NAN));
  refuse("image_ids", with_fact("image_ids", {1, 2, "x", 4, 5}));
  refuse("lacks \"image.5\"", with_fact("image_ids", {1, 2, 3, 4, 5, 6}));
  refuse("is given twice", with_fact("image_ids", {1, 2, 3, 4, 4}));
  refuse("the category 0 of 0", with_fact("categories", nullptr));
  refuse("must be a JSON object", with_fact("categories", {1, 2, 3}));
  refuse("left_out", with_fact("left_out", "none"));
}

void a_damaged_copy_is_awaited(void**) {
  const TemporaryFolder folder;
  {
    Engine engine(trained_detector(), options_in(folder, /*paused=*/true));
    engine.enqueue(detector_request("a", {1}, 8));
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder / "engine/data")) {
    damage(entry.path().string(), with_number(0, NAN));
  }
  Engine engine(trained_detector(), options_in(folder));
  const auto job = engine.find("a");
  while (job->status().state != JobState::kAwaitingData) {
    assert_false(ended(job->status().state));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const DetectorForgetRequest again = detector_request("a", {1}, 8);
  assert_int_equal(engine.bind(again.forget), 0);
  assert_int_equal(engine.bind(*again.validation), 1);
  expect_state(*job, JobState::kSucceeded);
}

void changed_data_is_awaited(void**) {
  const TemporaryFolder files, copies, folder;
  {
    Engine engine(trained_detector(), options_in(folder, /*paused=*/true));
    engine.enqueue(coco_request(files, "a"));
  }
  std::filesystem::remove(files / "squares-3/4.ppm");
  Engine engine(trained_detector(), options_in(folder));
  const auto job = engine.find("a");
  while (job->status().state != JobState::kAwaitingData) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const DetectorForgetRequest again = coco_request(copies, "a");
  expect_error(Code::kNotFound, "no job waits for data", [&] { engine.bind(squares(5)); });
  engine.bind(again.forget);
  engine.bind(*again.retain);
  expect_state(*job, JobState::kSucceeded);
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(pretraining_learns),
      cmocka_unit_test(a_category_is_forgotten_and_the_others_stay),
      cmocka_unit_test(the_gate_speaks_of_precision),
      cmocka_unit_test(what_does_not_fit_is_refused),
      cmocka_unit_test(only_what_is_taught_needs_queries),
      cmocka_unit_test(data_in_files_is_read_again),
      cmocka_unit_test(ids_of_coco_are_the_classes_of_a_model),
      cmocka_unit_test(arrays_are_kept_until_the_task_ends),
      cmocka_unit_test(a_running_task_goes_on),
      cmocka_unit_test(many_images_are_kept),
      cmocka_unit_test(a_damaged_copy_is_refused),
      cmocka_unit_test(a_damaged_copy_is_awaited),
      cmocka_unit_test(changed_data_is_awaited),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
