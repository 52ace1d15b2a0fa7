#include "models/face_transformer.h"
#include "models/vision_transformer.h"
#include "support/error.h"

namespace lethe {

std::vector<std::string> architecture_names() { return {"vit", "face_vit", "face_vits"}; }

std::shared_ptr<const Model> make_model(const ModelSpec& spec) {
  if (spec.arch == "vit") return std::make_shared<VisionTransformer>(spec);
  if (spec.arch == "face_vit" || spec.arch == "face_vits") {
    return std::make_shared<FaceTransformer>(spec);
  }
  fail(Code::kNotFound, "there is no architecture \"", spec.arch,
       "\"; known are: vit, face_vit, face_vits");
}

}  // namespace lethe
