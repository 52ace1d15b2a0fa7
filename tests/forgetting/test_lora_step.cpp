// One training step as a whole, the prefixes it starts from and the prototypes it pulls to.
#include "forgetting/lora_step.h"

#include "forgetting/prototypes.h"
#include "forgetting/sample_prefixes.h"
#include "forgetting/tiny_task.h"

namespace lethe::testing {
namespace {

/// A forget batch of 3 and a retain batch of 5, every loss term alive.
struct Case {
  std::shared_ptr<const Classifier> model;
  Weights weights;
  LoraParameters lora;
  ForgetConfig config;
  at::Tensor prototypes, x_f, x_r;
  at::Tensor y_f = at::tensor(std::vector<int64_t>{0, 2, 0}, at::kLong);
  at::Tensor y_r = at::tensor(std::vector<int64_t>{1, 3, 3, 1, 1}, at::kLong);

  explicit Case(const Json& spec, int64_t first_block = 0,
                LoraPosition position = LoraPosition::kFfn)
      : model(model_of(with(spec, {{"dropout", 0}}))),
        weights(model->random_weights(RandomStream(1, "weights"))),
        lora(lora_sites(*model, position, first_block), 2, 0.5, Grouping::kBlock, at::kCPU) {
    at::Generator generator = RandomStream(2, "case").generator();
    for (auto& [name, tensor] : weights) {
      if (name.starts_with("heads")) tensor.normal_(0, 1, generator);
    }
    lora.values().normal_(0, 0.2, generator);
    prototypes = at::empty({model->spec().classes, model->spec().dim}).normal_(0, 1, generator);
    const at::Tensor images = images_for(*model, 8);
    x_f = images.narrow(0, 0, 3);
    x_r = images.narrow(0, 3, 5);
    config.forget_bound = 105;
    config.prototype_forget_weight = 0.3;
    config.prototype_retain_weight = 0.2;
  }
};

/// Loss and gradients by autograd through the merged weights W + s B A, in double precision.
LossTerms by_autograd(const Case& c, const Prototypes* prototypes, at::Tensor& gradients) {
  Weights weights;
  for (const auto& [name, tensor] : c.weights) weights[name] = tensor.to(at::kDouble);
  std::vector<at::Tensor> leaves;
  for (size_t i = 0; i < c.lora.sites().size(); ++i) {
    const at::Tensor a = c.lora.a(i).to(at::kDouble).requires_grad_(true);
    const at::Tensor b = c.lora.b(i).to(at::kDouble).requires_grad_(true);
    const AdapterSite& site = c.lora.sites()[i];
    at::Tensor& w = weights[site.weight];
    const at::Tensor rows = at::arange(site.row, site.row + site.out);
    w = at::index_add(w, 0, rows, c.lora.scale() * b.mm(a));
    leaves.insert(leaves.end(), {a, b});
  }
  const auto embed = [&](const at::Tensor& x) {
    return c.model->embed(weights, x.to(at::kDouble));
  };
  const LossTerms terms = losses(c.model->head(weights), prototypes, c.config, embed(c.x_f), c.y_f,
                                 embed(c.x_r), c.y_r);
  terms.trained.backward();
  std::vector<at::Tensor> parts;
  for (const at::Tensor& leaf : leaves) parts.push_back(leaf.grad().flatten());
  gradients = at::cat(parts);
  return terms;
}

void expect_step_equal_to_autograd(Case& c, bool with_prototypes) {
  const Prototypes single(c.prototypes), precise(c.prototypes.to(at::kDouble));
  at::Tensor gradients;
  const LossTerms expected = by_autograd(c, with_prototypes ? &precise : nullptr, gradients);
  for (int32_t fast = 0; fast <= kFastAll;
       ++fast) {                            // every saving on and off, in all combinations
    if (fast & kFastPrefixCache) continue;  // not this object's
    c.config.fast = fast;
    LoraStep step(*c.model, c.weights, c.lora, c.config, with_prototypes ? &single : nullptr);
    c.lora.gradients().fill_(7);  // of an earlier step
    const LossTerms terms = step.run(step.prefix(c.x_f), c.y_f, step.prefix(c.x_r), c.y_r);
    const std::string what = lethe::str("fast = ", fast);
    expect_near(terms.trained, expected.trained, 1e-5, what);
    expect_near(terms.ce_forget, expected.ce_forget, 1e-5, what);
    expect_near(terms.ce_retain, expected.ce_retain, 1e-5, what);
    if (with_prototypes) {
      expect_near(terms.prototype_forget, expected.prototype_forget, 1e-4, what);
      expect_near(terms.prototype_retain, expected.prototype_retain, 1e-4, what);
    }
    expect_near(c.lora.gradients(), gradients, 1e-4, what);
    assert_int_equal(step.forget_embeddings().size(0), 3);
    assert_int_equal(step.retain_embeddings().size(0), 5);
  }
}

void a_step_is_that_of_autograd_with_every_saving(void**) {
  for (const char* head : {"linear", "cosface", "arcface"}) {
    for (const Json& tiny : {kTinyVit, kTinyFace, kTinyFaces}) {
      Case c(with(tiny, {{"head", head}}));
      if (std::string(head) == "linear") c.config.forget_bound = 15;
      expect_step_equal_to_autograd(c, true);
    }
  }
  Case plain(kTinyVit);
  expect_step_equal_to_autograd(plain, false);
}

void a_step_is_that_of_autograd_from_any_first_block(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (int64_t k : {1, 2}) {
      Case c(with(tiny, {{"head", "cosface"}, {"depth", 3}}), k);
      expect_step_equal_to_autograd(c, true);
    }
  }
}

void a_step_on_attention_is_that_of_autograd(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (int64_t k : {0, 1}) {
      Case c(with(tiny, {{"head", "cosface"}}), k, LoraPosition::kAttention);
      expect_step_equal_to_autograd(c, true);
    }
  }
}

