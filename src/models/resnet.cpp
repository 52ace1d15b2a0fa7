#include "models/resnet.h"

#include <ATen/ATen.h>

#include <array>
#include <functional>

#include "support/error.h"

namespace lethe {
namespace {

struct Layout {
  const char* name;
  std::array<int64_t, 4> blocks;  ///< of stages C2 to C5
  bool bottleneck;                ///< 1x1, 3x3, 1x1 to four times the width; else twice 3x3
};
constexpr Layout kLayouts[] = {{"resnet18", {2, 2, 2, 2}, false},
                               {"resnet34", {3, 4, 6, 3}, false},
                               {"resnet50", {3, 4, 6, 3}, true}};

const Layout& layout_of(const std::string& name) {
  for (const Layout& layout : kLayouts) {
    if (name == layout.name) return layout;
  }
  fail(Code::kInvalidArgument, "model spec: \"backbone\" is \"", name,
       "\", allowed are resnet18, resnet34, resnet50, features");
}

/// One convolution and the normalisation after it, by their names.
struct Part {
  std::string convolution, norm;
  int64_t in, out, kernel, stride;
};

struct BlockParts {
  std::vector<Part> path, downsample;
};

/// The blocks of stage 0 to 3, as torchvision names and sizes them; `first`: width of stage 0.
std::vector<BlockParts> stage_parts(const Layout& layout, const std::string& prefix, int64_t stage,
                                    int64_t first) {
  const int64_t width = first << stage, expansion = layout.bottleneck ? 4 : 1;
  std::vector<BlockParts> blocks;
  int64_t in = stage == 0 ? first : (width / 2) * expansion;
  for (int64_t b = 0; b < layout.blocks[stage]; ++b) {
    const std::string name = str(prefix, "layer", stage + 1, ".", b, ".");
    const int64_t stride = b == 0 && stage > 0 ? 2 : 1, out = width * expansion;
    const auto part = [&](int64_t k, int64_t from, int64_t to, int64_t kernel, int64_t s) {
      return Part{str(name, "conv", k), str(name, "bn", k), from, to, kernel, s};
    };
    BlockParts block;
    if (layout.bottleneck) {
      block.path = {part(1, in, width, 1, 1), part(2, width, width, 3, stride),
                    part(3, width, out, 1, 1)};
    } else {
      block.path = {part(1, in, width, 3, stride), part(2, width, width, 3, 1)};
    }
    if (in != out || stride != 1) {
      block.downsample = {{name + "downsample.0", name + "downsample.1", in, out, 1, stride}};
    }
    blocks.push_back(std::move(block));
    in = out;
  }
  return blocks;
}

Part stem_part(const std::string& prefix, int64_t width) {
  return {prefix + "conv1", prefix + "bn1", 3, width, 7, 2};
}

}  // namespace

std::vector<int64_t> resnet_channels(const std::string& name, int64_t width) {
  const int64_t last = width * (layout_of(name).bottleneck ? 4 : 1);
  return {2 * last, 4 * last, 8 * last};
}

std::vector<TensorSpec> resnet_tensors(const std::string& name, const std::string& prefix,
                                       int64_t width) {
  std::vector<TensorSpec> list;
  const auto add = [&](const Part& part) {
    list.push_back({part.convolution + ".weight", {part.out, part.in, part.kernel, part.kernel}});
    for (const char* value : {".weight", ".bias", ".running_mean", ".running_var"}) {
      list.push_back({part.norm + value, {part.out}});
    }
  };
  add(stem_part(prefix, width));
  const Layout& layout = layout_of(name);
  for (int64_t stage = 0; stage < 4; ++stage) {
    for (const BlockParts& block : stage_parts(layout, prefix, stage, width)) {
      for (const Part& part : block.path) add(part);
      for (const Part& part : block.downsample) add(part);
    }
  }
  return list;
}

at::Tensor ResNet::Convolution::operator()(const at::Tensor& x) const {
  return at::conv2d(x, weight, bias, at::IntArrayRef{stride, stride},
                    at::IntArrayRef{padding, padding});
}

ResNet::ResNet(const std::string& name, const std::string& prefix, const Weights& weights,
               int64_t maps)
    : maps_(maps) {
  const auto folded = [&](const Part& part) {
    const at::Tensor scale =
        weights.at(part.norm + ".weight") * (weights.at(part.norm + ".running_var") + 1e-5).rsqrt();
    return Convolution{
        weights.at(part.convolution + ".weight") * scale.reshape({-1, 1, 1, 1}),
        weights.at(part.norm + ".bias") - weights.at(part.norm + ".running_mean") * scale,
        part.stride, part.kernel / 2};
  };
  // A part's width is its weights'; names, kernels and strides do not depend on it.
  stem_ = folded(stem_part(prefix, kResNetWidth));
  for (int64_t stage = 0; stage < 4; ++stage) {
    std::vector<Block>& blocks = stages_.emplace_back();
    for (const BlockParts& parts : stage_parts(layout_of(name), prefix, stage, kResNetWidth)) {
      Block& block = blocks.emplace_back();
      for (const Part& part : parts.path) block.path.push_back(folded(part));
      for (const Part& part : parts.downsample) block.downsample.push_back(folded(part));
    }
  }
}

std::vector<at::Tensor> ResNet::features(const at::Tensor& images) const {
  require(images.dim() == 4 && images.size(1) == 3, Code::kInvalidArgument, "images have shape ",
          images.sizes(), ", a detector takes [N, 3, height, width]");
  at::Tensor x = at::max_pool2d(at::relu(stem_(images)), {3, 3}, {2, 2}, {1, 1});
  std::vector<at::Tensor> maps;
  for (const std::vector<Block>& stage : stages_) {
    for (const Block& block : stage) {
      at::Tensor y = x;
      for (size_t i = 0; i < block.path.size(); ++i) {
        y = block.path[i](i == 0 ? y : at::relu(y));
      }
      x = at::relu(y + (block.downsample.empty() ? x : block.downsample[0](x)));
    }
    maps.push_back(x);
  }
  return {maps.end() - maps_, maps.end()};
}

}  // namespace lethe
