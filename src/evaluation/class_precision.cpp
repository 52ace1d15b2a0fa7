#include "evaluation/class_precision.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "data/detection_batch.h"
#include "evaluation/average_precision.h"
#include "evaluation/detected_objects.h"
#include "models/detect.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr int64_t kMostImages = 16;       // images are large: more at once gain nothing
constexpr int64_t kMostDetections = 100;  // an image, as COCO's evaluation counts

std::vector<int64_t> labels_below(int64_t count) {
  std::vector<int64_t> labels(static_cast<size_t>(count));
  std::iota(labels.begin(), labels.end(), 0);
  return labels;
}

std::vector<TrueObject> true_objects(const DetectionDataset& dataset) {
  std::vector<TrueObject> list;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    for (const DetectionObject& object : dataset.objects(i)) {
      const BoxCorners& box = object.box;
      list.push_back({i,
                      object.label,
                      {box.left, box.top, box.width(), box.height()},
                      object.area,
                      object.crowd});
    }
  }
  return list;
}

std::vector<DetectedObject> found_objects(const DeformableDetr& model, const Weights& weights,
                                          const DetectionDataset& dataset,
                                          const std::vector<int64_t>& labels,
                                          const EvaluationOptions& options) {
  const at::NoGradGuard no_grad;
  const ResNet backbone = model.backbone(weights);
  const std::set<int64_t> known(labels.begin(), labels.end());
  const int64_t step = std::min(options.batch, kMostImages);
  std::vector<DetectedObject> list;
  for (int64_t begin = 0; begin < dataset.size(); begin += step) {
    require(!options.cancelled || !options.cancelled(), Code::kCancelled,
            "cancelled while evaluating image ", begin, " of ", dataset.size());
    std::vector<DetectionSample> samples;
    std::vector<ImageSize> sizes;
    for (int64_t i = begin; i < std::min(begin + step, dataset.size()); ++i) {
      samples.push_back(resized_for(model.spec(), dataset.sample(i)));
      sizes.push_back(dataset.image_size(i));
    }
    const std::vector<Detections> found =
        detect(model, backbone, weights, batch_of(samples), sizes, kMostDetections);
    for (size_t i = 0; i < found.size(); ++i) {
      const std::vector<DetectedObject> here =
          detected_objects(found[i], begin + static_cast<int64_t>(i), known);
      list.insert(list.end(), here.begin(), here.end());
    }
  }
  return list;
}

std::optional<double> mean_percent(const std::vector<double>& values,
                                   const std::vector<int64_t>& classes) {
  double sum = 0, count = 0;
  for (const int64_t c : classes) {
    const double value = values.at(static_cast<size_t>(c));
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  if (count == 0) return std::nullopt;
  return 100 * sum / count;
}

}  // namespace

std::optional<double> ClassPrecision::percent(const std::vector<int64_t>& classes) const {
  return mean_percent(ap, classes);
}
std::optional<double> ClassPrecision::percent() const {
  return percent(labels_below(static_cast<int64_t>(ap.size())));
}
std::optional<double> ClassPrecision::percent50(const std::vector<int64_t>& classes) const {
  return mean_percent(ap50, classes);
}
std::optional<double> ClassPrecision::percent50() const {
  return percent50(labels_below(static_cast<int64_t>(ap50.size())));
}

ClassPrecision class_precision(const DeformableDetr& model, const Weights& weights,
                               const DetectionDataset& dataset, const EvaluationOptions& options) {
  require(model.classes() >= dataset.class_count(), Code::kInvalidArgument, "the data set has ",
          dataset.class_count(), " categories, the model has only ", model.classes(),
          " classes; evaluate a model that was trained on these categories");
  const std::vector<int64_t> labels = labels_below(dataset.class_count());
  const AveragePrecision precision(labels, true_objects(dataset),
                                   found_objects(model, weights, dataset, labels, options));
  ClassPrecision result;
  result.total = dataset.histogram();
  for (const int64_t label : labels) {
    const DetectionFigures figures = precision.over({label});
    result.ap.push_back(figures.ap.value_or(NAN));
    result.ap50.push_back(figures.ap50.value_or(NAN));
  }
  const auto classes = static_cast<size_t>(model.classes());  // the data set may know fewer
  result.total.resize(classes);
  result.ap.resize(classes, NAN);
  result.ap50.resize(classes, NAN);
  return result;
}

}  // namespace lethe
