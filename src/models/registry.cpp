#include "models/face_transformer.h"
#include "models/vision_transformer.h"
#include "support/error.h"

namespace lethe {

std::vector<std::string> architecture_names() { return {"vit", "face_vit"}; }

std::shared_ptr<const Model> make_model(const ModelSpec& spec) {
  if (spec.arch == "vit") return std::make_shared<VisionTransformer>(spec);
  if (spec.arch == "face_vit") return std::make_shared<FaceTransformer>(spec);
  fail(Code::kNotFound, "there is no architecture \"", spec.arch, "\"; known are: vit, face_vit");
}

}  // namespace lethe
