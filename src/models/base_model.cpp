#include "models/base_model.h"

#include <ATen/ATen.h>

#include "kernels/cuda_plugin.h"
#include "support/error.h"

namespace lethe {

BaseModel::BaseModel(std::shared_ptr<const Model> model, Weights weights, c10::Device device,
                     BaseOrigin origin)
    : model_(std::move(model)), device_(device), origin_(std::move(origin)) {
  Json spec = model_->spec_json();
  spec.erase("seed");
  spec.erase("dropout");
  Sha256 content, names;
  content.update(spec.dump());
  names.update(spec.dump());
  for (const auto& [name, tensor] : weights) {  // a map: name order
    const std::string head =
        lethe::str(name, '\n', dtype_name(tensor.scalar_type()), tensor.sizes(), '\n');
    const Digest digest = sha256(tensor.to(at::kCPU));
    content.update(head).update(digest.data(), digest.size());
    names.update(head);
    weights_[name] = tensor.to(device_);
  }
  fingerprint_ = content.finish();
  names_digest_ = names.finish();
}

const Classifier& BaseModel::classifier() const {
  const auto* classifier = dynamic_cast<const Classifier*>(model_.get());
  require(classifier, Code::kUnsupported, "the model is a detector (", model_->arch(),
          "), this needs an image classifier; detectors take detection data sets and give boxes");
  return *classifier;
}

const DeformableDetr& BaseModel::detector() const {
  const auto* detector = dynamic_cast<const DeformableDetr*>(model_.get());
  require(detector, Code::kUnsupported, "the model is an image classifier (", model_->arch(),
          "), this needs a detector; create one with the architecture deformable_detr");
  return *detector;
}

at::Tensor BaseModel::derived(const std::string& name,
                              const std::function<at::Tensor()>& compute) const {
  constexpr size_t kKeptBytes = 64 << 20;  // the rows of a protocol's tasks, of small models
  {
    const std::lock_guard lock(derived_mutex_);
    for (const auto& [known, tensor] : derived_) {
      if (known == name) return tensor;
    }
  }
  at::Tensor tensor = compute();  // unlocked: two threads may both compute the same
  const std::lock_guard lock(derived_mutex_);
  derived_.emplace_back(name, tensor);
  derived_bytes_ += tensor.nbytes();
  while (derived_bytes_ > kKeptBytes && derived_.size() > 1) {
    derived_bytes_ -= derived_.front().second.nbytes();
    derived_.pop_front();
  }
  return tensor;
}

c10::Device parse_device(const std::string& text) {
  if (text == "cpu") return at::kCPU;
  const bool numbered = text.starts_with("cuda:") && text.size() > 5 && text.size() < 9 &&
                        text.find_first_not_of("0123456789", 5) == std::string::npos;
  require(text == "cuda" || numbered, Code::kInvalidArgument, "the device \"", text,
          "\" is none of cpu, cuda, cuda:N");
  const int index = numbered ? std::stoi(text.substr(5)) : 0;
  const CudaStatus& cuda = cuda_status();
  require(cuda.loaded && cuda.device_count > 0, Code::kDevice, "the device \"", text,
          "\" cannot be used: ", cuda.reason);
  require(index < cuda.device_count, Code::kDevice, "the device \"", text,
          "\" does not exist: this machine has ", cuda.device_count);
  return c10::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index));
}

}  // namespace lethe
