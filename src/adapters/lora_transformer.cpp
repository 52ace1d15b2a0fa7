#include "adapters/lora_transformer.h"

#include <ATen/ATen.h>

#include <array>

#include "adapters/frozen_attention.h"
#include "kernels/project.h"

namespace lethe {
namespace {

/// Statistics of a layer norm's input, for its backward pass.
struct NormState {
  at::Tensor input, mean, rstd;
};

/// Zero-one mask of a dropout, undefined when there is none.
using Mask = at::Tensor;

/// What one block's backward pass needs. T: tokens it computes, 1 or N.
struct BlockState {
  explicit BlockState(FrozenAttention a) : attention(std::move(a)) {}
  FrozenAttention attention;
  Slot x, x1, n2, h1;  // memory of the tensors below
  NormState norm1, norm2;
  at::Tensor normed2, hidden;  // [B*T, D], before the GELU [B*T, M]
  Mask mixed_mask, hidden_mask, out_mask;
};

/// A frozen linear and the LoRA on it, if any; `folded` is W + s B A of this step.
struct AdaptedLinear {
  Linear frozen;
  int64_t site = -1;
  at::Tensor folded;
  bool adapted() const { return site >= 0; }
};

}  // namespace

struct LoraTransformer::Workspace {
  std::vector<BlockState> blocks;
  std::vector<std::array<AdaptedLinear, 2>> ffn;  // fc1, fc2 of every block
  Slot normed, last_normed, activated, wide_gradient, narrow_gradient, value_gradient;
  NormState final_norm;
  int64_t batch = 0, tokens = 0;
};

namespace {

at::Tensor normalise(const LayerNorm& norm, NormState& state, const at::Tensor& x, at::Tensor out) {
  state.input = x;
  state.mean = at::empty({x.size(0), 1}, x.options());
  state.rstd = at::empty({x.size(0), 1}, x.options());
  at::native_layer_norm_out(out, state.mean, state.rstd, x, norm.weight.sizes(), norm.weight,
                            norm.bias, norm.eps);
  return out;
}

at::Tensor normalise_backward(const LayerNorm& norm, const NormState& state,
                              const at::Tensor& gradient) {
  return std::get<0>(at::native_layer_norm_backward(gradient, state.input, norm.weight.sizes(),
                                                    state.mean, state.rstd, norm.weight, norm.bias,
                                                    {true, false, false}));
}

/// x *= mask / (1 - p), with a fresh mask that is kept.
void drop(at::Tensor x, Mask& mask, double p, at::Generator& generator) {
  if (p == 0) return;
  mask = at::empty(x.sizes(), at::TensorOptions(at::kBool)).bernoulli_(1 - p, generator);
  mask = mask.to(x.device());
  x.mul_(mask).mul_(1 / (1 - p));
}

at::Tensor drop_backward(at::Tensor gradient, const Mask& mask, double p) {
  return mask.defined() ? gradient.mul(mask).mul_(1 / (1 - p)) : gradient;
}

}  // namespace

LoraTransformer::LoraTransformer(Transformer transformer, LoraParameters& lora, StepSavings savings,
                                 double dropout, at::Generator generator)
    : transformer_(std::move(transformer)),
      lora_(lora),
      savings_(savings),
      dropout_(dropout),
      generator_(std::move(generator)),
      first_(lora.first_block()),
      workspace_(std::make_unique<Workspace>()) {
  // Flash attention for the CPU is the one fused kernel whose backward LibTorch offers by itself.
  savings_.fused_attention = savings_.fused_attention && lora_.values().is_cpu();
  for (const Block& block : transformer_.blocks) {
    const bool last = &block == &transformer_.blocks.back();
    workspace_->blocks.emplace_back(FrozenAttention(
        block, transformer_, last && savings_.class_token_only, savings_.fused_attention));
    workspace_->ffn.push_back({AdaptedLinear{block.fc1, -1, {}}, AdaptedLinear{block.fc2, -1, {}}});
  }
  for (size_t i = 0; i < lora_.sites().size(); ++i) {
    const AdapterSite& site = lora_.sites()[i];
    workspace_->ffn.at(site.block)[site.layer == "fc1" ? 0 : 1].site = static_cast<int64_t>(i);
  }
}

LoraTransformer::~LoraTransformer() = default;

at::Tensor LoraTransformer::prefix(const at::Tensor& tokens) const {
  ForwardOptions options;
  options.dropout = dropout_;
  at::Generator generator = generator_;
  options.generator = &generator;
  options.fused_attention = savings_.fused_attention;
  const Block& block = transformer_.blocks[first_];
  const at::Tensor x =
      run_blocks(lethe::dropout(tokens, options), transformer_, 0, first_, options);
  const bool last = &block == &transformer_.blocks.back();
  return add_attention(x, block, transformer_, options, last && savings_.class_token_only);
}

// y = x W^T + b + s (x A^T) B^T, folded: x (W + s B A)^T + b.
static void adapted_forward(at::Tensor out, const at::Tensor& x, AdaptedLinear& layer,
                            const LoraParameters& lora, bool folded) {
  const bool lora_here = layer.adapted();
  if (lora_here && folded) {
    project_into(out, x, layer.folded, layer.frozen.bias);
    return;
  }
  project_into(out, x, layer.frozen.weight, layer.frozen.bias);
  if (!lora_here) return;
  const at::Tensor u = project(x, lora.a(layer.site));
  out.addmm_(u, lora.b(layer.site).t(), 1, lora.scale());
}

// With g = dL/dy, u = x A^T, v = g B:  dB += s g^T u,  dA += s v^T x,  dL/dx = g W + s v A
// (performance.md 1.5). g^T u is formed as (u^T g)^T, whose long side runs along memory.
static void adapted_backward(at::Tensor out, const at::Tensor& gradient, const at::Tensor& x,
                             const AdaptedLinear& layer, LoraParameters& lora, bool folded,
                             bool input_gradient) {
  at::Tensor v;
  if (layer.adapted()) {
    const at::Tensor a = lora.a(layer.site), b = lora.b(layer.site);
    const at::Tensor u = project(x, a);
    v = project(gradient, b.t());
    lora.grad_b(layer.site).add_(project(u.t(), gradient.t()).t(), lora.scale());
    lora.grad_a(layer.site).add_(project(v.t(), x.t()), lora.scale());
  }
  if (!input_gradient) return;
  if (layer.adapted() && folded) {
    project_into(out, gradient, layer.folded.t());
    return;
  }
  project_into(out, gradient, layer.frozen.weight.t());
  if (layer.adapted()) out.addmm_(v, lora.a(layer.site), 1, lora.scale());
}

at::Tensor LoraTransformer::forward(const at::Tensor& prefix) {
  Workspace& w = *workspace_;
  const auto options = prefix.options();
  const int64_t batch = w.batch = prefix.size(0), n = w.tokens = prefix.size(1);
  const int64_t dim = prefix.size(2);
  const auto depth = static_cast<int64_t>(transformer_.blocks.size());

  if (savings_.folded_lora) {
    for (auto& pair : w.ffn) {
      for (AdaptedLinear& layer : pair) {
        if (!layer.adapted()) continue;
        if (!layer.folded.defined()) layer.folded = at::empty_like(layer.frozen.weight);
        at::addmm_out(layer.folded, layer.frozen.weight, lora_.b(layer.site), lora_.a(layer.site),
                      1, lora_.scale());
      }
    }
  }

  at::Tensor x;  // the residual stream, [B*N, D]
  for (int64_t i = first_; i < depth; ++i) {
    const Block& block = transformer_.blocks[i];
    BlockState& s = w.blocks[i];
    const int64_t t = i + 1 == depth && savings_.class_token_only ? 1 : n;
    const int64_t rows = batch * t;
    const auto first_tokens = [&](const at::Tensor& all) {  // [B*N, *] -> the queries' rows
      return t == n ? all : all.view({batch, n, -1}).select(1, 0);
    };

    at::Tensor x1 = s.x1.get({rows, dim}, options);
    if (i == first_) {  // its attention is the prefix
      x1.copy_(first_tokens(prefix.reshape({batch * n, dim})));
    } else {
      Slot& memory = t == n ? w.normed : w.last_normed;  // the class token's attention keeps it
      const at::Tensor normed =
          normalise(block.norm1, s.norm1, x, memory.get({batch * n, dim}, options));
      const at::Tensor mixed = s.attention.forward(normed.view({batch, n, dim}));
      at::Tensor branch = w.narrow_gradient.get({rows, dim}, options);
      project_into(branch, mixed, block.out.weight, block.out.bias);
      drop(branch, s.mixed_mask, dropout_, generator_);
      at::add_out(x1, first_tokens(x), branch);
    }

    s.normed2 = normalise(block.norm2, s.norm2, x1, s.n2.get({rows, dim}, options));
    s.hidden = s.h1.get({rows, block.fc1.weight.size(0)}, options);
    adapted_forward(s.hidden, s.normed2, w.ffn[i][0], lora_, savings_.folded_lora);
    at::Tensor activated = w.activated.get(s.hidden.sizes(), options);
    at::gelu_out(activated, s.hidden);
    drop(activated, s.hidden_mask, dropout_, generator_);
    BlockState& next = w.blocks[(i + 1) % depth];
    at::Tensor branch = w.narrow_gradient.get({rows, dim}, options);
    adapted_forward(branch, activated, w.ffn[i][1], lora_, savings_.folded_lora);
    drop(branch, s.out_mask, dropout_, generator_);
    x = next.x.get({rows, dim}, options);
    at::add_out(x, x1, branch);
  }
  const at::Tensor class_token =
      savings_.class_token_only ? x : x.view({batch, n, dim}).select(1, 0).contiguous();
  return normalise(transformer_.final_norm, w.final_norm, class_token,
                   at::empty({batch, dim}, options));
}

void LoraTransformer::backward(const at::Tensor& gradient) {
  Workspace& w = *workspace_;
  const auto options = gradient.options();
  const int64_t batch = w.batch, n = w.tokens, dim = gradient.size(1);
  const auto depth = static_cast<int64_t>(transformer_.blocks.size());

  at::Tensor g = normalise_backward(transformer_.final_norm, w.final_norm, gradient.contiguous());
  if (!savings_.class_token_only) {  // only the class token was read
    at::Tensor all = at::zeros({batch, n, dim}, options);
    all.select(1, 0).copy_(g);
    g = all.view({batch * n, dim});
  }
  for (int64_t i = depth; i-- > first_;) {
    const Block& block = transformer_.blocks[i];
    BlockState& s = w.blocks[i];
    const int64_t rows = s.normed2.size(0), t = rows / batch;
    const auto& [fc1, fc2] = w.ffn[i];

    // x2 = x1 + dropout(fc2(dropout(gelu(fc1(norm2(x1))))))
    at::Tensor activated = w.activated.get(s.hidden.sizes(), options);
    at::gelu_out(activated, s.hidden);  // cheaper to form again than to keep
    if (s.hidden_mask.defined()) activated.mul_(s.hidden_mask).mul_(1 / (1 - dropout_));
    at::Tensor wide = w.wide_gradient.get(s.hidden.sizes(), options);
    const bool below = i > first_;  // nothing beneath that block's FFN is trained
    const at::Tensor branch = drop_backward(g, s.out_mask, dropout_);
    adapted_backward(wide, branch, activated, fc2, lora_, savings_.folded_lora,
                     below || fc1.adapted());
    if (!below && !fc1.adapted()) return;
    if (s.hidden_mask.defined()) wide.mul_(s.hidden_mask).mul_(1 / (1 - dropout_));
    at::gelu_backward_out(wide, wide, s.hidden);
    at::Tensor narrow = w.narrow_gradient.get({rows, dim}, options);
    adapted_backward(narrow, wide, s.normed2, fc1, lora_, savings_.folded_lora, below);
    if (!below) return;
    g = normalise_backward(block.norm2, s.norm2, narrow).add_(g);

    // x1 = x + dropout(out(attention(norm1(x)))), for t of the n tokens
    const at::Tensor dmixed = w.value_gradient.get({rows, block.out.weight.size(1)}, options);
    project_into(dmixed, drop_backward(g, s.mixed_mask, dropout_), block.out.weight.t());
    const at::Tensor dnormed = w.normed.get({batch * n, dim}, options);
    s.attention.backward(dmixed, dnormed);
    at::Tensor below_gradient = normalise_backward(block.norm1, s.norm1, dnormed);
    (t == n ? below_gradient : below_gradient.view({batch, n, dim}).select(1, 0)).add_(g);
    g = below_gradient;
  }
}

}  // namespace lethe
