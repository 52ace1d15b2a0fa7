// The training network by autograd: equal to the one written by hand where both apply, and to the
// equations of section 3.1 for LoRA on q, k and v.
#include <ATen/core/grad_mode.h>

#include "adapters/autograd_lora_network.h"
#include "adapters/group_sparsity.h"
#include "adapters/lora_transformer.h"
#include "models/tiny_models.h"

namespace lethe::testing {
namespace {

constexpr double kTolerance = 1e-5;  // relative to the largest value

/// A model of three blocks, LoRA matrices with random A and B, a batch and dL/d(embeddings).
struct Case {
  std::shared_ptr<const Classifier> model;
  Weights weights;
  LoraParameters lora;
  at::Tensor images, upstream;

  Case(const Json& spec, LoraPosition position, int64_t first_block = 0, int64_t batch = 3)
      : model(model_of(with(spec, {{"depth", 3}}))),
        weights(model->random_weights(RandomStream(1, "weights"))),
        lora(lora_sites(*model, position, first_block), 2, 0.5, Grouping::kBlock, at::kCPU) {
    lora.values().normal_(0, 0.2, RandomStream(2, "lora").generator());
    for (auto& [name, tensor] : weights) {  // torchvision starts them at zero
      if (name.ends_with("in_proj_bias")) {
        tensor.normal_(0, 0.5, RandomStream(4, "bias").generator());
      }
    }
    images = images_for(*model, batch);
    upstream = at::empty({batch, model->spec().dim})
                   .normal_(0, 1, RandomStream(3, "upstream").generator());
  }
  AutogradLoraNetwork network(StepSavings savings = {}, double dropout = 0) {
    return AutogradLoraNetwork(*model, weights, lora, savings, dropout,
                               RandomStream(1, "dropout").generator());
  }
};

/// Embeddings and gradients, flat in the order of the LoRA buffer.
struct Outcome {
  at::Tensor embeddings, gradients;
};

Outcome run(Case& c, LoraNetwork& network) {
  const at::NoGradGuard no_grad;
  c.lora.gradients().zero_();
  const at::Tensor embeddings =
      network.forward(network.prefix(c.model->tokens(c.weights, c.images)));
  network.backward(c.upstream);
  return {embeddings, c.lora.gradients().clone()};
}

/// Small groups must not hide behind large ones.
void expect_equal(const Case& c, const Outcome& actual, const Outcome& expected,
                  const std::string& what) {
  expect_near(actual.embeddings, expected.embeddings, kTolerance, what);
  for (const LoraGroup& group : c.lora.groups()) {
    const auto part = [&](const Outcome& of) {
      return of.gradients.narrow(0, group.begin, group.end - group.begin);
    };
    expect_near(part(actual), part(expected), kTolerance, what + ", " + group.name);
  }
}

/// Section 3.1 in double precision for q, k and v: y = x W^T + b + s (x A^T) B^T of each. Dropout's
/// masks are drawn as float32 in the order of the layers.
Outcome by_equations(const Case& c, double p = 0, at::Generator generator = {}) {
  Weights weights;
  for (const auto& [name, tensor] : c.weights) weights[name] = tensor.to(at::kDouble);
  const Transformer t = c.model->transformer(weights);
  std::vector<at::Tensor> leaves;
  for (size_t i = 0; i < c.lora.sites().size(); ++i) {
    leaves.push_back(c.lora.a(i).to(at::kDouble).requires_grad_(true));
    leaves.push_back(c.lora.b(i).to(at::kDouble).requires_grad_(true));
  }
  const auto drop = [&](const at::Tensor& x) {
    if (p == 0) return x;
    return x * at::empty(x.sizes(), at::kFloat).bernoulli_(1 - p, generator) / (1 - p);
  };
  at::Tensor x = drop(c.model->tokens(weights, c.images.to(at::kDouble)));
  size_t leaf = 0;
  for (size_t i = 0; i < t.blocks.size(); ++i) {
    const Block& block = t.blocks[i];
    const at::Tensor normed = layer_norm(x, block.norm1);
    std::vector<at::Tensor> qkv;
    for (int64_t part = 0; part < 3; ++part) {
      const int64_t inner = t.heads * t.head_dim;
      at::Tensor y = at::matmul(normed, block.qkv.weight.narrow(0, part * inner, inner).t());
      if (block.qkv.bias.defined()) y = y + block.qkv.bias.narrow(0, part * inner, inner);
      if (static_cast<int64_t>(i) >= c.lora.first_block()) {
        const at::Tensor a = leaves[leaf++], b = leaves[leaf++];
        y = y + c.lora.scale() * at::matmul(at::matmul(normed, a.t()), b.t());
      }
      qkv.push_back(y);
    }
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < t.heads; ++h) {
      const auto of = [&](int part) { return qkv[part].narrow(2, h * t.head_dim, t.head_dim); };
      const at::Tensor scores = at::matmul(of(0), of(1).transpose(1, 2)) * t.attention_scale;
      heads.push_back(at::matmul(at::softmax(scores, 2), of(2)));
    }
    x = x + drop(at::matmul(at::cat(heads, 2), block.out.weight.t()) + block.out.bias);
    const at::Tensor hidden =
        at::gelu(at::matmul(layer_norm(x, block.norm2), block.fc1.weight.t()) + block.fc1.bias);
    x = x + drop(at::matmul(drop(hidden), block.fc2.weight.t()) + block.fc2.bias);
  }
  assert_int_equal(leaf, leaves.size());
  const at::Tensor embeddings = layer_norm(x.select(1, 0), t.final_norm);
  (embeddings * c.upstream.to(at::kDouble)).sum().backward();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& l : leaves) gradients.push_back(l.grad().flatten());
  return {embeddings.detach(), at::cat(gradients)};
}

