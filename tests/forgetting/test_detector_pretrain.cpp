// Pre-training of a detector on a few images with one coloured square each.
#include "forgetting/detector_pretrain.h"

#include <set>

#include "evaluation/class_precision.h"
#include "forgetting/pretrain_run.h"
#include "near.h"

namespace lethe::testing {
namespace {

bool go_on(const Progress&) { return true; }

const Json kTiny = {{"arch", "deformable_detr"},
                    {"classes", 2},
                    {"backbone", "resnet18"},
                    {"backbone_width", 8},
                    {"feature_levels", 2},
                    {"dim", 32},
                    {"heads", 2},
                    {"encoder_layers", 1},
                    {"decoder_layers", 2},
                    {"ffn_dim", 16},
                    {"points", 2},
                    {"queries", 4},
                    {"dropout", 0.1},
                    {"shorter_side", 0},
                    {"refine_boxes", true},
                    {"auxiliary_losses", true}};

Json with(Json json, const Json& changes) {
  json.update(changes);
  return json;
}

/// A red square is category 0, a blue one category 1; the last image is empty.
DetectionDataset squares(int64_t count = 13) {
  RandomStream random(3, "squares");
  std::vector<DetectionImage> list;
  for (int64_t i = 0; i < count; ++i) {
    DetectionImage image;
    image.id = i;
    image.pixels = at::full({3, 32, 32}, 100, at::kByte);
    if (i + 1 < count) {
      const auto side = static_cast<int64_t>(10 + random.below(8));
      const auto left = static_cast<int64_t>(random.below(32 - side));
      const auto top = static_cast<int64_t>(random.below(32 - side));
      image.pixels.narrow(1, top, side).narrow(2, left, side).zero_();
      image.pixels[2 * (i % 2)].narrow(0, top, side).narrow(1, left, side).fill_(255);
      const auto at = [](int64_t x) { return static_cast<double>(x); };
      image.objects = {
          {i % 2, {at(left), at(top), at(left + side), at(top + side)}, at(side * side), false}};
    }
    list.push_back(image);
  }
  return DetectionDataset({{1, "red"}, {2, "blue"}}, list);
}

PretrainConfig settings(int64_t steps) {
  PretrainConfig config;
  config.epochs = 10;
  config.warmup_epochs = 1;
  config.batch = 4;
  config.max_steps = steps;
  config.learning_rate = 2e-3;
  config.weight_decay = 1e-4;
  return config;
}

struct Start {
  DeformableDetr model;
  Weights weights;
  DetectionDataset data = squares();
  explicit Start(const Json& changes = Json::object())
      : model(DetectorSpec::from_json(with(kTiny, changes))),
        weights(model.random_weights(RandomStream(1, "base"))) {}
  Weights train(const PretrainConfig& config, const Observer& observer = go_on,
                const Checkpoints& checkpoints = {}) const {
    return pretrain_detector(model, weights, data, config, observer, checkpoints);
  }
};

bool same(const Weights& a, const Weights& b) {
  for (const auto& [name, tensor] : a) {
    if (!at::equal(tensor, b.at(name))) return false;
  }
  return a.size() == b.size();
}

/// Of one-stage and two-stage models.
void the_loss_falls(void**) {
  for (const bool two_stage : {false, true}) {
    const Start start(Json{{"two_stage", two_stage}});
    std::vector<double> losses;
    const Weights trained = start.train(settings(60), [&](const Progress& p) {
      losses.push_back(p.loss);
      assert_true(p.loss == p.loss_retain && p.eta_seconds >= 0);
      assert_true(std::isnan(p.acc_r) && std::isnan(p.acc_f) && std::isnan(p.loss_forget));
      assert_int_equal(p.step, losses.size());
      assert_int_equal(p.total_steps, 60);
      return true;
    });
    const auto mean = [&](size_t begin) {
      double sum = 0;
      for (size_t i = begin; i < begin + 8; ++i) sum += losses[i] / 8;
      return sum;
    };
    if (!(mean(52) < 0.7 * mean(0)))
      fail_msg("two_stage %d: %g to %g", two_stage, mean(0), mean(52));
    start.model.check_weights(trained);
  }
}

void all_weights_but_statistics_are_trained(void**) {
  const Start start;
  const Weights before = start.weights, trained = start.train(settings(3));
  for (const auto& [name, tensor] : trained) {
    const bool statistics = name.find("running_") != std::string::npos;
    if (statistics) assert_true(at::equal(tensor, before.at(name)));
    assert_false(tensor.requires_grad());
  }
  for (const char* name :
       {"backbone.0.body.conv1.weight", "backbone.0.body.bn1.weight", "backbone.0.body.bn1.bias",
        "backbone.0.body.layer4.1.bn2.weight", "input_proj.0.0.weight", "query_embed.weight",
        "transformer.level_embed", "class_embed.0.bias", "bbox_embed.1.layers.2.weight"}) {
    if (at::equal(trained.at(name), before.at(name))) fail_msg("%s was not trained", name);
  }
  assert_true(same(start.weights, before));
}

void training_repeats_with_its_seed(void**) {
  const Start start;
  PretrainConfig config = settings(4);
  config.flip = true;
  const Weights first = start.train(config);
  assert_true(same(first, start.train(config)));
  config.seed = 5;
  assert_false(same(first, start.train(config)));
  config.seed = 1337;
  config.flip = false;
  assert_false(same(first, start.train(config)));
}

/// Over epochs, with flips, dropout and an average.
void a_run_goes_on_as_if_nothing_had_happened(void**) {
  const Start start(Json{{"two_stage", true}});
  PretrainConfig config = settings(10);
  config.flip = true;
  config.average_decay = 0.5;
  const Weights undisturbed = start.train(config);
  for (const int64_t stop : {1, 5, 10}) {
    Checkpoints saving, resumed;
    int64_t now = 0;
    saving.due = [&] { return ++now == stop; };
    saving.save = [&](const TrainingState& state) {
      const std::string bytes =  // as another process would find it
          serialize_safetensors(state.tensors(), {{"values", state.values().dump()}});
      SafetensorsFile file = parse_safetensors(bytes, "state");
      resumed.resume = TrainingState(file.tensors, Json::parse(file.metadata.at("values")));
    };
    const auto until = [&](const Progress& p) { return p.step < stop; };
    expect_error(Code::kCancelled, str("step ", stop, " of 10"),
                 [&] { start.train(config, until, saving); });
    assert_true(resumed.resume.has_value());
    int64_t steps = 0;
    const auto count = [&](const Progress&) { return ++steps, true; };
    assert_true(same(start.train(config, count, resumed), undisturbed));
    assert_int_equal(steps, 10 - stop);
  }
}

/// The first moments after a step are a tenth of the gradients that the optimizer saw.
void gradients_are_clipped_together(void**) {
  PretrainConfig config = settings(1);
  const auto moments = [&](double clip) {
    PretrainRun run(
        {{"a", at::ones({2})}, {"b", at::ones({1, 1})}, {"fixed", at::ones({3})}},
        [](const std::string& name) { return name != "fixed"; }, 5, config);
    const Weights after = take_pretrain_steps(
        run, config, clip,
        [](PretrainRun& r) { return (3 * r.weights.at("a")).sum() + 4 * r.weights.at("b").sum(); },
        go_on, {});
    assert_true(at::equal(after.at("fixed"), at::ones({3})));
    return at::cat({run.optimizer.first_moments()[0], run.optimizer.first_moments()[1].flatten()});
  };
  const at::Tensor gradient = at::tensor({3.0, 3.0, 4.0});
  expect_near(moments(0), 0.1 * gradient, 1e-6);
  expect_near(moments(10), 0.1 * gradient, 1e-6);  // longer than they are
  expect_near(moments(0.5), 0.1 * 0.5 * gradient / std::sqrt(34), 1e-6);
}

void a_step_without_objects_is_one(void**) {
  Start start;
  start.data = start.data.take({12, 12});
  const Weights trained = start.train(settings(2));
  start.model.check_weights(trained);
}

void a_nan_names_its_step(void**) {
  const Start start;
  Weights broken = start.weights;
  broken["class_embed.1.bias"] = at::full({2}, NAN);
  expect_error(Code::kNumeric, "step 1",
               [&] { pretrain_detector(start.model, broken, start.data, settings(3), go_on); });
}

void bad_settings_are_named(void**) {
  const Start start;
  const auto refused = [&](const char* field, const auto& change) {
    PretrainConfig config = settings(3);
    change(config);
    expect_error(Code::kInvalidArgument, field, [&] { start.train(config); });
  };
  refused("shift", [](PretrainConfig& c) { c.shift = 1; });
  refused("erase", [](PretrainConfig& c) { c.erase = 0.5; });
  refused("label_smoothing", [](PretrainConfig& c) { c.label_smoothing = 0.1; });
  refused("learning_rate", [](PretrainConfig& c) { c.learning_rate = -1; });

  const Start one_class(Json{{"classes", 1}});
  expect_error(Code::kInvalidArgument, "2 categories", [&] { one_class.train(settings(1)); });
  Start empty;
  empty.data = empty.data.take({});
  expect_error(Code::kInvalidArgument, "no image", [&] { empty.train(settings(1)); });
  Json features = with(kTiny, {{"backbone", "features"}, {"feature_channels", {8, 8}}});
  features.erase("backbone_width");
  const DeformableDetr headless(DetectorSpec::from_json(features));
  expect_error(Code::kUnsupported, "ResNet", [&] {
    pretrain_detector(headless, headless.random_weights(RandomStream(1, "base")), squares(),
                      settings(1), go_on);
  });
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_loss_falls),
      cmocka_unit_test(all_weights_but_statistics_are_trained),
      cmocka_unit_test(training_repeats_with_its_seed),
      cmocka_unit_test(a_run_goes_on_as_if_nothing_had_happened),
      cmocka_unit_test(gradients_are_clipped_together),
      cmocka_unit_test(a_step_without_objects_is_one),
      cmocka_unit_test(a_nan_names_its_step),
      cmocka_unit_test(bad_settings_are_named),
  };
  return cmocka_run_group_tests_name("detector pre-training", tests, nullptr, nullptr);
}
