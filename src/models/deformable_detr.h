// Deformable DETR (Zhu et al. 2021): images to boxes, a backbone's maps through an encoder and a
// decoder of deformable attention, no anchors and no suppression of doubles.
#pragma once

#include <optional>

#include "models/deformable_transformer.h"
#include "models/detection.h"
#include "models/detector_spec.h"
#include "models/model.h"
#include "models/resnet.h"

namespace lethe {

/// What the model says of a batch.
struct DetectorOutput {
  std::vector<DetectorLayer> layers;  ///< the last decoder layer, or all of them, first to last
  /// Of a two-stage model: what the encoder proposes at every position (embeddings undefined).
  std::optional<DetectorLayer> proposals;

  const DetectorLayer& last() const { return layers.back(); }
};

/// Images on their way through the encoder.
struct EncodedImages {
  Pyramid pyramid;     ///< its values are what the layers so far have left
  int64_t layers = 0;  ///< of the encoder that are behind; all of them: the values are the memory
};

/// Weights have the names of the published code:
///   backbone.0.body.*                     torchvision's ResNet
///   input_proj.L.{0,1}.*                  convolution and group normalisation of level L
///   transformer.level_embed, transformer.{encoder,decoder}.layers.I.*, query_embed.weight,
///   transformer.reference_points.* or, two-stage, transformer.{enc_output,enc_output_norm,
///   pos_trans,pos_trans_norm}.*
///   class_embed.I.*, bbox_embed.I.layers.{0,1,2}.*
/// Without refine_boxes one pair of heads serves all layers; it is I = 0. A checkpoint's further
/// names for it must hold the same values.
class DeformableDetr final : public Model {
 public:
  explicit DeformableDetr(DetectorSpec spec) : spec_(std::move(spec)) {}

  const DetectorSpec& spec() const { return spec_; }
  Json spec_json() const override { return spec_.to_json(); }
  std::string arch() const override { return spec_.arch; }
  int64_t classes() const override { return spec_.classes; }
  int64_t blocks() const override { return spec_.encoder_layers + spec_.decoder_layers; }
  int64_t encoder_blocks() const override { return spec_.encoder_layers; }
  HeadKind head_kind() const override { return HeadKind::kDetection; }

  std::vector<TensorSpec> tensors() const override;
  /// The published initialisation, float32; the backbone's by He's rule.
  Weights random_weights(RandomStream stream) const override;
  /// Understands Hugging Face's names besides its own, and what the published code lists twice.
  /// torchvision's file of a ResNet alone is the backbone (its classifier is left out); all other
  /// tensors are then those of a model that is made without weights, to be trained from there.
  /// Throws kInvalidArgument when two names stand for one tensor with other values.
  Weights rename(Weights weights) const override;
  /// Checkpoints are written with the published code's names, whichever they came with.
  Naming naming_of(const Weights&) const override { return Naming::kOwn; }
  std::vector<Naming> namings() const override { return {Naming::kOwn}; }

  /// Both FFN linears of every layer: encoder layers are blocks 0 to E - 1, decoder layers E to
  /// E + D - 1, each a group of its own.
  std::vector<AdapterSite> adapter_sites() const override;
  std::vector<AdapterSite> attention_sites() const override { return {}; }

  /// The feature extractor, made once for all batches: folding is work. Throws kUnsupported when
  /// the caller brings the maps. It gives as many as forward() takes.
  ResNet backbone(const Weights& weights) const;
  /// From maps [B, C_l, H_l, W_l], one for each of spec().feature_channels, and the canvas'
  /// padding. `options.dropout`: the probability in force. Differentiable in weights and maps.
  DetectorOutput forward(const Weights& weights, const std::vector<at::Tensor>& features,
                         const at::Tensor& padding, const ForwardOptions& options = {}) const;

  /// forward() in two parts: through the projections and the first `layers` encoder layers, 0 to
  /// spec().encoder_layers, and from there to the boxes. What lies before the first weight that is
  /// trained gives the same values in every step, so it may be kept.
  EncodedImages encode(const Weights& weights, const std::vector<at::Tensor>& features,
                       const at::Tensor& padding, int64_t layers,
                       const ForwardOptions& options = {}) const;
  DetectorOutput forward(const Weights& weights, const EncodedImages& images,
                         const ForwardOptions& options = {}) const;

 private:
  Pyramid pyramid(const Weights& weights, const std::vector<at::Tensor>& features,
                  const at::Tensor& padding) const;
  DetectorSpec spec_;
};

}  // namespace lethe
