// How the groups of a task become small or zero, and which of them it leaves
// (algorithm.md 4.3, 4.4, 6.4).
#include "forgetting/tiny_task.h"

namespace lethe::testing {
namespace {

void structure_starts_at_its_epoch(void**) {
  for (Sparsity sparsity : {Sparsity::kSubgradient, Sparsity::kProximal}) {
    const auto values = [&](double weight, int32_t start) {
      ForgetConfig config = quick();
      config.sparsity = sparsity;
      config.structure_weight = config.proximal_weight = weight;
      config.structure_start_epoch = start;
      return values_after(config);
    };
    const at::Tensor without = values(0, 0);
    assert_true(at::equal(values(0.5, 4), without));
    assert_false(at::equal(values(0.5, 3), without));
    assert_true(deviation(values(0.5, 0), without) > deviation(values(0.5, 3), without));
  }
}

/// The figure that is reported is the one that is trained: roots of summed squares, inside the loss
/// from the epoch on in which the term acts.
void trap_the_reported_structure_is_the_trained_one(void**) {
  ForgetConfig config = quick(1);
  config.method = MethodKind::kGsLora;
  config.weight_decay = 0;
  config.structure_weight = 0;
  const ForgetResult plain = run(task_of(config));  // A is as drawn and B's norm is a step's
  double a_norms = 0;
  for (size_t i = 0; i < plain.lora->sites().size(); i += 2) {
    a_norms += std::sqrt(std::pow(plain.lora->a(i).norm().item<double>(), 2) +
                         std::pow(plain.lora->a(i + 1).norm().item<double>(), 2));
  }
  expect_close(plain.last.loss_structure, a_norms, 1e-5);
  const auto loss = [&](double weight, int32_t start, Sparsity sparsity) {
    config.structure_weight = config.proximal_weight = weight;
    config.structure_start_epoch = start;
    config.sparsity = sparsity;
    return run(task_of(config)).last.loss;
  };
  expect_close(loss(3, 0, Sparsity::kSubgradient), plain.last.loss + 3 * a_norms, 1e-5);
  expect_close(loss(3, 1, Sparsity::kSubgradient), plain.last.loss, 1e-6);
  expect_close(loss(3, 0, Sparsity::kProximal), plain.last.loss, 1e-6);  // a step, not a loss
  expect_close(plain.last.loss,
               plain.last.loss_retain + config.forget_weight * plain.last.loss_forget, 1e-5);
}

void a_huge_proximal_weight_leaves_nothing(void**) {
  ForgetConfig config = quick();
  config.sparsity = Sparsity::kProximal;
  config.proximal_weight = 1e5;
  config.average_start_epoch = 0;  // epoch 0 is dense: the mean must not bring dead groups back
  config.structure_start_epoch = 1;
  const ForgetResult result = run(task_of(config));
  assert_int_equal(result.last.groups_live, 0);
  assert_int_equal(result.groups.size(), 2);
  for (const AdapterGroup& group : result.groups) {
    assert_false(group.kept);
    assert_true(group.effect.norm == 0 && group.effect.effect == 0);
  }
  assert_false(result.lora->values().any().item<bool>());
}

/// The whole gradient, L_structure's part included, is scaled to the norm that it may have: with
/// gradients g and alpha theta / |theta| of known norms, by hand.
void gradients_are_clipped_with_their_structure(void**) {
  const ForgetTask task = task_of(quick());
  const auto fresh = [&] {
    LoraParameters lora(task.base->classifier().adapter_sites(), 2, 1, Grouping::kBlock, at::kCPU);
    lora.values().fill_(0.5);
    lora.gradients().fill_(0.25);
    return lora;
  };
  LoraParameters lora = fresh();
  // Along the same direction norms add: |g| of n values 0.25, and alpha a group.
  double expected = 0;
  for (const LoraGroup& group : lora.groups()) {
    const double n = static_cast<double>(group.end - group.begin);
    expected += std::pow(0.25 * std::sqrt(n) + 3, 2);
  }
  expected = std::sqrt(expected);
  expect_close(gradient_norm(lora, 3), expected, 1e-5);
  expect_close(gradient_norm(lora, 0), lora.gradients().norm().item<double>(), 1e-6);

  // One step of Adam is blind to a factor, its moments are not.
  const auto first_moment = [&](double clip) {
    LoraParameters parameters = fresh();
    GroupSparseAdamW optimizer(parameters);
    optimizer.step({.learning_rate = 1e-3, .weight_decay = 0, .structure_weight = 3, .clip = clip});
    return optimizer.state().first_moment;
  };
  const at::Tensor free = first_moment(0);
  expect_close(free.norm().item<double>(), 0.1 * expected, 1e-5);
  expect_close(first_moment(0.5).norm().item<double>(), 0.1 * 0.5, 1e-5);
  assert_true(deviation(first_moment(0.5) * (expected / 0.5), free) < 1e-5);
  assert_true(at::equal(first_moment(expected * 1.01), free));  // within the limit: as it is
}

void groups_are_judged_by_their_effect(void**) {
  ForgetConfig config = quick();
  config.grouping = Grouping::kLora;
  const ForgetResult all = run(task_of(config));
  std::vector<double> relative;
  for (size_t g = 0; g < all.groups.size(); ++g) {
    assert_true(all.groups[g].kept);
    assert_true(all.groups[g].name == all.lora->groups()[g].name);
    relative.push_back(all.groups[g].effect.relative);
  }
  std::sort(relative.begin(), relative.end());
  config.zero_threshold = 0.5 * (relative[1] + relative[2]);
  const ForgetResult half = run(task_of(config));
  for (size_t g = 0; g < half.groups.size(); ++g) {
    const auto part = [&](const ForgetResult& of) {
      const LoraGroup& group = of.lora->groups()[g];
      return of.lora->values().narrow(0, group.begin, group.end - group.begin);
    };
    assert_true(half.groups[g].kept == (half.groups[g].effect.relative >= config.zero_threshold));
    assert_true(at::equal(part(half), half.groups[g].kept ? part(all) : at::zeros_like(part(all))));
  }
  assert_int_equal(std::count_if(half.groups.begin(), half.groups.end(),
                                 [](const AdapterGroup& g) { return g.kept; }),
                   2);
}

void trap_matrix_groups_train_from_a_zero_b(void**) {
  for (Sparsity sparsity : {Sparsity::kSubgradient, Sparsity::kProximal}) {
    ForgetConfig config = quick();
    config.grouping = Grouping::kMatrix;
    config.sparsity = sparsity;
    config.structure_weight = config.proximal_weight = 0.01;
    const ForgetResult result = run(task_of(config));
    assert_int_equal(result.groups.size(), 8);
    assert_true(at::isfinite(result.lora->values()).all().item<bool>());
    for (const AdapterGroup& group : result.groups) assert_true(group.kept);
  }
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(structure_starts_at_its_epoch),
      cmocka_unit_test(trap_the_reported_structure_is_the_trained_one),
      cmocka_unit_test(a_huge_proximal_weight_leaves_nothing),
      cmocka_unit_test(gradients_are_clipped_with_their_structure),
      cmocka_unit_test(groups_are_judged_by_their_effect),
      cmocka_unit_test(trap_matrix_groups_train_from_a_zero_b),
  };
  return cmocka_run_group_tests_name("group sparsity", tests, nullptr, nullptr);
}
