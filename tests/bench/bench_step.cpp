// bench_step [REPEATS]: samples a second of a GS-LoRA++ step, Lethe's against plain autograd
// written the reference's way (plain_step.h), interleaved in one run on one model: the paper's face
// model, 112x112, dim 512, depth 6, float32, dropout off, so that both compute the same
// mathematics with the same LoRA set; plain autograd too leaves out what lies beneath it. Both are
// checked to agree before anything is timed. Each line ends in `ratio N.NN`: Lethe over plain.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "adapters/group_sparsity.h"
#include "bench/plain_step.h"
#include "forgetting/lora_step.h"
#include "support/threads.h"

namespace lethe {
namespace {

struct Case {
  int64_t batch;  // of each kind
  int repeats;
};

struct Inputs {
  at::Tensor forget, y_f, retain, y_r;
};

double seconds(const std::function<void()>& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Lethe's step: losses and gradients, then the fused optimizer.
struct FastStep {
  FastStep(const Classifier& model, const Weights& weights, const LoraParameters& start,
           const ForgetConfig& config, const Prototypes& prototypes)
      : settings(config),
        lora(start.sites(), start.rank(), start.scale(), start.grouping(), at::kCPU),
        step(model, weights, lora, settings, &prototypes),
        optimizer(lora) {
    lora.values().copy_(start.values());
  }

  void cache(const Inputs& in) {
    if (!(settings.fast & kFastPrefixCache)) return;
    forget_prefix = step.prefix(in.forget);
    retain_prefix = step.prefix(in.retain);
  }

  double run(const Inputs& in) {
    const bool cached = settings.fast & kFastPrefixCache;
    const LossTerms terms = step.run(cached ? forget_prefix : step.prefix(in.forget), in.y_f,
                                     cached ? retain_prefix : step.prefix(in.retain), in.y_r);
    double structure = 0;
    for (double norm : group_norms(lora)) structure += norm;
    optimizer.step({settings.learning_rate, settings.weight_decay, settings.structure_weight, 0});
    return terms.trained.item<double>() + settings.structure_weight * structure;
  }

  ForgetConfig settings;
  LoraParameters lora;
  LoraStep step;
  GroupSparseAdamW optimizer;
  at::Tensor forget_prefix, retain_prefix;
};

int run(int repeats) {
  const ThreadBudget threads(0);
  ModelSpec spec = ModelSpec::defaults("face_vit");
  spec.dropout = 0;
  const auto model = make_classifier(spec);
  const Weights weights = model->random_weights(RandomStream(1, "weights"));
  at::Generator generator = RandomStream(1, "b").generator();
  const at::Tensor prototypes = at::empty({spec.classes, spec.dim}).normal_(0, 1, generator);
  const Prototypes prepared(prototypes);

  ForgetConfig config;
  config.forget_bound = 105;
  config.prototype_retain_weight = 0.01;
  config.learning_rate = 1e-3;  // timing must not run into NaN on random weights

  std::printf("LibTorch %s, %s, %d threads\n", TORCH_VERSION, at::get_cpu_capability().c_str(),
              available_processors());
  const struct {
    const char* name;
    int32_t fast;
    int64_t first_block = 0;
  } arms[] = {{"all savings", kFastAll},
              {"without one pass", kFastAll & ~kFastOnePass},
              {"without class token", kFastAll & ~kFastClassToken},
              {"without prefix cache", kFastAll & ~kFastPrefixCache},
              {"without fused attention", kFastAll & ~kFastFusedAttention},
              {"without folded LoRA", kFastAll & ~kFastFoldedLora},
              {"LoRA from block 1", kFastAll, 1},
              {"LoRA from block 2", kFastAll, 2},
              {"LoRA from block 3", kFastAll, 3},
              {"LoRA from block 4", kFastAll, 4},
              {"LoRA from block 5", kFastAll, 5}};
  int failures = 0;
  for (const Case c : {Case{4, 5 * repeats}, Case{48, repeats}}) {
    Inputs in;
    const std::vector<int64_t> shape{c.batch, 3, spec.image_size, spec.image_size};
    in.forget = at::empty(shape).uniform_(0, 1, generator);
    in.retain = at::empty(shape).uniform_(0, 1, generator);
    in.y_f = at::empty({c.batch}, at::kLong).random_(80, 100, generator);
    in.y_r = at::empty({c.batch}, at::kLong).random_(0, 80, generator);
    for (const auto& arm : arms) {
      // The savings one by one at the small batch only.
      if (c.batch != 4 && arm.fast != kFastAll) continue;
      LoraParameters lora(sites_from(model->adapter_sites(), arm.first_block), 8, 1.0 / 8,
                          Grouping::kBlock, at::kCPU);
      lora.initialise(5, RandomStream(1, "lora"));
      for (size_t i = 0; i < lora.sites().size(); ++i) lora.b(i).uniform_(-0.02, 0.02, generator);
      config.fast = arm.fast;
      bench::PlainStep plain(*model, weights, lora, config, prototypes);
      FastStep fast(*model, weights, lora, config, prepared);
      fast.cache(in);
      const double expected = plain.run(in.forget, in.y_f, in.retain, in.y_r);
      const double actual = fast.run(in);
      const bool equal = std::abs(actual - expected) <= 1e-5 * std::abs(expected);
      failures += !equal;
      std::vector<double> plain_times, fast_times;
      for (int i = 0; i < c.repeats; ++i) {  // interleaved: both see the same machine
        plain_times.push_back(seconds([&] { plain.run(in.forget, in.y_f, in.retain, in.y_r); }));
        fast_times.push_back(seconds([&] { fast.run(in); }));
      }
      const double samples = 2.0 * static_cast<double>(c.batch);
      const double p = samples / median(plain_times), f = samples / median(fast_times);
      std::printf(
          "face_vit float32 batch %ld+%ld, %s: plain %.2f samples/s, lethe %.2f samples/s,"
          " losses %s (%.6g, %.6g), ratio %.2f\n",
          static_cast<long>(c.batch), static_cast<long>(c.batch), arm.name, p, f,
          equal ? "equal" : "FAIL", expected, actual, f / p);
      std::fflush(stdout);
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lethe

int main(int argc, char** argv) { return lethe::run(argc > 1 ? std::atoi(argv[1]) : 3); }
