// A detector that knows its coloured squares, and requests to forget some.
#pragma once

#include "data/squares.h"
#include "engine/small_task.h"
#include "models/deformable_detr.h"

namespace lethe::testing {

inline DetectorForgetRequest detector_request(const std::string& id, std::vector<int64_t> classes,
                                              int64_t steps = 30) {
  ForgetConfig config =
      ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, HeadKind::kDetection);
  config.rank = 4;
  config.data_ratio = 1;
  config.forget_batch = config.retain_batch = 8;
  config.max_steps = steps;
  config.learning_rate = 3e-2;
  config.lora_alpha = 8;
  config.forget_weight = 1;
  config.gradient_clip = 0;
  config.gate_max_acc_f = config.gate_max_acc_r_drop = -1;
  config.progress_interval = 1;
  return {id, std::move(classes), config, squares(25), {}, squares(31, 4)};
}

inline std::shared_ptr<const BaseModel> random_detector(const Json& changes = Json::object()) {
  Json spec = tiny_detector_spec();
  spec.update(changes);
  auto model = make_model(spec);
  return std::make_shared<const BaseModel>(model, model->random_weights(RandomStream(1, "weights")),
                                           at::kCPU);
}

inline DetectorPretrainRequest detector_pretraining(const std::string& id, int64_t steps) {
  PretrainConfig config;
  config.batch = 8;
  config.max_steps = steps;
  config.learning_rate = 3e-3;
  config.weight_decay = 1e-4;
  return {id, config, squares(61), squares(31, 4)};
}

/// Trained once for all tests.
inline std::shared_ptr<LiveModel> trained_detector() {
  static const std::shared_ptr<const BaseModel> base = [] {
    const auto model = std::make_shared<LiveModel>(random_detector());
    Engine engine(model, small_options());
    const auto job = engine.enqueue(detector_pretraining("base", 700));
    require_trained(*job);
    return model->snapshot()->base;
  }();
  return std::make_shared<LiveModel>(base);
}

}  // namespace lethe::testing
