// Every method through the engine: queue, gate, adapter, journal, receipt, audits, as GS-LoRA.
#include <set>

#include "adapters/manifest.h"
#include "engine/audit.h"
#include "engine/forget_job.h"
#include "engine/small_task.h"
#include "evaluation/accuracy.h"
#include "evaluation/membership.h"
#include "evaluation/verification.h"
#include "forgetting/method.h"
#include "storage/adapter_file.h"
#include "support/threads.h"

namespace lethe::testing {
namespace {

ForgetRequest request_of(MethodKind method, const std::string& id, std::vector<int64_t> classes,
                         int64_t steps = 30) {
  ForgetRequest request = small_request(id, std::move(classes));
  request.config = ForgetConfig::defaults_for(method, HeadKind::kLinear);
  request.config.data_ratio = 1;
  request.config.forget_batch = request.config.retain_batch = 8;
  request.config.max_steps = steps;
  request.config.warmup_epochs = 0;
  request.config.rank = 2;
  request.config.learning_rate = trains_lora(method) ? 1e-2 : 2e-3;
  request.config.gate_max_acc_f = request.config.gate_max_acc_r_drop = -1;
  request.config.progress_interval = 1;
  return request;
}

/// Two tasks of one method in a row; the second stands on the first, and both can be taken back.
void every_method_leaves_adapters(void**) {
  for (const MethodEntry& entry : methods()) {
    const auto model = trained_model();
    Engine engine(model, small_options());
    const at::Tensor before = scores(*model, small_images());
    std::vector<std::shared_ptr<Job>> jobs;
    for (const int64_t c : {1, 2}) {
      jobs.push_back(engine.enqueue(request_of(entry.kind, str("req-", c), {c})));
      expect_state(*jobs.back(), JobState::kSucceeded);
    }
    assert_true(engine.close(kLong));
    const JobResult result = jobs[1]->result();
    assert_int_equal(result.adapter->is_delta(), !trains_lora(entry.kind));
    assert_true(result.adapter->method() == entry.name);
    assert_int_equal(result.adapter->parents().size(), 1);

    const Metrics& m = result.report->metrics;
    for (const char* name : {"acc_f", "acc_r", "acc_o", "h", "tunable_ratio", "peak_memory_mib",
                             "mia_loss_auc", "mia_loss_auc_before", "over_forgetting"}) {
      if (!m.contains(name)) fail_msg("%s: no %s", entry.name, name);
    }
    assert_int_equal(m.contains("zero_group_ratio"), trains_lora(entry.kind));
    assert_true(m.at("tunable_ratio") > 0 && m.at("tunable_ratio") <= 100);
    assert_true(entry.kind != MethodKind::kRetrain || m.at("tunable_ratio") == 100);

    assert_false(at::equal(scores(*model, small_images()), before));
    model->rollback_to(nullptr);
    assert_true(at::equal(scores(*model, small_images()), before));
  }
}

/// A delta is the trained weights: what was measured is what a file of it gives another model.
void a_delta_adapter_moves_to_another_model(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  const auto job = engine.enqueue(request_of(MethodKind::kEwc, "req-1", {1}));
  expect_state(*job, JobState::kSucceeded);
  assert_true(engine.close(kLong));
  const std::string bytes = serialize_adapter_file(job->result().adapter->to_file());
  const auto other = trained_model();
  other->attach(Adapter::from_file(parse_adapter_file(bytes, "file")));
  assert_true(at::equal(scores(*other, small_images()), scores(*model, small_images())));
  assert_false(job->result().adapter->importance().empty());
}

/// What later EWC tasks need of earlier ones comes from their adapters, so also after a restart.
void penalties_of_earlier_tasks_survive_a_restart(void**) {
  const auto second_digest = [](bool restart) {
    const TemporaryFolder folder;
    EngineOptions options = small_options();
    options.folder = folder.path() + "/engine";
    auto model = trained_model();
    auto engine = std::make_unique<Engine>(model, options);
    expect_state(*engine->enqueue(request_of(MethodKind::kEwc, "req-1", {1})),
                 JobState::kSucceeded);
    if (restart) {
      assert_true(engine->close(kLong));
      engine.reset();
      model = trained_model();
      engine = std::make_unique<Engine>(model, options);
    }
    const auto job = engine->enqueue(request_of(MethodKind::kEwc, "req-2", {2}));
    expect_state(*job, JobState::kSucceeded);
    return job->result().adapter->id();
  };
  const std::string undisturbed = second_digest(false);
  assert_true(second_digest(true) == undisturbed);
}

/// An adapter's file may have lost a part before it came to the model.
void an_earlier_task_must_speak_of_every_weight(void**) {
  AdapterFile file;
  {
    Engine engine(trained_model(), small_options());
    const auto job = engine.enqueue(request_of(MethodKind::kEwc, "req-1", {1}));
    expect_state(*job, JobState::kSucceeded);
    file = job->result().adapter->to_file();
  }
  const auto lost = std::find_if(file.tensors.begin(), file.tensors.end(), [](const auto& item) {
    return item.first.ends_with(kImportanceSuffix);
  });
  assert_true(lost != file.tensors.end());
  file.tensors.erase(lost);
  file.manifest["tensors"] = describe_tensors(file.tensors);
  file.manifest["adapter_id"] = derive_adapter_id(file.manifest);
  const auto model = trained_model();
  model->attach(Adapter::from_file(file));
  Engine engine(model, small_options());
  const auto job = engine.enqueue(request_of(MethodKind::kEwc, "req-2", {2}));
  expect_state(*job, JobState::kFailed);
  assert_int_equal(static_cast<int>(*job->status().error), static_cast<int>(Code::kCorrupt));
  assert_true(job->error_message().find("does not say how much") != std::string::npos);
  expect_state(*engine.enqueue(request_of(MethodKind::kL2, "req-3", {2})), JobState::kSucceeded);
}

void the_gate_speaks_of_the_method(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  auto request = request_of(MethodKind::kFineTune, "req-1", {1}, 3);
  request.config.gate_max_acc_f = 5;
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kRejected);
  assert_true(job->error_message().find("epochs") != std::string::npos);
  assert_true(job->error_message().find("group") == std::string::npos);
  assert_int_equal(model->snapshot()->stack.size(), 0);
}

void audits_are_measured_when_asked(void**) {
  const auto metrics_of = [](int32_t audits, bool held_out) {
    const auto model = trained_model();
    Engine engine(model, small_options());
    auto request = request_of(MethodKind::kGsLoraPlusPlus, "req-1", {1});
    request.config.audits = audits;
    if (!held_out) request.validation.reset();
    const auto job = engine.enqueue(request);
    expect_state(*job, JobState::kSucceeded);
    return job->result().report->metrics;
  };
  const std::set<std::string> figures = {"mia_loss_auc",
                                         "verification_auc_r",
                                         "verification_auc_r_before",
                                         "verification_tar_r",
                                         "verification_auc_f",
                                         "verification_tar_f",
                                         "verification_eer_f",
                                         "verification_tar_f_at_r",
                                         "verification_auc_f_before",
                                         "verification_tar_f_at_r_before",
                                         "probe_f",
                                         "probe_r",
                                         "probe_f_before",
                                         "relearning_steps",
                                         "relearning_reached",
                                         "mia_lira_auc",
                                         "mia_loss_auc_retrain",
                                         "mia_loss_gap"};
  const Metrics all = metrics_of(kAuditAll, true);
  for (const std::string& name : figures) {
    if (!all.contains(name)) fail_msg("no %s", name.c_str());
  }
  expect_close(all.at("mia_loss_gap"),
               std::abs(all.at("mia_loss_auc") - all.at("mia_loss_auc_retrain")), 1e-12);
  assert_true(all.at("probe_f_before") >= 50);  // the base's embeddings know the class
  for (const auto& metrics : {metrics_of(0, true), metrics_of(kAuditAll, false)}) {
    for (const std::string& name : figures) assert_false(metrics.contains(name));
  }
}

at::Tensor labels_of(const Dataset& set) { return set.batch(0, set.size()).labels; }

/// One person alone has no impostors of their own: everybody else's images are. Several have each
/// other's.
void verification_of_one_person_and_of_more(void**) {
  for (const std::vector<int64_t>& classes : {std::vector<int64_t>{1}, {1, 2}}) {
    const auto model = small_live_model();  // not trained: its figures are far from perfect
    const auto base = model->snapshot();
    Engine engine(model, small_options());
    auto request = request_of(MethodKind::kGsLora, "req-1", classes, 5);
    request.config.audits = kAuditVerification;
    const Dataset& shown = *request.validation;
    const at::Tensor embeddings =
        dataset_embeddings(base->base->classifier(), base->weights, shown);
    const auto verified = [&](Impostors impostors) {
      return verify(pair_cosines(embeddings, labels_of(shown), classes, impostors));
    };
    const Verification within = verified(Impostors::kWithin);
    const Verification against_all = verified(Impostors::kAgainstAll);
    const bool alone = classes.size() == 1;
    assert_int_equal(within.auc.has_value(), !alone);
    assert_true(alone || std::abs(*within.auc - *against_all.auc) > 1e-6);

    const auto job = engine.enqueue(request);
    expect_state(*job, JobState::kSucceeded);
    const Metrics m = job->result().report->metrics;
    const Verification& expected = alone ? against_all : within;
    expect_close(m.at("verification_auc_f_before"), *expected.auc, 1e-9);
    expect_close(m.at("verification_tar_f_before"), 100 * *expected.tar, 1e-9);
    expect_close(m.at("verification_eer_f_before"), 100 * *expected.equal_error_rate, 1e-9);
    assert_true(m.contains("verification_auc_f") && m.contains("verification_tar_f_at_r"));
  }
}

void the_yardstick_has_the_tasks_settings(void**) {
  ForgetConfig asked = ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, HeadKind::kLinear);
  const ForgetConfig own = ForgetConfig::defaults_for(MethodKind::kRetrain, HeadKind::kLinear);
  asked.epochs = 6;
  asked.retain_batch = 7;
  asked.data_ratio = 0.3;
  asked.few_shot = 4;
  asked.dropout = 0.2;
  asked.form = Form::kReference;
  asked.learning_rate = 0.5;
  asked.seed = 9;
  ForgetConfig given = yardstick_settings(asked, HeadKind::kLinear, 1);
  assert_true(given.method == MethodKind::kRetrain && given.form == Form::kCorrected);
  assert_int_equal(given.epochs, 6);
  assert_int_equal(given.max_steps, 0);
  assert_int_equal(given.retain_batch, 7);
  assert_int_equal(given.few_shot, 4);
  assert_int_equal(given.seed, 11);
  assert_true(given.data_ratio == 0.3 && given.dropout == 0.2);
  assert_true(given.learning_rate == own.learning_rate);
  assert_int_equal(own.warmup_epochs, 5);
  assert_int_equal(given.warmup_epochs, 5);
  asked.epochs = 3;
  asked.max_steps = 40;
  given = yardstick_settings(asked, HeadKind::kLinear, 0);
  assert_int_equal(given.warmup_epochs, 3);  // all of them
  assert_int_equal(given.max_steps, 40);
  assert_int_equal(given.seed, 10);
  given.validate();

