#include "models/detector_spec.h"

#include <algorithm>

#include "models/resnet.h"
#include "support/error.h"

namespace lethe {

DetectorSpec DetectorSpec::from_json(const Json& json) {
  JsonFields fields(json, "model spec");
  DetectorSpec s;
  const std::string arch = fields.text("arch", "");
  require(arch == s.arch, Code::kNotFound, "there is no detector \"", arch,
          "\"; known is: deformable_detr");
  s.classes = fields.integer("classes", s.classes, 1, 100'000);
  s.backbone = fields.text("backbone", s.backbone);
  s.feature_levels = fields.integer("feature_levels", s.feature_levels, 1, 5);
  if (s.has_backbone()) {
    s.backbone_width = fields.integer("backbone_width", s.backbone_width, 8, 256);
    require(s.backbone_width % 8 == 0, Code::kInvalidArgument, "model spec: \"backbone_width\" ",
            s.backbone_width, " is not a multiple of 8");
    const std::vector<int64_t> stages = resnet_channels(s.backbone, s.backbone_width);
    const int64_t used = std::min<int64_t>(s.feature_levels, 3);
    s.feature_channels.assign(stages.end() - used, stages.end());
  } else {
    s.feature_channels = fields.integers("feature_channels", {});
    const auto given = static_cast<int64_t>(s.feature_channels.size());
    require(given >= 1 && given <= s.feature_levels &&
                std::all_of(s.feature_channels.begin(), s.feature_channels.end(),
                            [](int64_t c) { return c >= 1 && c <= 65536; }),
            Code::kInvalidArgument, "model spec: \"feature_channels\" lists ", given,
            " maps; with the backbone \"features\" it must list 1 to ", s.feature_levels,
            " numbers of channels from 1 to 65536, finest map first");
  }
  s.dim = fields.integer("dim", s.dim, 32, 4096);
  s.heads = fields.integer("heads", s.heads, 1, 256);
  s.encoder_layers = fields.integer("encoder_layers", s.encoder_layers, 1, 100);
  s.decoder_layers = fields.integer("decoder_layers", s.decoder_layers, 1, 100);
  s.ffn_dim = fields.integer("ffn_dim", s.ffn_dim, 1, 65536);
  s.points = fields.integer("points", s.points, 1, 64);
  s.queries = fields.integer("queries", s.queries, 1, 10'000);
  s.dropout = fields.number("dropout", s.dropout, 0, 0.9);
  s.shorter_side = fields.integer("shorter_side", s.shorter_side, 0, 16384);
  s.longest_side = fields.integer("longest_side", s.longest_side, 1, 16384);
  s.refine_boxes = fields.boolean("refine_boxes", s.refine_boxes);
  s.two_stage = fields.boolean("two_stage", s.two_stage);
  s.auxiliary_losses = fields.boolean("auxiliary_losses", s.auxiliary_losses);
  s.seed = fields.integer("seed", s.seed, 0, INT64_MAX);
  fields.finish();

  require(s.dim % 32 == 0, Code::kInvalidArgument, "model spec: \"dim\" ", s.dim,
          " is not a multiple of 32, the groups of its normalisation");
  require(s.dim % s.heads == 0, Code::kInvalidArgument, "model spec: \"dim\" ", s.dim,
          " is not a multiple of \"heads\" ", s.heads);
  require(s.longest_side >= s.shorter_side, Code::kInvalidArgument, "model spec: \"longest_side\" ",
          s.longest_side, " is less than \"shorter_side\" ", s.shorter_side);
  require(!s.two_stage || s.refine_boxes, Code::kInvalidArgument,
          "model spec: \"two_stage\" needs \"refine_boxes\": true");
  return s;
}

Json DetectorSpec::to_json() const {
  Json json = {{"arch", arch},
               {"classes", classes},
               {"backbone", backbone},
               {"feature_levels", feature_levels},
               {"dim", dim},
               {"heads", heads},
               {"encoder_layers", encoder_layers},
               {"decoder_layers", decoder_layers},
               {"ffn_dim", ffn_dim},
               {"points", points},
               {"queries", queries},
               {"dropout", dropout},
               {"shorter_side", shorter_side},
               {"longest_side", longest_side},
               {"refine_boxes", refine_boxes},
               {"two_stage", two_stage},
               {"auxiliary_losses", auxiliary_losses},
               {"seed", seed}};
  // Left out where it is the published width: digests of specs from before the field stay equal.
  if (backbone_width != kResNetWidth) json["backbone_width"] = backbone_width;
  if (!has_backbone()) json["feature_channels"] = feature_channels;
  return json;
}

}  // namespace lethe
