// plain_attention [REPEATS]: deformable attention on a CUDA device, forward and backward: the
// kernels of src/kernels/cuda/deformable_attention.cu against straightforward ones, one thread a
// channel, as the operator was first published: every thread works out every place by itself, and a
// block for each query and head adds up the places' gradients in shared memory, by one thread. The
// shapes of bench_attention.cpp. Plain always computes all gradients. Both are compared before
// anything is timed; each line ends in
// `ratio N.NN`: plain over Lethe. Needs nothing but the CUDA runtime:
//
//   nvcc -O3 -std=c++17 -arch=native -Isrc tests/bench/plain_attention.cu
//     src/kernels/cuda/deformable_attention.cu -o plain_attention
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <vector>

#include "kernels/cuda/deformable_attention.h"

namespace {

constexpr int kLevels = 4, kPoints = 4, kHeads = 8, kChannels = 32, kBatch = 2;
constexpr int kHeight[kLevels] = {100, 50, 25, 13}, kWidth[kLevels] = {134, 67, 34, 17};

struct Levels {
  int height[kLevels], width[kLevels], start[kLevels];
};

/// One channel of the four pixels around a place; zero outside.
struct Sample {
  __device__ Sample(const float* map, float x, float y, int height, int width) {
    const int left = static_cast<int>(floorf(x)), top = static_cast<int>(floorf(y));
    fx = x - static_cast<float>(left);
    fy = y - static_cast<float>(top);
    for (int c = 0; c < 4; ++c) {
      const int row = top + c / 2, column = left + c % 2;
      const bool inside = row >= 0 && row < height && column >= 0 && column < width;
      at[c] = inside ? (row * width + column) * kHeads * kChannels : -1;
      v[c] = inside ? map[at[c]] : 0;
      share[c] = (c / 2 ? fy : 1 - fy) * (c % 2 ? fx : 1 - fx);
    }
  }
  float fx, fy, v[4], share[4];
  int at[4];
};

__device__ bool touches(float x, float y, int height, int width) {
  return x > -1 && y > -1 && x < static_cast<float>(width) && y < static_cast<float>(height);
}

__global__ void plain_forward(int64_t count, int queries, int positions, Levels levels,
                              const float* value, const float* locations, const float* weights,
                              float* output) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    const int channel = static_cast<int>(i % kChannels);
    const int head = static_cast<int>(i / kChannels % kHeads);
    const int64_t image = i / kChannels / kHeads / queries;
    int64_t point = i / kChannels * kLevels * kPoints;
    float sum = 0;
    for (int l = 0; l < kLevels; ++l) {
      const int height = levels.height[l], width = levels.width[l];
      const float* map =
          value + ((image * positions + levels.start[l]) * kHeads + head) * kChannels + channel;
      for (int p = 0; p < kPoints; ++p, ++point) {
        const float x = locations[2 * point] * static_cast<float>(width) - 0.5f;
        const float y = locations[2 * point + 1] * static_cast<float>(height) - 0.5f;
        if (!touches(x, y, height, width)) continue;
        const Sample s(map, x, y, height, width);
        sum += weights[point] * (s.share[0] * s.v[0] + s.share[1] * s.v[1] + s.share[2] * s.v[2] +
                                 s.share[3] * s.v[3]);
      }
    }
    output[i] = sum;
  }
}

