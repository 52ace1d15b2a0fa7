// LoRA parameters, group norms and the group-sparse optimizer (algorithm.md 3 to 5, 11).
#include <numeric>

#include "adapters/group_sparsity.h"
#include "data/squares.h"
#include "models/tiny_models.h"

namespace lethe::testing {
namespace {

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

LoraParameters lora_of(const Classifier& model, int64_t rank,
                       Grouping grouping = Grouping::kBlock) {
  return {model.adapter_sites(), rank, 1.0 / static_cast<double>(rank), grouping, at::kCPU};
}

LoraParameters random_lora(const Classifier& model, Grouping grouping, uint64_t seed = 1) {
  LoraParameters lora = lora_of(model, 2, grouping);
  lora.values().normal_(0, 0.5, RandomStream(seed, "random lora").generator());
  return lora;
}

constexpr Grouping kGroupings[] = {Grouping::kBlock, Grouping::kLora, Grouping::kMatrix};

// ------------------------------------------------------------------------------- layout and groups

void check_1_trainable_counts(void**) {
  const auto face = model_of({{"arch", "face_vit"}}), vit = model_of({{"arch", "vit"}});
  assert_int_equal(lora_of(*face, 8).values().numel(), 245'760);
  assert_int_equal(lora_of(*vit, 8).values().numel(), 737'280);
}

/// The reference's lists of 6 or 12 blocks would leave two of these eight out.
void trap_groups_cover_a_model_of_depth_8(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    const auto model = model_of(with(tiny, {{"depth", 8}}));
    const size_t counts[] = {8, 16, 32};
    for (int i = 0; i < 3; ++i) {
      const LoraParameters lora = lora_of(*model, 3, kGroupings[i]);
      assert_int_equal(lora.groups().size(), counts[i]);
      int64_t end = 0;
      std::set<std::string> names;
      std::set<size_t> sites;
      for (const LoraGroup& group : lora.groups()) {
        assert_int_equal(group.begin, end);
        assert_true(group.end > group.begin);
        end = group.end;
        assert_true(names.insert(group.name).second);
        sites.insert(group.sites.begin(), group.sites.end());
      }
      assert_int_equal(end, lora.values().numel());
      assert_int_equal(sites.size(), lora.sites().size());
    }
  }
}

/// The reference's ablations: only the depth differs, and every block is a group.
void deeper_face_models_have_a_group_for_each_block(void**) {
  for (const char* arch : {"face_vit", "face_vits"}) {
    for (int64_t depth : {12, 18}) {
      const auto model = model_of({{"arch", arch}, {"depth", depth}});
      const LoraParameters lora = lora_of(*model, 8);
      assert_int_equal(lora.values().numel(), depth * 245'760 / 6);
      assert_int_equal(lora.groups().size(), depth);
      for (int64_t i = 0; i < depth; ++i) {
        const LoraGroup& group = lora.groups()[static_cast<size_t>(i)];
        assert_true(group.name == lethe::str("block ", i));
        assert_int_equal(group.sites.size(), 2);
        const std::string layer = lethe::str("transformer.layers.", i, ".1.fn.fn.net.");
        assert_true(lora.sites()[group.sites[0]].name == layer + "0");
        assert_true(lora.sites()[group.sites[1]].name == layer + "3");
      }
      const LoraParameters attention(lora_sites(*model, LoraPosition::kAttention), 8, 1.0 / 8,
                                     Grouping::kBlock, at::kCPU);
      assert_int_equal(attention.groups().size(), depth);
    }
  }
}

void sites_start_at_the_first_block(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    const auto model = model_of(with(tiny, {{"depth", 4}}));
    const std::vector<AdapterSite> all = model->adapter_sites();
    for (int64_t k : {0, 1, 3}) {
      const std::vector<AdapterSite> sites = sites_from(all, k);
      assert_int_equal(sites.size(), 2 * (4 - k));
      for (size_t i = 0; i < sites.size(); ++i) {
        assert_true(sites[i].name == all[2 * static_cast<size_t>(k) + i].name);
      }
      // Groups keep their block's number, whichever comes first.
      const LoraParameters lora(sites, 2, 1, Grouping::kBlock, at::kCPU);
      assert_int_equal(lora.groups().size(), 4 - k);
      assert_true(lora.groups()[0].name == lethe::str("block ", k));
    }
    for (int64_t k : {-1, 4, 99}) {
      expect_error(Code::kInvalidArgument, lethe::str("is ", k, ", allowed is 0 to 3"),
                   [&] { sites_from(all, k); });
    }
  }
}

/// Both FFN linears of one encoder and two decoder layers.
void a_position_may_be_one_half_of_a_detector(void**) {
  const auto model = make_model(tiny_detector_spec());
  const auto names = [&](LoraPosition position, int64_t first_block = 0) {
    std::string all;
    for (const AdapterSite& s : lora_sites(*model, position, first_block)) all += s.name + " ";
    return all;
  };
  const std::string e = "transformer.encoder.layers.", d = "transformer.decoder.layers.";
  const std::string encoder = e + "0.linear1 " + e + "0.linear2 ";
  const std::string last = d + "1.linear1 " + d + "1.linear2 ";
  const std::string decoder = d + "0.linear1 " + d + "0.linear2 " + last;
  assert_true(names(LoraPosition::kFfn) == encoder + decoder);
  assert_true(names(LoraPosition::kEncoder) == encoder);
  assert_true(names(LoraPosition::kDecoder) == decoder);
  assert_true(names(LoraPosition::kDecoder, 2) == last);
  expect_error(Code::kInvalidArgument, "is 1, allowed is 0 to 0",
               [&] { names(LoraPosition::kEncoder, 1); });
  expect_error(Code::kUnsupported, "no linear for LoRA at that lora_position (attention)",
               [&] { names(LoraPosition::kAttention); });

  const auto vit = model_of(kTinyVit);
  assert_int_equal(lora_sites(*vit, LoraPosition::kEncoder).size(), vit->adapter_sites().size());
  expect_error(Code::kUnsupported, "no linear for LoRA at that lora_position (decoder)",
               [&] { lora_sites(*vit, LoraPosition::kDecoder); });
}

void groups_are_named_after_their_members(void**) {
  const auto model = model_of(kTinyVit);
  const std::string fc2 = "encoder.layers.encoder_layer_1.mlp.3";
  const auto block = lora_of(*model, 2).groups().at(1);
  assert_true(block.name == "block 1" && block.sites == std::vector<size_t>({2, 3}));
  const auto lora = lora_of(*model, 2, Grouping::kLora).groups().at(3);
  assert_true(lora.name == fc2 && lora.sites == std::vector<size_t>({3}));
  const auto matrices = lora_of(*model, 2, Grouping::kMatrix).groups();
  assert_true(matrices.at(6).name == fc2 + ".lora_A" && matrices.at(7).name == fc2 + ".lora_B");
  assert_int_equal(matrices.at(6).end - matrices.at(6).begin, 2 * 32);
  assert_int_equal(matrices.at(7).end - matrices.at(7).begin, 2 * 16);
}

void views_share_the_flat_buffer(void**) {
  const auto model = model_of(kTinyVit);
  LoraParameters lora = lora_of(*model, 2);
  lora.values().copy_(at::arange(lora.values().numel()));
  lora.gradients().copy_(lora.values() + 0.5);
  int64_t offset = 0;
  for (size_t i = 0; i < lora.sites().size(); ++i) {
    const AdapterSite& site = lora.sites()[i];
    assert_true(lora.a(i).sizes() == at::IntArrayRef({2, site.in}));
    assert_true(lora.b(i).sizes() == at::IntArrayRef({site.out, 2}));
    assert_int_equal(lora.a(i)[0][0].item<int64_t>(), offset);
    expect_close(lora.grad_a(i)[1][0].item<double>(), static_cast<double>(offset + site.in) + 0.5);
    offset += 2 * site.in;
    assert_int_equal(lora.b(i)[0][1].item<int64_t>(), offset + 1);
    assert_int_equal(lora.grad_b(i)[1][0].item<int64_t>(), offset + 2);
    offset += 2 * site.out;
  }
  lora.b(3).fill_(-1);
  assert_int_equal(lora.values()[-1].item<int64_t>(), -1);
}

// ---------------------------------------------------------------------------------- initialisation

/// loralib draws A with a = sqrt(5), the reference's later tasks with sqrt(50): both are named.
void trap_first_and_later_tasks_start_at_different_norms(void**) {
  const auto face = model_of({{"arch", "face_vit"}});
  LoraParameters lora = lora_of(*face, 8);
  const struct {
    double a_squared, norm, all, bound_512, bound_2048;
  } cases[] = {{5, 2.3094, 13.86, 0.044194, 0.022097}, {50, 0.7921, 4.75, 0.015158, 0.007579}};
  for (const auto& c : cases) {
    lora.initialise(c.a_squared, RandomStream(1, "init"));
    const std::vector<double> norms = group_norms(lora);
    assert_int_equal(norms.size(), 6);
    for (double norm : norms) expect_close(norm / c.norm, 1, 0.01);
    expect_close(sum(norms) / c.all, 1, 0.01);
    for (size_t i = 0; i < lora.sites().size(); ++i) {
      const double bound = lora.sites()[i].in == 512 ? c.bound_512 : c.bound_2048;
      const double largest = lora.a(i).abs().max().item<double>();
      assert_true(largest <= bound * (1 + 1e-4) && largest > 0.99 * bound);
      assert_false(lora.b(i).any().item<bool>());
    }
  }
}

void initialisation_repeats_and_forgets_what_was(void**) {
  const auto model = model_of(kTinyVit);
  LoraParameters one = random_lora(*model, Grouping::kBlock), two = lora_of(*model, 2);
  one.initialise(5, RandomStream(1, "init"));
  two.initialise(5, RandomStream(1, "init"));
  assert_true(at::equal(one.values(), two.values()));
  two.initialise(5, RandomStream(2, "init"));
  assert_false(at::equal(one.values(), two.values()));
  assert_false(at::equal(one.a(0), one.a(2)));  // every block its own draw
}

// ---------------------------------------------------------------------------------------- group
// norms

/// Two blocks {A1, B1, A2, B2} of rank 1, as in check 4.
LoraParameters toy(Grouping grouping) {
  const std::vector<AdapterSite> sites = {{"0.fc1", "fc1", 0, 2, 1},
                                          {"0.fc2", "fc2", 0, 2, 2},
                                          {"1.fc1", "fc1", 1, 2, 1},
                                          {"1.fc2", "fc2", 1, 2, 2}};
  LoraParameters lora(sites, 1, 1, grouping, at::kCPU);
  lora.values().copy_(at::tensor(
      {1.0, 2.0, 0.5, 2.0, 0.0, 1.0, 1.0, 0.1, 0.2, 0.0, 0.3, 0.0, 0.0, 0.1}, at::kFloat));
  return lora;
}

void check_4_trap_norms_are_roots_of_summed_squares(void**) {
  const std::vector<double> block = group_norms(toy(Grouping::kBlock));
  assert_int_equal(block.size(), 2);
  expect_close(block[0], 3.35410197, 1e-7);  // the reference logs 6.15028154, which it never trains
  expect_close(block[1], 0.38729833, 1e-7);
  expect_close(sum(block), 3.74140030, 1e-7);
  expect_close(sum(group_norms(toy(Grouping::kLora))), 5.28061215, 1e-7);
  expect_close(sum(group_norms(toy(Grouping::kMatrix))), 6.77388834, 1e-7);
}

/// The gradient of the group norm, seen through a step so small that Adam's epsilon is of its size:
/// the update is -g / (|g| + 1e-8) for g = 1e-8 P / |group|.
void check_4_group_gradient(void**) {
  LoraParameters lora = toy(Grouping::kBlock);
  const at::Tensor before = lora.values().clone();
  GroupSparseAdamW optimizer(lora);
  optimizer.step({1, 0, 1e-8, 0});
  const at::Tensor moved = (before - lora.values()).to(at::kDouble);
  const auto expected = [](double g) { return g / (g + 1); };
  expect_close(moved[1].item<double>(), expected(0.59628479), 2e-6);
  expect_close(moved[2].item<double>(), expected(0.14907120), 2e-6);
  expect_close(moved[0].item<double>(), expected(1 / 3.35410197), 2e-6);
  expect_close(moved[10].item<double>(), expected(0.3 / 0.38729833), 2e-6);
  expect_close(moved[9].item<double>(), 0);
}

// ------------------------------------------------------------------------------------------
// optimizer

/// Section 5 in double precision, tensor operations only.
struct Reference {
  at::Tensor p, m, v;
  int steps = 0;
  explicit Reference(const LoraParameters& lora)
      : p(lora.values().to(at::kDouble)), m(at::zeros_like(p)), v(at::zeros_like(p)) {}

  void step(LoraParameters& lora, const GroupSparseAdamW::Step& s) {
    at::Tensor g = lora.gradients().to(at::kDouble);
    const auto part = [](const at::Tensor& x, const LoraGroup& group) {
      return x.narrow(0, group.begin, group.end - group.begin);
    };
    for (const LoraGroup& group : lora.groups()) {
      const at::Tensor values = part(p, group);
      part(g, group).add_(values / values.norm().clamp_min(1e-12), s.structure_weight);
    }
    ++steps;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    p = p * (1 - s.learning_rate * s.weight_decay) -
        s.learning_rate * (m / (1 - std::pow(0.9, steps))) /
            ((v / (1 - std::pow(0.999, steps))).sqrt() + 1e-8);
    for (const LoraGroup& group : lora.groups()) {
      const double norm = part(p, group).norm().item<double>();
      const double shrink = s.learning_rate * s.proximal_weight;
      if (shrink > 0) part(p, group).mul_(std::max(0.0, 1 - shrink / norm));
    }
  }
};

void check_11_first_step_of_adamw(void**) {
  for (const auto& [decay, expected] : {std::pair(0.05, 0.48975), std::pair(0.0, 0.49)}) {
    LoraParameters lora({{"fc1", "fc1", 0, 1, 1}}, 1, 1, Grouping::kBlock, at::kCPU);
    lora.values().fill_(0.5);
    lora.gradients().fill_(0.2);
    GroupSparseAdamW(lora).step({0.01, decay});
    expect_close(lora.values()[0].item<double>(), expected, 1e-6);
  }
}

void steps_follow_the_equations(void**) {
  const auto model = model_of(kTinyVit);
  for (Grouping grouping : kGroupings) {
    for (const GroupSparseAdamW::Step& settings : std::vector<GroupSparseAdamW::Step>{
             {0.01, 0.05}, {0.01, 0.05, 0.3}, {0.01, 0, 0, 2}, {0.02, 0.1, 0.1, 1}}) {
      LoraParameters lora = random_lora(*model, grouping);
      Reference reference(lora);
      GroupSparseAdamW optimizer(lora);
      at::Generator generator = RandomStream(4, "gradients").generator();
      for (int s = 0; s < 8; ++s) {
        lora.gradients().normal_(0, 1, generator);
        optimizer.step(settings);
        reference.step(lora, settings);
        expect_near(lora.values(), reference.p, 1e-5, lethe::str("step ", s));
      }
      assert_int_equal(optimizer.dead_groups(), 0);
    }
  }
}

/// The root has no derivative at zero; a fresh B is a zero group of the matrix grouping.
void trap_a_zero_group_is_not_a_number(void**) {
  const auto model = model_of(kTinyVit);
  LoraParameters lora = lora_of(*model, 2, Grouping::kMatrix);
  lora.initialise(5, RandomStream(1, "init"));
  GroupSparseAdamW optimizer(lora);
  for (int s = 0; s < 3; ++s) {
    lora.gradients().zero_();
    lora.grad_a(1).fill_(0.1);
    optimizer.step({0.01, 0.05, 1e6, 0});
    assert_true(at::isfinite(lora.values()).all().item<bool>());
    for (size_t i = 0; i < lora.sites().size(); ++i) assert_false(lora.b(i).any().item<bool>());
  }
  lora.grad_b(0).fill_(0.1);  // the term does not hold it at zero either
  optimizer.step({0.01, 0.05, 1e-4, 0});
  assert_true(lora.b(0).ne(0).all().item<bool>());
}

void the_proximal_step_makes_exact_zeros(void**) {
  LoraParameters lora = toy(Grouping::kBlock);
  lora.gradients().zero_();
  GroupSparseAdamW optimizer(lora);
  optimizer.step({0.1, 0, 0, 4});  // norms shrink by 0.4: 3.354 lives, 0.387 does not
  const std::vector<double> norms = group_norms(lora);
  expect_close(norms[0], 3.35410197 - 0.4, 1e-6);
  assert_true(norms[1] == 0);
  assert_false(lora.values().narrow(0, 7, 7).any().item<bool>());
  assert_true(optimizer.dead(1) && !optimizer.dead(0));
  assert_int_equal(optimizer.dead_groups(), 1);
}

void a_zeroed_group_stays_zero(void**) {
  const auto model = model_of(kTinyVit);
  for (Grouping grouping : kGroupings) {
    LoraParameters lora = random_lora(*model, grouping);
    GroupSparseAdamW optimizer(lora);
    for (int s = 0; s < 5; ++s) {  // momentum that would carry a group back over zero
      lora.gradients().fill_(1);
      optimizer.step({0.01, 0.05, 0, 0});
    }
    const LoraGroup group = lora.groups()[1];
    at::Tensor values = lora.values().narrow(0, group.begin, group.end - group.begin);
    values.mul_(1e-4 / values.norm().item<double>());
    lora.gradients().zero_();
    optimizer.step({1e-6, 0, 0, 1e4});
    assert_true(optimizer.dead(1));
    assert_int_equal(optimizer.dead_groups(), 1);
    // Without gradient, with one (as a dead matrix has beside a live one), and without proximal
    // step.
    for (double gradient : {0.0, 0.0, 1.0, 1.0}) {
      lora.gradients().fill_(gradient);
      optimizer.step({0.01, 0.05, 0.1, gradient > 0 ? 0.0 : 1e-3});
      assert_false(values.any().item<bool>());
    }
    assert_int_equal(optimizer.dead_groups(), 1);
    assert_true(group_norms(lora)[0] > 0);
  }
}

// --------------------------------------------------------------------------------------------
// effects

void effects_are_those_of_the_product(void**) {
  const auto model = model_of(kTinyFace);
  const Weights weights = model->random_weights(RandomStream(1, "w"));
  for (Grouping grouping : kGroupings) {
    const LoraParameters lora = random_lora(*model, grouping, 3);
    const std::vector<GroupEffect> effects = group_effects(lora, weights);
    const std::vector<double> norms = group_norms(lora);
    assert_int_equal(effects.size(), lora.groups().size());
    for (size_t g = 0; g < effects.size(); ++g) {
      double change = 0, frozen = 0;
      for (size_t i : lora.groups()[g].sites) {
        const at::Tensor product = lora.scale() * lora.b(i).mm(lora.a(i));
        change += std::pow(product.norm().item<double>(), 2);
        frozen += std::pow(weights.at(lora.sites()[i].name + ".weight").norm().item<double>(), 2);
      }
      expect_close(effects[g].effect, std::sqrt(change), 1e-5);
      expect_close(effects[g].relative, std::sqrt(change / frozen), 1e-5);
      expect_close(effects[g].norm, norms[g], 1e-12);
    }
  }
  LoraParameters fresh = lora_of(*model, 2);  // A alone does nothing
  fresh.initialise(5, RandomStream(1, "init"));
  for (const GroupEffect& effect : group_effects(fresh, weights)) {
    assert_true(effect.norm > 0 && effect.effect == 0 && effect.relative == 0);
  }
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(check_1_trainable_counts),
      cmocka_unit_test(trap_groups_cover_a_model_of_depth_8),
      cmocka_unit_test(deeper_face_models_have_a_group_for_each_block),
      cmocka_unit_test(sites_start_at_the_first_block),
      cmocka_unit_test(a_position_may_be_one_half_of_a_detector),
      cmocka_unit_test(groups_are_named_after_their_members),
      cmocka_unit_test(views_share_the_flat_buffer),
      cmocka_unit_test(trap_first_and_later_tasks_start_at_different_norms),
      cmocka_unit_test(initialisation_repeats_and_forgets_what_was),
      cmocka_unit_test(check_4_trap_norms_are_roots_of_summed_squares),
      cmocka_unit_test(check_4_group_gradient),
      cmocka_unit_test(check_11_first_step_of_adamw),
      cmocka_unit_test(steps_follow_the_equations),
      cmocka_unit_test(trap_a_zero_group_is_not_a_number),
      cmocka_unit_test(the_proximal_step_makes_exact_zeros),
      cmocka_unit_test(a_zeroed_group_stays_zero),
      cmocka_unit_test(effects_are_those_of_the_product),
  };
  return cmocka_run_group_tests_name("LoRA groups", tests, nullptr, nullptr);
}