  asked = own;  // of Retrain: what that Retrain does
  asked.learning_rate = 2e-3;
  asked.warmup_epochs = 1;
  given = yardstick_settings(asked, HeadKind::kLinear, 0);
  assert_true(given.learning_rate == 2e-3);
  assert_int_equal(given.warmup_epochs, 1);
  given.seed = asked.seed;
  assert_true(given.to_json() == asked.to_json());
}

/// mia_*_retrain is what the same attack achieves on a Retrain of the task's epochs, run here.
void the_yardstick_is_retrain_as_the_task_would_run_it(void**) {
  const auto model = trained_model();
  const auto base = model->snapshot()->base;
  auto request = request_of(MethodKind::kGsLora, "req-1", {1}, 0);
  request.config.epochs = 3;
  request.config.audits = kAuditRetrain;
  const ForgetPlan plan = plan_forgetting(request, *model->snapshot());

  ForgetConfig config = ForgetConfig::defaults_for(MethodKind::kRetrain, HeadKind::kLinear);
  config.data_ratio = 1;
  config.epochs = config.warmup_epochs = 3;
  config.retain_batch = 8;
  config.seed = 1338;
  const ForgetResult trained =
      method_of(MethodKind::kRetrain)
          .run({base, base->weights(), 0, plan.classes, plan.forget, plan.retain, config},
               [](const Progress&) { return true; }, {});
  assert_int_equal(trained.last.step, 12);  // 30 samples: 4 steps an epoch
  Weights weights = base->weights();
  for (const auto& [name, delta] : trained.delta) weights.at(name) = weights.at(name) + delta;
  const auto scored = [&](const Dataset& set) {
    return ScoredSamples{dataset_scores(base->classifier(), weights, set), labels_of(set)};
  };
  const Membership expected =
      membership(scored(plan.forget), scored(request.validation->keep_classes({1})));

  Engine engine(model, small_options());
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kSucceeded);
  const Metrics m = job->result().report->metrics;
  expect_close(m.at("mia_loss_auc_retrain"), *expected.loss.auc, 1e-9);
  expect_close(m.at("mia_entropy_auc_retrain"), *expected.entropy.auc, 1e-9);
  expect_close(m.at("mia_modified_entropy_auc_retrain"), *expected.modified_entropy.auc, 1e-9);
}

