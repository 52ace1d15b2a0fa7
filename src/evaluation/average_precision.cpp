#include "evaluation/average_precision.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <tuple>

#include "support/error.h"

namespace lethe {
namespace {

constexpr int kSizes = 4;             ///< all, small, medium, large
constexpr int kMostDetections = 100;  ///< of a category in an image
constexpr int kRecallPoints = 101;

struct Range {
  double low, high;
  bool holds(double area) const { return !(area < low || area > high); }
};
constexpr Range kRanges[kSizes] = {{0, 1e10}, {0, 1024}, {1024, 9216}, {9216, 1e10}};

struct View {
  int size, most;
};
constexpr View kViewTable[] = {{0, 1}, {0, 10}, {0, 100}, {1, 100}, {2, 100}, {3, 100}};

/// As numpy.linspace has them, to the last bit: a recall may lie exactly on a point.
double iou_threshold(int t) {
  constexpr int kLast = kIouThresholds - 1;
  return t == kLast ? 0.95 : 0.5 + t * ((0.95 - 0.5) / kLast);
}
double recall_point(int r) { return r == kRecallPoints - 1 ? 1 : r * 0.01; }

double area_of(const PixelBox& box) { return box.width * box.height; }

double overlap(const DetectedObject& detection, const TrueObject& object) {
  const PixelBox &d = detection.box, &o = object.box;
  const double width = std::fmin(d.width + d.left, o.width + o.left) - std::fmax(d.left, o.left);
  const double height = std::fmin(d.height + d.top, o.height + o.top) - std::fmax(d.top, o.top);
  if (width <= 0 || height <= 0) return 0;
  const double both = width * height;
  return both / (object.crowd ? area_of(d) : area_of(d) + area_of(o) - both);
}

void check_box(const PixelBox& box, const char* kind, size_t index) {
  for (const double side : {box.left, box.top, box.width, box.height}) {
    require(std::isfinite(side), Code::kInvalidArgument, kind, " ", index,
            " has a box with the side ", side, ", it must be finite");
  }
  require(box.width >= 0 && box.height >= 0, Code::kInvalidArgument, kind, " ", index,
          " has a box of ", box.width, " x ", box.height, " pixels, a size must be 0 or more");
}

template <typename Object>
void check_category(const Object& object, const std::set<int64_t>& known, const char* kind,
                    size_t index) {
  require(known.count(object.category) > 0, Code::kInvalidArgument, kind, " ", index,
          " has the category ", object.category, ", which is none of the ", known.size(),
          " that are evaluated");
}

/// All of one category and image: a run of the sorted lists.
struct Scene {
  std::vector<const TrueObject*> objects;         ///< as given
  std::vector<const DetectedObject*> detections;  ///< by descending score, the most that count
};

/// What became of a detection, at each IoU threshold one bit.
struct Outcome {
  double score;
  int rank;  ///< among those of its image, from 0
  uint16_t right, left_out;
};

/// One scene in one size range.
class Match {
 public:
  Match(const Scene& scene, const std::vector<double>& overlaps, const Range& range)
      : scene_(scene), overlaps_(overlaps), range_(range) {
    for (const TrueObject* o : scene.objects) {
      outside_.push_back(o->crowd || !range.holds(o->area));
    }
    order_.resize(outside_.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(),
                     [&](size_t a, size_t b) { return outside_[a] < outside_[b]; });
  }

  int64_t objects() const { return std::count(outside_.begin(), outside_.end(), false); }

  void append_to(std::vector<Outcome>& outcomes) const {
    const size_t first = outcomes.size();
    for (size_t d = 0; d < scene_.detections.size(); ++d) {
      outcomes.push_back({scene_.detections[d]->score, static_cast<int>(d), 0, 0});
    }
    std::vector<char> taken;
    for (int t = 0; t < kIouThresholds; ++t) {
      const auto bit = static_cast<uint16_t>(1u << t);
      taken.assign(scene_.objects.size(), 0);
      for (size_t d = 0; d < scene_.detections.size(); ++d) {
        const int64_t o = best_object(d, iou_threshold(t), taken);
        Outcome& outcome = outcomes[first + d];
        if (o >= 0) {
          taken[o] = 1;
          if (outside_[o]) outcome.left_out |= bit;
          outcome.right |= bit;
        } else if (!range_.holds(area_of(scene_.detections[d]->box))) {
          outcome.left_out |= bit;
        }
      }
    }
  }

