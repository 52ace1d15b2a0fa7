// The inner loops of deformable attention on a CPU: a tile of points of one head and level, in code
// for each vector unit, chosen when the program runs. Included by deformable_attention.cpp alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/cpu/deformable_attention.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define LETHE_X86 1
#endif
// What is inlined into functions for one vector unit each, and vectorised there.
#define LETHE_INLINE inline __attribute__((always_inline))

namespace lethe::deformable {

constexpr int64_t kTilePoints = 64;  // located together: all lanes full, all results in the cache

/// The pixels of a level, `step` apart, for one head.
template <typename T>
struct Map {
  T* first;
  int64_t step;
};

/// Points of one head and level, and all that is known of them.
template <typename T>
struct Tile {
  Tile(int64_t points, int64_t channels)
      : per_query(points),
        most_queries(std::max<int64_t>(1, kTilePoints / points)),
        numbers(static_cast<size_t>(most_queries * points) * 16),
        rows(static_cast<size_t>(most_queries * points) * 4),
        outside(static_cast<size_t>(channels)),
        unread(static_cast<size_t>(channels)) {
    T* next = numbers.data();
    for (T** array : {&x, &y, &a, &fx, &fy, &dx, &dy, &da, &w[0], &w[1], &w[2], &w[3], &dot[0],
                      &dot[1], &dot[2], &dot[3]}) {
      *array = next;
      next += most_queries * points;
    }
    for (int c = 0; c < 4; ++c) row[c] = rows.data() + c * most_queries * points;
  }
  Tile(const Tile&) = delete;
  Tile& operator=(const Tile&) = delete;

  int64_t per_query, most_queries;
  int64_t queries = 0;  // of these, now

  T *x, *y, *a;     // location, weight
  T *fx, *fy;       // how far it lies between the pixels
  T* w[4];          // the shares of its corners: top left, top right, bottom left, bottom right
  int32_t* row[4];  // these pixels in the map, -1 outside
  T* dot[4];        // their product with the gradient of the output
  T *dx, *dy, *da;  // the gradients of the point
  std::vector<T> numbers;
  std::vector<int32_t> rows;
  std::vector<T> outside, unread;  // stand for a pixel outside, to read and to write
};

/// Corners and shares of the points.
template <typename T>
LETHE_INLINE void locate_points(Tile<T>& tile, LevelSize level) {
  const auto width = static_cast<int32_t>(level.width), height = static_cast<int32_t>(level.height);
  const T w = static_cast<T>(width), h = static_cast<T>(height);
  const T *px = tile.x, *py = tile.y;
  T *fx = tile.fx, *fy = tile.fy;
  T *w0 = tile.w[0], *w1 = tile.w[1], *w2 = tile.w[2], *w3 = tile.w[3];
  int32_t *r0 = tile.row[0], *r1 = tile.row[1], *r2 = tile.row[2], *r3 = tile.row[3];
  const int64_t count = tile.queries * tile.per_query;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    // Further out than this no pixel is touched, and integers hold the rest; NaN becomes -2.
    T x = px[i] * w - T(0.5), y = py[i] * h - T(0.5);
    x = x > T(-2) ? x : T(-2);
    y = y > T(-2) ? y : T(-2);
    x = x < w ? x : w;
    y = y < h ? y : h;
    int32_t left = static_cast<int32_t>(x), top = static_cast<int32_t>(y);
    left -= static_cast<int32_t>(x < static_cast<T>(left));  // the floor: it was cut towards zero
    top -= static_cast<int32_t>(y < static_cast<T>(top));
    const T dx = x - static_cast<T>(left), dy = y - static_cast<T>(top);
    fx[i] = dx;
    fy[i] = dy;
    w0[i] = (1 - dy) * (1 - dx);
    w1[i] = (1 - dy) * dx;
    w2[i] = dy * (1 - dx);
    w3[i] = dy * dx;
    // -1 where outside and 0 inside, without a branch: or-ed to a row it stays or becomes -1.
    const int32_t out_left = static_cast<int32_t>((left >= 0) & (left < width)) - 1;
    const int32_t out_right = static_cast<int32_t>((left >= -1) & (left + 1 < width)) - 1;
    const int32_t out_top = static_cast<int32_t>((top >= 0) & (top < height)) - 1;
    const int32_t out_bottom = static_cast<int32_t>((top >= -1) & (top + 1 < height)) - 1;
    const int32_t first = top * width + left;
    r0[i] = first | out_top | out_left;
    r1[i] = (first + 1) | out_top | out_right;
    r2[i] = (first + width) | out_bottom | out_left;
    r3[i] = (first + width + 1) | out_bottom | out_right;
  }
}

