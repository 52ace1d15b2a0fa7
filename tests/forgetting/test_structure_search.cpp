// The search for the sparsest adapter: what it takes away, what it gives back, what it costs.
#include "forgetting/structure_search.h"
#include "forgetting/tiny_task.h"

namespace lethe::testing {
namespace {

/// Four groups whose matrices are far from zero; a stage of ten steps, at most eighty of them.
struct Bench {
  Bench()
      : lora(trained_base()->model().adapter_sites(), 2, 0.5, Grouping::kLora, at::kCPU),
        optimizer(lora) {
    lora.values().uniform_(0.5, 1, RandomStream(1, "values").generator());
    config.learning_rate = 0.1;
    config.min_learning_rate = 1e-3;
    config.weight_decay = 0;
    config.gate_max_acc_f = 5;
  }

  /// Group g has the effect g + 1; dead ones none.
  std::vector<GroupEffect> effects() const {
    std::vector<GroupEffect> list;
    for (size_t g = 0; g < lora.groups().size(); ++g) {
      const double effect = optimizer.dead(g) ? 0 : static_cast<double>(g + 1);
      list.push_back({1, effect, effect});
    }
    return list;
  }

  /// Runs a search whose figures are `figures(dead groups)`; how many steps it made.
  template <typename Figures>
  int64_t search(const Figures& figures) {
    SparsestSearch search(
        lora, optimizer, config, 100, [&] { return figures(optimizer.dead_groups()); },
        [&] { return effects(); });
    for (int64_t s = 0; s < search.steps(); ++s) {
      const auto step = search.next(s);
      if (!step) return s;
      lora.gradients().fill_(0.1);
      optimizer.step(*step);
      search.made(s);
    }
    return search.steps();
  }

  LoraParameters lora;
  GroupSparseAdamW optimizer;
  ForgetConfig config;
};

/// Nothing is lost whatever dies: all but the last go, weakest first, in a stage each.
void it_takes_all_that_can_go(void**) {
  Bench bench;
  assert_int_equal(bench.lora.groups().size(), 4);
  assert_int_equal(bench.search([](int64_t) { return SparsestSearch::Figures{0, 90}; }), 30);
  assert_int_equal(bench.optimizer.dead_groups(), 3);
  assert_false(bench.optimizer.dead(3));
  for (size_t g = 0; g < 3; ++g) {
    const LoraGroup& group = bench.lora.groups()[g];
    assert_false(bench.lora.values().slice(0, group.begin, group.end).any().item<bool>());
  }
}

/// From the second death on too much is lost: every other group is tried once and given back.
void what_is_needed_comes_back(void**) {
  Bench bench;
  at::Tensor after_first;
  const int64_t steps = bench.search([&](int64_t dead) {
    if (dead == 1 && !after_first.defined()) after_first = bench.lora.values().clone();
    return SparsestSearch::Figures{0, dead <= 1 ? 90.0 : 89.4};
  });
  assert_int_equal(steps, 40);
  assert_int_equal(bench.optimizer.dead_groups(), 1);
  assert_true(bench.optimizer.dead(0));
  assert_true(at::equal(bench.lora.values(), after_first));
}

/// The mark: half a point of either accuracy, and the task's gate.
void the_mark_is_half_a_point_and_the_gate(void**) {
  const struct {
    double acc_f, acc_r;
    int64_t dead;
  } cases[] = {{2.5, 89.5, 3}, {2.51, 90, 0}, {2, 89.49, 0}, {0, 95, 3}};
  for (const auto& c : cases) {
    Bench bench;
    bench.search([&](int64_t dead) {
      return dead == 0 ? SparsestSearch::Figures{2, 90} : SparsestSearch::Figures{c.acc_f, c.acc_r};
    });
    assert_int_equal(bench.optimizer.dead_groups(), c.dead);
  }
  Bench bench;
  bench.config.gate_max_acc_f = 1;
  bench.search([](int64_t) { return SparsestSearch::Figures{1.2, 90}; });
  assert_int_equal(bench.optimizer.dead_groups(), 0);
}

/// A whole task: as good as without the search on held-out samples, fewer groups, at most twice the
/// steps.
void a_task_with_search(void**) {
  ForgetConfig config = quick(200);
  config.grouping = Grouping::kLora;
  config.zero_threshold = 1e-3;
  const ForgetTask fixed = task_of(config, {1});
  config.structure_search = StructureSearch::kSparsest;
  const ForgetTask searched = task_of(config, {1});
  const ForgetResult before = run(fixed), after = run(searched);
  const auto kept = [](const ForgetResult& result) {
    return std::count_if(result.groups.begin(), result.groups.end(),
                         [](const AdapterGroup& group) { return group.kept; });
  };
  assert_true(kept(after) < kept(before) && kept(after) >= 1);
  assert_true(after.last.step <= 2 * before.last.step);
  const Weights a = after.lora->merged_into(fixed.start), b = before.lora->merged_into(fixed.start);
  const BaseModel& base = *fixed.base;
  assert_true(accuracy(base, a, {1}) <= accuracy(base, b, {1}) + 4);  // of 25
  assert_true(accuracy(base, a, {0, 2, 3}) >= accuracy(base, b, {0, 2, 3}) - 3);
}

/// The search begins with the averaged weights, so averaging changes what it leaves.
void the_search_begins_with_the_average(void**) {
  ForgetConfig config = quick(40);
  config.grouping = Grouping::kLora;
  config.epochs = 4;
  config.structure_search = StructureSearch::kSparsest;
  const at::Tensor plain = run(task_of(config, {1})).lora->values();
  config.average_start_epoch = 0;
  config.average_decay = 1;  // the mean stays that of the first epoch
  const ForgetTask task = task_of(config, {1});
  ForgetConfig without = config;
  without.structure_search = StructureSearch::kOff;
  const ForgetResult mean = run(task_of(without, {1}));
  const ForgetResult found = run(task);
  assert_false(at::equal(found.lora->values(), plain));
  // What is left lies nearer to the mean than to the end of a training without one.
  const auto far = [&](const at::Tensor& from) {
    return (found.lora->values() - from).norm().item<double>();
  };
  ForgetConfig never = without;
  never.average_start_epoch = -1;
  assert_true(far(mean.lora->values()) < far(run(task_of(never, {1})).lora->values()));
}

}  // namespace
}  // namespace lethe::testing

int main() {
  const lethe::ThreadBudget one(1);
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(it_takes_all_that_can_go),
      cmocka_unit_test(what_is_needed_comes_back),
      cmocka_unit_test(the_mark_is_half_a_point_and_the_gate),
      cmocka_unit_test(a_task_with_search),
      cmocka_unit_test(the_search_begins_with_the_average),
  };
  return cmocka_run_group_tests_name("structure search", tests, nullptr, nullptr);
}
