// The training network written out by hand: equal to a plain one under autograd, with each saving
// on and off (performance.md 1.4, 1.5).
#include <ATen/core/grad_mode.h>

#include "adapters/lora_transformer.h"
#include "models/tiny_models.h"

namespace lethe::testing {
namespace {

constexpr double kForward = 1e-5, kGradient = 1e-4;  // relative to the largest value

std::vector<StepSavings> all_savings() {
  std::vector<StepSavings> all;
  for (int bits = 0; bits < 8; ++bits) {
    all.push_back({(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0});
  }
  return all;
}

std::string shown(const StepSavings& s) {
  return lethe::str("class token ", s.class_token_only, ", fused attention ", s.fused_attention,
                    ", folded ", s.folded_lora);
}

/// A model, LoRA matrices with random A and B, a batch and dL/d(embeddings).
struct Case {
  std::shared_ptr<const Classifier> model;
  Weights weights;
  LoraParameters lora;
  at::Tensor images, upstream;

  explicit Case(const Json& spec, int64_t batch = 3)
      : Case(model_of(spec), model_of(spec)->adapter_sites(), batch) {}

  Case(std::shared_ptr<const Classifier> m, std::vector<AdapterSite> sites, int64_t batch)
      : model(std::move(m)),
        weights(model->random_weights(RandomStream(1, "weights"))),
        lora(std::move(sites), 2, 0.5, Grouping::kBlock, at::kCPU) {
    lora.values().normal_(0, 0.2, RandomStream(2, "lora").generator());
    images = images_for(*model, batch);
    upstream = at::empty({batch, model->spec().dim})
                   .normal_(0, 1, RandomStream(3, "upstream").generator());
  }
  LoraTransformer network(StepSavings savings = {}, double dropout = 0, uint64_t seed = 1) {
    return LoraTransformer(model->transformer(weights), lora, savings, dropout,
                           RandomStream(seed, "dropout").generator());
  }
  at::Tensor forward(const LoraTransformer& prefixes, LoraTransformer& network) const {
    return network.forward(prefixes.prefix(model->tokens(weights, images)));
  }
};

/// Embeddings and gradients, flat in the order of the LoRA buffer.
struct Outcome {
  at::Tensor embeddings, gradients;
};

Outcome run(Case& c, LoraTransformer& network) {
  const at::NoGradGuard no_grad;
  c.lora.gradients().zero_();
  const at::Tensor embeddings = c.forward(network, network);
  network.backward(c.upstream);
  return {embeddings, c.lora.gradients().clone()};
}

/// The same by autograd in double precision: y = x W^T + b + s (x A^T) B^T, nothing left out.
/// Dropout (section 2.1) follows the embedding, the attention's output, the GELU and fc2; its masks
/// are drawn in this order, as float32 before the first LoRA block's FFN and as booleans from
/// there.
Outcome by_autograd(Case& c, double p = 0, at::Generator generator = {}) {
  Weights weights;
  for (const auto& [name, tensor] : c.weights) weights[name] = tensor.to(at::kDouble);
  const Transformer t = c.model->transformer(weights);
  std::vector<at::Tensor> leaves;
  std::map<std::pair<int64_t, std::string>, size_t> site_at;
  for (size_t i = 0; i < c.lora.sites().size(); ++i) {
    site_at[{c.lora.sites()[i].block, c.lora.sites()[i].layer}] = i;
    leaves.push_back(c.lora.a(i).to(at::kDouble).requires_grad_(true));
    leaves.push_back(c.lora.b(i).to(at::kDouble).requires_grad_(true));
  }
  const auto adapted = [&](const at::Tensor& x, const Linear& layer, int64_t block,
                           const char* name) {
    const at::Tensor y = at::matmul(x, layer.weight.t()) + layer.bias;
    const auto site = site_at.find({block, name});
    if (site == site_at.end()) return y;
    const at::Tensor &a = leaves[2 * site->second], &b = leaves[2 * site->second + 1];
    return y + c.lora.scale() * at::matmul(at::matmul(x, a.t()), b.t());
  };
  const auto drop = [&](const at::Tensor& x, at::ScalarType type) {
    if (p == 0) return x;
    const at::Tensor mask = at::empty({x.numel()}, type).bernoulli_(1 - p, generator);
    return x * mask.view(x.sizes()).to(at::kDouble) / (1 - p);
  };
  const int64_t first = c.lora.sites().front().block;
  at::Tensor x = drop(c.model->tokens(weights, c.images.to(at::kDouble)), at::kFloat);
  for (size_t i = 0; i < t.blocks.size(); ++i) {
    const Block& block = t.blocks[i];
    at::Tensor qkv = at::matmul(layer_norm(x, block.norm1), block.qkv.weight.t());
    if (block.qkv.bias.defined()) qkv = qkv + block.qkv.bias;
    const auto parts = qkv.chunk(3, 2);
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < t.heads; ++h) {
      const auto of = [&](int part) { return parts[part].narrow(2, h * t.head_dim, t.head_dim); };
      const at::Tensor scores = at::matmul(of(0), of(1).transpose(1, 2)) * t.attention_scale;
      heads.push_back(at::matmul(at::softmax(scores, 2), of(2)));
    }
    const at::Tensor mixed = at::matmul(at::cat(heads, 2), block.out.weight.t()) + block.out.bias;
    const auto b = static_cast<int64_t>(i);
    x = x + drop(mixed, b <= first ? at::kFloat : at::kBool);
    const at::ScalarType type = b < first ? at::kFloat : at::kBool;
    const at::Tensor hidden = at::gelu(adapted(layer_norm(x, block.norm2), block.fc1, b, "fc1"));
    x = x + drop(adapted(drop(hidden, type), block.fc2, b, "fc2"), type);
  }
  const at::Tensor embeddings = layer_norm(x.select(1, 0), t.final_norm);
  (embeddings * c.upstream.to(at::kDouble)).sum().backward();
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& leaf : leaves) gradients.push_back(leaf.grad().flatten());
  return {embeddings.detach(), at::cat(gradients)};
}

void expect_equal_to_autograd(Case& c, const std::string& what) {
  const Outcome expected = by_autograd(c);
  for (const StepSavings& savings : all_savings()) {
    LoraTransformer network = c.network(savings);
    const Outcome actual = run(c, network);
    expect_near(actual.embeddings, expected.embeddings, kForward, what + ", " + shown(savings));
    for (const LoraGroup& group :
         c.lora.groups()) {  // small groups must not hide behind large ones
      const auto part = [&](const Outcome& of) {
        return of.gradients.narrow(0, group.begin, group.end - group.begin);
      };
      expect_near(part(actual), part(expected), kGradient,
                  what + ", " + group.name + ", " + shown(savings));
    }
  }
}

void gradients_are_those_of_autograd(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (int64_t depth : {1, 2, 4}) {
      Case c(with(tiny, {{"depth", depth}}));
      expect_equal_to_autograd(c, lethe::str(tiny.at("arch"), " depth ", depth));
    }
  }
}

