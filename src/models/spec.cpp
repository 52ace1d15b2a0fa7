#include "models/spec.h"

#include <algorithm>
#include <cmath>

#include "support/error.h"

namespace lethe {
namespace {

struct HeadName {
  HeadKind kind;
  const char* name;
  double margin;
};
constexpr HeadName kHeads[] = {{HeadKind::kLinear, "linear", 0.0},
                               {HeadKind::kCosFace, "cosface", 0.35},
                               {HeadKind::kArcFace, "arcface", 0.5}};

const HeadName& head_named(const std::string& name) {
  for (const HeadName& head : kHeads) {
    if (name == head.name) return head;
  }
  fail(Code::kInvalidArgument, "model spec: \"head\" is \"", name,
       "\", allowed are linear, cosface, arcface");
}

const char* name_of(HeadKind kind) {
  for (const HeadName& head : kHeads) {
    if (kind == head.kind) return head.name;
  }
  return "linear";
}

/// Every pixel must be in a patch.
void check_patches(const ModelSpec& spec) {
  if (!spec.overlapping_patches()) {
    require(spec.image_size % spec.patch_size == 0, Code::kInvalidArgument,
            "model spec: \"image_size\" ", spec.image_size, " is not a multiple of \"patch_size\" ",
            spec.patch_size);
    return;
  }
  require(spec.patch_stride <= spec.patch_size && spec.patch_padding < spec.patch_size,
          Code::kInvalidArgument, "model spec: \"patch_stride\" is ", spec.patch_stride,
          " and \"patch_padding\" ", spec.patch_padding, ", allowed are at most ", spec.patch_size,
          " and ", spec.patch_size - 1, " with \"patch_size\" ", spec.patch_size);
  const int64_t framed = spec.image_size + 2 * spec.patch_padding;
  require(spec.patch_size <= framed, Code::kInvalidArgument, "model spec: \"patch_size\" ",
          spec.patch_size, " is larger than the image with its padding, ", framed);
  const int64_t end =
      (spec.patches_per_side() - 1) * spec.patch_stride + spec.patch_size - spec.patch_padding;
  require(end >= spec.image_size, Code::kInvalidArgument, "model spec: the patches end at pixel ",
          end, " of \"image_size\" ", spec.image_size,
          "; change \"patch_size\", \"patch_stride\" or \"patch_padding\"");
}

}  // namespace

ModelSpec ModelSpec::defaults(const std::string& arch) {
  ModelSpec spec;
  spec.arch = arch;
  if (arch == "vit") {  // torchvision's vit_b_16
    spec.classes = 1000;
    spec.image_size = 224;
    spec.patch_size = 16;
    spec.dim = 768;
    spec.depth = 12;
    spec.heads = 12;
    spec.head_dim = 64;
    spec.mlp_dim = 3072;
    spec.layer_norm_eps = 1e-6;
    return spec;
  }
  if (arch == "face_vit" || arch == "face_vits") {  // ViT-P8S8, ViT-P12S8
    spec.classes = 100;
    spec.image_size = 112;
    spec.patch_size = 8;
    spec.dim = 512;
    spec.depth = 6;
    spec.heads = 8;
    spec.head_dim = 64;
    spec.mlp_dim = 2048;
    spec.dropout = 0.1;
    spec.layer_norm_eps = 1e-5;
    spec.head = HeadKind::kCosFace;
    spec.head_margin = 0.35;
    spec.scale_by_model_dim = true;
    if (arch == "face_vits") {
      spec.patch_size = 12;
      spec.patch_stride = 8;
      spec.patch_padding = 4;
    }
    return spec;
  }
  fail(Code::kNotFound, "there is no architecture \"", arch,
       "\"; known are: deformable_detr, face_vit, face_vits, vit");
}

ModelSpec ModelSpec::from_json(const Json& json) {
  JsonFields fields(json, "model spec");
  ModelSpec spec = defaults(fields.text("arch", ""));
  spec.classes = fields.integer("classes", spec.classes, 1, 1'000'000);
  spec.image_size = fields.integer("image_size", spec.image_size, 1, 4096);
  spec.channels = fields.integer("channels", spec.channels, 1, 64);
  spec.patch_size = fields.integer("patch_size", spec.patch_size, 1, 1024);
  if (spec.overlapping_patches()) {
    spec.patch_stride = fields.integer("patch_stride", spec.patch_stride, 1, 1024);
    spec.patch_padding = fields.integer("patch_padding", spec.patch_padding, 0, 1023);
  }
  spec.dim = fields.integer("dim", spec.dim, 1, 16384);
  spec.depth = fields.integer("depth", spec.depth, 1, 200);
  spec.heads = fields.integer("heads", spec.heads, 1, 256);
  // A vit's heads always share the width between them; only the face models may choose.
  const bool free_head_dim = spec.arch != "vit";
  const int64_t head_dim = free_head_dim ? spec.head_dim : spec.dim / spec.heads;
  spec.head_dim = fields.integer("head_dim", head_dim, 1, 1024);
  spec.mlp_dim = fields.integer("mlp_dim", spec.mlp_dim, 1, 65536);
  spec.dropout = fields.number("dropout", spec.dropout, 0, 0.9);
  spec.layer_norm_eps = fields.number("layer_norm_eps", spec.layer_norm_eps, 1e-15, 1e-2);
  const HeadName& head = head_named(fields.text("head", name_of(spec.head)));
  spec.head = head.kind;
  spec.head_scale = fields.number("head_scale", spec.head_scale, 1e-3, 1e4);
  spec.head_margin = fields.number("head_margin", head.margin, 0, 1.5);
  const std::string scale =
      fields.text("attention_scale", spec.scale_by_model_dim ? "dim" : "head_dim");
  require(scale == "dim" || scale == "head_dim", Code::kInvalidArgument,
          "model spec: \"attention_scale\" is \"", scale, "\", allowed are head_dim, dim");
  spec.scale_by_model_dim = scale == "dim";
  spec.adapter_layers = fields.texts("adapter_layers", spec.adapter_layers);
  std::sort(spec.adapter_layers.begin(), spec.adapter_layers.end());
  for (const std::string& layer : spec.adapter_layers) {
    require(layer == "fc1" || layer == "fc2", Code::kInvalidArgument,
            "model spec: \"adapter_layers\" names \"", layer, "\", allowed are fc1, fc2");
  }
  require(!spec.adapter_layers.empty() &&
              std::adjacent_find(spec.adapter_layers.begin(), spec.adapter_layers.end()) ==
                  spec.adapter_layers.end(),
          Code::kInvalidArgument,
          "model spec: \"adapter_layers\" must name fc1, fc2 or both, once");
  spec.seed = fields.integer("seed", spec.seed, 0, INT64_MAX);
  fields.finish();

  check_patches(spec);
  require(free_head_dim || spec.heads * spec.head_dim == spec.dim, Code::kInvalidArgument,
          "model spec: \"heads\" ", spec.heads, " times \"head_dim\" ", spec.head_dim,
          " must be \"dim\" ", spec.dim, " in a vit");
  return spec;
}

Json ModelSpec::to_json() const {
  Json json = {{"arch", arch},
               {"classes", classes},
               {"image_size", image_size},
               {"channels", channels},
               {"patch_size", patch_size},
               {"dim", dim},
               {"depth", depth},
               {"heads", heads},
               {"head_dim", head_dim},
               {"mlp_dim", mlp_dim},
               {"dropout", dropout},
               {"layer_norm_eps", layer_norm_eps},
               {"head", name_of(head)},
               {"head_scale", head_scale},
               {"head_margin", head_margin},
               {"attention_scale", scale_by_model_dim ? "dim" : "head_dim"},
               {"adapter_layers", adapter_layers},
               {"seed", seed}};
  if (overlapping_patches()) {  // never in the others: fingerprints are made of this
    json["patch_stride"] = patch_stride;
    json["patch_padding"] = patch_padding;
  }
  return json;
}

double ModelSpec::attention_scale() const {
  return 1.0 / std::sqrt(static_cast<double>(scale_by_model_dim ? dim : head_dim));
}

}  // namespace lethe
