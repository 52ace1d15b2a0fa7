// Requests that a tiny model works off in milliseconds, and what tests look at meanwhile.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "adapters/small_adapter.h"
#include "engine/engine.h"
#include "test.h"

namespace lethe::testing {

/// `per_class` grey 8 x 8 images of each class: a pattern of the class's own under some noise.
inline Dataset small_set(int64_t per_class, uint64_t seed, int64_t classes = 4) {
  const int64_t n = per_class * classes;
  at::Generator noise = RandomStream(seed, "small set").generator();
  const at::Tensor patterns = at::empty({classes, 1, 8, 8}, at::kFloat);
  for (int64_t c = 0; c < classes; ++c) {
    patterns[c].uniform_(0, 190, RandomStream(c, "small pattern").generator());
  }
  const at::Tensor labels = at::arange(n, at::kLong).remainder(classes);
  const at::Tensor images =
      patterns.index_select(0, labels) + at::empty({n, 1, 8, 8}).uniform_(0, 60, noise);
  return Dataset(images.to(at::kByte), labels, classes, {}, {});
}

/// A forget task of `steps` steps whose gate is off unless a test sets it.
inline ForgetRequest small_request(const std::string& id, std::vector<int64_t> classes,
                                   int64_t steps = 20) {
  ForgetConfig config = ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, HeadKind::kLinear);
  config.rank = 2;
  config.data_ratio = 1;
  config.forget_batch = config.retain_batch = 8;
  config.max_steps = steps;
  config.structure_weight = 1e-4;
  config.proximal_weight = 0;
  config.gate_max_acc_f = config.gate_max_acc_r_drop = -1;
  config.progress_interval = 1;
  return {id, std::move(classes), config, small_set(10, 1), {}, small_set(5, 2)};
}

/// A task that does not end by itself.
inline ForgetRequest endless_request(const std::string& id, std::vector<int64_t> classes) {
  return small_request(id, std::move(classes), 1'000'000'000);
}

/// Training of the base that gives it an accuracy worth forgetting.
inline PretrainRequest small_pretraining(const std::string& id, int64_t steps = 150) {
  PretrainConfig config;
  config.batch = 20;
  config.max_steps = steps;
  config.learning_rate = 3e-3;
  config.warmup_epochs = 0;
  return {id, config, small_set(10, 1), small_set(5, 2)};
}

inline at::Tensor small_images() {
  return at::empty({6, 1, 8, 8}).uniform_(0, 1, RandomStream(9, "small images").generator());
}

inline at::Tensor scores(const LiveModel& model, const at::Tensor& images) {
  const auto snapshot = model.snapshot();
  return scores(*snapshot->base, snapshot->weights, images);
}

inline std::shared_ptr<LiveModel> small_live_model() {
  return std::make_shared<LiveModel>(small_base());
}

/// One thread: tiny products gain nothing from two, and wait for each other on a busy machine.
inline EngineOptions small_options() {
  EngineOptions options;
  options.threads = 1;
  return options;
}

/// Waits until the job's first training step is behind it.
inline void wait_for_step(const Job& job) {
  while (job.status().progress.step == 0 && !ended(job.status().state)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

inline constexpr std::chrono::milliseconds kLong{120'000};  // a test that needs it has failed

/// Waits for what all tests begin with, however slow a sanitizer makes it. Without it none can go
/// on; and a failed assertion would leave the initialiser of a static, which nobody could enter
/// again.
inline void require_trained(const Job& job) {
  job.wait(std::nullopt);
  if (job.status().state == JobState::kSucceeded) return;
  std::fprintf(stderr, "pre-training: %s\n", job.error_message().c_str());
  std::abort();
}

/// A model that tells the four classes of small_set() apart; trained once for all tests.
inline std::shared_ptr<LiveModel> trained_model() {
  static const std::shared_ptr<const BaseModel> base = [] {
    const auto model = small_live_model();
    Engine engine(model, small_options());
    const auto job = engine.enqueue(small_pretraining("base"));
    require_trained(*job);
    return model->snapshot()->base;
  }();
  return std::make_shared<LiveModel>(base);
}

inline void expect_state(const Job& job, JobState state) {
  assert_true(job.wait(kLong));
  if (job.status().state != state) {
    fail_msg("job %d ended in state %d, not %d: %s", static_cast<int>(job.id()),
             static_cast<int>(job.status().state), static_cast<int>(state),
             job.error_message().c_str());
  }
}

inline std::vector<Event> drain(Engine& engine) {
  std::vector<Event> events;
  Event event{};
  while (engine.next_event(std::chrono::milliseconds(0), event) == Engine::Take::kEvent) {
    events.push_back(event);
  }
  return events;
}

/// "job:state" of the state events, in order.
inline std::string states_of(const std::vector<Event>& events) {
  std::string text;
  for (const Event& event : events) {
    if (event.progress_only) continue;
    text += lethe::str(event.job_id, ':', static_cast<int>(event.state), ' ');
  }
  return text;
}

}  // namespace lethe::testing