 private:
  /// The object that a detection takes, or -1.
  int64_t best_object(size_t detection, double threshold, const std::vector<char>& taken) const {
    double highest = std::min(threshold, 1 - 1e-10);
    int64_t best = -1;
    for (const size_t o : order_) {
      if (taken[o] && !scene_.objects[o]->crowd) continue;
      if (best >= 0 && !outside_[best] && outside_[o]) break;
      const double iou = overlaps_[detection * order_.size() + o];
      if (!(iou >= highest)) continue;
      highest = iou;
      best = static_cast<int64_t>(o);
    }
    return best;
  }

  const Scene& scene_;
  const std::vector<double>& overlaps_;  ///< [detections, objects]
  const Range range_;
  std::vector<char> outside_;  ///< of the range, or a crowd
  std::vector<size_t> order_;  ///< of the objects: those inside first
};

}  // namespace

/// One category over all its images.
class AveragePrecision::Evaluation {
 public:
  void add(const Scene& scene) {
    std::vector<double> overlaps;
    overlaps.reserve(scene.detections.size() * scene.objects.size());
    for (const DetectedObject* d : scene.detections) {
      for (const TrueObject* o : scene.objects) overlaps.push_back(overlap(*d, *o));
    }
    for (int size = 0; size < kSizes; ++size) {
      const Match match(scene, overlaps, kRanges[size]);
      objects_[size] += match.objects();
      match.append_to(outcomes_[size]);
    }
  }

  Category finish() {
    Category category;
    for (std::vector<Outcome>& outcomes : outcomes_) {
      std::stable_sort(outcomes.begin(), outcomes.end(),
                       [](const Outcome& a, const Outcome& b) { return a.score > b.score; });
    }
    for (int view = 0; view < kViews; ++view) {
      const auto [size, most] = kViewTable[view];
      if (objects_[size] == 0) continue;
      Curve& curve = category[view].emplace();
      for (int t = 0; t < kIouThresholds; ++t) {
        std::tie(curve.precision[t], curve.recall[t]) =
            figures(outcomes_[size], most, t, static_cast<double>(objects_[size]));
      }
    }
    return category;
  }

 private:
  /// AP and AR at one threshold, of outcomes by descending score.
  static std::pair<double, double> figures(const std::vector<Outcome>& outcomes, int most, int t,
                                           double objects) {
    std::vector<double> recall, precision;
    double right = 0, wrong = 0;
    for (const Outcome& o : outcomes) {
      if (o.rank >= most || (o.left_out >> t & 1)) continue;
      (o.right >> t & 1 ? right : wrong) += 1;
      recall.push_back(right / objects);
      precision.push_back(right / (wrong + right + std::numeric_limits<double>::epsilon()));
    }
    for (size_t k = precision.size(); k-- > 1;) {
      precision[k - 1] = std::max(precision[k - 1], precision[k]);
    }
    double sum = 0;
    size_t k = 0;
    for (int r = 0; r < kRecallPoints; ++r) {
      while (k < recall.size() && recall[k] < recall_point(r)) ++k;
      if (k == recall.size()) break;
      sum += precision[k];
    }
    return {sum / kRecallPoints, right / objects};
  }