/// Adds the points' samples to their queries' outputs. kChannels: 0, or the channels.
template <typename T, int kChannels>
LETHE_INLINE void sample_points(const Tile<T>& tile, Map<const T> map, T* out, int64_t channels) {
  if (kChannels) channels = kChannels;
  for (int64_t q = 0, i = 0; q < tile.queries; ++q, out += channels) {
    for (int64_t p = 0; p < tile.per_query; ++p, ++i) {
      const T* v[4];
      T share[4];
      for (int c = 0; c < 4; ++c) {
        const int64_t row = tile.row[c][i];
        v[c] = row >= 0 ? map.first + row * map.step : tile.outside.data();
        share[c] = tile.w[c][i] * tile.a[i];
      }
#pragma omp simd
      for (int64_t d = 0; d < channels; ++d) {
        out[d] +=
            (share[0] * v[0][d] + share[1] * v[1][d]) + (share[2] * v[2][d] + share[3] * v[3][d]);
      }
    }
  }
}

/// Adds the upper half of the lanes to the lower.
template <int kHalf, typename T, int kLanes>
LETHE_INLINE void fold(T (&lanes)[kLanes]) {
#pragma omp simd
  for (int j = 0; j < kHalf; ++j) lanes[j] += lanes[j + kHalf];
}

/// The corners' products with `g`, the gradients of the queries' outputs; adds to the corners' own
/// gradients in `dmap` too where kValues. kLanes: of a vector.
template <typename T, int kChannels, bool kValues, int kLanes>
LETHE_INLINE void differentiate_points(Tile<T>& tile, Map<const T> map, Map<T> dmap, const T* g,
                                       int64_t channels) {
  if (kChannels) channels = kChannels;
  const int64_t full = channels / kLanes * kLanes;
  for (int64_t q = 0, i = 0; q < tile.queries; ++q, g += channels) {
    for (int64_t p = 0; p < tile.per_query; ++p, ++i) {
      const T* v[4];
      T* dv[4];
      T share[4];
      for (int c = 0; c < 4; ++c) {
        const int64_t row = tile.row[c][i];
        v[c] = row >= 0 ? map.first + row * map.step : tile.outside.data();
        if (kValues) dv[c] = row >= 0 ? dmap.first + row * dmap.step : tile.unread.data();
        share[c] = tile.w[c][i] * tile.a[i];
      }
      T sum[4][kLanes] = {};
      for (int64_t begin = 0; begin < full; begin += kLanes) {
#pragma omp simd
        for (int j = 0; j < kLanes; ++j) {
          const T gradient = g[begin + j];
          sum[0][j] += gradient * v[0][begin + j];
          sum[1][j] += gradient * v[1][begin + j];
          sum[2][j] += gradient * v[2][begin + j];
          sum[3][j] += gradient * v[3][begin + j];
          if (kValues) {
            dv[0][begin + j] += share[0] * gradient;
            dv[1][begin + j] += share[1] * gradient;
            dv[2][begin + j] += share[2] * gradient;
            dv[3][begin + j] += share[3] * gradient;
          }
        }
      }
      for (int c = 0; c < 4; ++c) {
        if constexpr (kLanes >= 16) fold<8>(sum[c]);
        if constexpr (kLanes >= 8) fold<4>(sum[c]);
        if constexpr (kLanes >= 4) fold<2>(sum[c]);
        T dot = sum[c][0] + sum[c][1];
        for (int64_t d = full; d < channels; ++d) {
          dot += g[d] * v[c][d];
          if (kValues) dv[c][d] += share[c] * g[d];
        }
        tile.dot[c][i] = dot;
      }
    }
  }
}

