// Multi-scale deformable attention. A group of lanes serves one query and head, each lane some of
// the channels, 16 bytes of them at a time. Lane k works out the place and the weight of point k,
// once for all channels, and tells the others by shuffles; the products over the channels are added
// up by shuffles too. No shared memory, no block-wide barrier. Coordinates and sums are float32.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "kernels/cuda/deformable_attention.h"

namespace {

constexpr int kBlock = 256;

struct Level {
  int height, width;
  int64_t start;  // its first pixel among the positions
};

/// LetheCudaDeformableAttention, as the kernels want it: in their constant memory.
template <typename V>
struct Inputs {
  int64_t queries, positions, groups;  // a group for each (image, query, head)
  int heads, channels, points, all_points, reference_width;
  Level level[LETHE_CUDA_MAX_LEVELS];
  int level_count;
  const V* value;
  const float *reference, *places, *scores;
};

__device__ float to_float(float number) { return number; }
__device__ float to_float(__nv_bfloat16 number) { return __bfloat162float(number); }
__device__ void from_float(float number, float* to) { *to = number; }
__device__ void from_float(float number, __nv_bfloat16* to) { *to = __float2bfloat16(number); }

/// kCount numbers: 1, or 16 bytes of them, aligned.
template <int kCount, typename V>
__device__ void load(const V* from, float (&to)[kCount]) {
  union {
    uint4 bytes;
    V numbers[kCount];
  } data;
  if constexpr (kCount == 1) {
    to[0] = to_float(*from);
  } else {
    static_assert(sizeof data == 16);
    data.bytes = *reinterpret_cast<const uint4*>(from);
#pragma unroll
    for (int i = 0; i < kCount; ++i) to[i] = to_float(data.numbers[i]);
  }
}

template <int kCount, typename V>
__device__ void store(const float (&from)[kCount], V* to) {
  union {
    uint4 bytes;
    V numbers[kCount];
  } data;
  if constexpr (kCount == 1) {
    from_float(from[0], to);
  } else {
#pragma unroll
    for (int i = 0; i < kCount; ++i) from_float(from[i], data.numbers + i);
    *reinterpret_cast<uint4*>(to) = data.bytes;
  }
}

/// to += scale * from, whoever else adds to it.
template <int kCount>
__device__ void add(float* to, float scale, const float (&from)[kCount]) {
  if constexpr (kCount == 1) {
    atomicAdd(to, scale * from[0]);
  } else {
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
      atomicAdd(reinterpret_cast<float4*>(to + i),
                make_float4(scale * from[i], scale * from[i + 1], scale * from[i + 2],
                            scale * from[i + 3]));
#else
      for (int j = 0; j < 4; ++j) atomicAdd(to + i + j, scale * from[i + j]);
#endif
    }
  }
}

/// The lanes that serve one query and head. Those of another may have ended already, or be
/// elsewhere.
template <int kLanes>
struct Group {
  int lane = threadIdx.x % kLanes;
  int64_t index = (int64_t{blockIdx.x} * kBlock + threadIdx.x) / kLanes;
  unsigned mask = kLanes == 32 ? ~0u : ((1u << kLanes % 32) - 1) << (threadIdx.x % 32 - lane);

  template <typename T>
  __device__ T from(T number, int source) const {
    return __shfl_sync(mask, number, source, kLanes);
  }
  __device__ float sum(float number) const {
#pragma unroll
    for (int i = kLanes / 2; i > 0; i /= 2) number += __shfl_xor_sync(mask, number, i, kLanes);
    return number;
  }
  __device__ float maximum(float number) const {
#pragma unroll
    for (int i = kLanes / 2; i > 0; i /= 2) {
      number = fmaxf(number, __shfl_xor_sync(mask, number, i, kLanes));
    }
    return number;
  }
};

/// What one group works on.
template <typename V, int kLanes>
struct Task {
  __device__ Task(const Inputs<V>& inputs, const Group<kLanes>& lanes) : in(inputs), group(lanes) {
    head = static_cast<int>(group.index % in.heads);
    query = group.index / in.heads;  // among those of all images
    image = query / in.queries;
    first_point = group.index * in.all_points;
  }

