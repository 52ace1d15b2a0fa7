#include "engine/live_model.h"

#include <atomic>
#include <thread>

#include "engine/small_task.h"
#include "support/threads.h"
#include "test.h"

namespace lethe::testing {
namespace {

void attaching_changes_the_scores_and_rolling_back_restores_every_bit(void**) {
  LiveModel model(small_base());
  const auto base = model.snapshot()->base;
  const at::Tensor images = small_images();
  const at::Tensor before = scores(model, images);
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  model.attach(first);
  const at::Tensor after_first = scores(model, images);
  model.attach(small_adapter(*base, {{first}}, "req-2", {2}, 2));
  const at::Tensor after_second = scores(model, images);
  assert_false(at::equal(before, after_first));
  assert_false(at::equal(after_first, after_second));

  const std::string first_id = "req-1";
  {
    const ThreadBudget other_thread_count(2);  // must not matter to the sum
    model.rollback_to(&first_id);
  }
  assert_true(at::equal(scores(model, images), after_first));
  assert_int_equal(model.snapshot()->stack.size(), 1);
  model.rollback_to(nullptr);
  assert_true(at::equal(scores(model, images), before));
  assert_true(same_bits(model.snapshot()->weights, base->weights()));
}

void rolling_back_to_an_unknown_request_is_refused(void**) {
  LiveModel model(small_base());
  model.attach(small_adapter(*model.snapshot()->base, {}, "req-1", {1}, 1));
  const auto before = model.snapshot();
  const std::string unknown = "req-7";
  expect_error(Code::kNotFound, "req-7", [&] { model.rollback_to(&unknown); });
  assert_ptr_equal(model.snapshot().get(), before.get());
}

void a_refused_change_leaves_the_model_as_it_was(void**) {
  LiveModel model(small_base());
  const auto base = model.snapshot()->base;
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  model.attach(first);
  const auto before = model.snapshot();
  expect_error(Code::kExists, "req-1", [&] { model.attach(first); });
  const auto stray = small_adapter(*base, {}, "req-2", {2}, 2);  // not trained on the first
  expect_error(Code::kBaseMismatch, "req-2", [&] { model.attach(stray); });
  const auto foreign = small_adapter(*small_base(2), {}, "req-3", {3}, 3);
  expect_error(Code::kBaseMismatch, "req-3", [&] { model.attach(foreign); });
  expect_error(Code::kBaseMismatch, "req-2", [&] {
    model.set_stack({{first}, {stray}}, /*allow_unverified=*/false);
  });
  expect_error(Code::kState, "adapters", [&] { model.load_weights(base->weights()); });
  assert_ptr_equal(model.snapshot().get(), before.get());
}

void set_stack_replaces_everything_at_once(void**) {
  LiveModel model(small_base());
  const auto base = model.snapshot()->base;
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  const auto second = small_adapter(*base, {{first}}, "req-2", {2}, 2);
  model.set_stack({{first}, {second}}, false);
  assert_true(same_bits(model.snapshot()->weights, merge(*base, {{first}, {second}})));
  model.set_stack({{first, 0}, {second}}, /*allow_unverified=*/true);
  assert_true(same_bits(model.snapshot()->weights, merge(*base, {{second}})));
  model.set_stack({}, false);
  assert_true(same_bits(model.snapshot()->weights, base->weights()));
}

void an_adapter_goes_on_top_of_what_is_enabled(void**) {
  LiveModel model(small_base());
  const auto base = model.snapshot()->base;
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  model.set_stack({{first, 0}}, /*allow_unverified=*/true);
  model.attach(small_adapter(*base, {}, "req-2", {2}, 2));
  assert_int_equal(model.snapshot()->stack.size(), 2);
}

void loading_weights_makes_a_new_base(void**) {
  LiveModel model(small_base(1));
  const auto other = small_base(2);
  model.load_weights(other->weights());
  assert_true(model.snapshot()->base->fingerprint() == other->fingerprint());
  const auto before = model.snapshot();
  Weights lacking = other->weights();
  lacking.erase("heads.head.bias");
  expect_error(Code::kInvalidArgument, "heads.head.bias", [&] { model.load_weights(lacking); });
  assert_ptr_equal(model.snapshot().get(), before.get());
}

void a_clone_goes_its_own_way(void**) {
  LiveModel model(small_base());
  const auto base = model.snapshot()->base;
  model.attach(small_adapter(*base, {}, "req-1", {1}, 1));
  model.claim();
  model.begin_task();
  const auto copy = model.clone();
  assert_ptr_equal(copy->snapshot().get(), model.snapshot().get());
  copy->rollback_to(nullptr);
  copy->claim();
  assert_int_equal(copy->snapshot()->stack.size(), 0);
  assert_int_equal(model.snapshot()->stack.size(), 1);
}

void nothing_changes_while_tasks_are_pending(void**) {
  LiveModel model(small_base());
  const auto base = model.snapshot()->base;
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  model.begin_task();
  model.begin_task();
  model.end_task();
  const auto before = model.snapshot();
  expect_error(Code::kState, "queued or running", [&] { model.attach(first); });
  expect_error(Code::kState, "queued or running", [&] { model.set_stack({}, true); });
  expect_error(Code::kState, "queued or running", [&] { model.rollback_to(nullptr); });
  expect_error(Code::kState, "queued or running", [&] { model.load_weights(base->weights()); });
  assert_ptr_equal(model.snapshot().get(), before.get());
  model.publish(first);  // the engine may
  model.end_task();
  model.rollback_to(nullptr);
}

void one_engine_at_a_time_claims_a_model(void**) {
  LiveModel model(small_base());
  model.claim();
  expect_error(Code::kBusy, "engine", [&] { model.claim(); });
  model.release();
  model.claim();
}

void a_new_base_is_checked_and_needs_an_empty_stack(void**) {
  LiveModel model(small_base(1));
  Weights trained = small_base(2)->weights();
  for (auto& [name, tensor] : trained) tensor = tensor.clone().requires_grad_();
  model.replace_base(trained);
  assert_true(model.snapshot()->base->fingerprint() == small_base(2)->fingerprint());
  assert_false(model.snapshot()->weights.begin()->second.requires_grad());
  model.attach(small_adapter(*model.snapshot()->base, {}, "req-1", {1}, 1));
  expect_error(Code::kState, "adapters", [&] { model.replace_base(trained); });
}

/// Readers see one of the states that writers made, never a mixture, and never wait for long.
void predictions_see_whole_states_only(void**) {
  LiveModel model(small_base());
  const auto base = model.snapshot()->base;
  const auto first = small_adapter(*base, {}, "req-1", {1}, 1);
  const auto second = small_adapter(*base, {{first}}, "req-2", {2}, 2);
  const at::Tensor images = small_images();
  std::vector<at::Tensor> known;
  {
    const ThreadBudget one_thread(1);
    for (const Stack& stack : {Stack{}, Stack{{first}}, Stack{{first}, {second}}}) {
      known.push_back(scores(*base, merge(*base, stack), images));
    }
  }
  std::atomic<bool> stop{false};
  std::atomic<int> strange{0}, predictions{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      const ThreadBudget one_thread(1);
      do {
        const at::Tensor seen = scores(model, images);
        bool found = false;
        for (const at::Tensor& state : known) found = found || at::equal(seen, state);
        if (!found) ++strange;
        ++predictions;
      } while (!stop);
    });
  }
  for (int i = 0; i < 100; ++i) {
    model.attach(first);
    model.attach(second);
    model.rollback_to(nullptr);
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  assert_int_equal(strange.load(), 0);
  assert_true(predictions.load() >= 4);
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(attaching_changes_the_scores_and_rolling_back_restores_every_bit),
      cmocka_unit_test(rolling_back_to_an_unknown_request_is_refused),
      cmocka_unit_test(a_refused_change_leaves_the_model_as_it_was),
      cmocka_unit_test(set_stack_replaces_everything_at_once),
      cmocka_unit_test(an_adapter_goes_on_top_of_what_is_enabled),
      cmocka_unit_test(loading_weights_makes_a_new_base),
      cmocka_unit_test(a_clone_goes_its_own_way),
      cmocka_unit_test(nothing_changes_while_tasks_are_pending),
      cmocka_unit_test(one_engine_at_a_time_claims_a_model),
      cmocka_unit_test(a_new_base_is_checked_and_needs_an_empty_stack),
      cmocka_unit_test(predictions_see_whole_states_only)};
  return cmocka_run_group_tests_name("live model", tests, nullptr, nullptr);
}
