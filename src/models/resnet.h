// ResNet feature extractors (He et al. 2016) with frozen batch normalisation, under torchvision's
// names.
#pragma once

#include <string>
#include <vector>

#include "models/model.h"

namespace lethe {

/// What the published networks have in their first stage; each further stage has twice as much.
inline constexpr int64_t kResNetWidth = 64;

/// Channels of the stages C3, C4, C5 (strides 8, 16, 32) of "resnet18", "resnet34" or "resnet50"
/// whose stages are `width`, 2, 4 and 8 times `width` wide (4 times that after the bottlenecks of
/// "resnet50"). Throws kInvalidArgument naming the known ones.
std::vector<int64_t> resnet_channels(const std::string& name, int64_t width = kResNetWidth);

/// Every weight but the classifier's: conv1.weight, bn1.{weight,bias,running_mean,running_var},
/// layerS.B.{convK,bnK,downsample.0,downsample.1}.*, each after `prefix`.
std::vector<TensorSpec> resnet_tensors(const std::string& name, const std::string& prefix,
                                       int64_t width = kResNetWidth);

/// Convolutions with the batch normalisation after each folded in: w * g / sqrt(v + 1e-5) and
/// b - m g / sqrt(v + 1e-5). Statistics never change, so this is exact up to rounding.
class ResNet {
 public:
  /// From weights under resnet_tensors()' names, folded once, differentiably. `name` and `prefix`
  /// as there; the weights say the width. `maps`: how many of the last stages features() gives, 1
  /// to 3.
  ResNet(const std::string& name, const std::string& prefix, const Weights& weights, int64_t maps);

  /// Images [B, 3, H, W] to the last stages' maps, finest first: [B, C_s, ceil(H / stride), ceil(W
  /// / stride)]. Throws kInvalidArgument for images of another shape.
  std::vector<at::Tensor> features(const at::Tensor& images) const;

 private:
  struct Convolution {
    at::Tensor weight, bias;
    int64_t stride, padding;
    at::Tensor operator()(const at::Tensor& x) const;
  };
  struct Block {
    std::vector<Convolution> path;        ///< a ReLU after each but the last
    std::vector<Convolution> downsample;  ///< none: the shortcut is the identity
  };
  int64_t maps_;
  Convolution stem_;
  std::vector<std::vector<Block>> stages_;  ///< C2 to C5
};

}  // namespace lethe