  /// For softmax(): the largest logit, and the sum of exponentials beneath it.
  __device__ void read_logits() {
    largest = -INFINITY;
    for (int k = group.lane; k < in.all_points; k += kLanes) {
      largest = fmaxf(largest, in.scores[first_point + k]);
    }
    largest = group.maximum(largest);
    float sum = 0;
    for (int k = group.lane; k < in.all_points; k += kLanes) {
      sum += expf(in.scores[first_point + k] - largest);
    }
    scale = 1 / group.sum(sum);
  }
  __device__ float weight(int k) const {
    const float score = in.scores[first_point + k];
    return in.reference_width == 0 ? score : expf(score - largest) * scale;
  }

  const Inputs<V>& in;
  const Group<kLanes>& group;
  int head;
  int64_t query, image, first_point;
  float largest = 0, scale = 1;
};

/// A point in pixels of its level, and what an offset of 1 moves it by.
struct Point {
  float x = 0, y = 0, weight = 0, x_rate = 0, y_rate = 0;
  int level = 0;
};

template <typename V, int kLanes>
__device__ Point locate(const Task<V, kLanes>& task, int k) {
  const Inputs<V>& in = task.in;
  Point point;
  if (k >= in.all_points) return point;
  point.level = k / in.points;
  point.weight = task.weight(k);
  const float width = static_cast<float>(in.level[point.level].width);
  const float height = static_cast<float>(in.level[point.level].height);
  const float2 place = reinterpret_cast<const float2*>(in.places)[task.first_point + k];
  if (in.reference_width == 0) {
    point.x = place.x * width - 0.5f;
    point.y = place.y * height - 0.5f;
    return point;
  }
  const float* reference =
      in.reference + (task.query * in.level_count + point.level) * in.reference_width;
  point.x_rate = point.y_rate = 1;
  if (in.reference_width == 4) {
    point.x_rate = 0.5f / static_cast<float>(in.points) * reference[2] * width;
    point.y_rate = 0.5f / static_cast<float>(in.points) * reference[3] * height;
  }
  point.x = reference[0] * width - 0.5f + place.x * point.x_rate;
  point.y = reference[1] * height - 0.5f + place.y * point.y_rate;
  return point;
}

/// The corners of a point: top left, top right, bottom left, bottom right.
struct Corners {
  /// False when no pixel of the map is touched, as by NaN. A point at -1 has no value, but the
  /// derivative to its right, as on the CPU.
  __device__ bool set(float x, float y, const Level& level) {
    const float width = static_cast<float>(level.width);
    const float height = static_cast<float>(level.height);
    if (!(x >= -1 && x < width && y >= -1 && y < height)) return false;
    const float left = floorf(x), top = floorf(y);
    const int column = static_cast<int>(left), row = static_cast<int>(top);
    fx = x - left;
    fy = y - top;
    share[0] = (1 - fy) * (1 - fx);
    share[1] = (1 - fy) * fx;
    share[2] = fy * (1 - fx);
    share[3] = fy * fx;
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const int r = row + c / 2, q = column + c % 2;
      inside[c] = r >= 0 && r < level.height && q >= 0 && q < level.width;
      pixel[c] = level.start + int64_t{r} * level.width + q;
    }
    return true;
  }

  float fx, fy, share[4];
  bool inside[4];
  int64_t pixel[4];
};

template <typename V, int kCount, int kLanes>
__global__ void __launch_bounds__(kBlock)
    forward(const __grid_constant__ Inputs<V> in, V* __restrict__ output) {
  const Group<kLanes> group;
  if (group.index >= in.groups) return;
  Task<V, kLanes> task(in, group);
  if (in.reference_width != 0) task.read_logits();
  const int64_t step = int64_t{in.heads} * in.channels;
  const V* map = in.value + task.image * in.positions * step + task.head * in.channels;
  // All lanes take every turn, for their points are needed: those beyond the channels only shuffle.
  for (int turn = 0; turn < in.channels; turn += kLanes * kCount) {
    const int channel = turn + group.lane * kCount;
    const bool busy = channel < in.channels;
    float sum[kCount] = {};
    for (int begin = 0; begin < in.all_points; begin += kLanes) {
      const Point own = locate(task, begin + group.lane);
      const int count = min(kLanes, in.all_points - begin);
#pragma unroll 4
      for (int j = 0; j < count; ++j) {
        const Level& level = in.level[group.from(own.level, j)];
        const float x = group.from(own.x, j), y = group.from(own.y, j);
        const float weight = group.from(own.weight, j);
        Corners corners;
        if (!busy || !corners.set(x, y, level)) continue;
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          if (!corners.inside[c]) continue;
          float numbers[kCount];
          load<kCount>(map + corners.pixel[c] * step + channel, numbers);
          const float share = weight * corners.share[c];
#pragma unroll
          for (int i = 0; i < kCount; ++i) sum[i] += share * numbers[i];
        }
      }
    }
    if (busy) store<kCount>(sum, output + group.index * in.channels + channel);
  }
}