// -------------------------------------------------------------------------------------- figures

/// small_set()'s classes told apart by a head with a margin.
std::shared_ptr<LiveModel> cosine_model() {
  static const std::shared_ptr<const BaseModel> base = [] {
    Json spec = small_spec();
    spec["head"] = "cosface";
    const auto model = std::make_shared<LiveModel>(small_base(1, spec));
    Engine engine(model, small_options());
    expect_state(*engine.enqueue(small_pretraining("base")), JobState::kSucceeded);
    return model->snapshot()->base;
  }();
  return std::make_shared<LiveModel>(base);
}

ForgetRequest cosine_request(MethodKind method, const std::string& id, int64_t c, int64_t steps) {
  ForgetRequest request = request_of(method, id, {c}, steps);
  request.config.forget_bound = 105;
  return request;
}

/// small_set()'s images under so much noise that every model is wrong about some of them.
Dataset hard_set() {
  const Dataset clean = small_set(50, 2);
  at::Tensor images = clean.pixels().to(at::kFloat);
  images.add_(at::empty_like(images).uniform_(-200, 200, RandomStream(3, "hard set").generator()));
  return Dataset(images.clamp_(0, 255).to(at::kByte), labels_of(clean), 4);
}

/// Percent of these classes' samples whose highest score, with the margin or without, is their own.
double accuracy(const Snapshot& state, const Dataset& set, const std::vector<int64_t>& classes,
                bool margin) {
  const Dataset some = set.keep_classes(classes);
  const Batch batch = some.batch(0, some.size());
  const Classifier& model = state.base->classifier();
  const Head head = model.head(state.weights);
  const at::Tensor embeddings = model.embed(state.weights, batch.images);
  const at::Tensor scores =
      margin ? head.scores(embeddings, batch.labels) : head.scores(embeddings);
  return 100 * scores.argmax(1).eq(batch.labels).to(at::kDouble).mean().item<double>();
}

