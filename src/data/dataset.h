// Labelled images in memory, shared by every selection made from them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/transform.h"
#include "support/json.h"

namespace lethe {

/// A batch as a model takes it, in memory of its own.
struct Batch {
  at::Tensor images;  ///< float32 [B, C, H, W]
  at::Tensor labels;  ///< int64 [B]
};

/// An immutable, ordered set of images with one class each. A selection shares the pixels with the
/// set it was made from, so copies are cheap. Thread-safe: nothing changes after construction.
///
/// Positions run from 0 to size() - 1. A selection may be empty; a new set may not.
class Dataset {
 public:
  /// `images`: uint8 or float32 [N, C, H, W] on the CPU, N, C, H, W >= 1; float values must be
  /// finite. `labels`: int64 [N], each in [0, class_count). `class_names`: empty or one a class,
  /// UTF-8. The geometry of `transform` is applied here, and needs uint8. Shares the memory of
  /// `images` where nothing has to be converted: nobody may write to it afterwards. Throws
  /// kInvalidArgument.
  Dataset(const at::Tensor& images, const at::Tensor& labels, int64_t class_count,
          const Transform& transform = {}, std::vector<std::string> class_names = {});

  /// The same from images that have been through `transform.apply_geometry` already.
  static Dataset prepared(at::Tensor images, const at::Tensor& labels, int64_t class_count,
                          Transform transform, std::vector<std::string> class_names);

  int64_t size() const { return static_cast<int64_t>(indices_.size()); }
  int64_t class_count() const { return source_->class_count; }
  const std::vector<std::string>& class_names() const { return source_->class_names; }
  const Transform& transform() const { return source_->transform; }
  /// Where a source read the whole set from, as it describes it (see reference.h); null for arrays.
  const Json& origin() const { return source_->origin; }
  /// The same set, said to come from `origin`. Only sources know.
  Dataset with_origin(Json origin) const;
  /// The samples' pixels as they are kept: uint8 or float32 [N, C, H, W], before mean and std.
  at::Tensor pixels() const;
  /// {C, H, W} of a sample.
  std::vector<int64_t> image_shape() const;

  /// Position of sample `i` in the original set: stable across selections, a cache key.
  int64_t source_index(int64_t i) const { return indices_[i]; }
  int64_t label(int64_t i) const { return source_->labels[indices_[i]]; }
  /// Samples per class, length class_count().
  std::vector<int64_t> histogram() const;
  /// The classes that have at least one sample, ascending.
  std::vector<int64_t> present_classes() const;

  /// The samples at these positions, transformed; positions may repeat. Throws kInvalidArgument.
  Batch batch(const std::vector<int64_t>& positions) const;
  /// Consecutive samples [begin, end). Throws kInvalidArgument.
  Batch batch(int64_t begin, int64_t end) const;

  /// The samples at these positions, in this order; positions may repeat. Throws kInvalidArgument.
  Dataset take(const std::vector<int64_t>& positions) const;

  // The selections below keep the order of the samples. Chance is drawn per class, so that choosing
  // classes before or after a random selection gives the same samples.

  /// Only samples of these classes / of all other classes. An unknown class is kNotFound.
  Dataset keep_classes(const std::vector<int64_t>& classes) const;
  Dataset drop_classes(const std::vector<int64_t>& classes) const;
  /// `count` >= 1 random samples of each present class (all of it where it has fewer);
  /// algorithm.md 1.6. Throws kInvalidArgument.
  Dataset few_shot(int64_t count, uint64_t seed) const;
  /// floor(ratio * size) random samples, 0 <= ratio <= 1, without class balancing;
  /// algorithm.md 1.5. Throws kInvalidArgument.
  Dataset ratio(double ratio, uint64_t seed) const;
  /// Two disjoint parts that together are the whole, the second with round(fraction * n) samples of
  /// every class of n samples, 0 <= fraction <= 1. Throws kInvalidArgument.
  std::pair<Dataset, Dataset> split(double fraction, uint64_t seed) const;

  /// SHA-256, hexadecimal, over the number, shape and type of exactly these samples, their pixels
  /// and labels in order, and the mean and standard deviation that a batch applies. Equal for equal
  /// samples however they were selected or read. Computed by the first call.
  const std::string& content_digest() const;
  /// size, class_count, class_names, histogram, image_shape, transform, content_digest.
  Json info() const;

 private:
  struct Source {
    at::Tensor images;  ///< contiguous
    std::vector<int64_t> labels;
    int64_t class_count;
    Transform transform;
    std::vector<std::string> class_names;
    Json origin;
  };
  struct Digest;  ///< computed once, by whichever thread asks first

  Dataset(std::shared_ptr<const Source> source, std::vector<int64_t> indices);
  std::vector<int64_t> indices_at(const std::vector<int64_t>& positions) const;
  Dataset keep_if_class(const std::vector<int64_t>& classes, bool keep) const;
  /// A random selection of `count(n)` of the n samples of every class: whether each position is in.
  template <typename Count>
  std::vector<bool> draw_per_class(const Count& count, uint64_t seed, const char* purpose) const;
  Dataset where(const std::vector<bool>& chosen, bool value = true) const;
  Batch gather(const int64_t* indices, int64_t count) const;
  std::string compute_digest() const;

  std::shared_ptr<const Source> source_;
  std::vector<int64_t> indices_;
  std::shared_ptr<Digest> digest_;
};

}  // namespace lethe
