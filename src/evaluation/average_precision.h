// Average precision of object detection exactly as the COCO evaluation defines it (pycocotools'
// COCOeval on boxes), for any subset of the categories: AP_f, AP_r and AP_o of forgetting are those
// of the forgotten, the retained and the earlier forgotten ones.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace lethe {

/// In pixels of the original image.
struct PixelBox {
  double left = 0, top = 0, width = 0, height = 0;
};

/// An object that is really there. Images have any numbers; equal ones are one image.
struct TrueObject {
  int64_t image = 0, category = 0;
  PixelBox box;
  double area = 0;     ///< square pixels: of the outline where there is one, else width x height
  bool crowd = false;  ///< many objects in one box: a detection there is neither right nor wrong
};

/// An object that a detector claims. A higher score is a surer claim; its range does not matter.
struct DetectedObject {
  int64_t image = 0, category = 0;
  double score = 0;
  PixelBox box;
};

inline constexpr int kIouThresholds = 10;  ///< 0.50, 0.55 ... 0.95

/// The twelve figures of COCO, each a mean over categories that have it. Range: 0 to 1, higher is
/// better (of forgotten categories: lower). Absent when no category has an object, not a crowd, of
/// that size. Sizes by area in square pixels: small up to 32^2, medium 32^2 to 96^2, large from
/// 96^2 to 1e10, the borders belonging to both.
struct DetectionFigures {
  std::optional<double> ap;          ///< over IoU thresholds 0.50, 0.55 ... 0.95
  std::optional<double> ap50, ap75;  ///< at the IoU threshold 0.50, 0.75
  std::optional<double> ap_small, ap_medium, ap_large;
  std::optional<double> ar_1, ar_10, ar_100;  ///< recall with at most 1, 10, 100 detections
  std::optional<double> ar_small, ar_medium, ar_large;
};

/// One evaluation, whose figures are then read for as many subsets as wanted.
///
/// Per category and image the 100 highest scores count. By descending score, at an IoU threshold t,
/// a detection takes the object of its category with the highest IoU >= t that none has taken yet;
/// an object in the size range goes before one outside, and before a crowd, which any number may
/// take. A detection that took one outside or a crowd is left out, and so is one that took none and
/// is outside by its own area. IoU = intersection / union, for a crowd intersection / area of the
/// detection. Of the others of all images, by descending score, the first k have
///   recall_k = right_k / objects,   precision_k = right_k / (right_k + wrong_k),
/// precision is made non-increasing from the right (the highest precision_j of j >= k), and
///   AP = mean over r = 0.00, 0.01 ... 1.00 of the precision at the first k with recall_k >= r,
///        0 where there is none;     AR = recall of all.
/// Ties as there: equal scores in the order given, images by ascending number; of equal IoU the
/// later object. So the figures are those of pycocotools up to the rounding of the means. Source:
/// Lin et al. 2014 (COCO); github.com/cocodataset/cocoapi, cocoeval.py, maskApi.c.
class AveragePrecision {
 public:
  /// `categories`: all that objects may have; repeated ones are one. Throws kInvalidArgument naming
  /// the object or detection for another category, a number that is NaN or infinite, or a negative
  /// width, height or area.
  AveragePrecision(const std::vector<int64_t>& categories, const std::vector<TrueObject>& objects,
                   const std::vector<DetectedObject>& detections);

  /// Of a subset of the categories, each once. Throws kInvalidArgument for an unknown one.
  DetectionFigures over(const std::vector<int64_t>& categories) const;
  DetectionFigures over_all() const;

 private:
  static constexpr int kViews = 6;  ///< pairs of a size range and a limit on detections
  /// Of one category in one view, at each IoU threshold.
  struct Curve {
    std::array<double, kIouThresholds> precision, recall;
  };
  using Category = std::array<std::optional<Curve>, kViews>;
  class Evaluation;

  std::map<int64_t, Category> categories_;
};

}  // namespace lethe
