#include "data/reference.h"

#include <ATen/ATen.h>

#include "data/detection_sources.h"
#include "data/sources.h"
#include "storage/file.h"
#include "storage/safetensors.h"
#include "support/error.h"

namespace lethe {
namespace {

/// [begin, end) of every run of consecutive numbers.
Json as_ranges(const std::vector<int64_t>& numbers) {
  Json ranges = Json::array();
  for (size_t i = 0; i < numbers.size();) {
    size_t count = 1;
    while (i + count < numbers.size() &&
           numbers[i + count] == numbers[i] + static_cast<int64_t>(count)) {
      ++count;
    }
    ranges.push_back(Json::array({numbers[i], numbers[i] + static_cast<int64_t>(count)}));
    i += count;
  }
  return ranges;
}

template <typename Data>
Json selection_of(const Data& dataset) {
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < dataset.size(); ++i) positions.push_back(dataset.source_index(i));
  return as_ranges(positions);
}

std::vector<int64_t> from_ranges(const Json& ranges, int64_t size) {
  std::vector<int64_t> positions;
  for (const Json& range : ranges) {
    const bool pair = range.is_array() && range.size() == 2 && range[0].is_number_integer() &&
                      range[1].is_number_integer();
    require(pair, Code::kCorrupt, "a data reference holds a range that is no pair of positions");
    const auto begin = range[0].get<int64_t>(), end = range[1].get<int64_t>();
    require(begin >= 0 && begin < end, Code::kCorrupt, "a data reference holds the range ", begin,
            " to ", end);
    require(end <= size, Code::kCorrupt, "the data names position ", end - 1, ", there are now ",
            size, " samples; put the original files back");
    for (int64_t i = begin; i < end; ++i) positions.push_back(i);
  }
  return positions;
}

DetectionDataset read_coco_origin(JsonFields& fields) {
  const std::string labels = fields.text("labels", "");
  require(labels.empty() || labels == "id", Code::kCorrupt,
          "a data reference names the unknown labels ", in_quotes(labels));
  return read_coco(fields.text("annotations", ""), fields.text("images", ""),
                   labels.empty() ? CocoLabels::kPlace : CocoLabels::kId);
}

AnyDataset read_origin(const Json& origin) {
  JsonFields fields(origin, "a data reference");
  const std::string kind = fields.text("kind", "");
  if (kind == "coco") return read_coco_origin(fields);
  if (kind == "voc") {
    return read_voc(fields.text("annotations", ""), fields.text("images", ""),
                    fields.texts("class_names", {}));
  }
  const Transform transform = Transform::from_json(fields.value("transform"));
  if (kind == "idx") {
    return read_idx(fields.text("images", ""), fields.text("labels", ""), transform,
                    fields.integer("class_count", 0, 0, INT64_MAX));
  }
  if (kind == "image_folder") return read_image_folder(fields.text("path", ""), transform);
  fail(Code::kCorrupt, "a data reference names the unknown source ", in_quotes(kind));
}

template <typename Data>
Json reference_to(const Data& dataset) {
  require(!dataset.origin().is_null(), Code::kUnsupported,
          "the data set was made from arrays, so it cannot be read again");
  return {{"origin", dataset.origin()},
          {"selection", selection_of(dataset)},
          {"digest", dataset.content_digest()}};
}

constexpr int64_t kObjectNumbers = 8;  ///< a row of a file's "objects"

DetectionDataset detection_dataset_from(const SafetensorsFile& file, const std::string& what) {
  const Json facts = parse_json(file.metadata.at("detection_dataset"), what, own_limits().json);
  JsonFields fields(facts, what);
  const auto tensor = [&](const std::string& name) {
    const auto found = file.tensors.find(name);
    require(found != file.tensors.end(), Code::kCorrupt, in_quotes(what), " lacks ",
            in_quotes(name));
    return found->second;
  };
  std::vector<DetectionCategory> categories;
  for (const Json& json : fields.value("categories")) {
    JsonFields category(json, what);
    categories.push_back(
        {category.integer("id", 0, INT64_MIN, INT64_MAX), category.text("name", "")});
  }
  std::vector<DetectionImage> images;
  for (const int64_t id : fields.integers("image_ids", {})) {
    DetectionImage image;
    image.id = id;
    image.pixels = tensor(str("image.", images.size()));
    images.push_back(std::move(image));
  }
  const at::Tensor objects = tensor("objects");
  require(objects.scalar_type() == at::kDouble && objects.dim() == 2 &&
              objects.size(1) == kObjectNumbers,
          Code::kCorrupt, in_quotes(what), " holds \"objects\" of another form");
  const auto place = [&](double number, size_t count, const char* kind) {
    // Written so that NaN fails too.
    require(number >= 0 && number < static_cast<double>(count), Code::kCorrupt, in_quotes(what),
            " names the ", kind, " ", number, " of ", count);
    return static_cast<int64_t>(number);
  };
  const auto* row = objects.const_data_ptr<double>();
  for (int64_t k = 0; k < objects.size(0); ++k, row += kObjectNumbers) {
    const int64_t image = place(row[0], images.size(), "image");
    images[image].objects.push_back({place(row[1], categories.size(), "category"),
                                     {row[2], row[3], row[4], row[5]},
                                     row[6],
                                     row[7] != 0});
  }
  return DetectionDataset(std::move(categories), std::move(images),
                          fields.integer("left_out", 0, 0, INT64_MAX));
}

AnyDataset dataset_from(const SafetensorsFile& file, const std::string& what) {
  if (file.metadata.contains("detection_dataset")) return detection_dataset_from(file, what);
  require(file.tensors.contains("images") && file.tensors.contains("labels") &&
              file.metadata.contains("dataset"),
          Code::kCorrupt, in_quotes(what), " does not hold a data set");
  const Json facts = parse_json(file.metadata.at("dataset"), what, own_limits().json);
  JsonFields fields(facts, what);
  return Dataset::prepared(file.tensors.at("images"), file.tensors.at("labels"),
                           fields.integer("class_count", 0, 1, INT64_MAX),
                           Transform::from_json(fields.value("transform")),
                           fields.texts("class_names", {}));
}

}  // namespace