/// One block of kChannels threads for each image, query and head.
__global__ void plain_backward(int queries, int positions, Levels levels, const float* value,
                               const float* locations, const float* weights,
                               const float* grad_output, float* grad_value, float* grad_locations,
                               float* grad_weights) {
  __shared__ float of_weight[kChannels], of_x[kChannels], of_y[kChannels];
  const int channel = static_cast<int>(threadIdx.x);
  const int64_t group = blockIdx.x;
  const int head = static_cast<int>(group % kHeads);
  const int64_t image = group / kHeads / queries;
  const float g = grad_output[group * kChannels + channel];
  int64_t point = group * kLevels * kPoints;
  for (int l = 0; l < kLevels; ++l) {
    const int height = levels.height[l], width = levels.width[l];
    const int64_t map =
        ((image * positions + levels.start[l]) * kHeads + head) * kChannels + channel;
    for (int p = 0; p < kPoints; ++p, ++point) {
      const float x = locations[2 * point] * static_cast<float>(width) - 0.5f;
      const float y = locations[2 * point + 1] * static_cast<float>(height) - 0.5f;
      of_weight[channel] = of_x[channel] = of_y[channel] = 0;
      if (touches(x, y, height, width)) {
        const Sample s(value + map, x, y, height, width);
        const float weight = weights[point];
        for (int c = 0; c < 4; ++c) {
          if (s.at[c] >= 0) atomicAdd(grad_value + map + s.at[c], weight * s.share[c] * g);
        }
        of_weight[channel] = g * (s.share[0] * s.v[0] + s.share[1] * s.v[1] + s.share[2] * s.v[2] +
                                  s.share[3] * s.v[3]);
        of_x[channel] = static_cast<float>(width) * weight * g *
                        ((1 - s.fy) * (s.v[1] - s.v[0]) + s.fy * (s.v[3] - s.v[2]));
        of_y[channel] = static_cast<float>(height) * weight * g *
                        ((1 - s.fx) * (s.v[2] - s.v[0]) + s.fx * (s.v[3] - s.v[1]));
      }
      __syncthreads();
      if (channel == 0) {
        float a = 0, dx = 0, dy = 0;
        for (int i = 0; i < kChannels; ++i) {
          a += of_weight[i];
          dx += of_x[i];
          dy += of_y[i];
        }
        grad_weights[point] = a;
        grad_locations[2 * point] = dx;
        grad_locations[2 * point + 1] = dy;
      }
      __syncthreads();
    }
  }
}

void check(int code, const char* what) {
  if (code == 0) return;
  std::fprintf(stderr, "%s: %s\n", what, lethe_cuda_error_text(code));
  std::exit(2);
}