template <typename V, int kCount, int kLanes, bool kValues>
__global__ void __launch_bounds__(kBlock)
    backward(const __grid_constant__ Inputs<V> in, const V* __restrict__ grad_output,
             const __grid_constant__ LetheCudaDeformableAttentionGradients out) {
  const Group<kLanes> group;
  if (group.index >= in.groups) return;
  Task<V, kLanes> task(in, group);
  if (in.reference_width != 0) task.read_logits();
  const int64_t step = int64_t{in.heads} * in.channels;
  const int64_t map = task.image * in.positions * step + task.head * in.channels;
  const V* upstream = grad_output + group.index * in.channels;
  const int first = group.lane * kCount;
  float first_gradient[kCount] = {};
  if (first < in.channels) load<kCount>(upstream + first, first_gradient);

  float mean = 0;  // of the weights' gradients, by weight: this lane's points' part
  for (int begin = 0; begin < in.all_points; begin += kLanes) {
    const Point own = locate(task, begin + group.lane);
    float own_weight = 0, own_x = 0, own_y = 0;  // gradients of the weight and of the pixel place
    const int count = min(kLanes, in.all_points - begin);
    for (int j = 0; j < count; ++j) {
      const Level& level = in.level[group.from(own.level, j)];
      const float x = group.from(own.x, j), y = group.from(own.y, j);
      const float weight = group.from(own.weight, j);
      Corners corners;
      if (!corners.set(x, y, level)) continue;  // for all lanes alike
      float dot[4] = {};
      for (int channel = first; channel < in.channels; channel += kLanes * kCount) {
        float gradient[kCount];
        if (channel == first) {
#pragma unroll
          for (int i = 0; i < kCount; ++i) gradient[i] = first_gradient[i];
        } else {
          load<kCount>(upstream + channel, gradient);
        }
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          if (!corners.inside[c]) continue;
          const int64_t at = map + corners.pixel[c] * step + channel;
          float numbers[kCount];
          load<kCount>(in.value + at, numbers);
#pragma unroll
          for (int i = 0; i < kCount; ++i) dot[c] += gradient[i] * numbers[i];
          if constexpr (kValues) add<kCount>(out.value + at, weight * corners.share[c], gradient);
        }
      }
      const float fx = corners.fx, fy = corners.fy;
      const float of_weight = group.sum(corners.share[0] * dot[0] + corners.share[1] * dot[1] +
                                        corners.share[2] * dot[2] + corners.share[3] * dot[3]);
      const float of_x = group.sum((1 - fy) * (dot[1] - dot[0]) + fy * (dot[3] - dot[2]));
      const float of_y = group.sum((1 - fx) * (dot[2] - dot[0]) + fx * (dot[3] - dot[1]));
      if (group.lane == j) {
        own_weight = of_weight;
        own_x = weight * of_x;
        own_y = weight * of_y;
      }
    }
    const int k = begin + group.lane;
    if (k >= in.all_points) continue;  // in the last turn: no shuffle of this loop comes after
    const int64_t at = task.first_point + k;
    out.scores[at] = own_weight;
    mean += own.weight * own_weight;
    if (out.locations) {
      const Level& level = in.level[own.level];
      reinterpret_cast<float2*>(out.locations)[at] = make_float2(
          own_x * static_cast<float>(level.width), own_y * static_cast<float>(level.height));
    }
    if (out.offsets) {
      reinterpret_cast<float2*>(out.offsets)[at] =
          make_float2(own_x * own.x_rate, own_y * own.y_rate);
    }
  }
  if (in.reference_width == 0) return;
  mean = group.sum(mean);
  for (int k = group.lane; k < in.all_points; k += kLanes) {  // each lane reads what it wrote
    float* score = out.scores + task.first_point + k;
    *score = task.weight(k) * (*score - mean);
  }
}