/// Two tasks, so that base, start and end are three states; every figure from their predictions.
void figures_by_hand(void**) {
  const auto model = cosine_model();
  const Dataset shown = hard_set();
  Engine engine(model, small_options());
  const auto base = model->snapshot();
  auto first = cosine_request(MethodKind::kFineTune, "req-1", 1, 10);
  first.config.learning_rate = 1e-2;  // a start far from the base
  expect_state(*engine.enqueue(first), JobState::kSucceeded);
  const auto start = model->snapshot();
  auto second = cosine_request(MethodKind::kGsLoraPlusPlus, "req-2", 2, 40);
  second.validation = shown;
  const auto job = engine.enqueue(second);
  expect_state(*job, JobState::kSucceeded);
  const auto after = model->snapshot();

  const Metrics m = job->result().report->metrics;
  for (const bool margin : {false, true}) {
    const std::string suffix = margin ? "_margin" : "";
    const auto expect = [&](const std::string& name, double value) {
      if (!m.contains(name + suffix)) fail_msg("no %s%s", name.c_str(), suffix.c_str());
      expect_close(m.at(name + suffix), value, 1e-9);
    };
    const auto acc = [&](const Snapshot& state, const std::vector<int64_t>& classes) {
      return accuracy(state, shown, classes, margin);
    };
    const double f = acc(*after, {2}), r = acc(*after, {0, 3});
    const double f_base = acc(*base, {2}), f_start = acc(*start, {2}), r_base = acc(*base, {0, 3});
    expect("acc_f", f);
    expect("acc_r", r);
    expect("acc_o", acc(*after, {1}));
    expect("acc_f_before", f_base);
    expect("acc_f_start", f_start);
    expect("acc_r_before", r_base);
    expect("acc_r_start", acc(*start, {0, 3}));
    if (f >= f_start || f_start == f_base) fail_msg("Acc_f %g, %g, %g", f_base, f_start, f);
    expect("h", f < f_base ? 2 * r * (f_base - f) / (r + f_base - f) : 0);
    expect("h_start", 2 * r * (f_start - f) / (r + f_start - f));
    if (!margin) expect("over_forgetting", std::max(0.0, r_base - r));
  }
  assert_true(std::abs(m.at("h") - m.at("h_start")) > 1e-6);
  assert_true(std::abs(m.at("h") - m.at("h_margin")) > 1e-6);
}