void gradients_are_right_with_lora_on_one_linear(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (const char* layer : {"fc1", "fc2"}) {
      Case c(with(tiny, {{"adapter_layers", {layer}}}));
      expect_equal_to_autograd(c, lethe::str(tiny.at("arch"), " ", layer));
    }
  }
}

void gradients_are_right_with_lora_on_some_blocks(void**) {
  const auto model = model_of(with(kTinyVit, {{"depth", 3}}));
  for (int64_t block : {0, 1, 2}) {
    std::vector<AdapterSite> sites;
    for (const AdapterSite& site : model->adapter_sites()) {
      if (site.block == block) sites.push_back(site);
    }
    Case c(model, sites, 3);
    expect_equal_to_autograd(c, lethe::str("block ", block));
  }
}

/// LoRA in blocks k to 2 of three, in both linears or in one.
void gradients_are_right_from_any_first_block(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (const Json& layers : {Json({"fc1", "fc2"}), Json({"fc1"}), Json({"fc2"})}) {
      const auto model = model_of(with(tiny, {{"depth", 3}, {"adapter_layers", layers}}));
      for (int64_t k : {0, 1, 2}) {
        Case c(model, sites_from(model->adapter_sites(), k), 3);
        assert_int_equal(c.lora.first_block(), k);
        expect_equal_to_autograd(
            c, lethe::str(tiny.at("arch"), " ", layers.dump(), " from block ", k));
      }
    }
  }
}

