#include "forgetting/detector_step.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <future>

#include "support/error.h"
#include "support/threads.h"

namespace lethe {
namespace {

/// One batch's way through the model, with A and B of its own, so that both sides of a step can be
/// under way at once. The graph is cut at the outputs, where the losses of both sides meet.
class Pass {
 public:
  explicit Pass(LoraParameters& lora) : leaves_(lora) {}

  void forward(const DeformableDetr& model, const Weights& start, const DetectorInput& input,
               const ForwardOptions& options) {
    const at::AutoGradMode gradients(true);
    const Weights weights = leaves_.merge(start);
    output_ = input.encoded ? model.forward(weights, *input.encoded, options)
                            : model.forward(weights, input.features, input.padding, options);
    side_.targets = input.targets;
    for (const DetectorLayer& layer : output_.layers) side_.layers.push_back(cut(layer));
    if (output_.proposals) side_.proposals = cut(*output_.proposals);
  }

  /// The outputs as leaves, for the losses.
  const DetectionSide& side() const { return side_; }
  /// What the last layer said.
  DetectorLayer output() const {
    const DetectorLayer& last = side_.layers.back();
    return {last.logits.detach(), last.boxes.detach(), last.embeddings.detach()};
  }

  /// After the backward pass of the losses: goes on from their gradients to A and B.
  void backward() {
    std::vector<at::Tensor> roots, gradients;
    const auto add = [&](const at::Tensor& root, const at::Tensor& leaf) {
      if (!root.defined() || !root.requires_grad() || !leaf.grad().defined()) return;
      roots.push_back(root);
      gradients.push_back(leaf.grad());
    };
    const auto add_layer = [&](const DetectorLayer& root, const DetectorLayer& leaf) {
      add(root.logits, leaf.logits);
      add(root.boxes, leaf.boxes);
      add(root.embeddings, leaf.embeddings);
    };
    for (size_t l = 0; l < side_.layers.size(); ++l) add_layer(output_.layers[l], side_.layers[l]);
    if (side_.proposals) add_layer(*output_.proposals, *side_.proposals);
    if (!roots.empty()) torch::autograd::backward(roots, gradients);
  }

  /// Adds dL/dA and dL/dB to the LoRA's gradients.
  void collect() { leaves_.collect(); }

 private:
  static at::Tensor cut(const at::Tensor& output) {
    return output.defined() ? output.detach().requires_grad_(true) : output;
  }
  static DetectorLayer cut(const DetectorLayer& layer) {
    return {cut(layer.logits), cut(layer.boxes), cut(layer.embeddings)};
  }

  LoraLeaves leaves_;
  DetectorOutput output_;
  DetectionSide side_;
};

/// Runs both, `apart` with half of this thread's LibTorch threads each. Networks as small as these
/// leave the second processor idle when they have both for one tensor after another.
template <typename First, typename Second>
void run_both(bool apart, const First& first, const Second& second) {
  if (!apart) {
    first();
    second();
    return;
  }
  const int threads = at::get_num_threads();
  std::future<void> other = std::async(std::launch::async, [&] {
    const ThreadBudget half(threads / 2);
    second();
  });
  const ThreadBudget half(threads - threads / 2);
  first();
  other.get();
}

}  // namespace

DetectorStep::DetectorStep(const DeformableDetr& model, const Weights& start, LoraParameters& lora,
                           const ForgetConfig& config, const Prototypes* prototypes,
                           const DetectionSettings& settings, double dropout,
                           at::Generator generator)
    : model_(model),
      start_(start),
      lora_(lora),
      config_(config),
      prototypes_(prototypes),
      settings_(settings),
      dropout_(dropout),
      generator_(std::move(generator)) {}

DetectionLosses DetectorStep::run(const DetectorInput& forget, const DetectorInput& retain) {
  const at::AutoGradMode gradients(true);
  ForwardOptions options;
  options.dropout = dropout_;
  options.generator = &generator_;
  Pass forgotten(lora_), retained(lora_);
  // With dropout one after the other: both draw from one generator.
  const bool apart = lora_.values().device().is_cpu() && dropout_ == 0 && at::get_num_threads() > 1;
  run_both(
      apart, [&] { forgotten.forward(model_, start_, forget, options); },
      [&] { retained.forward(model_, start_, retain, options); });
  DetectionLosses losses =
      detection_losses(forgotten.side(), retained.side(), config_, prototypes_, settings_);
  losses.trained.backward();
  run_both(
      apart, [&] { forgotten.backward(); }, [&] { retained.backward(); });
  lora_.gradients().zero_();
  forgotten.collect();
  retained.collect();
  forget_output_ = forgotten.output();
  retain_output_ = retained.output();
  return losses;
}

Prototypes detector_prototypes(const DeformableDetr& model, const Weights& pretrained) {
  const int64_t last = model.spec().refine_boxes ? model.spec().decoder_layers - 1 : 0;
  return Prototypes(pretrained.at(str("class_embed.", last, ".weight")));
}

}  // namespace lethe
