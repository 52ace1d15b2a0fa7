// Images with boxes around the objects in them, decoded when they are asked for, and selections
// that share them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/detection_sample.h"
#include "models/post_process.h"
#include "support/json.h"

namespace lethe {

/// A category as its source numbers it. Inside, categories are labels 0 to C - 1.
struct DetectionCategory {
  int64_t id = 0;
  std::string name;  ///< UTF-8
};

/// One image of a new set: a file, or pixels in memory.
struct DetectionImage {
  int64_t id = 0;       ///< as its source numbers it
  std::string path;     ///< a JPEG, PNG or PNM file; empty where there are pixels
  at::Tensor pixels;    ///< uint8 [3, H, W] on the CPU; undefined where there is a file
  ImageSize size = {};  ///< of a file, as its source says; of pixels it may be left 0
  std::vector<DetectionObject> objects;
};

/// Throws kInvalidArgument, beginning with `what` and `number` ("box", 7), when the object's label
/// is not one of `classes`, its box is not finite, has no area or leaves an image of that size, or
/// its area is negative or not finite.
void check_object(const DetectionObject& object, ImageSize size, int64_t classes, const char* what,
                  int64_t number);

/// An immutable, ordered set of images of different sizes with any number of objects each. A
/// selection shares the source it was made from, so copies are cheap; one that drops objects keeps
/// a bit for each object of the source. Thread-safe: nothing changes after construction.
///
/// Positions run from 0 to size() - 1, labels from 0 to class_count() - 1. A selection may be
/// empty; a new set has at least one image and one category.
class DetectionDataset {
 public:
  /// `categories` in the order of their labels. `left_out`: objects that the source held and that
  /// are no part of the set. Shares the memory of pixels: nobody may write to it afterwards. Throws
  /// kInvalidArgument for a category or image number given twice, pixels of another form, a label
  /// outside, a box that is not finite, has no area or leaves its image, an area that is negative
  /// or not finite, or a name that is not UTF-8; the message names the image.
  DetectionDataset(std::vector<DetectionCategory> categories, std::vector<DetectionImage> images,
                   int64_t left_out = 0);

  int64_t size() const { return static_cast<int64_t>(indices_.size()); }
  int64_t class_count() const { return static_cast<int64_t>(source_->categories.size()); }
  /// By label.
  const std::vector<DetectionCategory>& categories() const { return source_->categories; }
  /// The label of a category's number. Throws kNotFound.
  int64_t label_of(int64_t category_id) const;
  /// Objects of the whole source that were left out because nothing of them can be seen.
  int64_t left_out() const { return source_->left_out; }
  /// Where a source read the whole set from; null for arrays. Only sources know.
  const Json& origin() const { return source_->origin; }
  DetectionDataset with_origin(Json origin) const;

  /// Position of image `i` in the original set: stable across selections, a cache key.
  int64_t source_index(int64_t i) const { return indices_[i]; }
  int64_t image_id(int64_t i) const { return image(i).id; }
  ImageSize image_size(int64_t i) const { return image(i).size; }
  /// The objects of image `i` that this selection has, crowds included, in the source's order.
  std::vector<DetectionObject> objects(int64_t i) const;
  /// Image `i` with its objects; a file is read and decoded by every call. Throws kInvalidArgument
  /// for a position outside, kNotFound, kIo, what decode_image throws, kCorrupt when the image has
  /// not the size that the source told.
  DetectionSample sample(int64_t i) const;

  /// Objects per category, crowds not counted, length class_count().
  std::vector<int64_t> histogram() const;
  /// The labels that have at least one object that is no crowd, ascending.
  std::vector<int64_t> present_classes() const;

  /// The images at these positions, in this order; positions may repeat. Throws kInvalidArgument.
  DetectionDataset take(const std::vector<int64_t>& positions) const;

  // The selections below keep the order of the images.

  /// Only images with an object of one of these labels that is no crowd, and of their objects only
  /// those of these labels, crowds too: forget and retain sets of algorithm.md 8.3. An unknown
  /// label is kNotFound.
  DetectionDataset keep_classes(const std::vector<int64_t>& labels) const;
  /// floor(ratio * size) random images, 0 <= ratio <= 1, without class balancing; algorithm.md 8.3.
  /// Throws kInvalidArgument.
  DetectionDataset ratio(double ratio, uint64_t seed) const;
  /// `count` >= 1 times the number of present classes random images in all, not of each class (all
  /// images where there are fewer); algorithm.md 8.3. Throws kInvalidArgument.
  DetectionDataset few_shot(int64_t count, uint64_t seed) const;
  /// Two disjoint parts that together are the whole, the second with round(fraction * size) random
  /// images, 0 <= fraction <= 1. Throws kInvalidArgument.
  std::pair<DetectionDataset, DetectionDataset> split(double fraction, uint64_t seed) const;
  /// The same images without round(share * n) random ones of their n objects, 0 <= share <= 1,
  /// crowds not counted and kept: annotations that were never made. Throws kInvalidArgument.
  DetectionDataset drop_objects(double share, uint64_t seed) const;

  /// Numbers, among all the source's objects, of those that this selection may have, ascending;
  /// nothing: all. With `take`, what a selection is made of anew from the same source.
  std::optional<std::vector<int64_t>> source_objects() const;
  int64_t source_object_count() const { return source_->object_count; }
  /// The same images with only those of the source's objects. Throws kInvalidArgument.
  DetectionDataset with_objects(const std::vector<int64_t>& objects) const;

  /// SHA-256, hexadecimal, over the number of images, their content and numbers, the categories and
  /// exactly these objects. The content of a file is its bytes, so that nothing is decoded: the
  /// same pixels in another file, or in memory, have another digest. Equal for equal selections
  /// however they were made. Computed by the first call, which reads every file, on the calling
  /// thread's share of LibTorch's threads. Throws kNotFound, kIo.
  const std::string& content_digest() const;
  /// size, class_count, categories, histogram, left_out, content_digest.
  Json info() const;

 private:
  struct Source {
    std::vector<DetectionCategory> categories;
    std::vector<DetectionImage> images;
    std::vector<int64_t> first_object;  ///< of each image, among all the source's objects
    int64_t object_count;
    int64_t left_out;
    Json origin;
  };
  struct Digest;  ///< computed once, by whichever thread asks first
  using ObjectMask = std::shared_ptr<const std::vector<bool>>;

  DetectionDataset(std::shared_ptr<const Source> source, std::vector<int64_t> indices,
                   ObjectMask present);
  const DetectionImage& image(int64_t i) const { return source_->images[indices_[i]]; }
  /// Calls body(number among all the source's objects, object) for each object of image `i` here.
  template <typename Body>
  void for_each_object(int64_t i, const Body& body) const;
  void check_position(int64_t i) const;
  DetectionDataset where(const std::vector<bool>& chosen, bool value = true) const;
  std::string compute_digest() const;

  std::shared_ptr<const Source> source_;
  std::vector<int64_t> indices_;
  ObjectMask present_;  ///< a bit for each of the source's objects; null: all of them
  std::shared_ptr<Digest> digest_;
};

}  // namespace lethe