Json refer_to(const Dataset& dataset) { return reference_to(dataset); }

Json refer_to(const DetectionDataset& dataset) {
  Json reference = reference_to(dataset);
  if (const auto objects = dataset.source_objects()) reference["objects"] = as_ranges(*objects);
  return reference;
}

AnyDataset open_reference(const Json& reference) {
  JsonFields fields(reference, "a data reference");
  const std::string digest = fields.text("digest", "");
  AnyDataset dataset = read_origin(fields.value("origin"));
  std::visit([&](auto& set) { set = set.take(from_ranges(fields.value("selection"), set.size())); },
             dataset);
  if (auto* detection = std::get_if<DetectionDataset>(&dataset);
      detection && reference.contains("objects")) {
    *detection = detection->with_objects(
        from_ranges(fields.value("objects"), detection->source_object_count()));
  }
  require(content_digest_of(dataset) == digest, Code::kCorrupt,
          "the data has changed: its digest is ", content_digest_of(dataset).substr(0, 12),
          ", the task was given ", digest.substr(0, 12), "; put the original files back");
  return dataset;
}

void write_dataset(const std::string& path, const Dataset& dataset) {
  std::vector<int64_t> labels(static_cast<size_t>(dataset.size()));
  for (int64_t i = 0; i < dataset.size(); ++i) labels[i] = dataset.label(i);
  const Json facts = {{"class_count", dataset.class_count()},
                      {"class_names", dataset.class_names()},
                      {"transform", dataset.transform().to_json()}};
  write_safetensors(path, {{"images", dataset.pixels()}, {"labels", at::tensor(labels, at::kLong)}},
                    {{"dataset", facts.dump()}}, own_limits());
}

/// Images as "image.K" in their order, objects as rows of image, label, left, top, right, bottom,
/// area, crowd.
void write_dataset(const std::string& path, const DetectionDataset& dataset) {
  Weights tensors;
  std::vector<double> rows;
  Json ids = Json::array(), categories = Json::array();
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const DetectionSample sample = dataset.sample(i);
    tensors[str("image.", i)] = sample.image.contiguous();
    ids.push_back(dataset.image_id(i));
    for (const DetectionObject& o : sample.objects) {
      rows.insert(rows.end(), {static_cast<double>(i), static_cast<double>(o.label), o.box.left,
                               o.box.top, o.box.right, o.box.bottom, o.area, o.crowd ? 1.0 : 0.0});
    }
  }
  tensors["objects"] = at::tensor(rows, at::kDouble).view({-1, kObjectNumbers});
  for (const DetectionCategory& category : dataset.categories()) {
    categories.push_back({{"id", category.id}, {"name", category.name}});
  }
  const Json facts = {
      {"categories", categories}, {"image_ids", ids}, {"left_out", dataset.left_out()}};
  write_safetensors(path, tensors, {{"detection_dataset", facts.dump()}}, own_limits());
}

AnyDataset read_dataset(const std::string& path) {
  const SafetensorsFile file = read_safetensors(path, own_limits());
  const std::string what = base_name(path);
  try {
    return dataset_from(file, what);
  } catch (const Error& error) {
    if (error.code() != Code::kInvalidArgument) throw;
    // Nothing that is refused as an argument was ever written.
    fail(Code::kCorrupt, in_quotes(what), " is damaged: ", error.what());
  }
}

}  // namespace lethe