void the_prefix_is_the_stream_before_the_first_adapted_linear(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    const auto model = model_of(with(tiny, {{"depth", 3}}));
    for (int64_t k : {0, 1, 2}) {
      Case c(model, sites_from(model->adapter_sites(), k), 3);
      const at::Tensor tokens = model->tokens(c.weights, c.images);
      const Transformer t = model->transformer(c.weights);
      at::Tensor x = tokens;
      for (int64_t i = 0; i < k; ++i) {
        x = x + attention(layer_norm(x, t.blocks[i].norm1), t.blocks[i], t, {});
        x = x + feed_forward(layer_norm(x, t.blocks[i].norm2), t.blocks[i], {});
      }
      x = x + attention(layer_norm(x, t.blocks[k].norm1), t.blocks[k], t, {});
      const at::Tensor all = c.network({.class_token_only = false}).prefix(tokens);
      const at::Tensor wanted = c.network().prefix(tokens);
      expect_near(all, x, kForward);
      // The last block's is one row a sample: all that its FFN reads.
      expect_near(wanted, k == 2 ? x.narrow(1, 0, 1) : x, kForward);
    }
  }
}

void one_image_and_one_head_work(void**) {
  Case vit(with(kTinyVit, {{"heads", 1}, {"image_size", 4}}), 1);  // two tokens
  expect_equal_to_autograd(vit, "small vit");
  Case face(with(kTinyFace, {{"heads", 1}, {"head_dim", 5}}), 1);
  expect_equal_to_autograd(face, "small face");
}

/// Check 3, read off a block whose norms pass their bias: fc1 is the linear, fc2 shows its output.
void check_3_lora_linear(void**) {
  const auto of = [](std::initializer_list<double> values, at::IntArrayRef shape) {
    return at::tensor(std::vector<double>(values), at::kFloat).view(shape);
  };
  Block block;
  block.norm1 = {at::zeros({3}), at::zeros({3}), 1e-5};
  block.qkv = {at::zeros({9, 3}), {}};
  block.out = {at::zeros({3, 3}), at::zeros({3})};
  block.norm2 = {at::zeros({3}), of({1, -1, 2}, {3}), 1e-5};  // x = (1, -1, 2), whatever the input
  block.fc1 = {of({.1, .2, .3, 0, -.1, .2}, {2, 3}), of({.05, -.05}, {2})};
  block.fc2 = {of({1, 0, 0, 1, -1, -1}, {3, 2}), at::zeros({3})};
  // (v - mean) / sqrt(var + 1e12) * 1e6 = v - mean, and the mean of fc2's output is 0.
  const Transformer transformer{{block}, {at::full({3}, 1e6), at::zeros({3}), 1e12}, 1, 3, 1};

  LoraParameters lora({{"fc1", "fc1", 0, 3, 2}}, 2, 0.5, Grouping::kBlock, at::kCPU);
  const auto output = [&](bool folded) {
    LoraTransformer network(transformer, lora, {true, true, folded});
    return network.forward(at::zeros({1, 1, 3}));
  };
  const auto gelu = [](double y) { return at::gelu(at::full({1}, y, at::kDouble)).item<double>(); };
  for (bool folded : {false, true}) {
    lora.values().zero_();
    expect_close(output(folded)[0][0].item<double>(), gelu(0.55), 1e-6);
    expect_close(output(folded)[0][1].item<double>(), gelu(0.45), 1e-6);
    lora.a(0).copy_(of({1, 0, .5, 0, 1, -.5}, {2, 3}));
    lora.b(0).copy_(of({.2, 0, .1, -.3}, {2, 2}));
    expect_close(output(folded)[0][0].item<double>(), gelu(0.75), 1e-6);
    expect_close(output(folded)[0][1].item<double>(), gelu(0.85), 1e-6);
  }
}

