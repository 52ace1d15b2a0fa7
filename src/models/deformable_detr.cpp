#include "models/deformable_detr.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "models/detector_names.h"
#include "models/two_stage.h"
#include "support/error.h"

namespace lethe {
namespace {

/// Named weights as the parts of a network.
struct Reader {
  const Weights& weights;
  const DetectorSpec& spec;

  const at::Tensor& at(const std::string& name) const { return weights.at(name); }
  Linear linear(const std::string& name) const {
    return {at(name + ".weight"), at(name + ".bias")};
  }
  LayerNorm norm(const std::string& name) const {
    return {at(name + ".weight"), at(name + ".bias"), 1e-5};
  }
  DeformableAttention attention(const std::string& name) const {
    return {linear(name + ".sampling_offsets"),
            linear(name + ".attention_weights"),
            linear(name + ".value_proj"),
            linear(name + ".output_proj"),
            spec.heads,
            spec.feature_levels,
            spec.points};
  }
  FeedForward ffn(const std::string& layer, const char* last_norm) const {
    return {linear(layer + "linear1"), linear(layer + "linear2"), norm(layer + last_norm)};
  }
  std::vector<EncoderLayer> encoder() const {
    std::vector<EncoderLayer> layers;
    for (int64_t i = 0; i < spec.encoder_layers; ++i) {
      const std::string layer = encoder_layer_name(i);
      layers.push_back(
          {attention(layer + "self_attn"), norm(layer + "norm1"), ffn(layer, "norm2")});
    }
    return layers;
  }
  std::vector<DecoderLayer> decoder() const {
    std::vector<DecoderLayer> layers;
    for (int64_t i = 0; i < spec.decoder_layers; ++i) {
      const std::string layer = decoder_layer_name(i);
      layers.push_back(
          {{at(layer + "self_attn.in_proj_weight"), at(layer + "self_attn.in_proj_bias")},
           linear(layer + "self_attn.out_proj"),
           norm(layer + "norm2"),
           attention(layer + "cross_attn"),
           norm(layer + "norm1"),
           ffn(layer, "norm3")});
    }
    return layers;
  }
  /// Of decoder layer `i`; `i` = decoder_layers: of the encoder's proposals.
  Linear class_head(int64_t i) const {
    return linear(str("class_embed.", spec.refine_boxes ? i : 0));
  }
  BoxHead box_head(int64_t i) const {
    const std::string name = str("bbox_embed.", spec.refine_boxes ? i : 0, ".layers.");
    return {{linear(name + "0"), linear(name + "1"), linear(name + "2")}};
  }
  ProposalLayers proposals() const {
    const int64_t layers = spec.decoder_layers;
    return {linear("transformer.enc_output"),
            norm("transformer.enc_output_norm"),
            class_head(layers),
            box_head(layers),
            linear("transformer.pos_trans"),
            norm("transformer.pos_trans_norm"),
            spec.queries};
  }
};

at::Tensor resized(const at::Tensor& padding, const LevelSize& size) {
  return at::upsample_nearest2d(padding.to(at::kFloat).unsqueeze(1), {size.height, size.width})
      .squeeze(1)
      .to(at::kBool);
}

/// The image's part of a level's width and height, [B, 2], told by its first row and column.
at::Tensor valid_ratio(const at::Tensor& padding) {
  const at::Tensor inside = padding.logical_not().to(at::kFloat);
  return at::stack({inside.select(1, 0).mean(1), inside.select(2, 0).mean(1)}, -1);
}

/// Offsets begin on a ring, each head in its own direction, further out for each further point.
at::Tensor ring_of_offsets(const DetectorSpec& spec) {
  at::Tensor ring = at::empty({spec.heads, spec.feature_levels, spec.points, 2});
  for (int64_t h = 0; h < spec.heads; ++h) {
    const double angle =
        2 * std::numbers::pi * static_cast<double>(h) / static_cast<double>(spec.heads);
    const double x = std::cos(angle), y = std::sin(angle);
    const double longest = std::max(std::abs(x), std::abs(y));
    for (int64_t p = 0; p < spec.points; ++p) {
      ring.select(0, h).select(1, p).select(1, 0).fill_(x / longest * static_cast<double>(p + 1));
      ring.select(0, h).select(1, p).select(1, 1).fill_(y / longest * static_cast<double>(p + 1));
    }
  }
  return ring.flatten();
}

}  // namespace

std::vector<TensorSpec> DeformableDetr::tensors() const {
  const DetectorSpec& s = spec_;
  std::vector<TensorSpec> list;
  const auto linear = [&](const std::string& name, int64_t out, int64_t in) {
    list.push_back({name + ".weight", {out, in}});
    list.push_back({name + ".bias", {out}});
  };
  const auto norm = [&](const std::string& name) {
    list.push_back({name + ".weight", {s.dim}});
    list.push_back({name + ".bias", {s.dim}});
  };
  const auto attention = [&](const std::string& name) {
    const int64_t samples = s.heads * s.feature_levels * s.points;
    linear(name + ".sampling_offsets", 2 * samples, s.dim);
    linear(name + ".attention_weights", samples, s.dim);
    linear(name + ".value_proj", s.dim, s.dim);
    linear(name + ".output_proj", s.dim, s.dim);
  };
  const auto ffn = [&](const std::string& layer) {
    linear(layer + "linear1", s.ffn_dim, s.dim);
    linear(layer + "linear2", s.dim, s.ffn_dim);
  };

  if (s.has_backbone()) list = resnet_tensors(s.backbone, kBackbone, s.backbone_width);
  const auto given = static_cast<int64_t>(s.feature_channels.size());
  for (int64_t l = 0; l < s.feature_levels; ++l) {
    const std::string name = str("input_proj.", l, ".");
    const int64_t in = l < given    ? s.feature_channels[l]
                       : l == given ? s.feature_channels.back()
                                    : s.dim;
    const int64_t kernel = l < given ? 1 : 3;
    list.push_back({name + "0.weight", {s.dim, in, kernel, kernel}});
    list.push_back({name + "0.bias", {s.dim}});
    norm(name + "1");
  }
  list.push_back({"transformer.level_embed", {s.feature_levels, s.dim}});
  for (int64_t i = 0; i < s.encoder_layers; ++i) {
    const std::string layer = encoder_layer_name(i);
    attention(layer + "self_attn");
    norm(layer + "norm1");
    ffn(layer);
    norm(layer + "norm2");
  }
  for (int64_t i = 0; i < s.decoder_layers; ++i) {
    const std::string layer = decoder_layer_name(i);
    list.push_back({layer + "self_attn.in_proj_weight", {3 * s.dim, s.dim}});
    list.push_back({layer + "self_attn.in_proj_bias", {3 * s.dim}});
    linear(layer + "self_attn.out_proj", s.dim, s.dim);
    attention(layer + "cross_attn");
    ffn(layer);
    for (const char* name : {"norm1", "norm2", "norm3"}) norm(layer + name);
  }
  if (s.two_stage) {
    linear("transformer.enc_output", s.dim, s.dim);
    norm("transformer.enc_output_norm");
    linear("transformer.pos_trans", 2 * s.dim, 2 * s.dim);
    list.push_back({"transformer.pos_trans_norm.weight", {2 * s.dim}});
    list.push_back({"transformer.pos_trans_norm.bias", {2 * s.dim}});
  } else {
    linear("transformer.reference_points", 2, s.dim);
    list.push_back({"query_embed.weight", {s.queries, 2 * s.dim}});
  }
  for (int64_t i = 0; i < head_count(s); ++i) {
    linear(str("class_embed.", i), s.classes, s.dim);
    const std::string box = str("bbox_embed.", i, ".layers.");
    linear(box + "0", s.dim, s.dim);
    linear(box + "1", s.dim, s.dim);
    linear(box + "2", 4, s.dim);
  }
  std::sort(list.begin(), list.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return list;
}

Weights DeformableDetr::random_weights(RandomStream stream) const {
  at::Generator generator = stream.generator();
  Weights weights;
  for (const TensorSpec& t : tensors()) {
    at::Tensor value = at::zeros(t.shape, at::kFloat);
    const auto in = [&](const char* part) { return t.name.find(part) != std::string::npos; };
    const auto uniform = [&](double bound) { value.uniform_(-bound, bound, generator); };
    const auto fan = [&] {  // Xavier's, of a matrix or a convolution
      const double window = t.shape.size() == 4 ? static_cast<double>(t.shape[2] * t.shape[3]) : 1;
      return std::sqrt(6.0 / (static_cast<double>(t.shape[0] + t.shape[1]) * window));
    };
    const bool weight = t.name.ends_with("weight");
    if (t.name.starts_with(kBackbone)) {
      if (t.shape.size() == 4) {
        value.normal_(0, std::sqrt(2.0 / static_cast<double>(t.shape[0] * t.shape[2] * t.shape[3])),
                      generator);
      } else if (weight || t.name.ends_with("running_var")) {
        value.fill_(1);
      }
    } else if (in("level_embed") || in("query_embed")) {
      value.normal_(0, 1, generator);
    } else if (in("sampling_offsets")) {
      if (!weight) value = ring_of_offsets(spec_);
    } else if (in("attention_weights")) {
      // zero: every point counts alike
    } else if (in("class_embed")) {
      if (weight) {
        uniform(1 / std::sqrt(static_cast<double>(spec_.dim)));
      } else {
        value.fill_(-std::log(99.0));  // a prior of one in a hundred
      }
    } else if (in("bbox_embed") && in("layers.2")) {
      // The first head begins with boxes of a tenth or so of the image, later ones, and all that
      // start from proposals, with no change.
      const bool first = in("bbox_embed.0.") && !spec_.two_stage;
      if (!weight && first) value.slice(0, 2, 4).fill_(-2);
    } else if (t.shape.size() == 1) {
      if (weight) value.fill_(1);  // normalisations
    } else {
      uniform(fan());
    }
    weights[t.name] = value;
  }
  return weights;
}

Weights DeformableDetr::rename(Weights weights) const {
  const bool backbone_alone = is_plain_resnet(weights);
  Weights named = to_detector_names(spec_, std::move(weights));
  if (!backbone_alone) return named;
  // The stream of a model that is made without weights: all but the backbone is the same as there.
  const RandomStream stream(static_cast<uint64_t>(spec_.seed), "weights");
  for (const auto& [name, tensor] : random_weights(stream)) {
    if (!name.starts_with(kBackbone)) named.emplace(name, tensor);
  }
  return named;
}

std::vector<AdapterSite> DeformableDetr::adapter_sites() const {
  std::vector<AdapterSite> sites;
  const auto add = [&](const std::string& layer) {
    const int64_t block = static_cast<int64_t>(sites.size()) / 2;
    sites.push_back({layer + "linear1", "fc1", block, spec_.dim, spec_.ffn_dim});
    sites.push_back({layer + "linear2", "fc2", block, spec_.ffn_dim, spec_.dim});
  };
  for (int64_t i = 0; i < spec_.encoder_layers; ++i) add(encoder_layer_name(i));
  for (int64_t i = 0; i < spec_.decoder_layers; ++i) add(decoder_layer_name(i));
  return sites;
}

ResNet DeformableDetr::backbone(const Weights& weights) const {
  require(spec_.has_backbone(), Code::kUnsupported,
          "the model spec's \"backbone\" is \"features\": the caller brings the maps");
  return ResNet(spec_.backbone, kBackbone, weights,
                static_cast<int64_t>(spec_.feature_channels.size()));
}

Pyramid DeformableDetr::pyramid(const Weights& weights, const std::vector<at::Tensor>& features,
                                const at::Tensor& padding) const {
  require(features.size() == spec_.feature_channels.size(), Code::kInvalidArgument,
          "the model takes ", spec_.feature_channels.size(), " feature maps, ", features.size(),
          " were given");
  for (size_t l = 0; l < features.size(); ++l) {
    require(features[l].dim() == 4 && features[l].size(1) == spec_.feature_channels[l],
            Code::kInvalidArgument, "feature map ", l, " has shape ", features[l].sizes(),
            ", the model takes [N, ", spec_.feature_channels[l], ", height, width]");
  }
  const int64_t batch = features.front().size(0);
  require(padding.dim() == 3 && padding.size(0) == batch && padding.scalar_type() == at::kBool,
          Code::kInvalidArgument, "the padding has shape ", padding.sizes(), " and type ",
          c10::toString(padding.scalar_type()), ", it must be bool [", batch,
          ", height, width] of the canvas");
  const Reader read{weights, spec_};
  const auto given = static_cast<int64_t>(features.size());
  std::vector<at::Tensor> values, positions, paddings, ratios;
  Pyramid pyramid;
  at::Tensor coarsest = features.back();
  for (int64_t l = 0; l < spec_.feature_levels; ++l) {
    const std::string name = str("input_proj.", l, ".");
    const Linear convolution = read.linear(name + "0"), norm = read.linear(name + "1");
    const bool extra = l >= given;
    const at::Tensor projected = at::group_norm(
        at::conv2d(extra ? coarsest : features[l], convolution.weight, convolution.bias,
                   extra ? at::IntArrayRef{2, 2} : at::IntArrayRef{1, 1},
                   extra ? at::IntArrayRef{1, 1} : at::IntArrayRef{0, 0}),
        32, norm.weight, norm.bias);
    if (extra) coarsest = projected;
    const LevelSize size{projected.size(2), projected.size(3)};
    const at::Tensor outside = resized(padding, size);
    pyramid.levels.push_back(size);
    values.push_back(projected.flatten(2).transpose(1, 2));
    positions.push_back(sine_positions(outside, spec_.dim).flatten(2).transpose(1, 2) +
                        read.at("transformer.level_embed")[l]);
    paddings.push_back(outside.flatten(1));
    ratios.push_back(valid_ratio(outside));
  }
  pyramid.values = at::cat(values, 1);
  pyramid.positions = at::cat(positions, 1);
  pyramid.padding = at::cat(paddings, 1);
  pyramid.valid_ratios = at::stack(ratios, 1);
  return pyramid;
}

DetectorOutput DeformableDetr::forward(const Weights& weights,
                                       const std::vector<at::Tensor>& features,
                                       const at::Tensor& padding,
                                       const ForwardOptions& options) const {
  return forward(weights, encode(weights, features, padding, 0), options);
}

EncodedImages DeformableDetr::encode(const Weights& weights,
                                     const std::vector<at::Tensor>& features,
                                     const at::Tensor& padding, int64_t layers,
                                     const ForwardOptions& options) const {
  require(layers >= 0 && layers <= spec_.encoder_layers, Code::kInvalidArgument,
          "the encoder has the layers 0 to ", spec_.encoder_layers - 1, ", not ", layers);
  EncodedImages images{pyramid(weights, features, padding), layers};
  images.pyramid.values =
      encode_pyramid(images.pyramid, Reader{weights, spec_}.encoder(), 0, layers, options);
  return images;
}

DetectorOutput DeformableDetr::forward(const Weights& weights, const EncodedImages& images,
                                       const ForwardOptions& options) const {
  const Reader read{weights, spec_};
  const Pyramid& pyramid = images.pyramid;
  const at::Tensor memory =
      encode_pyramid(pyramid, read.encoder(), images.layers, spec_.encoder_layers, options);

  DetectorOutput output;
  at::Tensor target, position, reference;
  if (spec_.two_stage) {
    Proposals proposals = propose(read.proposals(), memory, pyramid);
    output.proposals = proposals.all;
    target = proposals.target;
    position = proposals.position;
    reference = proposals.reference;
  } else {
    const std::vector<at::Tensor> halves = read.at("query_embed.weight").chunk(2, 1);
    const std::array<int64_t, 3> shape{memory.size(0), spec_.queries, spec_.dim};
    position = halves[0].unsqueeze(0).expand(shape);
    target = halves[1].unsqueeze(0).expand(shape);
    reference = linear(position, read.linear("transformer.reference_points")).sigmoid();
  }
  std::vector<BoxHead> refine;
  for (int64_t i = 0; spec_.refine_boxes && i < spec_.decoder_layers; ++i) {
    refine.push_back(read.box_head(i));
  }
  const DecoderOutputs decoded =
      decode(target, position, reference, memory, pyramid, read.decoder(), refine, options);
  const int64_t layers = spec_.decoder_layers;
  for (int64_t i = spec_.auxiliary_losses ? 0 : layers - 1; i < layers; ++i) {
    const at::Tensor& embedding = decoded.embeddings[i];
    output.layers.push_back({linear(embedding, read.class_head(i)),
                             box_beside(read.box_head(i)(embedding), decoded.references[i]),
                             embedding});
  }
  return output;
}

}  // namespace lethe
