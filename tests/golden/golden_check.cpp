// golden_check DIR: rebuilds the model of a golden folder through the library's own importer and
// training step, and prints for logits, embeddings, every loss term of every step, every LoRA
// gradient and the parameters after 1 and N steps the largest deviation, one line each. Exit 1
// beyond the tolerances, 2 when the folder cannot be used. The folders' form:
// tests/golden/README.md.
#include <ATen/ATen.h>

#include <set>

#include "adapters/group_sparsity.h"
#include "forgetting/lora_step.h"
#include "golden/comparison.h"
#include "golden/settings.h"
#include "storage/file.h"

namespace lethe {
namespace {

ModelSpec spec_of(const Json& config, const Weights& base, int64_t channels) {
  const auto architecture = config.at("architecture").get<std::string>();
  const bool face = architecture.starts_with("face_vit");
  require(face || architecture.starts_with("vit"), Code::kUnsupported, "the architecture \"",
          architecture, "\" is none of face_vit, vit, deformable_detr");
  Json spec = {{"arch", face ? "face_vit" : "vit"},     {"classes", config.at("num_classes")},
               {"image_size", config.at("image_size")}, {"channels", channels},
               {"patch_size", config.at("patch_size")}, {"dim", config.at("dim")},
               {"depth", config.at("depth")},           {"heads", config.at("heads")},
               {"mlp_dim", config.at("mlp_dim")},       {"dropout", config.value("dropout", 0.0)}};
  if (face) spec["head_dim"] = config.at("dim_head");
  if (config.contains("layer_norm_eps")) spec["layer_norm_eps"] = config["layer_norm_eps"];
  const std::string head = config.value("head", "linear");
  spec["head"] = head == "CosFace" ? "cosface" : head == "ArcFace" ? "arcface" : "linear";
  return ModelSpec::from_json(spec);
}

/// Rows P_c of the folder's "prototype.C" tensors.
at::Tensor prototypes_of(const Weights& batches, int64_t classes, int64_t dim) {
  at::Tensor all = at::zeros({classes, dim});
  for (const auto& [name, value] : batches) {
    if (name.starts_with("prototype.")) all[std::stoll(name.substr(10))].copy_(value);
  }
  return all;
}

int check(const std::string& folder) {
  const Json expected = parse_json(read_file(folder + "/expected.json", 16 << 20), "expected.json");
  const Json& config = expected.at("config");
  if (config.at("architecture").get<std::string>().starts_with("deformable_detr")) {
    return check_detector(folder);
  }
  const Weights tensors = read_safetensors(folder + "/expected.safetensors").tensors;
  const Weights batches = read_safetensors(folder + "/batches.safetensors").tensors;
  const Weights lora_init = read_safetensors(folder + "/lora_init.safetensors").tensors;
  Weights base = read_safetensors(folder + "/base_model.safetensors").tensors;

  const ModelSpec spec = spec_of(config, base, batches.at("forget_images").size(2));
  const auto model = make_classifier(spec);
  const Weights weights = model->import_weights(std::move(base));
  const ForgetConfig settings = settings_of(config);

  LoraParameters lora(model->adapter_sites(), settings.rank, config.at("lora_scale"),
                      Grouping::kBlock, at::kCPU);
  std::set<std::string> unused;
  for (const auto& [name, value] : lora_init) unused.insert(name);
  for (size_t i = 0; i < lora.sites().size(); ++i) {
    const std::string& site = lora.sites()[i].name;
    lora.a(i).copy_(lora_init.at(site + ".lora_A"));
    lora.b(i).copy_(lora_init.at(site + ".lora_B"));
    unused.erase(site + ".lora_A");
    unused.erase(site + ".lora_B");
  }
  require(unused.empty(), Code::kInvalidArgument, "no layer carries ",
          unused.empty() ? "" : *unused.begin());

  const Prototypes prototypes(prototypes_of(batches, spec.classes, spec.dim));
  LoraStep step(*model, weights, lora, settings, &prototypes);
  GroupSparseAdamW optimizer(lora);
  const Head head = model->head(weights);
  const double off_by = parameter_tolerance(tensors, lora_init);
  Comparison report;

  const auto each_matrix = [&](const auto& visit) {
    for (size_t i = 0; i < lora.sites().size(); ++i) {
      visit(lora.sites()[i].name + ".lora_A", lora.a(i), lora.grad_a(i), lora.sites()[i].block);
      visit(lora.sites()[i].name + ".lora_B", lora.b(i), lora.grad_b(i), lora.sites()[i].block);
    }
  };
  const int64_t steps = config.at("steps");
  for (int64_t s = 0; s < steps; ++s) {
    const auto at = [&](const char* name) { return batches.at(name)[s].contiguous(); };
    const at::Tensor y_f = at("forget_labels").to(at::kLong);
    const at::Tensor y_r = at("retain_labels").to(at::kLong);
    const LossTerms terms =
        step.run(step.prefix(at("forget_images")), y_f, step.prefix(at("retain_images")), y_r);
    const std::vector<double> norms = group_norms(lora);
    double structure = 0;
    for (double norm : norms) structure += norm;

    const Json& want = expected.at("losses").at(s);
    const auto scalar = [&](const char* name, double value, double floor = 0) {
      report.scalar(lethe::str("step ", s, " ", name), value, want.at(name).get<double>(), floor);
    };
    scalar("ce_forget", terms.ce_forget.item<double>());
    scalar("ce_retain", terms.ce_retain.item<double>());
    scalar("bounded_forget", terms.forget.item<double>());
    scalar("structure", structure);
    scalar("proto_forget", terms.prototype_forget.item<double>(), kDivergence);
    scalar("proto_retain", terms.prototype_retain.item<double>(), kDivergence);
    scalar("proto_total", terms.prototype.item<double>());
    scalar("total", terms.trained.item<double>() + settings.structure_weight * structure);

    if (s == 0) {
      const auto scores = [&](const at::Tensor& e, const at::Tensor& y, const std::string& name) {
        report.relative("embeddings_" + name, e, tensors.at("embeddings_" + name), kForward);
        report.relative("logits_" + name, head.scores(e, y), tensors.at("logits_" + name),
                        kForward);
      };
      scores(step.forget_embeddings(), y_f, "forget");
      scores(step.retain_embeddings(), y_r, "retain");
      each_matrix([&](const std::string& name, const at::Tensor& value, const at::Tensor& grad,
                      int64_t block) {  // the optimizer adds L_structure's part; add it here
        const at::Tensor full = grad + value * (settings.structure_weight / norms.at(block));
        report.relative("grad." + name, full, tensors.at("grad." + name), kGradient);
      });
    }
    optimizer.step({settings.learning_rate, settings.weight_decay, settings.structure_weight, 0});
    if (s != 0 && s + 1 != steps) continue;
    each_matrix([&](const std::string& name, const at::Tensor& value, const at::Tensor&, int64_t) {
      const std::string key = lethe::str("after_step_", s + 1, ".", name);
      report.absolute(key, value, tensors.at(key), off_by);
    });
  }
  return report.finish();
}

}  // namespace
}  // namespace lethe

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: golden_check DIR\n");
    return 2;
  }
  try {
    return lethe::check(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "golden_check: %s\n", error.what());
    return 2;
  }
}
