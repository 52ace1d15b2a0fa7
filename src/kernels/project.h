// Products with frozen weights, through the faster of LibTorch's two CPU libraries.
#pragma once

#include <ATen/core/Tensor.h>

namespace lethe {

/// x W^T + b. x [..., in], weight [out, in], a transposed view included; bias [out] or undefined.
/// Differentiable where autograd is on.
///
/// Outside autograd, on a CPU, the product is oneDNN's. LibTorch's own is MKL's, which keeps to
/// AVX2 on AMD processors: a tenth slower on Zen 4, half as fast on Zen 5. Where LibTorch has no
/// oneDNN, it is used all the same.
at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// The same into `out` [rows, out], contiguous, for x [rows, in]; never recorded by autograd. For
/// results that are kept: memory that is used again costs no page faults.
void project_into(const at::Tensor& out, const at::Tensor& x, const at::Tensor& weight,
                  const at::Tensor& bias = {});

}  // namespace lethe
