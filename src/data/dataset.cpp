#include "data/dataset.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>
#include <numeric>

#include "data/describe.h"
#include "data/selection.h"
#include "storage/digest.h"
#include "support/error.h"
#include "support/random.h"

namespace lethe {
namespace {

constexpr int64_t kMaxClasses = 1'000'000;

void check_images(const at::Tensor& images) {
  require(images.defined() && images.dim() == 4 && images.device().is_cpu() &&
              (images.scalar_type() == at::kByte || images.scalar_type() == at::kFloat),
          Code::kInvalidArgument, "images must be uint8 or float32 [N,C,H,W] in CPU memory, not ",
          describe(images));
  require(images.numel() > 0, Code::kInvalidArgument, "images ", describe(images),
          " hold no pixel; give at least one image");
}

/// Every value of every sample is finite. `images` is contiguous.
void check_finite(const at::Tensor& images) {
  if (images.scalar_type() != at::kFloat) return;
  const auto* pixels = images.const_data_ptr<float>();
  const int64_t per_image = images.numel() / images.size(0);
  for (int64_t i = 0; i < images.size(0); ++i, pixels += per_image) {
    const bool finite =
        std::all_of(pixels, pixels + per_image, [](float x) { return std::isfinite(x); });
    require(finite, Code::kInvalidArgument, "image ", i,
            " holds NaN or infinity; every pixel must be a finite number");
  }
}

std::vector<int64_t> checked_labels(const at::Tensor& labels, int64_t image_count,
                                    int64_t class_count) {
  require(labels.defined() && labels.dim() == 1 && labels.device().is_cpu() &&
              labels.scalar_type() == at::kLong,
          Code::kInvalidArgument, "labels must be int64 [N] in CPU memory, not ", describe(labels));
  require(labels.size(0) == image_count, Code::kInvalidArgument, "there are ", labels.size(0),
          " labels for ", image_count, " images; give one label an image");
  const at::Tensor row = labels.contiguous();
  const auto* data = row.const_data_ptr<int64_t>();
  std::vector<int64_t> values(data, data + image_count);
  for (int64_t i = 0; i < image_count; ++i) {
    require(values[i] >= 0 && values[i] < class_count, Code::kInvalidArgument, "label ", i, " is ",
            values[i], ", allowed is 0 to ", class_count - 1, " for ", class_count, " classes");
  }
  return values;
}

void check_class_names(const std::vector<std::string>& names, int64_t class_count) {
  require(names.empty() || static_cast<int64_t>(names.size()) == class_count,
          Code::kInvalidArgument, "there are ", names.size(), " class names for ", class_count,
          " classes; give one a class or none");
  for (size_t i = 0; i < names.size(); ++i) {
    try {
      (void)Json(names[i]).dump();
    } catch (const Json::exception&) {
      fail(Code::kInvalidArgument, "the name of class ", i, " is not valid UTF-8");
    }
  }
}

void check_value_count(const char* name, const std::vector<double>& values, int64_t channels) {
  require(values.size() <= 1 || static_cast<int64_t>(values.size()) == channels,
          Code::kInvalidArgument, "transform: \"", name, "\" has ", values.size(),
          " values for images of ", channels, " channels; give one value or one per channel");
}

at::Tensor after_geometry(const at::Tensor& images, const Transform& transform) {
  if (!transform.has_geometry()) return images;
  check_images(images);
  transform.validate();
  return transform.apply_geometry(images);
}

/// `values` as one a channel; `otherwise` where there are none.
std::vector<double> expanded(const std::vector<double>& values, int64_t channels,
                             double otherwise) {
  if (static_cast<int64_t>(values.size()) == channels) return values;
  return std::vector<double>(channels, values.empty() ? otherwise : values[0]);
}

}  // namespace

struct Dataset::Digest {
  std::once_flag once;
  std::string text;
};

Dataset::Dataset(std::shared_ptr<const Source> source, std::vector<int64_t> indices)
    : source_(std::move(source)),
      indices_(std::move(indices)),
      digest_(std::make_shared<Digest>()) {}

Dataset::Dataset(const at::Tensor& images, const at::Tensor& labels, int64_t class_count,
                 const Transform& transform, std::vector<std::string> class_names)
    : Dataset(prepared(after_geometry(images, transform), labels, class_count, transform,
                       std::move(class_names))) {}

Dataset Dataset::prepared(at::Tensor images, const at::Tensor& labels, int64_t class_count,
                          Transform transform, std::vector<std::string> class_names) {
  check_images(images);
  require(class_count >= 1 && class_count <= kMaxClasses, Code::kInvalidArgument,
          "the number of classes is ", class_count, ", allowed is 1 to ", kMaxClasses);
  check_class_names(class_names, class_count);
  transform.validate();
  check_value_count("mean", transform.mean, images.size(1));
  check_value_count("std", transform.std, images.size(1));
  images = images.contiguous();
  check_finite(images);
  std::vector<int64_t> values = checked_labels(labels, images.size(0), class_count);

  std::vector<int64_t> indices(values.size());
  std::iota(indices.begin(), indices.end(), int64_t{0});
  return {std::make_shared<Source>(Source{std::move(images), std::move(values), class_count,
                                          std::move(transform), std::move(class_names), Json()}),
          std::move(indices)};
}

Dataset Dataset::with_origin(Json origin) const {
  auto source = std::make_shared<Source>(*source_);  // shares the pixels
  source->origin = std::move(origin);
  return {std::move(source), indices_};
}

at::Tensor Dataset::pixels() const {
  return source_->images.index_select(0, at::tensor(indices_, at::kLong));
}

std::vector<int64_t> Dataset::image_shape() const { return source_->images.sizes().slice(1).vec(); }

std::vector<int64_t> Dataset::histogram() const {
  std::vector<int64_t> counts(class_count(), 0);
  for (int64_t i = 0; i < size(); ++i) ++counts[label(i)];
  return counts;
}

std::vector<int64_t> Dataset::present_classes() const { return present_in(histogram()); }

std::vector<int64_t> Dataset::indices_at(const std::vector<int64_t>& positions) const {
  std::vector<int64_t> indices;
  indices.reserve(positions.size());
  for (const int64_t position : positions) {
    require(position >= 0 && position < size(), Code::kInvalidArgument, "position ", position,
            " lies outside a data set of ", size(), " samples");
    indices.push_back(indices_[position]);
  }
  return indices;
}

Batch Dataset::batch(const std::vector<int64_t>& positions) const {
  const std::vector<int64_t> indices = indices_at(positions);
  return gather(indices.data(), static_cast<int64_t>(indices.size()));
}

Batch Dataset::batch(int64_t begin, int64_t end) const {
  require(begin >= 0 && begin <= end && end <= size(), Code::kInvalidArgument, "samples [", begin,
          ", ", end, ") lie outside a data set of ", size(), " samples");
  return gather(indices_.data() + begin, end - begin);
}

Batch Dataset::gather(const int64_t* indices, int64_t count) const {
  const at::Tensor& images = source_->images;
  const at::Tensor index = at::empty({count}, at::kLong);
  std::copy_n(indices, count, index.mutable_data_ptr<int64_t>());
  Batch batch;
  batch.images = source_->transform.apply_values(images.index_select(0, index));
  batch.labels = at::empty({count}, at::kLong);
  auto* labels = batch.labels.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i) labels[i] = source_->labels[indices[i]];
  return batch;
}

