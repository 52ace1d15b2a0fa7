#include "engine/request.h"

#include "engine/small_task.h"
#include "test.h"

namespace lethe::testing {
namespace {

using Classes = std::vector<int64_t>;

/// A model without adapters, and one on which "req-1" has forgotten class 3.
std::shared_ptr<const Snapshot> fresh() { return make_snapshot(small_base(), {}); }
std::shared_ptr<const Snapshot> used() {
  const auto base = small_base();
  return make_snapshot(base, {{small_adapter(*base, {}, "req-1", {3}, 1)}});
}

/// Forget and retain set apart; the validation set is left out.
ForgetRequest two_sets(Classes classes, const Classes& forget, const Classes& retain) {
  ForgetRequest request = small_request("req", std::move(classes));
  const Dataset all = request.forget;
  request.forget = all.keep_classes(forget);
  request.retain = all.keep_classes(retain);
  request.validation.reset();
  return request;
}

// ---------------------------------------------------------------------------------------- plans

void one_set_is_divided_by_classes(void**) {
  const ForgetPlan plan = plan_forgetting(small_request("req", {2, 0}), *fresh());
  assert_true(plan.classes == Classes({0, 2}));
  assert_true(plan.retained == Classes({1, 3}));
  assert_true(plan.past.empty() && plan.missing.empty());
  assert_true(plan.forget.present_classes() == Classes({0, 2}));
  assert_true(plan.retain.present_classes() == Classes({1, 3}));
  assert_int_equal(plan.forget.size(), 20);
  assert_true(plan.held_out);
  assert_int_equal(plan.measured.size(), 1);
  assert_int_equal(plan.measured[0].size(), 20);
}

void what_earlier_tasks_forgot_is_left_out(void**) {
  const ForgetPlan plan = plan_forgetting(small_request("req", {0}), *used());
  assert_true(plan.past == Classes({3}));
  assert_true(plan.retained == Classes({1, 2}));
  assert_true(plan.retain.present_classes() == Classes({1, 2}));
}

void a_disabled_adapter_has_forgotten_nothing(void**) {
  const auto base = small_base();
  const auto off = make_snapshot(base, {{small_adapter(*base, {}, "req-1", {3}, 1), 0}});
  const ForgetPlan plan = plan_forgetting(small_request("req", {3}), *off);
  assert_true(plan.past.empty());
}

void two_sets_are_taken_as_they_are(void**) {
  const ForgetPlan plan = plan_forgetting(two_sets({1}, {1}, {0, 2}), *fresh());
  assert_int_equal(plan.forget.size(), 10);
  assert_int_equal(plan.retain.size(), 20);
  assert_true(plan.missing == Classes({3}));  // retained, but without samples
  assert_false(plan.held_out);
  assert_int_equal(plan.measured.size(), 2);
}

void without_validation_the_given_sets_are_measured(void**) {
  ForgetRequest request = small_request("req", {1});
  request.validation.reset();
  const ForgetPlan plan = plan_forgetting(request, *used());
  assert_int_equal(plan.measured.size(), 1);
  assert_int_equal(plan.measured[0].size(), 40);  // with class 3, so Acc_o exists
}

void sets_may_know_fewer_classes_than_the_model(void**) {
  ForgetRequest request = small_request("req", {1});
  request.forget = small_set(10, 1, /*classes=*/2);
  request.validation = small_set(5, 2, /*classes=*/2);
  const ForgetPlan plan = plan_forgetting(request, *used());
  assert_true(plan.retain.present_classes() == Classes({0}));
  assert_true(plan.missing == Classes({2}));
}

// ------------------------------------------------------------------------------------- refusals

void classes_are_checked(void**) {
  const auto refuse = [](Code code, const char* part, Classes classes) {
    expect_error(code, part, [&] { plan_forgetting(small_request("req", classes), *used()); });
  };
  refuse(Code::kInvalidArgument, "no class", {});
  refuse(Code::kInvalidArgument, "class 1 is named twice", {1, 2, 1});
  refuse(Code::kNotFound, "class 4 is unknown; the model has the classes 0 to 3", {4});
  refuse(Code::kNotFound, "class -1", {-1, 0});
  refuse(Code::kInvalidArgument, "class 3 is forgotten already", {0, 3});
  refuse(Code::kInvalidArgument, "no class is left to retain", {0, 1, 2});
}

void classes_need_samples(void**) {
  ForgetRequest request = small_request("req", {0, 2});
  request.forget = request.forget.drop_classes({2});
  expect_error(Code::kNotFound, "class 2 has no sample in the forget set",
               [&] { plan_forgetting(request, *fresh()); });
  request = small_request("req", {0, 2});
  request.validation = request.validation->drop_classes({2});
  expect_error(Code::kNotFound, "class 2 has no sample in the validation set",
               [&] { plan_forgetting(request, *fresh()); });
  request = small_request("req", {0, 2});
  request.validation = request.validation->keep_classes({0, 2});
  expect_error(Code::kInvalidArgument, "validation set holds no sample of a class to retain",
               [&] { plan_forgetting(request, *fresh()); });
  request = small_request("req", {0, 2});
  request.forget = request.forget.keep_classes({0, 2});
  expect_error(Code::kInvalidArgument, "no sample of a class to retain",
               [&] { plan_forgetting(request, *fresh()); });
}

void empty_sets_are_refused(void**) {
  ForgetRequest request = two_sets({1}, {}, {0, 2});
  expect_error(Code::kInvalidArgument, "forget set is empty",
               [&] { plan_forgetting(request, *fresh()); });
  request = two_sets({1}, {1}, {});
  expect_error(Code::kInvalidArgument, "retain set is empty",
               [&] { plan_forgetting(request, *fresh()); });
  request = small_request("req", {1});
  request.validation = request.validation->keep_classes({});
  expect_error(Code::kInvalidArgument, "validation set is empty",
               [&] { plan_forgetting(request, *fresh()); });
}

void labels_must_agree_with_the_classes(void**) {
  expect_error(Code::kInvalidArgument, "forget set holds class 2", [&] {
    plan_forgetting(two_sets({1}, {1, 2}, {0}), *fresh());
  });
  expect_error(Code::kInvalidArgument, "retain set holds class 1", [&] {
    plan_forgetting(two_sets({1}, {1}, {0, 1}), *fresh());
  });
  expect_error(Code::kInvalidArgument, "retain set holds class 3", [&] {
    plan_forgetting(two_sets({1}, {1}, {0, 3}), *used());
  });
}

void images_must_fit_the_model(void**) {
  const at::Tensor labels = at::arange(8, at::kLong).remainder(4);
  const Dataset larger(at::zeros({8, 1, 16, 16}, at::kByte), labels, 4, {}, {});
  const Dataset coloured(at::zeros({8, 3, 8, 8}, at::kByte), labels, 4, {}, {});
  const Dataset many_classes(at::zeros({8, 1, 8, 8}, at::kByte), labels, 5, {}, {});
  for (const Dataset& wrong : {larger, coloured, many_classes}) {
    ForgetRequest request = small_request("req", {1});
    request.forget = wrong;
    expect_error(Code::kInvalidArgument, "", [&] { plan_forgetting(request, *fresh()); });
    request = small_request("req", {1});
    request.validation = wrong;
    expect_error(Code::kInvalidArgument, "", [&] { plan_forgetting(request, *fresh()); });
    request = two_sets({1}, {1}, {0});
    request.retain = wrong.keep_classes({0});
    expect_error(Code::kInvalidArgument, "", [&] { plan_forgetting(request, *fresh()); });
  }
}

void settings_are_checked(void**) {
  ForgetRequest request = small_request("req", {1});
  request.config.rank = 0;
  expect_error(Code::kInvalidArgument, "rank", [&] { plan_forgetting(request, *fresh()); });
  request = small_request("req", {1});
  request.config.data_ratio = 0.05;  // of 10 samples
  expect_error(Code::kInvalidArgument, "data_ratio 0.05 of 10 forget samples",
               [&] { plan_forgetting(request, *fresh()); });
  request.config.few_shot = 2;  // takes its place
  plan_forgetting(request, *fresh());
}

void pretraining_is_checked(void**) {
  check_pretraining(small_pretraining("req"), *fresh());
  expect_error(Code::kState, "adapters",
               [] { check_pretraining(small_pretraining("req"), *used()); });
  PretrainRequest request = small_pretraining("req");
  request.config.batch = 0;
  expect_error(Code::kInvalidArgument, "batch", [&] { check_pretraining(request, *fresh()); });
  request = small_pretraining("req");
  request.train = request.train.keep_classes({});
  expect_error(Code::kInvalidArgument, "training set is empty",
               [&] { check_pretraining(request, *fresh()); });
  request = small_pretraining("req");
  request.validation = small_set(2, 1, /*classes=*/5);
  expect_error(Code::kInvalidArgument, "5 classes", [&] { check_pretraining(request, *fresh()); });
}

// -------------------------------------------------------------------------------------- digests

void equal_requests_have_equal_digests(void**) {
  const std::string digest = request_digest(small_request("req-1", {1, 2}));
  assert_true(request_digest(small_request("req-2", {2, 1})) == digest);
  assert_false(request_digest(small_request("req-1", {1})) == digest);
  assert_false(request_digest(small_request("req-1", {1, 2}, 21)) == digest);
  ForgetRequest request = small_request("req-1", {1, 2});
  request.validation.reset();
  assert_false(request_digest(request) == digest);
  request = small_request("req-1", {1, 2});
  request.forget = small_set(10, 3);
  assert_false(request_digest(request) == digest);
  request = small_request("req-1", {1, 2});
  request.retain = request.validation;
  request.validation.reset();
  assert_false(request_digest(request) == digest);
  assert_false(request_digest(small_pretraining("req-1")) ==
               request_digest(small_pretraining("req-1", 3)));
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest plans[] = {cmocka_unit_test(one_set_is_divided_by_classes),
                              cmocka_unit_test(what_earlier_tasks_forgot_is_left_out),
                              cmocka_unit_test(a_disabled_adapter_has_forgotten_nothing),
                              cmocka_unit_test(two_sets_are_taken_as_they_are),
                              cmocka_unit_test(without_validation_the_given_sets_are_measured),
                              cmocka_unit_test(sets_may_know_fewer_classes_than_the_model)};
  const CMUnitTest refusals[] = {cmocka_unit_test(classes_are_checked),
                                 cmocka_unit_test(classes_need_samples),
                                 cmocka_unit_test(empty_sets_are_refused),
                                 cmocka_unit_test(labels_must_agree_with_the_classes),
                                 cmocka_unit_test(images_must_fit_the_model),
                                 cmocka_unit_test(settings_are_checked),
                                 cmocka_unit_test(pretraining_is_checked)};
  const CMUnitTest digests[] = {cmocka_unit_test(equal_requests_have_equal_digests)};
  int failed = cmocka_run_group_tests_name("plans", plans, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("refused requests", refusals, nullptr, nullptr);
  failed += cmocka_run_group_tests_name("request digests", digests, nullptr, nullptr);
  return failed;
}
