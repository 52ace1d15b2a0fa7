// The baselines on a detector (algorithm.md 8.8): every loss against numbers worked out by hand,
// then whole tasks: what each trains, leaves, forgets and repeats.
#include <ATen/core/grad_mode.h>

#include "data/squares.h"
#include "evaluation/class_precision.h"
#include "forgetting/detection_losses.h"
#include "forgetting/detector_pretrain.h"
#include "forgetting/distillation.h"
#include "forgetting/objects.h"
#include "forgetting/teacher.h"
#include "forgetting/weight_penalty.h"

namespace lethe::testing {
namespace {

const std::vector<MethodKind> kAll = {MethodKind::kL2,   MethodKind::kEwc,         MethodKind::kMas,
                                      MethodKind::kDer,  MethodKind::kDerPlusPlus, MethodKind::kFdr,
                                      MethodKind::kScrub};

bool go_on(const Progress&) { return true; }

/// With random weights.
std::shared_ptr<const BaseModel> detector(const Json& changes = Json::object()) {
  Json spec = tiny_detector_spec();
  spec.update(changes);
  auto model = make_model(spec);
  return std::make_shared<const BaseModel>(model, model->random_weights(RandomStream(1, "weights")),
                                           at::kCPU);
}

/// That knows its squares; trained once.
std::shared_ptr<const BaseModel> trained_detector() {
  static const std::shared_ptr<const BaseModel> base = [] {
    const auto random = detector();
    PretrainConfig config;
    config.batch = 8;
    config.max_steps = 300;
    config.learning_rate = 2e-3;
    config.weight_decay = 1e-4;
    return std::make_shared<const BaseModel>(
        random->model_ptr(),
        pretrain_detector(random->detector(), random->weights(), squares(61), config, go_on),
        at::kCPU);
  }();
  return base;
}

ForgetConfig settings(MethodKind method, Form form = Form::kCorrected) {
  ForgetConfig config = ForgetConfig::defaults_for(method, HeadKind::kDetection);
  config.form = form;
  config.data_ratio = 1;
  config.forget_batch = config.retain_batch = 6;
  config.epochs = 4;
  return config;
}

DetectorTask task_of(const ForgetConfig& config,
                     const std::shared_ptr<const BaseModel>& base = detector()) {
  const DetectionDataset all = squares(25);
  return {base, base->weights(), 0, {1}, all.keep_classes({1}), all.keep_classes({0, 2}), config};
}

ForgetResult run(const DetectorTask& task, const Observer& observer = go_on,
                 const Checkpoints& checkpoints = {}) {
  return detector_method_of(task.config.method).run(task, observer, checkpoints);
}

double value(const at::Tensor& scalar) { return scalar.item<double>(); }

bool same(const Weights& a, const Weights& b) {
  if (a.size() != b.size()) return false;
  return std::all_of(a.begin(), a.end(), [&](const auto& entry) {
    return b.contains(entry.first) && at::equal(entry.second, b.at(entry.first));
  });
}

// ------------------------------------------------------------------------------------ target loss

/// One image, two queries, three classes, all logits 0, boxes that are the objects'.
DetectorPart undecided(const std::vector<DetectionTargets>& targets) {
  const std::vector<std::vector<double>> boxes = {{.3, .3, .2, .2}, {.7, .7, .2, .2}};
  DetectorPart part;
  part.layers = {{at::zeros({1, 2, 3}, at::kDouble), matrix(boxes).unsqueeze(0), {}}};
  part.input.targets = targets;
  part.objects = 2;
  return part;
}

/// The focal loss of a logit 0 is .25 * .25 ln 2 = .04332170 where the class is wanted, .75 * .25
/// ln 2 = .12996510 elsewhere; times 2, of two objects. Shown: 2 wanted, 4 not. Withheld: 6 not,
/// still of two objects.
void target_losses_by_hand(void**) {
  const std::vector<DetectionTargets> shown = {
      objects({0, 1}, {{.3, .3, .2, .2}, {.7, .7, .2, .2}})};
  expect_close(value(undecided(shown).target_loss()), 2 * .0433217 + 4 * .1299651, 1e-6);
  const std::vector<DetectionTargets> corrected = withheld(shown, Form::kCorrected);
  assert_int_equal(corrected[0].labels.numel(), 0);
  assert_true(corrected[0].boxes.sizes() == at::IntArrayRef({0, 4}));
  expect_close(value(undecided(corrected).target_loss()), 6 * .1299651, 1e-6);

  const std::vector<DetectionTargets> reference = withheld(shown, Form::kReference);
  assert_true(reference[0].labels.eq(12).all().item<bool>());
  assert_true(at::equal(reference[0].boxes, shown[0].boxes));

  assert_int_equal(undecided(shown).size(), 2);
  assert_int_equal(DetectorPart().size(), 0);
  expect_close(value(DetectorPart().target_loss()), 0);
}

/// Parts of a mixed batch, weighted by their objects, are that batch.
void parts_add_up_to_a_batch(void**) {
  const auto base = detector({{"two_stage", true}});
  const DeformableDetr& model = base->detector();
  const ResNet backbone = model.backbone(base->weights());
  const DetectionDataset all = squares(25);
  DetectorSamples samples(all, model, backbone, at::kCPU, 0);
  const auto part = [&](const std::vector<int64_t>& positions) {
    return detector_part(model, base->weights(), samples.at(positions), positions);
  };
  const DetectorPart one = part({0, 1, 2}), two = part({4, 24}), both = part({0, 1, 2, 4, 24});
  assert_int_equal(two.size(), 1);  // the last image is empty
  assert_int_equal(both.size(), 4);
  expect_close(value(3 * one.target_loss() + two.target_loss()) / 4, value(both.target_loss()),
               1e-5);
}

void what_the_reference_form_needs(void**) {
  const ForgetConfig config = settings(MethodKind::kL2, Form::kReference);
  expect_error(Code::kInvalidArgument, "classes 0 to 2; use form \"corrected\"",
               [&] { run(task_of(config)); });
  std::vector<DetectionCategory> categories;
  for (int64_t i = 0; i < 13; ++i) categories.push_back({i, str("number ", i)});
  std::vector<DetectionImage> images;
  for (int64_t i = 0; i < 4; ++i) {
    images.push_back({i,
                      "",
                      at::full({3, 32, 32}, 90, at::kByte),
                      {},
                      {{i % 2 ? 12 : 1, {2, 2, 12, 14}, 120, false}}});
  }
  const DetectionDataset all(categories, images);
  const auto base = detector({{"classes", 13}});
  const DetectorTask task{
      base, base->weights(), 0, {1}, all.keep_classes({1}), all.keep_classes({12}), config};
  expect_error(Code::kInvalidArgument, "unused class 12, but the task's images show",
               [&] { run(task); });
  ForgetConfig scrub = settings(MethodKind::kScrub, Form::kReference);  // withholds nothing
  scrub.max_steps = 1;
  run({base, base->weights(), 0, {1}, all.keep_classes({1}), all.keep_classes({12}), scrub});
}

// ----------------------------------------------------------------------------------- distillation

/// p = 1/2; q = sigmoid(1) = .73105858: KL = .5 ln(.5 / .73105858) + .5 ln(.5 / .26894142) =
/// .12011451, times T^2 = 4. Four such numbers in two images.
void distillation_of_sigmoids(void**) {
  const at::Tensor t = at::zeros({2, 1, 2}), s = at::full({2, 1, 2}, 2.f);
  expect_close(value(distillation_sigmoid_kl(s, t, 2)), 2 * 4 * .12011451, 1e-6);
  expect_close(value(distillation_sigmoid_kl(s, s, 2)), 0, 1e-7);
  assert_true(std::isfinite(value(distillation_sigmoid_kl(200 * s, -200 * s, 2))));
}

/// A run that is about to begin, with the losses of its method; all weights are leaves.
struct Prepared {
  explicit Prepared(const ForgetConfig& config, const Json& changes = Json::object())
      : task(task_of(config, detector(changes))),
        samples(draw_samples(task)),
        backbone(task.base->detector().backbone(task.start)),
        weights(task.start) {
    TrainedWeights trained;
    for (auto& [name, tensor] : weights) {
      if (name.starts_with("backbone.")) continue;
      tensor = tensor.clone().requires_grad_(true);
      trained.emplace_back(name, tensor);
    }
    preparation =
        std::make_unique<DetectorPreparation>(DetectorPreparation{task, samples, weights, trained});
    objective = made();
  }

