// The folders of detectors: as golden_check.cpp, from feature maps to clipped gradients.
#include <set>

#include "adapters/group_sparsity.h"
#include "forgetting/detector_step.h"
#include "golden/comparison.h"
#include "golden/settings.h"
#include "storage/file.h"

namespace lethe {
namespace {

DeformableDetr detector_of(const Json& config) {
  return DeformableDetr(
      DetectorSpec::from_json({{"arch", "deformable_detr"},
                               {"backbone", "features"},
                               {"classes", config.at("num_classes")},
                               {"feature_channels", config.at("feature_channels")},
                               {"feature_levels", config.at("feature_levels")},
                               {"dim", config.at("hidden_dim")},
                               {"heads", config.at("heads")},
                               {"encoder_layers", config.at("encoder_layers")},
                               {"decoder_layers", config.at("decoder_layers")},
                               {"ffn_dim", config.at("ffn_dim")},
                               {"points", config.at("points")},
                               {"queries", config.at("queries")},
                               {"dropout", config.value("dropout", 0.0)},
                               {"refine_boxes", config.at("box_refine")},
                               {"two_stage", config.at("two_stage")},
                               {"auxiliary_losses", config.at("aux_loss")}}));
}

DetectionSettings loss_settings_of(const Json& config) {
  DetectionSettings settings;
  settings.cost = {config.at("matcher_cost").at("label"), config.at("matcher_cost").at("l1"),
                   config.at("matcher_cost").at("giou"), config.at("focal_alpha"),
                   config.at("focal_gamma")};
  settings.loss = settings.cost;  // the README's 2, 5, 2
  return settings;
}

/// Image i covers valid_sizes[i] of the canvas.
at::Tensor padding_of(const Json& config) {
  const int64_t height = config.at("image_size").at(0), width = config.at("image_size").at(1);
  const Json& sizes = config.at("valid_sizes");
  at::Tensor padding = at::ones({static_cast<int64_t>(sizes.size()), height, width}, at::kBool);
  for (size_t i = 0; i < sizes.size(); ++i) {
    padding[static_cast<int64_t>(i)]
        .narrow(0, 0, sizes[i].at(0).get<int64_t>())
        .narrow(1, 0, sizes[i].at(1).get<int64_t>())
        .fill_(false);
  }
  return padding;
}

DetectorInput batch_of(const Weights& batches, const Json& config, const char* side, int64_t step) {
  const std::string name = str(side, ".", step, ".");
  DetectorInput batch{{}, padding_of(config), {}};
  for (size_t l = 0; l < config.at("feature_channels").size(); ++l) {
    batch.features.push_back(batches.at(str(name, "features.", l)));
  }
  for (int64_t i = 0; i < batch.padding.size(0); ++i) {
    batch.targets.push_back(
        {batches.at(str(name, "labels.", i)).to(at::kLong), batches.at(str(name, "boxes.", i))});
  }
  return batch;
}

/// Pairs of the last layer that differ from the recorded ones.
int64_t different_pairs(const std::vector<Matching>& matchings, const Json& expected) {
  const size_t images = expected.size(), first = matchings.size() - images;
  int64_t different = 0;
  for (size_t i = 0; i < images; ++i) {
    const auto pairs = [](const std::vector<int64_t>& queries,
                          const std::vector<int64_t>& targets) {
      std::set<std::pair<int64_t, int64_t>> set;
      for (size_t k = 0; k < queries.size(); ++k) set.emplace(queries[k], targets[k]);
      return set;
    };
    const auto want = pairs(expected.at(i).at(0), expected.at(i).at(1));
    const Matching& matching = matchings.at(first + i);
    const auto got = pairs(matching.queries, matching.targets);
    for (const auto& pair : want) different += !got.contains(pair);
    for (const auto& pair : got) different += !want.contains(pair);
  }
  return different;
}

}  // namespace

int check_detector(const std::string& folder) {
  const Json expected = parse_json(read_file(folder + "/expected.json", 16 << 20), "expected.json");
  const Json& config = expected.at("config");
  const Weights tensors = read_safetensors(folder + "/expected.safetensors").tensors;
  const Weights batches = read_safetensors(folder + "/batches.safetensors").tensors;
  const Weights lora_init = read_safetensors(folder + "/lora_init.safetensors").tensors;
  const DeformableDetr model = detector_of(config);
  const Weights weights =
      model.import_weights(read_safetensors(folder + "/base_model.safetensors").tensors);
  const ForgetConfig settings = settings_of(config);

  LoraParameters lora(model.adapter_sites(), settings.rank, config.at("lora_scale"),
                      Grouping::kBlock, at::kCPU);
  require(lora_init.size() == 2 * lora.sites().size(), Code::kInvalidArgument, "there are ",
          lora_init.size(), " LoRA matrices for ", lora.sites().size(), " layers");
  for (size_t i = 0; i < lora.sites().size(); ++i) {
    lora.a(i).copy_(lora_init.at(lora.sites()[i].name + ".lora_A"));
    lora.b(i).copy_(lora_init.at(lora.sites()[i].name + ".lora_B"));
  }
  const Prototypes prototypes = detector_prototypes(model, weights);
  DetectorStep step(model, weights, lora, settings, &prototypes, loss_settings_of(config));
  GroupSparseAdamW optimizer(lora);
  const double off_by = parameter_tolerance(tensors, lora_init);
  Comparison report;

  const auto each_matrix = [&](const auto& visit) {
    for (size_t i = 0; i < lora.sites().size(); ++i) {
      visit(lora.sites()[i].name + ".lora_A", lora.a(i), lora.grad_a(i), lora.sites()[i].block);
      visit(lora.sites()[i].name + ".lora_B", lora.b(i), lora.grad_b(i), lora.sites()[i].block);
    }
  };
  const double clip = config.at("clip");
  const int64_t steps = config.at("steps");
  for (int64_t s = 0; s < steps; ++s) {
    const DetectionLosses losses =
        step.run(batch_of(batches, config, "forget", s), batch_of(batches, config, "retain", s));
    const std::vector<double> norms = group_norms(lora);
    double structure = 0;
    for (double norm : norms) structure += norm;
    const double norm = gradient_norm(lora, settings.structure_weight);

    const Json& want = expected.at("losses").at(s);
    const auto scalar = [&](const std::string& name, double value, const Json& recorded,
                            double floor = 0) {
      report.scalar(str("step ", s, " ", name), value, recorded.get<double>(), floor);
    };
    const auto terms = [&](const std::string& side, const DetectionTerms& t, const Json& recorded,
                           const Json& matchings) {
      const int64_t last = t.focal.size(0) - 1;
      for (int64_t l = 0; l <= last; ++l) {
        const auto term = [&](const std::string& name, const at::Tensor& layers) {
          const std::string key = l == last ? name : str(name, "_", l);
          if (l != last && !recorded.contains(key)) return;  // the totals have it
          scalar(side + "." + key, layers[l].item<double>(), recorded.at(key));
        };
        term("loss_ce", t.focal);
        term("loss_bbox", t.l1);
        term("loss_giou", t.giou);
      }
      report.line(str("step ", s, " ", side, " matching"),
                  static_cast<double>(different_pairs(t.matchings, matchings)), 0, "pairs");
    };
    terms("retain", losses.retain, want.at("retain"), want.at("match_retain"));
    terms("forget", losses.forget, want.at("forget"), want.at("match_forget"));
    scalar("retain_total", losses.retain_total.item<double>(), want.at("retain_total"));
    scalar("forget_total", losses.forget_total.item<double>(), want.at("forget_total"));
    scalar("structure", structure, want.at("structure"));
    scalar("proto_forget", losses.forget.prototype.item<double>(), want.at("proto_forget"),
           kDivergence);
    scalar("proto_retain", losses.retain.prototype.item<double>(), want.at("proto_retain"),
           kDivergence);
    scalar("total", losses.trained.item<double>() + settings.structure_weight * structure,
           want.at("total"));
    report.line(str("step ", s, " grad_norm_before_clip"),
                std::abs(norm / want.at("grad_norm_before_clip").get<double>() - 1), kGradient,
                "relative");

    if (s == 0) {
      const auto outputs = [&](const std::string& side, const DetectorLayer& layer) {
        report.relative(side + ".pred_logits", layer.logits, tensors.at(side + ".pred_logits"),
                        kForward);
        report.relative(side + ".pred_boxes", layer.boxes, tensors.at(side + ".pred_boxes"),
                        kForward);
        report.relative(side + ".embeddings", layer.embeddings, tensors.at(side + ".embeddings"),
                        kForward);
      };
      outputs("retain", step.retain_output());
      outputs("forget", step.forget_output());
      const double scale = std::min(1.0, clip / (norm + 1e-6));
      each_matrix([&](const std::string& name, const at::Tensor& value, const at::Tensor& grad,
                      int64_t block) {
        const at::Tensor whole = grad + value * (settings.structure_weight / norms.at(block));
        report.relative("grad_clipped." + name, whole * scale, tensors.at("grad_clipped." + name),
                        kGradient);
      });
    }
    optimizer.step(
        {settings.learning_rate, settings.weight_decay, settings.structure_weight, 0, -1, clip});
    if (s != 0 && s + 1 != steps) continue;
    each_matrix([&](const std::string& name, const at::Tensor& value, const at::Tensor&, int64_t) {
      const std::string key = str("after_step_", s + 1, ".", name);
      report.absolute(key, value, tensors.at(key), off_by);
    });
  }
  return report.finish();
}

}  // namespace lethe
