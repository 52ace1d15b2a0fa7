#include "data/reference.h"

#include <ATen/ATen.h>

#include <limits>

#include "data/sources.h"
#include "storage/file.h"
#include "storage/safetensors.h"
#include "support/error.h"

namespace lethe {
namespace {

/// [begin, end) of every run of consecutive positions.
Json as_ranges(const Dataset& dataset) {
  Json ranges = Json::array();
  for (int64_t i = 0; i < dataset.size();) {
    const int64_t begin = dataset.source_index(i);
    int64_t count = 1;
    while (i + count < dataset.size() && dataset.source_index(i + count) == begin + count) ++count;
    ranges.push_back(Json::array({begin, begin + count}));
    i += count;
  }
  return ranges;
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

Dataset read_origin(const Json& origin) {
  JsonFields fields(origin, "a data reference");
  const Transform transform = Transform::from_json(fields.value("transform"));
  const std::string kind = fields.text("kind", "");
  if (kind == "idx") {
    return read_idx(fields.text("images", ""), fields.text("labels", ""), transform,
                    fields.integer("class_count", 0, 0, INT64_MAX));
  }
  if (kind == "image_folder") return read_image_folder(fields.text("path", ""), transform);
  fail(Code::kCorrupt, "a data reference names the unknown source ", in_quotes(kind));
}

/// The files are this library's own and were as large as memory allowed.
Limits own_limits() {
  Limits limits;
  limits.file_bytes = limits.total_bytes = limits.tensor_bytes =
      std::numeric_limits<int64_t>::max() / 2;
  return limits;
}

}  // namespace

Json refer_to(const Dataset& dataset) {
  require(!dataset.origin().is_null(), Code::kUnsupported,
          "the data set was made from arrays, so it cannot be read again");
  return {{"origin", dataset.origin()},
          {"selection", as_ranges(dataset)},
          {"digest", dataset.content_digest()}};
}

Dataset open_reference(const Json& reference) {
  JsonFields fields(reference, "a data reference");
  const std::string digest = fields.text("digest", "");
  const Dataset whole = read_origin(fields.value("origin"));
  Dataset dataset = whole.take(from_ranges(fields.value("selection"), whole.size()));
  require(dataset.content_digest() == digest, Code::kCorrupt,
          "the data has changed: its digest is ", dataset.content_digest().substr(0, 12),
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

Dataset read_dataset(const std::string& path) {
  SafetensorsFile file = read_safetensors(path, own_limits());
  const std::string what = base_name(path);
  require(file.tensors.contains("images") && file.tensors.contains("labels") &&
              file.metadata.contains("dataset"),
          Code::kCorrupt, in_quotes(what), " does not hold a data set");
  const Json facts = parse_json(file.metadata.at("dataset"), what);
  JsonFields fields(facts, what);
  return Dataset::prepared(file.tensors.at("images"), file.tensors.at("labels"),
                           fields.integer("class_count", 0, 1, INT64_MAX),
                           Transform::from_json(fields.value("transform")),
                           fields.texts("class_names", {}));
}

}  // namespace lethe