/// Memory of the device, given back at the end of the scope.
template <typename T>
class Array {
 public:
  explicit Array(size_t count) : count_(count) {
    check(cudaMalloc(&data_, count * sizeof(T)), "allocation");
  }
  explicit Array(const std::vector<T>& from) : Array(from.size()) {
    check(cudaMemcpy(data_, from.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), "copy");
  }
  ~Array() { cudaFree(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  T* data() const { return data_; }
  void clear() { check(cudaMemsetAsync(data_, 0, count_ * sizeof(T)), "clearing"); }
  std::vector<T> read() const {
    std::vector<T> to(count_);
    check(cudaMemcpy(to.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), "copy");
    return to;
  }

 private:
  T* data_ = nullptr;
  size_t count_;
};

double deviation(const std::vector<float>& actual, const std::vector<float>& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(double{actual[i]} - expected[i], 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

float milliseconds(const std::function<void()>& body) {
  cudaEvent_t begin, end;
  check(cudaEventCreate(&begin), "event");
  check(cudaEventCreate(&end), "event");
  check(cudaEventRecord(begin), "event");
  body();
  check(cudaEventRecord(end), "event");
  check(cudaEventSynchronize(end), "run");
  float time = 0;
  check(cudaEventElapsedTime(&time, begin, end), "event");
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return time;
}

float median(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int measure(int repeats) {
  Levels levels{};
  int positions = 0;
  for (int l = 0; l < kLevels; ++l) {
    levels.height[l] = kHeight[l], levels.width[l] = kWidth[l], levels.start[l] = positions;
    positions += kHeight[l] * kWidth[l];
  }
  const int queries = positions;
  const auto groups = static_cast<size_t>(kBatch) * queries * kHeads;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const auto numbers = [&](size_t count) {
    std::vector<float> made(count);
    for (float& number : made) number = normal(random);
    return made;
  };
  std::vector<float> value = numbers(static_cast<size_t>(kBatch) * positions * kHeads * kChannels);
  std::vector<float> upstream = numbers(groups * kChannels);
  std::vector<float> weights = numbers(groups * kLevels * kPoints), locations;
  for (int image = 0; image < kBatch; ++image) {  // queries at the pixels, points around them
    for (int l = 0; l < kLevels; ++l) {
      for (int pixel = 0; pixel < kHeight[l] * kWidth[l]; ++pixel) {
        const float x = (static_cast<float>(pixel % kWidth[l]) + 0.5f) / kWidth[l];
        const float y = (static_cast<float>(pixel / kWidth[l]) + 0.5f) / kHeight[l];
        for (int i = 0; i < kHeads * kLevels * kPoints; ++i) {
          const int to = i / kPoints % kLevels;
          locations.push_back(x + 3 * normal(random) / kWidth[to]);
          locations.push_back(y + 3 * normal(random) / kHeight[to]);
        }
      }
    }
  }
  const auto to_bfloat16 = [](const std::vector<float>& from) {
    std::vector<__nv_bfloat16> to;
    for (const float number : from) to.push_back(__float2bfloat16(number));
    return to;
  };

  const Array<float> v(value), g(upstream), p(locations), a(weights);
  const Array<__nv_bfloat16> short_v(to_bfloat16(value)), short_g(to_bfloat16(upstream));
  Array<float> dv(value.size()), plain_dv(value.size());
  const Array<float> out(upstream.size()), plain_out(upstream.size());
  const Array<float> dp(locations.size()), plain_dp(locations.size());
  const Array<float> da(weights.size()), plain_da(weights.size());

  const auto plain = [&] {
    const auto count = static_cast<int64_t>(groups) * kChannels;
    plain_forward<<<static_cast<unsigned>((count + 1023) / 1024), 1024>>>(
        count, queries, positions, levels, v.data(), p.data(), a.data(), plain_out.data());
    plain_dv.clear();
    plain_backward<<<static_cast<unsigned>(groups), kChannels>>>(
        queries, positions, levels, v.data(), p.data(), a.data(), g.data(), plain_dv.data(),
        plain_dp.data(), plain_da.data());
    check(cudaGetLastError(), "plain");
  };
  LetheCudaDeformableAttention call{};
  call.batch = kBatch, call.positions = positions, call.heads = kHeads;
  call.channels = kChannels, call.queries = queries;
  call.level_count = kLevels, call.points = kPoints;
  std::copy_n(kHeight, kLevels, call.height);
  std::copy_n(kWidth, kLevels, call.width);
  call.places = p.data(), call.scores = a.data();

  int failures = 0;
  for (const bool bfloat16 : {false, true}) {
    for (const bool value_gradient : {true, false}) {
      call.bfloat16 = bfloat16;
      call.value = bfloat16 ? static_cast<const void*>(short_v.data()) : v.data();
      const void* gradient = bfloat16 ? static_cast<const void*>(short_g.data()) : g.data();
      const LetheCudaDeformableAttentionGradients gradients{value_gradient ? dv.data() : nullptr,
                                                            dp.data(), nullptr, da.data()};
      const auto fast = [&] {
        check(lethe_cuda_deformable_attention_forward(&call, out.data(), nullptr), "forward");
        if (value_gradient) dv.clear();
        check(lethe_cuda_deformable_attention_backward(&call, gradient, &gradients, nullptr),
              "backward");
      };
      plain();
      fast();
      double worst =
          std::max(deviation(dp.read(), plain_dp.read()), deviation(da.read(), plain_da.read()));
      if (value_gradient) worst = std::max(worst, deviation(dv.read(), plain_dv.read()));
      if (!bfloat16) worst = std::max(worst, deviation(out.read(), plain_out.read()));
      const bool equal = worst <= (bfloat16 ? 1e-2 : 1e-3);
      failures += !equal;
      std::vector<float> plain_times, fast_times;
      for (int i = 0; i < repeats; ++i) {  // interleaved: both see the same machine
        plain_times.push_back(milliseconds(plain));
        fast_times.push_back(milliseconds(fast));
      }
      std::printf(
          "encoder %s batch %d, %s: plain float32 %.3f ms, lethe %.3f ms, results %s (%.1e),"
          " ratio %.2f\n",
          bfloat16 ? "bfloat16" : "float32", kBatch,
          value_gradient ? "all gradients" : "no value gradient", median(plain_times),
          median(fast_times), equal ? "equal" : "FAIL", worst,
          median(plain_times) / median(fast_times));
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) { return measure(argc > 1 ? std::atoi(argv[1]) : 20); }