std::vector<StepSavings> all_savings() {
  return {{false, false, true}, {true, false, true}, {false, true, true}, {true, true, true}};
}

void on_the_ffn_it_equals_the_network_by_hand(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (int64_t k : {0, 1, 2}) {
      Case c(tiny, LoraPosition::kFfn, k);
      for (const StepSavings& savings : all_savings()) {
        LoraTransformer by_hand(c.model->transformer(c.weights), c.lora, savings);
        AutogradLoraNetwork network = c.network(savings);
        const Outcome expected = run(c, by_hand);
        expect_equal(c, run(c, network), expected, lethe::str(tiny.at("arch"), " from ", k));
      }
    }
  }
}

void on_attention_it_equals_the_equations(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (int64_t k : {0, 1, 2}) {
      Case c(tiny, LoraPosition::kAttention, k);
      const Outcome expected = by_equations(c);
      for (const StepSavings& savings : all_savings()) {
        AutogradLoraNetwork network = c.network(savings);
        expect_equal(c, run(c, network), expected, lethe::str(tiny.at("arch"), " from ", k));
      }
    }
  }
}

void dropout_sits_where_the_model_has_it(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (int64_t k : {0, 2}) {
      Case c(tiny, LoraPosition::kAttention, k);
      const Outcome expected = by_equations(c, 0.3, RandomStream(1, "dropout").generator());
      StepSavings savings;
      savings.class_token_only = false;  // or fewer masks are drawn in the last block
      AutogradLoraNetwork network = c.network(savings, 0.3);
      expect_equal(c, run(c, network), expected, lethe::str(tiny.at("arch"), " from ", k));
    }
  }
}

/// The derivative along a direction by central differences, of the embeddings alone.
void gradients_are_slopes(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    Case c(tiny, LoraPosition::kAttention);
    AutogradLoraNetwork network = c.network();
    const at::Tensor gradients = run(c, network).gradients;
    const at::Tensor start = c.lora.values().clone();
    const at::Tensor direction = gradients / gradients.norm();
    const auto value_at = [&](double distance) {
      c.lora.values().copy_(start + distance * direction);
      const at::Tensor e = run(c, network).embeddings;
      return (e.to(at::kDouble) * c.upstream).sum().item<double>();
    };
    const double h = 2e-3, slope = (value_at(h) - value_at(-h)) / (2 * h);
    expect_close(slope / gradients.norm().item<double>(), 1, 5e-3);
  }
}

void backward_adds_and_forward_sees_new_values(void**) {
  Case c(kTinyVit, LoraPosition::kAttention);
  AutogradLoraNetwork network = c.network();
  const Outcome once = run(c, network);
  network.backward(c.upstream);
  expect_near(c.lora.gradients(), 2 * once.gradients, 1e-6);
  c.lora.values().mul_(2);
  const Outcome after = run(c, network);
  AutogradLoraNetwork fresh = c.network();
  assert_true(at::equal(after.embeddings, run(c, fresh).embeddings));
  assert_true(deviation(after.embeddings, once.embeddings) > 1e-3);
}

void nothing_frozen_changes_and_no_lora_value_is_in_the_prefix(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (int64_t k : {0, 2}) {
      Case c(tiny, LoraPosition::kAttention, k);
      Weights before;
      for (const auto& [name, tensor] : c.weights) before[name] = tensor.clone();
      AutogradLoraNetwork network = c.network();
      const at::NoGradGuard no_grad;
      const at::Tensor tokens = c.model->tokens(c.weights, c.images);
      const at::Tensor prefix = network.prefix(tokens);
      if (k == 0) assert_true(at::equal(prefix, tokens));
      run(c, network);
      c.lora.values().normal_();
      assert_true(at::equal(network.prefix(tokens), prefix));
      for (const auto& [name, tensor] : c.weights) {
        assert_true(at::equal(tensor, before.at(name)) && !tensor.requires_grad());
      }
      c.lora.values().zero_();  // B = 0: the base
      expect_near(run(c, network).embeddings, c.model->embed(c.weights, c.images), kTolerance);
    }
  }
}

