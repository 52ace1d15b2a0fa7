#include "models/deformable_detr.h"
#include "models/face_transformer.h"
#include "models/vision_transformer.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr const char* kDetector = "deformable_detr";

}  // namespace

std::vector<std::string> architecture_names() {
  return {"vit", "face_vit", "face_vits", kDetector};
}

Json default_spec(const std::string& arch) {
  if (arch == kDetector) return DetectorSpec::from_json({{"arch", arch}}).to_json();
  return ModelSpec::defaults(arch).to_json();
}

std::shared_ptr<const Model> make_model(const Json& spec) {
  const auto arch = spec.is_object() ? spec.find("arch") : spec.end();
  if (arch != spec.end() && *arch == kDetector) {
    return std::make_shared<DeformableDetr>(DetectorSpec::from_json(spec));
  }
  return make_classifier(ModelSpec::from_json(spec));
}

std::shared_ptr<const Classifier> make_classifier(const ModelSpec& spec) {
  if (spec.arch == "vit") return std::make_shared<VisionTransformer>(spec);
  return std::make_shared<FaceTransformer>(spec);
}

}  // namespace lethe