void beyond_the_bound_only_the_retain_batch_trains(void**) {
  Case c(kTinyVit);
  c.config.forget_bound = 1e-3;
  const auto gradients = [&](const at::Tensor& x_f) {
    LoraStep step(*c.model, c.weights, c.lora, c.config, nullptr);
    const LossTerms terms = step.run(step.prefix(x_f), c.y_f, step.prefix(c.x_r), c.y_r);
    assert_true(terms.forget.item<double>() == 0);
    return c.lora.gradients().clone();
  };
  const at::Tensor beyond = gradients(c.x_f);
  expect_near(gradients(1 - c.x_f), beyond, 1e-6);
  c.config.forget_bound = 105;
  LoraStep step(*c.model, c.weights, c.lora, c.config, nullptr);
  step.run(step.prefix(c.x_f), c.y_f, step.prefix(c.x_r), c.y_r);
  assert_true(deviation(c.lora.gradients(), beyond) > 1e-2);
}

// ----------------------------------------------------------------------------------- sample
// prefixes

void cached_prefixes_are_those_of_the_samples(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (int64_t k : {0, 1}) {
      Case c(tiny, k);
      const Dataset data =
          patterns(60, 3, c.model->spec().channels).drop_classes({2});  // two batches
      const LoraStep step(*c.model, c.weights, c.lora, c.config, nullptr);
      // From the last block on only the class token's row of a sample is kept.
      const int64_t rows = k == 1 ? 1 : c.model->spec().tokens();
      const int64_t bytes = data.size() * rows * c.model->spec().dim * 4;
      const SamplePrefixes none(data, step, at::kCPU, 0), small(data, step, at::kCPU, bytes - 1),
          whole(data, step, at::kCPU, bytes);
      assert_int_equal(none.bytes(), 0);
      assert_int_equal(small.bytes(), 0);
      assert_int_equal(whole.bytes(), bytes);
      assert_int_equal(SamplePrefixes(data, step, at::kCPU, -5).bytes(), 0);
      const std::vector<int64_t> positions = {179, 0, 101, 0, 99, 100};
      const auto [expected, labels] = none.at(positions);
      assert_int_equal(expected.size(0), 6);
      for (size_t i = 0; i < positions.size(); ++i) {
        const auto row = static_cast<int64_t>(i);
        assert_int_equal(labels[row].item<int64_t>(), data.label(positions[i]));
        expect_near(expected[row], step.prefix(data.batch({positions[i]}).images)[0], 1e-5);
      }
      for (const SamplePrefixes* cache : {&small, &whole}) {
        const auto [prefixes, y] = cache->at(positions);
        assert_true(at::equal(y, labels));
        expect_near(prefixes, expected, 1e-5);
      }
    }
  }
}

// ----------------------------------------------------------------------------------------
// prototypes

void prototypes_are_class_means_without_dropout(void**) {
  const auto model = model_of(with(kTinyFace, {{"dropout", 0.5}}));
  const Weights weights = model->random_weights(RandomStream(1, "weights"));
  const Dataset all = patterns(9, 3, 3);
  const Dataset forget = all.keep_classes({1}), retain = all.keep_classes({0, 3});
  const at::Tensor expected = class_prototypes(*model, weights, {&forget, &retain});
  assert_true(expected.sizes() == at::IntArrayRef({5, 12}));
  for (int64_t c : {0, 1, 3}) {
    const Dataset part = all.keep_classes({c});
    const at::Tensor embeddings = model->embed(weights, part.batch(0, part.size()).images);
    expect_near(expected[c], embeddings.mean(0), 1e-5);
  }
  assert_false(expected[2].any().item<bool>());  // a missing class: no sample, no prototype
  assert_false(expected[4].any().item<bool>());
  expect_near(class_prototypes(*model, weights, {&retain, &forget}, 4), expected, 1e-6);
  // A class in both sets is one mean over all its samples.
  const Dataset some = forget.take({0, 1, 2});
  int64_t asked = 0;
  expect_error(Code::kCancelled, "prototypes", [&] {
    class_prototypes(*model, weights, {&retain, &forget}, 4, [&] { return ++asked == 2; });
  });
  assert_int_equal(asked, 2);
  const at::Tensor both = class_prototypes(*model, weights, {&forget, &some});
  const Batch twice = forget.batch({0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2});
  expect_near(both[1], model->embed(weights, twice.images).mean(0), 1e-5);
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_step_is_that_of_autograd_with_every_saving),
      cmocka_unit_test(a_step_is_that_of_autograd_from_any_first_block),
      cmocka_unit_test(a_step_on_attention_is_that_of_autograd),
      cmocka_unit_test(beyond_the_bound_only_the_retain_batch_trains),
      cmocka_unit_test(cached_prefixes_are_those_of_the_samples),
      cmocka_unit_test(prototypes_are_class_means_without_dropout),
  };
  return cmocka_run_group_tests_name("LoRA step", tests, nullptr, nullptr);
}
