// bench_attention [REPEATS]: deformable attention forward and backward, Lethe's against one
// grid_sample a level (kernels/grid_attention.h), interleaved in one run: the encoder of a 800 x
// 1067 image pair, 17,821 queries and positions, 8 heads of 32 channels, 4 points, float32. Both
// are checked to agree before anything is timed. Each line ends in `ratio N.NN`: grid_sample's
// median time over Lethe's, and says how much memory each takes at its peak beyond inputs, output
// and gradients.
#include <ATen/ATen.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <torch/version.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/deformable_attention.h"
#include "kernels/grid_attention.h"
#include "support/random.h"
#include "support/threads.h"

namespace lethe {
namespace {

/// The bytes of tensors that the calling thread has allocated and not freed since peak_bytes began.
class Meter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override {
    bytes_ += size;
    peak_ = std::max(peak_, bytes_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t peak() const { return peak_; }

 private:
  int64_t bytes_ = 0, peak_ = 0;
};

template <typename Body>
int64_t peak_bytes(const Body& body) {
  const auto meter = std::make_shared<Meter>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
  body();
  return meter->peak();
}

struct Inputs {
  std::vector<LevelSize> levels;
  at::Tensor value, locations, weights, upstream;
};

/// Queries at the pixels' centres, points a few pixels of each level around them.
Inputs encoder_inputs() {
  Inputs in;
  in.levels = {{100, 134}, {50, 67}, {25, 34}, {13, 17}};
  constexpr int64_t kBatch = 2, kHeads = 8, kChannels = 32, kPoints = 4;
  at::Generator generator = RandomStream(1, "attention").generator();
  const auto level_count = static_cast<int64_t>(in.levels.size());
  std::vector<at::Tensor> centres, spreads;
  for (const auto& [height, width] : in.levels) {
    const at::Tensor y = (at::arange(height) + 0.5).div(height).view({-1, 1}).expand({-1, width});
    const at::Tensor x = (at::arange(width) + 0.5).div(width).expand({height, -1});
    centres.push_back(at::stack({x, y}, -1).flatten(0, 1));
    spreads.push_back(at::tensor(
        {3.0 / static_cast<double>(width), 3.0 / static_cast<double>(height)}, at::kFloat));
  }
  const at::Tensor centre = at::cat(centres).to(at::kFloat);
  const int64_t positions = centre.size(0);
  in.value = at::empty({kBatch, positions, kHeads, kChannels}).normal_(0, 1, generator);
  in.locations =
      at::empty({kBatch, positions, kHeads, level_count, kPoints, 2}).normal_(0, 1, generator);
  in.locations = in.locations * at::stack(spreads).view({level_count, 1, 2}) +
                 centre.view({1, positions, 1, 1, 1, 2});
  in.weights =
      at::softmax(
          at::empty({kBatch, positions, kHeads, level_count * kPoints}).normal_(0, 1, generator),
          -1)
          .view({kBatch, positions, kHeads, level_count, kPoints});
  in.upstream = at::empty({kBatch, positions, kHeads * kChannels}).normal_(0, 1, generator);
  return in;
}

using Operator = at::Tensor (*)(const at::Tensor&, const std::vector<LevelSize>&, const at::Tensor&,
                                const at::Tensor&);

struct Pass {
  double forward = 0, backward = 0;  // seconds
  at::Tensor output, value, locations, weights;
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

Pass run(Operator attention, const Inputs& in, bool value_gradient) {
  const at::Tensor value = in.value.detach().requires_grad_(value_gradient);
  const at::Tensor locations = in.locations.detach().requires_grad_(true);
  const at::Tensor weights = in.weights.detach().requires_grad_(true);
  Pass pass;
  auto begin = std::chrono::steady_clock::now();
  const at::Tensor output = attention(value, in.levels, locations, weights);
  pass.forward = seconds_since(begin);
  begin = std::chrono::steady_clock::now();
  output.backward(in.upstream);
  pass.backward = seconds_since(begin);
  pass.output = output.detach();
  pass.value = value.grad(), pass.locations = locations.grad(), pass.weights = weights.grad();
  return pass;
}

/// Norm of the difference over the norm, of the worst of all results. No largest difference: a
/// point that rounds to another pixel has another derivative.
double deviation(const Pass& a, const Pass& b) {
  double worst = 0;
  for (const auto tensor : {&Pass::output, &Pass::value, &Pass::locations, &Pass::weights}) {
    const at::Tensor &x = a.*tensor, &y = b.*tensor;
    if (!x.defined() && !y.defined()) continue;
    const double difference = (x - y).norm().item<double>() / y.norm().item<double>();
    worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
  }
  return worst;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int64_t bytes_of(const Pass& pass) {
  int64_t bytes = 0;
  for (const at::Tensor& t : {pass.output, pass.value, pass.locations, pass.weights}) {
    if (t.defined()) bytes += static_cast<int64_t>(t.nbytes());
  }
  return bytes;
}

int measure(int repeats) {
  std::printf("LibTorch %s, %s\n", TORCH_VERSION, at::get_cpu_capability().c_str());
  const Inputs in = encoder_inputs();
  int failures = 0;
  for (const int count : {1, available_processors()}) {
    const ThreadBudget threads(count);
    for (const bool value_gradient : {true, false}) {
      Pass plain, fast;
      const int64_t plain_peak =
          peak_bytes([&] { plain = run(&testing::grid_attention, in, value_gradient); });
      const int64_t fast_peak =
          peak_bytes([&] { fast = run(&deformable_attention, in, value_gradient); });
      const double megabyte = 1 << 20;
      const double plain_extra = static_cast<double>(plain_peak - bytes_of(plain)) / megabyte;
      // The meter does not see each thread's room for one head's values and their gradients.
      const int64_t rooms = count * 2 * in.value[0].select(1, 0).numel() * int64_t{sizeof(float)};
      const double fast_extra = static_cast<double>(fast_peak - bytes_of(fast) + rooms) / megabyte;
      const double difference = deviation(fast, plain);
      const bool equal = difference <= 1e-3;
      failures += !equal;
      plain = fast = {};
      std::vector<double> plain_forward, plain_backward, plain_all, fast_forward, fast_backward,
          fast_all;
      for (int i = 0; i < repeats; ++i) {  // interleaved: both see the same machine
        const Pass p = run(&testing::grid_attention, in, value_gradient);
        const Pass f = run(&deformable_attention, in, value_gradient);
        plain_forward.push_back(p.forward), plain_backward.push_back(p.backward);
        fast_forward.push_back(f.forward), fast_backward.push_back(f.backward);
        plain_all.push_back(p.forward + p.backward), fast_all.push_back(f.forward + f.backward);
      }
      std::printf(
          "encoder float32 batch 2, %d thread%s, %s: grid_sample %.0f + %.0f ms and %.1f MB, lethe"
          " %.0f + %.0f ms and %.1f MB, results %s (%.1e), memory ratio %.3f, ratio %.2f\n",
          count, count == 1 ? "" : "s", value_gradient ? "all gradients" : "no value gradient",
          1e3 * median(plain_forward), 1e3 * median(plain_backward), plain_extra,
          1e3 * median(fast_forward), 1e3 * median(fast_backward), fast_extra,
          equal ? "equal" : "FAIL", difference, fast_extra / plain_extra,
          median(plain_all) / median(fast_all));
      std::fflush(stdout);
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lethe

int main(int argc, char** argv) { return lethe::measure(argc > 1 ? std::atoi(argv[1]) : 5); }