  std::array<int64_t, kSizes> objects_{};
  std::array<std::vector<Outcome>, kSizes> outcomes_;
};

AveragePrecision::AveragePrecision(const std::vector<int64_t>& categories,
                                   const std::vector<TrueObject>& objects,
                                   const std::vector<DetectedObject>& detections) {
  const std::set<int64_t> known(categories.begin(), categories.end());
  std::vector<const TrueObject*> there;
  for (size_t i = 0; i < objects.size(); ++i) {
    const TrueObject& o = objects[i];
    check_category(o, known, "object", i);
    check_box(o.box, "object", i);
    require(std::isfinite(o.area) && o.area >= 0, Code::kInvalidArgument, "object ", i,
            " has the area ", o.area, ", it must be finite and 0 or more");
    there.push_back(&o);
  }
  std::vector<const DetectedObject*> claimed;
  for (size_t i = 0; i < detections.size(); ++i) {
    const DetectedObject& d = detections[i];
    check_category(d, known, "detection", i);
    check_box(d.box, "detection", i);
    require(std::isfinite(d.score), Code::kInvalidArgument, "detection ", i, " has the score ",
            d.score, "; only finite scores can be ranked");
    claimed.push_back(&d);
  }
  std::stable_sort(there.begin(), there.end(), [](const TrueObject* a, const TrueObject* b) {
    return std::tie(a->category, a->image) < std::tie(b->category, b->image);
  });
  std::stable_sort(claimed.begin(), claimed.end(),
                   [](const DetectedObject* a, const DetectedObject* b) {
                     return std::tie(a->category, a->image, b->score) <
                            std::tie(b->category, b->image, a->score);
                   });

  auto o = there.begin();
  auto d = claimed.begin();
  for (const int64_t category : known) {
    Evaluation evaluation;
    while (true) {
      // The lower of the next images of both lists, in this category.
      const bool more_objects = o != there.end() && (*o)->category == category;
      const bool more_detections = d != claimed.end() && (*d)->category == category;
      if (!more_objects && !more_detections) break;
      const int64_t image = !more_detections ? (*o)->image
                            : !more_objects  ? (*d)->image
                                             : std::min((*o)->image, (*d)->image);
      const auto here = [&](const auto& it, const auto& end) {
        return it != end && (*it)->category == category && (*it)->image == image;
      };
      Scene scene;
      for (; here(o, there.end()); ++o) scene.objects.push_back(*o);
      for (; here(d, claimed.end()); ++d) {
        if (scene.detections.size() < kMostDetections) scene.detections.push_back(*d);
      }
      evaluation.add(scene);
    }
    categories_[category] = evaluation.finish();
  }
}

DetectionFigures AveragePrecision::over(const std::vector<int64_t>& categories) const {
  std::vector<const Category*> subset;
  for (const int64_t c : std::set<int64_t>(categories.begin(), categories.end())) {
    const auto found = categories_.find(c);
    require(found != categories_.end(), Code::kInvalidArgument, "the category ", c,
            " is none of the ", categories_.size(), " that were evaluated");
    subset.push_back(&found->second);
  }
  /// The mean of one figure in one view over categories and thresholds from `first` on.
  const auto mean = [&](int view, std::array<double, kIouThresholds> Curve::*figure, int first = 0,
                        int count = kIouThresholds) -> std::optional<double> {
    double sum = 0;
    int64_t terms = 0;
    for (const Category* category : subset) {
      if (!(*category)[view]) continue;
      const auto& values = *(*category)[view].*figure;
      sum = std::accumulate(values.begin() + first, values.begin() + first + count, sum);
      terms += count;
    }
    if (terms == 0) return std::nullopt;
    return sum / static_cast<double>(terms);
  };
  DetectionFigures f;
  f.ap = mean(2, &Curve::precision);
  f.ap50 = mean(2, &Curve::precision, 0, 1);
  f.ap75 = mean(2, &Curve::precision, 5, 1);
  f.ap_small = mean(3, &Curve::precision);
  f.ap_medium = mean(4, &Curve::precision);
  f.ap_large = mean(5, &Curve::precision);
  f.ar_1 = mean(0, &Curve::recall);
  f.ar_10 = mean(1, &Curve::recall);
  f.ar_100 = mean(2, &Curve::recall);
  f.ar_small = mean(3, &Curve::recall);
  f.ar_medium = mean(4, &Curve::recall);
  f.ar_large = mean(5, &Curve::recall);
  return f;
}

DetectionFigures AveragePrecision::over_all() const {
  std::vector<int64_t> all;
  for (const auto& [category, views] : categories_) all.push_back(category);
  return over(all);
}

}  // namespace lethe
