// A forget task small enough to be trained in tests: four classes of noisy 8x8 patterns and a
// tiny transformer that has learnt them.
#pragma once

#include "evaluation/accuracy.h"
#include "forgetting/method.h"
#include "forgetting/pretrain.h"
#include "models/tiny_models.h"

namespace lethe::testing {

inline bool go_on(const Progress&) { return true; }

/// `per_class` images of each class, class by class in turn: the class's pattern and noise.
inline Dataset patterns(int64_t per_class, uint64_t seed, int64_t channels = 1) {
  at::Generator pattern = RandomStream(0, "patterns").generator();
  at::Generator noise = RandomStream(seed, "noise").generator();
  const at::Tensor patterns = at::empty({4, channels, 8, 8}).normal_(0, 1, pattern);
  const at::Tensor labels = at::arange(4 * per_class).remainder(4);
  at::Tensor images = at::empty({4 * per_class, channels, 8, 8}).normal_(0, 0.5, noise);
  return Dataset(images.add_(patterns.index_select(0, labels)), labels, 4);
}

inline PretrainConfig pretraining(int64_t steps) {
  PretrainConfig config;
  config.epochs = 10;
  config.warmup_epochs = 1;
  config.batch = 20;
  config.max_steps = steps;
  config.learning_rate = 5e-3;
  return config;
}

/// The pre-trained model that tasks start from; trained once a process for each spec.
inline std::shared_ptr<const BaseModel> trained_base(const Json& spec = kTinyVit) {
  static std::map<std::string, std::shared_ptr<const BaseModel>> bases;
  auto& base = bases[spec.dump()];
  if (!base) {
    const auto model = model_of(with(spec, {{"classes", 4}}));
    const Weights start = model->random_weights(RandomStream(1, "base"));
    const Dataset train = patterns(40, 1, model->spec().channels);
    Weights weights = pretrain(*model, start, train, pretraining(120), go_on);
    base = std::make_shared<const BaseModel>(model, std::move(weights), at::kCPU);
  }
  return base;
}

/// Percent right on new images of these classes.
inline double accuracy(const BaseModel& base, const Weights& weights,
                       const std::vector<int64_t>& classes) {
  const Dataset test = patterns(25, 77, base.classifier().spec().channels);
  return *class_accuracy(base.classifier(), weights, test).percent(classes);
}

/// Few steps, no sparsity beyond the paper's small alpha, nothing judged to be zero.
inline ForgetConfig quick(int64_t steps = 12) {
  ForgetConfig config = ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, HeadKind::kLinear);
  config.rank = 2;
  config.data_ratio = 1;
  config.forget_batch = config.retain_batch = 8;
  config.epochs = 4;
  config.max_steps = steps;
  config.sparsity = Sparsity::kSubgradient;
  config.zero_threshold = 0;
  return config;
}

inline ForgetTask task_of(const ForgetConfig& config, std::vector<int64_t> classes = {1},
                          const Json& spec = kTinyVit) {
  const auto base = trained_base(spec);
  const Dataset all = patterns(10, 5, base->classifier().spec().channels);
  return {base,  base->weights(), 0, classes, all.keep_classes(classes), all.drop_classes(classes),
          config};
}

inline ForgetResult run(const ForgetTask& task, const Observer& observer = go_on) {
  return method_of(task.config.method).run(task, observer, {});
}

inline at::Tensor values_after(const ForgetConfig& config) {
  return run(task_of(config)).lora->values();
}

/// W + s B A.
inline Weights merged(const Weights& start, const LoraParameters& lora) {
  Weights weights = start;
  for (size_t i = 0; i < lora.sites().size(); ++i) {
    at::Tensor& w = weights.at(lora.sites()[i].name + ".weight");
    w = w + lora.scale() * lora.b(i).mm(lora.a(i));
  }
  return weights;
}

}  // namespace lethe::testing
