// Models of all architectures that run in microseconds.
#pragma once

#include "models/classifier.h"
#include "near.h"

namespace lethe::testing {

inline const Json kTinyVit = {{"arch", "vit"}, {"classes", 4},    {"image_size", 8},
                              {"channels", 1}, {"patch_size", 4}, {"dim", 16},
                              {"depth", 2},    {"heads", 2},      {"mlp_dim", 32}};
inline const Json kTinyFace = {{"arch", "face_vit"}, {"classes", 5},  {"image_size", 8},
                               {"patch_size", 4},    {"dim", 12},     {"depth", 2},
                               {"heads", 3},         {"head_dim", 8}, {"mlp_dim", 20}};
// Four windows of 6 x 6 pixels, 4 apart: rows and columns -2 to 3 and 2 to 7 of 8.
inline const Json kTinyFaces = {{"arch", "face_vits"}, {"classes", 5},       {"image_size", 8},
                                {"patch_size", 6},     {"dim", 12},          {"depth", 2},
                                {"patch_stride", 4},   {"patch_padding", 2}, {"heads", 3},
                                {"head_dim", 8},       {"mlp_dim", 20}};

inline Json with(Json spec, const Json& changes) {
  spec.update(changes);
  return spec;
}

inline std::shared_ptr<const Classifier> model_of(const Json& spec) {
  return make_classifier(ModelSpec::from_json(spec));
}

inline at::Tensor images_for(const Classifier& model, int64_t count = 3) {
  const ModelSpec& s = model.spec();
  return at::empty({count, s.channels, s.image_size, s.image_size})
      .uniform_(0, 1, RandomStream(5, "images").generator());
}

}  // namespace lethe::testing