  std::unique_ptr<DetectorObjective> made() const {
    return dynamic_cast<const DetectorWeightMethod&>(detector_method_of(task.config.method))
        .objective(*preparation);
  }

  /// What the base says, with logits moved by `moved`.
  DetectorPart part(const DetectionDataset& set, std::vector<int64_t> positions,
                    const at::Tensor& moved = {}) const {
    DetectorSamples images(set, task.base->detector(), backbone, at::kCPU, 0);
    DetectorPart p = detector_part(task.base->detector(), weights, images.at(positions), positions);
    at::Tensor& logits = p.layers.back().logits;
    if (moved.defined()) logits = logits + moved;
    return p;
  }

  DetectorTask task;
  DetectorTaskSamples samples;
  ResNet backbone;
  Weights weights;
  std::unique_ptr<DetectorPreparation> preparation;
  std::unique_ptr<DetectorObjective> objective;
};

/// [2 images, 4 queries, 3 classes]: .1 and -.2 at one query, .3 at another image's. Squares: .14.
at::Tensor differences() {
  at::Tensor moved = at::zeros({2, 4, 3});
  moved[0][0][0] = .1;
  moved[0][0][1] = -.2;
  moved[1][2][0] = .3;
  return moved;
}

void der_losses(void**) {
  for (const MethodKind method : {MethodKind::kDer, MethodKind::kDerPlusPlus}) {
    for (const Form form : {Form::kCorrected, Form::kReference}) {
      ForgetConfig config = settings(method, form);
      config.distillation_weight = 10;
      config.replay_weight = 7;
      const Prepared run(config);
      DetectorTrainingStep step;
      step.forget = run.part(run.samples.forget, {2, 5});
      step.retain = run.part(run.samples.retain, {0, 7}, differences());
      step.next_retain = run.part(run.samples.retain, {3});
      double expected = value(step.forget.target_loss());
      expected += 10 * (form == Form::kReference ? .14 : .14 / 2);
      if (method == MethodKind::kDerPlusPlus) expected += 7 * value(step.next_retain.target_loss());
      expect_close(value(run.objective->loss(step)), expected, 1e-4);
      assert_int_equal(run.objective->takes_two_retain_batches(),
                       method == MethodKind::kDerPlusPlus);
      assert_true(run.objective->relabels());
    }
  }
}

/// Corrected: (sqrt(.05) + .3) / 8 queries. Reference: (.1 + .2 + .3) / 6 classes.
void fdr_losses(void**) {
  for (const Form form : {Form::kCorrected, Form::kReference}) {
    ForgetConfig config = settings(MethodKind::kFdr, form);
    config.distillation_weight = 10;
    const Prepared run(config);
    DetectorTrainingStep step;
    step.forget = run.part(run.samples.forget, {0});
    step.retain = run.part(run.samples.retain, {2, 3}, differences());
    const double distance = form == Form::kReference ? .1 : (std::sqrt(.05) + .3) / 8;
    expect_close(value(run.objective->loss(step)), value(step.forget.target_loss()) + 10 * distance,
                 1e-4);
  }
}

/// Forget steps: -KD; retain steps: gamma L + a KD. Reference: softmaxes along the queries.
void scrub_losses(void**) {
  for (const Form form : {Form::kCorrected, Form::kReference}) {
    ForgetConfig config = settings(MethodKind::kScrub, form);
    config.replay_weight = 3;
    config.distillation_weight = 0.25;
    const Prepared run(config);
    const auto kd = [&](const DetectorPart& part, const DetectionDataset& set) {
      const at::Tensor base = run.part(set, {0, 1}).logits(), student = part.logits();
      if (form == Form::kCorrected) return value(distillation_sigmoid_kl(student, base, 2));
      const at::Tensor p = at::softmax(base / 2, 1), q = at::softmax(student / 2, 1);
      return 4 * value((p * (p / q).log()).sum()) / 2;
    };
    DetectorTrainingStep forget, retain;
    forget.forget = run.part(run.samples.forget, {0, 1}, 5 * differences());
    retain.retain = run.part(run.samples.retain, {0, 1}, 5 * differences());
    assert_true(kd(forget.forget, run.samples.forget) > 1e-3);
    expect_close(value(run.objective->loss(forget)), -kd(forget.forget, run.samples.forget), 1e-5);
    expect_close(
        value(run.objective->loss(retain)),
        3 * value(retain.retain.target_loss()) + .25 * kd(retain.retain, run.samples.retain), 1e-4);
    assert_false(run.objective->relabels());
    assert_false(run.objective->couples_weight_decay());
    // Three rounds of ten; only in the last, from its second epoch on, is 15 round + epoch
    // above 30.
    expect_close(*run.objective->learning_rate(20), 6e-4, 1e-12);
    expect_close(*run.objective->learning_rate(21), form == Form::kReference ? 1e-5 : 6e-5, 1e-12);
  }
}

/// Kept answers are those that each batch would get.
void the_teacher_is_the_base(void**) {
  Prepared run(settings(MethodKind::kFdr));
  const DetectorPart part = run.part(run.samples.retain, {3, 0});
  expect_near(DetectorTeacher(run.task, run.samples.retain).logits(part), part.logits(), 1e-5);
  run.task.config.fast = kFastAll & ~kFastPrefixCache;
  expect_near(DetectorTeacher(run.task, run.samples.retain).logits(part), part.logits(), 1e-6);
  run.task.config.fast = kFastAll;
  run.task.cancelled = [] { return true; };
  DetectorTeacher(run.task, run.samples.retain);  // at hand
  expect_error(Code::kCancelled, "base model", [&] {
    DetectorTeacher(run.task, run.samples.retain.take({1, 2}));
  });
}

// -------------------------------------------------------------------------------------- penalties

/// MAS: d mean(z^2) / d b_c = 2 sum over images and queries of z_c / (B Q C), of the last layer's
/// bias b. EWC: the squared gradient of the target loss times the images. All in one batch.
void importance_by_hand(void**) {
  ForgetConfig config = settings(MethodKind::kMas);
  config.retain_batch = 16;
  const Prepared run(config);
  std::vector<int64_t> all;
  for (int64_t i = 0; i < run.samples.retain.size(); ++i) all.push_back(i);
  assert_int_equal(all.size(), 16);
  const std::string bias = "class_embed.1.bias";
  const DetectorPart part = run.part(run.samples.retain, all);
  const at::Tensor by_hand =
      2 * part.logits().detach().flatten(0, 1).sum(0) / part.logits().numel();
  expect_near(importance_of(*run.preparation, run.samples.retain, output_sensitivity()).at(bias),
              by_hand.abs(), 1e-4);

  part.target_loss().backward();
  const at::Tensor gradient = run.weights.at(bias).grad().clone();
  for (auto& [name, leaf] : run.preparation->trained) leaf.mutable_grad() = at::Tensor();
  const Weights omega = importance_of(*run.preparation, run.samples.retain, fisher_information());
  expect_near(omega.at(bias), gradient.square() * 16, 1e-3);
  for (const auto& [name, tensor] : omega) assert_true(tensor.ge(0).all().item<bool>());
}

/// (n_f L_f + n_r L_r) / (n_f + n_r) + lambda sum over the starts of all tasks of the method.
void penalties_accumulate_over_tasks(void**) {
  ForgetConfig config = settings(MethodKind::kL2);
  config.penalty_weight = 2;
  Prepared run(config);
  DetectorTrainingStep step;
  step.forget = run.part(run.samples.forget, {0, 1, 2});
  step.retain = run.part(run.samples.retain, {0});
  const double loss = (3 * value(step.forget.target_loss()) + value(step.retain.target_loss())) / 4;
  expect_close(value(run.objective->loss(step)), loss, 1e-5);  // nothing has moved
  assert_true(run.objective->visits(0) == std::vector{Visit::kUnion});

  Weights elsewhere;
  for (const auto& [name, tensor] : run.task.start) elsewhere[name] = tensor.clone();
  elsewhere.at("query_embed.weight").view({-1})[0] += 3;
  run.task.index = 2;
  run.task.earlier = [&] {
    return std::vector<EarlierTask>{{"l2", elsewhere, {}}, {"ewc", elsewhere, {}}};
  };
  expect_close(value(run.made()->loss(step)), loss + 2 * 9, 1e-3);
}

// ------------------------------------------------------------------------------------ whole tasks

void the_defaults_are_those_of_the_published_code(void**) {
  const auto of = [](MethodKind kind) {
    const ForgetConfig c = ForgetConfig::defaults_for(kind, HeadKind::kDetection);
    c.validate();
    expect_close(c.learning_rate, 6e-4);
    expect_close(c.min_learning_rate, 6e-4);
    expect_close(c.gradient_clip, 0.1);
    assert_int_equal(c.epochs, 30);  // of SCRUB three rounds of ten
    assert_int_equal(c.forget_batch, 32);
    return c;
  };
  expect_close(of(MethodKind::kL2).penalty_weight, 0.01);
  expect_close(of(MethodKind::kEwc).penalty_weight, 10);
  expect_close(of(MethodKind::kMas).penalty_weight, 0.1);
  expect_close(of(MethodKind::kDer).distillation_weight, 1e-3);
  expect_close(of(MethodKind::kDerPlusPlus).distillation_weight, 1e-3);
  expect_close(of(MethodKind::kDerPlusPlus).replay_weight, 0.1);
  expect_close(of(MethodKind::kFdr).distillation_weight, 5);
  expect_close(of(MethodKind::kFdr).weight_decay, 1e-4);
  const ForgetConfig scrub = of(MethodKind::kScrub);
  expect_close(scrub.distillation_weight, 1e-3);
  expect_close(scrub.replay_weight, 0.99);
  expect_close(scrub.temperature, 2);
  expect_close(scrub.weight_decay, 5e-4);
  expect_close(scrub.smoothing, 0);
}

void every_method_trains_all_but_backbone_and_heads(void**) {
  const auto base = detector({{"classes", 14}});
  for (const MethodKind method : kAll) {
    for (const Form form : {Form::kCorrected, Form::kReference}) {
      ForgetConfig config = settings(method, form);
      config.max_steps = 4;
      const DetectorTask task = task_of(config, base);
      int64_t steps = 0;
      const ForgetResult result = run(task, [&](const Progress& p) {
        assert_int_equal(p.step, ++steps);
        assert_true(std::isfinite(p.loss) && std::isnan(p.acc_f) && p.seconds > 0);
        return true;
      });
      assert_int_equal(steps, 4);
      assert_true(std::isfinite(result.last.loss_forget) && std::isfinite(result.last.loss_retain));
      assert_int_equal(result.forget_samples, 8);
      assert_int_equal(result.retain_samples, 16);
      assert_true(!result.lora);
      int64_t parameters = 0;
      for (const auto& [name, tensor] : task.start) {
        const bool kept = name.starts_with("backbone.") || name.starts_with("class_embed.") ||
                          name.starts_with("bbox_embed.");
        if (!kept) parameters += tensor.numel();
        if (kept && result.delta.contains(name)) {
          fail_msg("%s changed %s", method_name(method).c_str(), name.c_str());
        }
      }
      assert_int_equal(result.trained_parameters, parameters);
      for (const char* name : {"input_proj.0.0.weight", "query_embed.weight",
                               "transformer.decoder.layers.1.linear1.weight"}) {
        if (!result.delta.contains(name)) {
          fail_msg("%s left %s", method_name(method).c_str(), name);
        }
      }
      const bool weighs = method == MethodKind::kEwc || method == MethodKind::kMas;
      assert_int_equal(!result.importance.empty(), weighs);
    }
  }
}

/// What aims moves by a tenth of what other weights do: at equal gradients Adam's first step is the
/// rate itself.
void projections_that_aim_have_a_tenth_of_the_rate(void**) {
  ForgetConfig config = settings(MethodKind::kL2);
  config.max_steps = 1;
  config.weight_decay = 0;
  const ForgetResult result = run(task_of(config, trained_detector()));
  const auto furthest = [&](const char* name) {
    return result.delta.at(name).abs().max().item<double>();
  };
  expect_close(furthest("transformer.decoder.layers.1.linear1.weight"), 6e-4, 1e-5);
  expect_close(furthest("transformer.reference_points.weight"), 6e-5, 1e-6);
  expect_close(furthest("transformer.encoder.layers.0.self_attn.sampling_offsets.weight"), 6e-5,
               1e-6);
}

/// Clipping scales all gradients of a step alike, which Adam undoes in the first; the moments of a
/// second one tell.
void clipping_is_in_force(void**) {
  ForgetConfig config = settings(MethodKind::kL2);
  config.max_steps = 2;
  const Weights clipped = run(task_of(config)).delta;
  config.gradient_clip = 0;
  assert_false(same(run(task_of(config)).delta, clipped));
}

/// The mean, over images with a square, of the highest score that any query gives its colour.
double score(const BaseModel& base, const Weights& weights, const std::vector<int64_t>& colours) {
  const DetectionDataset test = squares(31, 9).keep_classes(colours);
  const ResNet backbone = base.detector().backbone(weights);
  DetectorSamples samples(test, base.detector(), backbone, at::kCPU, 0);
  std::vector<int64_t> all;
  for (int64_t i = 0; i < test.size(); ++i) all.push_back(i);
  const DetectorPart part = detector_part(base.detector(), weights, samples.at(all), all);
  const at::Tensor best = part.logits().detach().sigmoid().amax(1);
  double sum = 0;
  for (const int64_t i : all) {
    sum += value(best[i][part.input.targets[i].labels[0].item<int64_t>()]);
  }
  return sum / static_cast<double>(test.size());
}

/// Each gives the green squares lower scores and finds fewer of them; the others keep theirs.
void every_method_does_its_job(void**) {
  const auto base = trained_detector();
  const auto precision = [&](const Weights& weights) {
    return class_precision(base->detector(), weights, squares(31, 9)).percent50({1}).value();
  };
  const double ap = precision(base->weights());
  const double before_f = score(*base, base->weights(), {1});
  const double before_r = score(*base, base->weights(), {0, 2});
  if (ap < 50 || before_f < .3 || before_r < .3) {
    fail_msg("the base has AP50 %g, scores %g and %g", ap, before_f, before_r);
  }
  for (const MethodKind method : kAll) {
    ForgetConfig config = settings(method);
    config.epochs = 10;
    config.learning_rate = 2e-3;
    if (method == MethodKind::kDer || method == MethodKind::kDerPlusPlus) {
      config.distillation_weight = 0.1;  // of 4 queries and 3 classes, not 300 and 91
    }
    if (method == MethodKind::kFdr) config.distillation_weight = 0.3;
    const DetectorTask task = task_of(config, base);
    const ForgetResult result = run(task);
    Weights after = task.start;
    for (const auto& [name, delta] : result.delta) after.at(name) = after.at(name) + delta;
    const double f = score(*base, after, {1}), r = score(*base, after, {0, 2});
    if (f > 0.6 * before_f || r < 0.8 * before_r || precision(after) > 0.85 * ap) {
      fail_msg("%s: scores %g to %g, of the others %g to %g; AP50 %g to %g",
               method_name(method).c_str(), before_f, f, before_r, r, ap, precision(after));
    }
  }
}

/// Dropout, orders over several epochs and SCRUB's passes are taken up where they were.
void each_goes_on_as_if_nothing_had_happened(void**) {
  const auto base = detector({{"dropout", 0.1}});
  for (const MethodKind method : kAll) {
    ForgetConfig config = settings(method);
    config.max_steps = 7;
    const DetectorTask task = task_of(config, base);
    const ForgetResult undisturbed = run(task);
    for (const int64_t stop : {1, 5}) {
      Checkpoints saving, resumed;
      int64_t now = 0;
      saving.due = [&] { return ++now == stop; };
      saving.save = [&](const TrainingState& state) {
        const std::string bytes =  // as another process would find it
            serialize_safetensors(state.tensors(), {{"values", state.values().dump()}});
        SafetensorsFile file = parse_safetensors(bytes, "state");
        resumed.resume = TrainingState(file.tensors, Json::parse(file.metadata.at("values")));
      };
      expect_error(Code::kCancelled, str("step ", stop, " of 7"), [&] {
        run(
            task, [&](const Progress& p) { return p.step < stop; }, saving);
      });
      const ForgetResult result = run(task, go_on, resumed);
      if (!same(result.delta, undisturbed.delta) ||
          !same(result.importance, undisturbed.importance)) {
        fail_msg("%s, stopped at step %d", method_name(method).c_str(), static_cast<int>(stop));
      }
      assert_true(result.last.loss == undisturbed.last.loss);
    }
    config.seed = 2;
    assert_false(same(run(task_of(config, base)).delta, undisturbed.delta));
  }
}

void images_of_different_sizes_are_padded_together(void**) {
  std::vector<DetectionImage> images;
  for (int64_t i = 0; i < 6; ++i) {
    images.push_back({i,
                      "",
                      at::full({3, 20 + 4 * i, 40 - 2 * i}, 90, at::kByte),
                      {},
                      {{i % 3, {2, 2, 12, 14}, 120, false}}});
  }
  const DetectionDataset mixed({{1, "red"}, {2, "green"}, {3, "blue"}}, images);
  const auto base = detector();
  for (const MethodKind method : {MethodKind::kDerPlusPlus, MethodKind::kScrub}) {
    ForgetConfig config = settings(method);
    config.max_steps = 2;
    const DetectorTask task{
        base, base->weights(), 0, {1}, mixed.keep_classes({1}), mixed.keep_classes({0, 2}), config};
    assert_true(std::isfinite(run(task).last.loss));
  }
}

// --------------------------------------------------------------------------------------- refusals

void methods_of_classifiers_are_refused(void**) {
  const char* known =
      "those that have one are gs-lora, gs-lora++, l2, ewc, mas, der, der++, fdr, scrub";
  for (const MethodKind method : {MethodKind::kLwf, MethodKind::kScrubS, MethodKind::kLirf,
                                  MethodKind::kRetrain, MethodKind::kSalUn}) {
    expect_error(Code::kUnsupported, known, [&] { detector_method_of(method); });
    expect_error(Code::kUnsupported, method_name(method) + " has no form for detectors",
                 [&] { detector_method_of(method); });
  }
  expect_error(Code::kUnsupported, "no method 99",
               [] { detector_method_of(static_cast<MethodKind>(99)); });
}

void a_nan_names_its_step(void**) {
  const auto base = detector();
  for (const MethodKind method : {MethodKind::kL2, MethodKind::kDer, MethodKind::kScrub}) {
    ForgetConfig config = settings(method);
    config.max_steps = 3;
    DetectorTask task = task_of(config, base);
    task.start["transformer.level_embed"] =
        at::full_like(task.start["transformer.level_embed"], NAN);
    expect_error(Code::kNumeric, "step 1", [&] { run(task); });
  }
}

}  // namespace
}  // namespace lethe::testing

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(target_losses_by_hand),
      cmocka_unit_test(parts_add_up_to_a_batch),
      cmocka_unit_test(what_the_reference_form_needs),
      cmocka_unit_test(distillation_of_sigmoids),
      cmocka_unit_test(der_losses),
      cmocka_unit_test(fdr_losses),
      cmocka_unit_test(scrub_losses),
      cmocka_unit_test(the_teacher_is_the_base),
      cmocka_unit_test(importance_by_hand),
      cmocka_unit_test(penalties_accumulate_over_tasks),
      cmocka_unit_test(the_defaults_are_those_of_the_published_code),
      cmocka_unit_test(every_method_trains_all_but_backbone_and_heads),
      cmocka_unit_test(projections_that_aim_have_a_tenth_of_the_rate),
      cmocka_unit_test(clipping_is_in_force),
      cmocka_unit_test(every_method_does_its_job),
      cmocka_unit_test(each_goes_on_as_if_nothing_had_happened),
      cmocka_unit_test(images_of_different_sizes_are_padded_together),
      cmocka_unit_test(methods_of_classifiers_are_refused),
      cmocka_unit_test(a_nan_names_its_step),
  };
  return cmocka_run_group_tests_name("detector baselines", tests, nullptr, nullptr);
}
