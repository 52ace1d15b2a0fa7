#include "kernels/project.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace lethe {
namespace {

// What torch.compile calls for a linear on the CPU: dense tensors in and out.
using OneDnnLinear = at::Tensor(const at::Tensor& x, const at::Tensor& weight,
                                const std::optional<at::Tensor>& bias, std::string_view activation,
                                c10::List<std::optional<at::Scalar>> scalars,
                                std::optional<std::string_view> algorithm);

std::optional<c10::TypedOperatorHandle<OneDnnLinear>> find_one_dnn() {
  try {
    if (const auto found =
            c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""})) {
      return found->typed<OneDnnLinear>();
    }
  } catch (const c10::Error&) {
    // a LibTorch that gives it another signature: do without
  }
  return std::nullopt;
}

/// oneDNN's product, or undefined where it does not apply.
at::Tensor one_dnn(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  static const auto op = find_one_dnn();
  if (!op || !x.is_cpu() || x.scalar_type() != at::kFloat || x.numel() == 0 ||
      !at::globalContext().userEnabledMkldnn()) {
    return {};
  }
  return op->call(x.contiguous(), weight, bias.defined() ? std::optional(bias) : std::nullopt,
                  "none", c10::List<std::optional<at::Scalar>>(), std::nullopt);
}

}  // namespace

at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!at::GradMode::is_enabled()) {
    const at::Tensor product = one_dnn(x, weight, bias);
    if (product.defined()) return product;
  }
  return at::linear(x, weight, bias);
}

void project_into(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                  const at::Tensor& bias) {
  const at::NoGradGuard no_grad;
  // Some rows at a time: what oneDNN allocates then stays in the cache until it is copied.
  constexpr int64_t kTileBytes = 8 << 20;
  const int64_t rows = x.size(0);
  const int64_t tile =
      std::max<int64_t>(1, kTileBytes / (weight.size(0) * static_cast<int64_t>(sizeof(float))));
  for (int64_t begin = 0; begin < rows; begin += tile) {
    const int64_t count = std::min(tile, rows - begin);
    const at::Tensor product = one_dnn(x.narrow(0, begin, count), weight, bias);
    if (!product.defined()) break;
    out.narrow(0, begin, count).copy_(product);
    if (begin + count == rows) return;
  }
  at::Tensor result = out;
  if (bias.defined()) {
    at::addmm_out(result, bias, x, weight.t());
  } else {
    at::mm_out(result, x, weight.t());
  }
}

}  // namespace lethe