template <typename V>
Inputs<V> inputs_of(const LetheCudaDeformableAttention& a) {
  Inputs<V> in{};
  in.queries = a.queries;
  in.positions = a.positions;
  in.groups = a.batch * a.queries * a.heads;
  in.heads = static_cast<int>(a.heads);
  in.channels = static_cast<int>(a.channels);
  in.points = a.points;
  in.all_points = a.level_count * a.points;
  in.reference_width = a.reference_width;
  int64_t start = 0;
  for (int l = 0; l < a.level_count; ++l) {
    in.level[l] = {a.height[l], a.width[l], start};
    start += int64_t{a.height[l]} * a.width[l];
  }
  in.level_count = a.level_count;
  in.value = static_cast<const V*>(a.value);
  in.reference = a.reference;
  in.places = a.places;
  in.scores = a.scores;
  return in;
}

template <typename V, int kCount, int kLanes>
cudaError_t launch(const LetheCudaDeformableAttention& a, void* output, const void* grad_output,
                   const LetheCudaDeformableAttentionGradients* gradients, cudaStream_t stream) {
  const Inputs<V> in = inputs_of<V>(a);
  const int64_t blocks = (in.groups * kLanes + kBlock - 1) / kBlock;
  if (blocks == 0) return cudaSuccess;
  if (blocks >= int64_t{1} << 31) return cudaErrorInvalidConfiguration;
  const auto grid = static_cast<unsigned>(blocks);
  const V* g = static_cast<const V*>(grad_output);
  if (!gradients) {
    forward<V, kCount, kLanes><<<grid, kBlock, 0, stream>>>(in, static_cast<V*>(output));
  } else if (gradients->value) {
    backward<V, kCount, kLanes, true><<<grid, kBlock, 0, stream>>>(in, g, *gradients);
  } else {
    backward<V, kCount, kLanes, false><<<grid, kBlock, 0, stream>>>(in, g, *gradients);
  }
  return cudaGetLastError();
}

bool aligned(const void* address) { return reinterpret_cast<uintptr_t>(address) % 16 == 0; }

/// The forward pass, or the backward one when `gradients` is set.
template <typename V>
cudaError_t dispatch(const LetheCudaDeformableAttention& a, void* output, const void* grad_output,
                     const LetheCudaDeformableAttentionGradients* gradients, cudaStream_t stream) {
  constexpr int kCount = 16 / sizeof(V);
  const bool vectors = a.channels % kCount == 0 && aligned(a.value) && aligned(output) &&
                       aligned(grad_output) && (!gradients || aligned(gradients->value));
  if (!vectors) return launch<V, 1, 32>(a, output, grad_output, gradients, stream);
  if (a.channels <= 4 * kCount) {
    return launch<V, kCount, 4>(a, output, grad_output, gradients, stream);
  }
  return launch<V, kCount, 8>(a, output, grad_output, gradients, stream);
}

int run(const LetheCudaDeformableAttention* a, void* output, const void* grad_output,
        const LetheCudaDeformableAttentionGradients* gradients, void* stream) {
  if (a->level_count < 0 || a->level_count > LETHE_CUDA_MAX_LEVELS ||
      (a->reference_width != 0 && a->reference_width != 2 && a->reference_width != 4)) {
    return cudaErrorInvalidValue;
  }
  const auto in_order = static_cast<cudaStream_t>(stream);
  return a->bfloat16 ? dispatch<__nv_bfloat16>(*a, output, grad_output, gradients, in_order)
                     : dispatch<float>(*a, output, grad_output, gradients, in_order);
}

}  // namespace

#define LETHE_EXPORT __attribute__((visibility("default")))

LETHE_EXPORT int lethe_cuda_deformable_attention_forward(const LetheCudaDeformableAttention* inputs,
                                                         void* output, void* stream) {
  return run(inputs, output, nullptr, nullptr, stream);
}

LETHE_EXPORT int lethe_cuda_deformable_attention_backward(
    const LetheCudaDeformableAttention* inputs, const void* grad_output,
    const LetheCudaDeformableAttentionGradients* gradients, void* stream) {
  return run(inputs, nullptr, grad_output, gradients, stream);
}

LETHE_EXPORT const char* lethe_cuda_error_text(int code) {
  return cudaGetErrorString(static_cast<cudaError_t>(code));
}
