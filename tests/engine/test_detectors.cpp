// Detectors in an engine: what a classifier's tasks have, theirs have too.
#include <fstream>

#include "data/detection_sources.h"
#include "data/fixtures.h"
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

/// The same squares as files: COCO annotations and PNM images.
DetectionDataset coco_squares(const TemporaryFolder& folder, int64_t count, uint64_t seed) {
  const DetectionDataset data = squares(count, seed);
  const std::string name = str("squares-", seed);
  std::filesystem::create_directories(folder / name);
  Json json = {
      {"images", Json::array()}, {"annotations", Json::array()}, {"categories", Json::array()}};
  for (const DetectionCategory& category : data.categories()) {
    json["categories"].push_back({{"id", category.id}, {"name", category.name}});
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
                                     {"category_id", object.label + 1},
                                     {"bbox", {box.left, box.top, box.width(), box.height()}}});
    }
  }
  write_text(folder / name + ".json", json.dump());
  return read_coco(folder / name + ".json", folder / name);
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
  refused(detectors, Code::kInvalidArgument, "image 77 of the forget set has 5 objects", request);
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
      cmocka_unit_test(data_in_files_is_read_again),
      cmocka_unit_test(arrays_are_kept_until_the_task_ends),
      cmocka_unit_test(a_running_task_goes_on),
      cmocka_unit_test(changed_data_is_awaited),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