void the_sites_choose_the_network(void**) {
  Case ffn(kTinyVit, LoraPosition::kFfn), attention(kTinyVit, LoraPosition::kAttention);
  const auto of = [](Case& c) { return make_lora_network(*c.model, c.weights, c.lora); };
  assert_non_null(dynamic_cast<LoraTransformer*>(of(ffn).get()));
  assert_non_null(dynamic_cast<AutogradLoraNetwork*>(of(attention).get()));
  std::vector<AdapterSite> both = ffn.model->all_sites();
  LoraParameters lora(both, 2, 0.5, Grouping::kBlock, at::kCPU);
  const auto mixed = make_lora_network(*ffn.model, ffn.weights, lora);
  assert_non_null(dynamic_cast<AutogradLoraNetwork*>(mixed.get()));
}

// ------------------------------------------------------------------------------- attention's sites

/// Section 3.3: 6 blocks of A [3 x 8, 512] and B [1536, 8].
void check_1_trainable_count_of_the_attention_position(void**) {
  const auto face = model_of({{"arch", "face_vit"}});
  const LoraParameters lora(lora_sites(*face, LoraPosition::kAttention), 8, 1.0 / 8,
                            Grouping::kBlock, at::kCPU);
  assert_int_equal(lora.values().numel(), 147'456);
  assert_int_equal(lora.groups().size(), 6);
  assert_int_equal(lora_sites(*face, LoraPosition::kFfn, 4).size(), 4);
  assert_int_equal(lora_sites(*face, LoraPosition::kAttention, 4).size(), 6);
}

void sites_are_the_rows_of_q_k_and_v(void**) {
  const struct {
    const Json& spec;
    std::string name, weight;
    int64_t in, out;
  } cases[] = {{kTinyVit, "encoder.layers.encoder_layer_1.self_attention",
                "encoder.layers.encoder_layer_1.self_attention.in_proj_weight", 16, 16},
               {kTinyFace, "transformer.layers.1.0.fn.fn.to_qkv",
                "transformer.layers.1.0.fn.fn.to_qkv.weight", 12, 24}};
  for (const auto& c : cases) {
    const auto model = model_of(c.spec);
    const Weights weights = model->random_weights(RandomStream(1, "w"));
    const auto sites = model->attention_sites();
    assert_int_equal(sites.size(), 6);
    for (int64_t part = 0; part < 3; ++part) {
      const AdapterSite& site = sites[static_cast<size_t>(3 + part)];
      const char* letter = std::array{"q", "k", "v"}[static_cast<size_t>(part)];
      assert_true(site.layer == letter && site.name == c.name + "." + letter);
      assert_true(site.weight == c.weight && site.block == 1);
      assert_int_equal(site.in, c.in);
      assert_int_equal(site.out, c.out);
      assert_int_equal(site.row, part * c.out);
      assert_true(at::equal(site.rows(weights), weights.at(c.weight).chunk(3, 0)[part]));
    }
    assert_int_equal(model->all_sites().size(), 4 + 6);
  }
}

/// The change of the three parts against their rows; three groups of one site, one of all three.
void effects_are_those_of_their_rows(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    Case c(tiny, LoraPosition::kAttention);
    double change = 0, frozen = 0;
    for (size_t i = 0; i < 3; ++i) {
      change += std::pow((0.5 * c.lora.b(i).mm(c.lora.a(i))).norm().item<double>(), 2);
      frozen += std::pow(c.lora.sites()[i].rows(c.weights).norm().item<double>(), 2);
    }
    const std::vector<GroupEffect> effects = group_effects(c.lora, c.weights);
    assert_int_equal(effects.size(), 3);
    expect_close(effects[0].effect, std::sqrt(change), 1e-5);
    expect_close(effects[0].relative, std::sqrt(change / frozen), 1e-5);
    const LoraParameters parts(c.lora.sites(), 2, 0.5, Grouping::kLora, at::kCPU);
    assert_int_equal(parts.groups().size(), 9);
    assert_true(parts.groups()[1].name == c.lora.sites()[1].name);
  }
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(on_the_ffn_it_equals_the_network_by_hand),
      cmocka_unit_test(on_attention_it_equals_the_equations),
      cmocka_unit_test(dropout_sits_where_the_model_has_it),
      cmocka_unit_test(gradients_are_slopes),
      cmocka_unit_test(backward_adds_and_forward_sees_new_values),
      cmocka_unit_test(nothing_frozen_changes_and_no_lora_value_is_in_the_prefix),
      cmocka_unit_test(the_sites_choose_the_network),
      cmocka_unit_test(check_1_trainable_count_of_the_attention_position),
      cmocka_unit_test(sites_are_the_rows_of_q_k_and_v),
      cmocka_unit_test(effects_are_those_of_their_rows),
  };
  return cmocka_run_group_tests_name("LoRA network", tests, nullptr, nullptr);
}
