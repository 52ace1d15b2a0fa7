#include "kernels/cpu/deformable_attention.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "kernels/cpu/deformable_tile.h"

namespace lethe {
namespace {

using deformable::Kernels;
using deformable::Map;
using deformable::Tile;

constexpr int64_t kTaskQueries = 512;  // of a task, where queries can be split

int64_t task_parts(int64_t queries) { return (queries + kTaskQueries - 1) / kTaskQueries; }

/// Room for one head's rows, side by side: among the other heads' they share few sets of the
/// caches. On a cache line's boundary, so that no vector crosses one.
template <typename T>
class Packed {
 public:
  Packed() = default;
  ~Packed() { ::operator delete(data_, kAlign); }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;

  /// Room for `count` rows of `channels`, contents undefined.
  T* rows(int64_t count, int64_t channels) {
    if (count * channels > room_) {
      ::operator delete(data_, kAlign);
      data_ = nullptr;
      room_ = 0;
      const size_t bytes = static_cast<size_t>(count * channels) * sizeof(T);
      data_ = static_cast<T*>(::operator new(bytes, kAlign));
      room_ = count * channels;
    }
    return data_;
  }

 private:
  static constexpr std::align_val_t kAlign{64};
  T* data_ = nullptr;
  int64_t room_ = 0;
};

template <typename T>
void copy_rows(Map<const T> from, int64_t count, int64_t channels, Map<T> to) {
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to.first + i * to.step, from.first + i * from.step,
                static_cast<size_t>(channels) * sizeof(T));
  }
}

template <typename T>
void add_rows(Map<const T> from, int64_t count, int64_t channels, Map<T> to) {
  for (int64_t i = 0; i < count; ++i) {
    const T* source = from.first + i * from.step;
    T* sum = to.first + i * to.step;
#pragma omp simd
    for (int64_t d = 0; d < channels; ++d) sum[d] += source[d];
  }
}

/// One head of one image, some levels, some queries: what one thread does in one go.
struct Part {
  Part(const DeformableAttentionShape& shape, int64_t image_and_head)
      : s(shape), image(image_and_head / shape.heads), head(image_and_head % shape.heads) {}

  void set_levels(int64_t begin, int64_t end) {
    level_begin = begin;
    level_end = end;
    for (int64_t l = 0; l < end; ++l) {
      (l < begin ? start : pixels) += s.levels[l].height * s.levels[l].width;
    }
  }
  /// Whether there are more points than pixels, so that packing these costs little.
  bool worth_packing() const {
    return (query_end - query_begin) * (level_end - level_begin) * s.points > pixels;
  }
  /// The rows of the levels' pixels, in `value` or its gradient.
  template <typename T>
  Map<T> pixels_of(T* value) const {
    return {value + ((image * s.positions + start) * s.heads + head) * s.channels,
            s.heads * s.channels};
  }
  /// The rows of the output, or its gradient, from this query on.
  template <typename T>
  Map<T> queries_of(T* output, int64_t query) const {
    return {output + ((image * s.queries + query) * s.heads + head) * s.channels,
            s.heads * s.channels};
  }
  /// Where the points of a query and a level begin in the weights.
  int64_t point(int64_t query, int64_t level) const {
    return (((image * s.queries + query) * s.heads + head) * s.level_count + level) * s.points;
  }
  template <typename T>
  void load(const T* locations, const T* weights, int64_t begin, int64_t end, int64_t level,
            Tile<T>& tile) const {
    tile.queries = end - begin;
    for (int64_t q = begin, i = 0; q < end; ++q) {
      const T *xy = locations + 2 * point(q, level), *a = weights + point(q, level);
      for (int64_t p = 0; p < s.points; ++p, ++i) {
        tile.x[i] = xy[2 * p];
        tile.y[i] = xy[2 * p + 1];
        tile.a[i] = a[p];
      }
    }
  }
  template <typename T>
  void store(const Tile<T>& tile, int64_t begin, int64_t end, int64_t level,
             const DeformableAttentionGradients<T>& gradients) const {
    for (int64_t q = begin, i = 0; q < end; ++q, i += s.points) {
      if (T* a = gradients.weights) std::copy_n(tile.da + i, s.points, a + point(q, level));
      if (!gradients.locations) continue;
      T* xy = gradients.locations + 2 * point(q, level);
      for (int64_t p = 0; p < s.points; ++p) {
        xy[2 * p] = tile.dx[i + p];
        xy[2 * p + 1] = tile.dy[i + p];
      }
    }
  }

  const DeformableAttentionShape& s;
  int64_t image, head;
  int64_t level_begin = 0, level_end = 0, start = 0, pixels = 0;
  int64_t query_begin = 0, query_end = 0;
};

/// Calls `body` for the tasks, those that belong together at once.
template <typename Body>
void for_parts(const DeformableAttentionShape& s, bool by_level, int64_t begin, int64_t end,
               const Body& body) {
  const int64_t splits = by_level ? s.level_count : task_parts(s.queries);
  for (int64_t task = begin; task < end;) {
    const int64_t first = task % splits, last = std::min(splits, first + end - task);
    Part part(s, task / splits);
    part.set_levels(by_level ? first : 0, by_level ? last : s.level_count);
    part.query_begin = by_level ? 0 : first * kTaskQueries;
    part.query_end = by_level ? s.queries : std::min(s.queries, last * kTaskQueries);
    body(part);
    task += last - first;
  }
}

}  // namespace