Dataset Dataset::take(const std::vector<int64_t>& positions) const {
  return {source_, indices_at(positions)};
}

Dataset Dataset::where(const std::vector<bool>& chosen, bool value) const {
  return {source_, indices_where(indices_, chosen, value)};
}

Dataset Dataset::keep_if_class(const std::vector<int64_t>& classes, bool keep) const {
  const std::vector<bool> named = class_flags(classes, class_count());
  std::vector<bool> chosen(size());
  for (int64_t i = 0; i < size(); ++i) chosen[i] = named[label(i)];
  return where(chosen, keep);
}

Dataset Dataset::keep_classes(const std::vector<int64_t>& classes) const {
  return keep_if_class(classes, true);
}

Dataset Dataset::drop_classes(const std::vector<int64_t>& classes) const {
  return keep_if_class(classes, false);
}

template <typename Count>
std::vector<bool> Dataset::draw_per_class(const Count& count, uint64_t seed,
                                          const char* purpose) const {
  std::vector<std::vector<int64_t>> members(class_count());
  for (int64_t i = 0; i < size(); ++i) members[label(i)].push_back(i);
  std::vector<bool> chosen(size(), false);
  for (int64_t c = 0; c < class_count(); ++c) {
    const auto n = static_cast<int64_t>(members[c].size());
    if (n == 0) continue;
    const std::vector<bool> drawn =
        draw_positions(count(n), n, RandomStream(seed, str(purpose, "/", c)));
    for (int64_t k = 0; k < n; ++k) chosen[members[c][k]] = drawn[k];
  }
  return chosen;
}