/// Check 16: merged weights compute what the adapted network does; with B = 0 it is the base.
void check_16_merged_weights_compute_the_same(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    Case c(tiny);
    const at::NoGradGuard no_grad;
    Weights merged = c.weights;
    for (size_t i = 0; i < c.lora.sites().size(); ++i) {
      at::Tensor& w = merged[c.lora.sites()[i].name + ".weight"];
      w = w + c.lora.scale() * c.lora.b(i).mm(c.lora.a(i));
    }
    LoraTransformer network = c.network();
    const at::Tensor base = c.model->embed(c.weights, c.images);
    const at::Tensor adapted = c.forward(network, network);
    expect_near(adapted, c.model->embed(merged, c.images), kForward);
    assert_true(deviation(adapted, base) > 1e-3);
    c.lora.initialise(50, RandomStream(8, "next task"));
    expect_near(c.forward(network, network), base, kForward);
  }
}

void trap_the_frozen_base_never_drifts(void**) {
  for (const StepSavings& savings : all_savings()) {
    Case c(kTinyVit);
    Weights before;
    for (const auto& [name, tensor] : c.weights) before[name] = tensor.clone();
    LoraTransformer network = c.network(savings);
    for (int i = 0; i < 3; ++i) run(c, network);
    for (const auto& [name, tensor] : c.weights) assert_true(at::equal(tensor, before.at(name)));
  }
}

void the_workspace_serves_batches_of_any_size(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (const StepSavings& savings : all_savings()) {
      Case c(with(tiny, {{"depth", 3}}));
      LoraTransformer kept = c.network(savings);
      for (int64_t batch : {5, 2, 7, 1, 7}) {
        Case other(with(tiny, {{"depth", 3}}), batch);
        c.images = other.images;
        c.upstream = other.upstream;
        const Outcome reused = run(c, kept);
        LoraTransformer fresh = c.network(savings);
        const Outcome expected = run(c, fresh);
        assert_true(at::equal(reused.embeddings, expected.embeddings));
        assert_true(at::equal(reused.gradients, expected.gradients));
      }
    }
  }
}

void backward_adds_to_the_gradients(void**) {
  Case c(kTinyVit);
  LoraTransformer network = c.network();
  const Outcome once = run(c, network);
  network.backward(c.upstream);
  expect_near(c.lora.gradients(), 2 * once.gradients, 1e-6);
}

void new_lora_values_take_effect_at_the_next_pass(void**) {
  Case c(kTinyVit);
  LoraTransformer network = c.network();
  const Outcome before = run(c, network);
  c.lora.values().mul_(2);
  const Outcome after = run(c, network);
  LoraTransformer fresh = c.network();
  assert_true(at::equal(after.embeddings, run(c, fresh).embeddings));
  assert_true(deviation(after.embeddings, before.embeddings) > 1e-3);
}

void the_prefix_holds_no_lora_value(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    Case c(tiny);
    const LoraTransformer network = c.network();
    const at::Tensor tokens = c.model->tokens(c.weights, c.images);
    const at::Tensor before = network.prefix(tokens);
    c.lora.values().normal_();
    assert_true(at::equal(network.prefix(tokens), before));
  }
}

// ---------------------------------------------------------------------------------------- dropout