/// Acc_r more than 10 points under the base's is said to be over-forgetting.
void over_forgetting_is_flagged(void**) {
  const auto report_of = [](MethodKind method, int64_t steps) {
    const auto model = trained_model();
    Engine engine(model, small_options());
    auto request = request_of(method, "req-1", {1}, steps);
    const auto job = engine.enqueue(request);
    expect_state(*job, JobState::kSucceeded);
    return job->result().report;
  };
  assert_true(kOverForgetting == 10);
  const auto ascent = report_of(MethodKind::kGradientAscent, 60);
  assert_true(ascent->metrics.at("over_forgetting") > 10);
  expect_close(ascent->metrics.at("over_forgetting"),
               ascent->metrics.at("acc_r_before") - ascent->metrics.at("acc_r"), 1e-12);
  assert_true(ascent->json.at("over_forgets") == true);
  const auto tuned = report_of(MethodKind::kFineTune, 10);
  assert_true(tuned->metrics.at("over_forgetting") <= 10);
  assert_true(tuned->json.at("over_forgets") == false);
}

/// With a threshold between the effects of two groups one of them is zero.
void zero_group_ratio_by_hand(void**) {
  const auto report_of = [](double threshold) {
    const auto model = trained_model();
    Engine engine(model, small_options());
    auto request = request_of(MethodKind::kGsLoraPlusPlus, "req-1", {1});
    request.config.zero_threshold = threshold;
    const auto job = engine.enqueue(request);
    expect_state(*job, JobState::kSucceeded);
    return job->result().report;
  };
  const auto all = report_of(0);
  assert_int_equal(all->metrics.at("groups_total"), 2);
  assert_int_equal(all->metrics.at("groups_kept"), 2);
  assert_true(all->metrics.at("zero_group_ratio") == 0);
  const auto effect = [&](size_t group) {
    return all->json.at("groups").at(group).at("relative").get<double>();
  };
  const auto one = report_of((effect(0) + effect(1)) / 2);
  assert_int_equal(one->metrics.at("groups_total"), 2);
  assert_int_equal(one->metrics.at("groups_kept"), 1);
  assert_true(one->metrics.at("zero_group_ratio") == 50);
}

/// Whatever is measured is signed.
void receipts_hold_every_figure_of_the_report(void**) {
  Engine engine(cosine_model(), small_options());
  auto request = cosine_request(MethodKind::kGsLoraPlusPlus, "req-1", 1, 30);
  request.config.audits = kAuditAll;
  const auto job = engine.enqueue(request);
  expect_state(*job, JobState::kSucceeded);
  const Metrics m = job->result().report->metrics;
  for (const char* name :
       {"h_margin", "mia_lira_auc", "verification_auc_f", "probe_f", "relearning_steps"}) {
    if (!m.contains(name)) fail_msg("no %s", name);
  }
  const Json receipt = Json::parse(engine.journal().receipt("req-1").value()).at("receipt");
  assert_true(receipt.at("figures").get<Metrics>() == m);
}

void a_block_that_does_not_exist(void**) {
  Engine engine(trained_model(), small_options());
  auto request = request_of(MethodKind::kGsLora, "req-1", {1});
  request.config.first_block = 2;
  expect_error(Code::kInvalidArgument, "first_block is 2", [&] { engine.enqueue(request); });
}

}  // namespace
}  // namespace lethe::testing

int main() {
  const lethe::ThreadBudget one(1);
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(every_method_leaves_adapters),
      cmocka_unit_test(a_delta_adapter_moves_to_another_model),
      cmocka_unit_test(penalties_of_earlier_tasks_survive_a_restart),
      cmocka_unit_test(an_earlier_task_must_speak_of_every_weight),
      cmocka_unit_test(the_gate_speaks_of_the_method),
      cmocka_unit_test(audits_are_measured_when_asked),
      cmocka_unit_test(verification_of_one_person_and_of_more),
      cmocka_unit_test(the_yardstick_has_the_tasks_settings),
      cmocka_unit_test(the_yardstick_is_retrain_as_the_task_would_run_it),
      cmocka_unit_test(figures_by_hand),
      cmocka_unit_test(over_forgetting_is_flagged),
      cmocka_unit_test(zero_group_ratio_by_hand),
      cmocka_unit_test(receipts_hold_every_figure_of_the_report),
      cmocka_unit_test(a_block_that_does_not_exist),
  };
  return cmocka_run_group_tests_name("methods", tests, nullptr, nullptr);
}