/// The points' own gradients from their corners' products.
template <typename T>
LETHE_INLINE void finish_points(Tile<T>& tile, LevelSize level) {
  const T w = static_cast<T>(level.width), h = static_cast<T>(level.height);
  const T *a = tile.a, *fx = tile.fx, *fy = tile.fy;
  const T *d0 = tile.dot[0], *d1 = tile.dot[1], *d2 = tile.dot[2], *d3 = tile.dot[3];
  const T *w0 = tile.w[0], *w1 = tile.w[1], *w2 = tile.w[2], *w3 = tile.w[3];
  T *dx = tile.dx, *dy = tile.dy, *da = tile.da;
  const int64_t count = tile.queries * tile.per_query;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    da[i] = (w0[i] * d0[i] + w1[i] * d1[i]) + (w2[i] * d2[i] + w3[i] * d3[i]);
    dx[i] = w * a[i] * ((1 - fy[i]) * (d1[i] - d0[i]) + fy[i] * (d3[i] - d2[i]));
    dy[i] = h * a[i] * ((1 - fx[i]) * (d2[i] - d0[i]) + fx[i] * (d3[i] - d1[i]));
  }
}

/// The four above, for a number of channels and a vector unit.
template <typename T>
struct Kernels {
  void (*locate)(Tile<T>& tile, LevelSize level);
  void (*sample)(const Tile<T>& tile, Map<const T> map, T* out, int64_t channels);
  void (*differentiate)(Tile<T>& tile, Map<const T> map, Map<T> dmap, const T* g, int64_t channels);
  void (*finish)(Tile<T>& tile, LevelSize level);
};

/// A namespace with the kernels for one unit: TARGET its attribute, BYTES of a vector.
#define LETHE_UNIT(NAME, BYTES, TARGET)                                                        \
  namespace NAME {                                                                             \
  template <typename T>                                                                        \
  TARGET void locate(Tile<T>& tile, LevelSize level) {                                         \
    locate_points(tile, level);                                                                \
  }                                                                                            \
  template <typename T, int kChannels>                                                         \
  TARGET void sample(const Tile<T>& tile, Map<const T> map, T* out, int64_t channels) {        \
    sample_points<T, kChannels>(tile, map, out, channels);                                     \
  }                                                                                            \
  template <typename T, int kChannels, bool kValues>                                           \
  TARGET void differentiate(Tile<T>& tile, Map<const T> map, Map<T> dmap, const T* g,          \
                            int64_t channels) {                                                \
    constexpr int kLanes = BYTES / sizeof(T);                                                  \
    differentiate_points<T, kChannels, kValues, kLanes>(tile, map, dmap, g, channels);         \
  }                                                                                            \
  template <typename T>                                                                        \
  TARGET void finish(Tile<T>& tile, LevelSize level) {                                         \
    finish_points(tile, level);                                                                \
  }                                                                                            \
  template <typename T, int kChannels>                                                         \
  Kernels<T> all(bool values) {                                                                \
    return {&locate<T>, &sample<T, kChannels>,                                                 \
            values ? &differentiate<T, kChannels, true> : &differentiate<T, kChannels, false>, \
            &finish<T>};                                                                       \
  }                                                                                            \
  template <typename T>                                                                        \
  Kernels<T> kernels(int64_t channels, bool values) {                                          \
    switch (channels) {                                                                        \
      case 8:                                                                                  \
        return all<T, 8>(values);                                                              \
      case 16:                                                                                 \
        return all<T, 16>(values);                                                             \
      case 32:                                                                                 \
        return all<T, 32>(values);                                                             \
      case 64:                                                                                 \
        return all<T, 64>(values);                                                             \
      default:                                                                                 \
        return all<T, 0>(values);                                                              \
    }                                                                                          \
  }                                                                                            \
  }

LETHE_UNIT(plain, 16, )
#ifdef LETHE_X86
LETHE_UNIT(avx2, 32, __attribute__((target("avx2,fma"))))
LETHE_UNIT(avx512, 64,
           __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,"
                                 "prefer-vector-width=512"))))
#endif

template <typename T>
Kernels<T> best_kernels(int64_t channels, bool values) {
#ifdef LETHE_X86
  static const bool has_avx512 =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  static const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (has_avx512) return avx512::kernels<T>(channels, values);
  if (has_avx2) return avx2::kernels<T>(channels, values);
#endif
  return plain::kernels<T>(channels, values);
}

}  // namespace lethe::deformable

#undef LETHE_UNIT
#undef LETHE_INLINE
#undef LETHE_X86