void dropout_repeats_with_its_seed(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    for (const StepSavings& savings : all_savings()) {
      Case c(tiny);
      const auto outcome = [&](uint64_t seed, double p) {
        LoraTransformer network = c.network(savings, p, seed);
        return run(c, network);
      };
      const Outcome first = outcome(1, 0.3), again = outcome(1, 0.3), other = outcome(2, 0.3);
      assert_true(at::equal(first.embeddings, again.embeddings));
      assert_true(at::equal(first.gradients, again.gradients));
      assert_true(deviation(other.embeddings, first.embeddings) > 1e-3);
      assert_true(deviation(outcome(1, 0).embeddings, first.embeddings) > 1e-3);
      LoraTransformer network = c.network(savings, 0.3);  // and is drawn anew in every pass
      run(c, network);
      assert_true(deviation(run(c, network).embeddings, first.embeddings) > 1e-3);
    }
  }
}

void dropout_sits_where_the_model_has_it(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    const auto model = model_of(with(tiny, {{"depth", 3}}));
    for (int64_t k : {0, 1, 2}) {
      Case c(model, sites_from(model->adapter_sites(), k), 3);
      const Outcome expected = by_autograd(c, 0.3, RandomStream(1, "dropout").generator());
      for (StepSavings savings : all_savings()) {
        if (savings.class_token_only) continue;  // draws fewer masks in the last block
        LoraTransformer network = c.network(savings, 0.3, 1);
        const Outcome actual = run(c, network);
        expect_near(actual.embeddings, expected.embeddings, kForward, shown(savings));
        expect_near(actual.gradients, expected.gradients, kGradient, shown(savings));
      }
    }
  }
}

/// The derivative along a direction, under the same masks, by central differences.
void gradients_belong_to_the_masks_of_their_pass(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace}) {
    const auto model = model_of(with(tiny, {{"depth", 3}}));
    for (const StepSavings& savings : all_savings()) {
      for (int64_t k : {0, 2}) {
        Case c(model, sites_from(model->adapter_sites(), k), 4);
        LoraTransformer network = c.network(savings, 0.2);
        const at::Tensor gradients = run(c, network).gradients;
        const at::Tensor start = c.lora.values().clone();
        const at::Tensor direction = gradients / gradients.norm();
        const auto value_at = [&](double distance) {
          c.lora.values().copy_(start + distance * direction);
          LoraTransformer same_masks = c.network(savings, 0.2);
          const at::Tensor e = run(c, same_masks).embeddings;
          return (e.to(at::kDouble) * c.upstream).sum().item<double>();
        };
        const double h = 2e-3, slope = (value_at(h) - value_at(-h)) / (2 * h);
        const double expected = gradients.norm().item<double>();
        if (std::abs(slope - expected) > 5e-3 * expected) {
          fail_msg("slope %g, gradient %g; %s", slope, expected, shown(savings).c_str());
        }
      }
    }
  }
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(gradients_are_those_of_autograd),
      cmocka_unit_test(gradients_are_right_with_lora_on_one_linear),
      cmocka_unit_test(gradients_are_right_with_lora_on_some_blocks),
      cmocka_unit_test(gradients_are_right_from_any_first_block),
      cmocka_unit_test(the_prefix_is_the_stream_before_the_first_adapted_linear),
      cmocka_unit_test(one_image_and_one_head_work),
      cmocka_unit_test(check_3_lora_linear),
      cmocka_unit_test(check_16_merged_weights_compute_the_same),
      cmocka_unit_test(trap_the_frozen_base_never_drifts),
      cmocka_unit_test(the_workspace_serves_batches_of_any_size),
      cmocka_unit_test(backward_adds_to_the_gradients),
      cmocka_unit_test(new_lora_values_take_effect_at_the_next_pass),
      cmocka_unit_test(the_prefix_holds_no_lora_value),
      cmocka_unit_test(dropout_repeats_with_its_seed),
      cmocka_unit_test(dropout_sits_where_the_model_has_it),
      cmocka_unit_test(gradients_belong_to_the_masks_of_their_pass),
  };
  return cmocka_run_group_tests_name("LoRA transformer", tests, nullptr, nullptr);
}
