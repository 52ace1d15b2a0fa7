// The life of adapters on a model: on, off, out, back, merged, sealed.
#include <map>

#include "engine/small_task.h"

namespace lethe::testing {
namespace {

namespace fs = std::filesystem;

/// Three adapters, each trained on those before it.
std::vector<std::shared_ptr<const Adapter>> three_adapters(const BaseModel& base) {
  std::vector<std::shared_ptr<const Adapter>> adapters;
  Stack below;
  for (const int64_t c : {1, 2, 3}) {
    adapters.push_back(
        small_adapter(base, below, lethe::str("req-", c), {c}, static_cast<uint64_t>(c)));
    below.push_back({adapters.back(), 1});
  }
  return adapters;
}

void only_the_top_may_go_unasked(void**) {
  const auto base = small_base();
  LiveModel model(base);
  const auto adapters = three_adapters(*base);
  std::vector<at::Tensor> states = {scores(model, small_images())};
  for (const auto& adapter : adapters) {
    model.attach(adapter);
    states.push_back(scores(model, small_images()));
  }
  for (const char* id : {"req-1", "req-2"}) {
    expect_error(Code::kBaseMismatch, "req-", [&] { model.enable(id, false, false); });
    expect_error(Code::kBaseMismatch, "req-", [&] { model.detach(id, false); });
  }
  expect_error(Code::kNotFound, "req-9", [&] { model.enable("req-9", false, true); });
  expect_error(Code::kNotFound, "req-9", [&] { model.detach("req-9", true); });
  assert_true(at::equal(scores(model, small_images()), states[3]));

  model.enable("req-3", false, false);
  assert_true(at::equal(scores(model, small_images()), states[2]));
  model.enable("req-3", false, false);  // it is off already
  model.enable("req-2", false, false);  // the top one that is on
  assert_true(at::equal(scores(model, small_images()), states[1]));
  expect_error(Code::kBaseMismatch, "req-3", [&] { model.enable("req-3", true, false); });
  model.enable("req-2", true, false);
  model.enable("req-3", true, false);
  assert_true(at::equal(scores(model, small_images()), states[3]));
  model.detach("req-3", false);
  assert_true(at::equal(scores(model, small_images()), states[2]));
  assert_int_equal(model.snapshot()->stack.size(), 2);
  model.enable("req-1", false, /*allow_unverified=*/true);
  assert_false(at::equal(scores(model, small_images()), states[2]));
  model.enable("req-1", true, false);
  assert_true(at::equal(scores(model, small_images()), states[2]));
}

/// What a stack is, for finding it again.
std::string key_of(const Stack& stack) {
  std::string key;
  for (const StackEntry& entry : stack) {
    if (entry.scale != 0) key += lethe::str(entry.adapter->request_id(), '*', entry.scale, ' ');
  }
  return key;
}

void a_thousand_sequences_of_changes_repeat_every_bit(void**) {
  const auto base = small_base();
  const auto adapters = three_adapters(*base);
  RandomStream random(11, "sequences");
  std::map<std::string, at::Tensor> known;  // by state: the first answer it gave
  int64_t changes = 0, returns = 0;
  for (int sequence = 0; sequence < 1000; ++sequence) {
    LiveModel model(base);
    for (int step = 0; step < 8; ++step) {
      const std::string id = lethe::str("req-", 1 + random.below(3));
      try {
        switch (random.below(6)) {
          case 0:
            model.attach(adapters[random.below(3)]);
            break;
          case 1:
            model.enable(id, random.below(2), random.below(2));
            break;
          case 2:
            model.detach(id, random.below(2));
            break;
          case 3:
            model.rollback_to(random.below(4) ? &id : nullptr);
            break;
          default: {
            Stack stack;
            for (const auto& adapter : adapters) {
              const double scales[] = {0, 0.5, 1, 1};
              if (random.below(3)) stack.push_back({adapter, scales[random.below(4)]});
            }
            model.set_stack(stack, true);
          }
        }
        ++changes;
      } catch (const Error& error) {  // refused: then nothing may have changed either
        const bool expected = error.code() == Code::kBaseMismatch ||
                              error.code() == Code::kNotFound || error.code() == Code::kExists;
        if (!expected) throw;
      }
      const at::Tensor answer = scores(model, small_images());
      const auto [state, is_new] = known.emplace(key_of(model.snapshot()->stack), answer);
      assert_true(at::equal(state->second, answer));
      returns += !is_new;
    }
  }
  assert_true(changes > 2000 && returns > 2000 && known.size() > 10);
}

void a_merged_copy_answers_alike_and_stands_alone(void**) {
  const auto model = trained_model();
  Engine engine(model, small_options());
  expect_state(*engine.enqueue(small_request("a", {1})), JobState::kSucceeded);
  expect_state(*engine.enqueue(small_request("b", {2})), JobState::kSucceeded);
  const auto merged = std::make_shared<LiveModel>(merged_base(*model->snapshot()));
  assert_true(at::equal(scores(*merged, small_images()), scores(*model, small_images())));
  assert_true(merged->snapshot()->stack.empty());
  assert_false(merged->snapshot()->base->fingerprint() == model->snapshot()->base->fingerprint());
  assert_true(merged->snapshot()->base->origin().forgotten == std::vector<int64_t>({1, 2}));

  Engine other(merged, small_options());
  expect_error(Code::kInvalidArgument, "class 2 is forgotten already",
               [&] { other.enqueue(small_request("c", {2})); });
  const auto job = other.enqueue(small_request("d", {3}));
  expect_state(*job, JobState::kSucceeded);
  assert_true(job->result().report->metrics.contains("acc_o"));  // of what the base lost
  model->rollback_to(nullptr);                                   // the original goes its own way
  assert_int_equal(merged->snapshot()->stack.size(), 1);
}

void a_sealed_model_cannot_go_back(void**) {
  LiveModel model(small_base());
  for (const auto& adapter : three_adapters(*model.snapshot()->base)) model.attach(adapter);
  const at::Tensor before = scores(model, small_images());
  const auto original = model.snapshot()->base;
  model.seal();
  assert_true(at::equal(scores(model, small_images()), before));
  model.rollback_to(nullptr);
  assert_true(at::equal(scores(model, small_images()), before));
  assert_int_equal(model.snapshot()->stack.size(), 0);
  expect_error(Code::kBaseMismatch, "belongs to the base",
               [&] { model.attach(three_adapters(*original)[0]); });
}

void sealing_is_durable(void**) {
  const TemporaryFolder folder;
  EngineOptions options = small_options();
  options.folder = folder / "engine";
  at::Tensor before;
  PublicKey key;
  {
    const auto model = trained_model();
    Engine engine(model, options);
    const auto first = engine.enqueue(small_request("a", {1}));
    expect_state(*first, JobState::kSucceeded);
    expect_state(*engine.enqueue(small_request("b", {2})), JobState::kSucceeded);
    before = scores(*model, small_images());
    const auto running = engine.enqueue(endless_request("c", {3}));
    expect_error(Code::kState, "queued or running", [&] { model->seal(); });
    running->cancel();
    expect_state(*running, JobState::kCancelled);
    model->seal();
    assert_null(first->result().adapter.get());
    assert_non_null(first->result().report.get());
    assert_true(fs::is_empty(folder / "engine/adapters"));
    const Json receipt = Json::parse(*engine.journal().receipt("seal")).at("receipt");
    assert_true(receipt.at("mode") == "sealed" && receipt.at("classes") == Json::array({1, 2}));
    assert_int_equal(receipt.at("adapters").size(), 2);
    key = engine.public_key();
  }
  const auto model = trained_model();  // the host still brings the old weights
  Engine engine(model, options);
  assert_true(at::equal(scores(*model, small_images()), before));
  assert_true(model->snapshot()->base->origin().forgotten == std::vector<int64_t>({1, 2}));
  assert_null(engine.find("a")->result().adapter.get());
  expect_state(*engine.enqueue(small_request("d", {3}, 5)), JobState::kSucceeded);
  std::string lines;
  for (const std::string& line : engine.journal().receipts()) lines += line + '\n';
  const ChainFindings found = verify_receipts(lines, key);
  assert_false(found.first_break.has_value());
  assert_int_equal(found.good, 5);
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(only_the_top_may_go_unasked),
      cmocka_unit_test(a_thousand_sequences_of_changes_repeat_every_bit),
      cmocka_unit_test(a_merged_copy_answers_alike_and_stands_alone),
      cmocka_unit_test(a_sealed_model_cannot_go_back),
      cmocka_unit_test(sealing_is_durable),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