int64_t DeformableAttentionShape::forward_tasks() const {
  return batch * heads * task_parts(queries);
}

int64_t DeformableAttentionShape::backward_tasks(bool value_gradient) const {
  return batch * heads * (value_gradient ? level_count : task_parts(queries));
}

template <typename T>
void deformable_attention_forward(const DeformableAttentionShape& s, const T* value,
                                  const T* locations, const T* weights, T* output,
                                  int64_t task_begin, int64_t task_end) {
  const Kernels<T> kernels = deformable::best_kernels<T>(s.channels, false);
  Tile<T> tile(s.points, s.channels);
  Packed<T> packed, sums;
  T* sum = sums.rows(tile.most_queries, s.channels);
  for_parts(s, /*by_level=*/false, task_begin, task_end, [&](const Part& part) {
    Map<const T> map = part.pixels_of(value);
    if (part.worth_packing()) {
      const Map<T> copy{packed.rows(part.pixels, s.channels), s.channels};
      copy_rows(map, part.pixels, s.channels, copy);
      map = {copy.first, copy.step};
    }
    for (int64_t begin = part.query_begin; begin < part.query_end; begin += tile.most_queries) {
      const int64_t end = std::min(part.query_end, begin + tile.most_queries);
      std::fill_n(sum, (end - begin) * s.channels, T(0));
      Map<const T> level = map;
      for (int64_t l = 0; l < s.level_count; ++l) {
        part.load(locations, weights, begin, end, l, tile);
        kernels.locate(tile, s.levels[l]);
        kernels.sample(tile, level, sum, s.channels);
        level.first += s.levels[l].height * s.levels[l].width * level.step;
      }
      copy_rows({sum, s.channels}, end - begin, s.channels, part.queries_of(output, begin));
    }
  });
}

template <typename T>
void deformable_attention_backward(const DeformableAttentionShape& s, const T* value,
                                   const T* locations, const T* weights, const T* grad_output,
                                   const DeformableAttentionGradients<T>& gradients,
                                   int64_t task_begin, int64_t task_end) {
  const bool values = gradients.value != nullptr;
  const Kernels<T> kernels = deformable::best_kernels<T>(s.channels, values);
  Tile<T> tile(s.points, s.channels);
  Packed<T> packed, packed_sums, packed_rows;
  T* rows = packed_rows.rows(tile.most_queries, s.channels);
  for_parts(s, /*by_level=*/values, task_begin, task_end, [&](const Part& part) {
    Map<const T> map = part.pixels_of(value);
    Map<T> sums = values ? part.pixels_of(gradients.value) : Map<T>{};
    const Map<T> all = sums;
    if (part.worth_packing()) {
      const Map<T> copy{packed.rows(part.pixels, s.channels), s.channels};
      copy_rows(map, part.pixels, s.channels, copy);
      map = {copy.first, copy.step};
      if (values) {
        sums = {packed_sums.rows(part.pixels, s.channels), s.channels};
        std::fill_n(sums.first, part.pixels * s.channels, T(0));
      }
    }
    for (int64_t begin = part.query_begin; begin < part.query_end; begin += tile.most_queries) {
      const int64_t end = std::min(part.query_end, begin + tile.most_queries);
      copy_rows(part.queries_of(grad_output, begin), end - begin, s.channels, {rows, s.channels});
      Map<const T> level = map;
      Map<T> level_sums = sums;
      for (int64_t l = part.level_begin; l < part.level_end; ++l) {
        part.load(locations, weights, begin, end, l, tile);
        kernels.locate(tile, s.levels[l]);
        kernels.differentiate(tile, level, level_sums, rows, s.channels);
        kernels.finish(tile, s.levels[l]);
        part.store(tile, begin, end, l, gradients);
        level.first += s.levels[l].height * s.levels[l].width * level.step;
        if (values) level_sums.first += s.levels[l].height * s.levels[l].width * level_sums.step;
      }
    }
    if (sums.first != all.first) {
      add_rows({sums.first, sums.step}, part.pixels, s.channels, all);
    }
  });
}

template void deformable_attention_forward(const DeformableAttentionShape&, const float*,
                                           const float*, const float*, float*, int64_t, int64_t);
template void deformable_attention_forward(const DeformableAttentionShape&, const double*,
                                           const double*, const double*, double*, int64_t, int64_t);
template void deformable_attention_backward(const DeformableAttentionShape&, const float*,
                                            const float*, const float*, const float*,
                                            const DeformableAttentionGradients<float>&, int64_t,
                                            int64_t);
template void deformable_attention_backward(const DeformableAttentionShape&, const double*,
                                            const double*, const double*, const double*,
                                            const DeformableAttentionGradients<double>&, int64_t,
                                            int64_t);

}  // namespace lethe