Dataset Dataset::few_shot(int64_t count, uint64_t seed) const {
  require(count >= 1, Code::kInvalidArgument, "the number of samples of each class is ", count,
          ", it must be 1 or more");
  return where(draw_per_class([&](int64_t n) { return std::min(n, count); }, seed, "few-shot"));
}

Dataset Dataset::ratio(double ratio, uint64_t seed) const {
  check_share("the data ratio", ratio);
  const auto count = static_cast<int64_t>(std::floor(ratio * static_cast<double>(size())));
  return where(draw_positions(count, size(), RandomStream(seed, "data-ratio")));
}

std::pair<Dataset, Dataset> Dataset::split(double fraction, uint64_t seed) const {
  check_share("the split fraction", fraction);
  const auto share = [&](int64_t n) { return std::llround(fraction * static_cast<double>(n)); };
  const std::vector<bool> second = draw_per_class(share, seed, "split");
  return {where(second, false), where(second, true)};
}

const std::string& Dataset::content_digest() const {
  std::call_once(digest_->once, [this] { digest_->text = compute_digest(); });
  return digest_->text;
}

std::string Dataset::compute_digest() const {
  static_assert(std::endian::native == std::endian::little, "numbers are hashed as they lie");
  const at::Tensor& images = source_->images;
  const int64_t channels = images.size(1);
  const std::vector<int64_t> shape = image_shape();
  const std::vector<double> mean = expanded(source_->transform.mean, channels, 0);
  const std::vector<double> deviation = expanded(source_->transform.std, channels, 1);
  std::vector<int64_t> labels(size());
  for (int64_t i = 0; i < size(); ++i) labels[i] = label(i);

  const auto hash_vector = [](Sha256& hash, const auto& values) {
    hash.update(values.data(), values.size() * sizeof(values[0]));
  };
  Sha256 hash;
  hash.update(
      str("lethe data set 1: ", size(), images.scalar_type() == at::kByte ? " u8" : " f32"));
  hash_vector(hash, shape);
  hash_vector(hash, mean);
  hash_vector(hash, deviation);
  hash_vector(hash, labels);
  const auto* bytes = static_cast<const uint8_t*>(images.const_data_ptr());
  const size_t image_bytes =
      static_cast<size_t>(images.numel() / images.size(0)) * images.element_size();
  for (const int64_t index : indices_) hash.update(bytes + index * image_bytes, image_bytes);
  return hex(hash.finish());
}

Json Dataset::info() const {
  return {{"size", size()},
          {"class_count", class_count()},
          {"class_names", class_names()},
          {"histogram", histogram()},
          {"image_shape", image_shape()},
          {"transform", source_->transform.to_json()},
          {"content_digest", content_digest()}};
}

}  // namespace lethe
