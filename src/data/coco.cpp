#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "data/detection_records.h"
#include "data/detection_sources.h"
#include "storage/file.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{2} << 30;
constexpr double kLargestArea = 1e10;  // larger objects are in no AP
constexpr int64_t kHighestId = 9999;   // that can be a label

/// Of instances_train2017.json, 470 MB, about seven million keys; a crowd's outline may be one long
/// string.
JsonLimits coco_limits() {
  JsonLimits limits;
  limits.max_bytes = kMaxFileBytes;
  limits.max_keys = 200'000'000;
  limits.max_string_bytes = 16 << 20;
  return limits;
}

/// One entry of one of the file's lists.
class Record {
 public:
  /// `kind`: "image", "annotation" or "category".
  Record(const Json& json, const char* kind, size_t position, const std::string& file)
      : json_(json), kind_(kind), position_(position), file_(file) {
    require(json.is_object(), Code::kCorrupt, what(), " must be an object, not ", shown(json));
  }

  /// The entry in the words of messages.
  std::string what() const { return str(kind_, " ", position_, " of ", file_); }

  const Json& field(const char* key) const {
    const auto found = json_.find(key);
    require(found != json_.end(), Code::kCorrupt, what(), " has no \"", key, "\"");
    return *found;
  }
  int64_t integer(const char* key) const {
    const Json& value = field(key);
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX});
    require(fits, Code::kCorrupt, what(), ": \"", key, "\" must be an integer, not ", shown(value));
    return value.get<int64_t>();
  }
  double number(const char* key) const { return number_in(field(key), key); }
  std::optional<double> optional_number(const char* key) const {
    return json_.contains(key) ? std::optional(number(key)) : std::nullopt;
  }
  std::string text(const char* key) const {
    const Json& value = field(key);
    require(value.is_string(), Code::kCorrupt, what(), ": \"", key, "\" must be a string, not ",
            shown(value));
    return value.get<std::string>();
  }
  /// true, false, 1, 0; false when absent.
  bool flag(const char* key) const {
    if (!json_.contains(key)) return false;
    const Json& value = field(key);
    if (value.is_boolean()) return value.get<bool>();
    require(value.is_number_integer() && (value == 0 || value == 1), Code::kCorrupt, what(), ": \"",
            key, "\" must be 0 or 1, not ", shown(value));
    return value == 1;
  }
  /// "bbox", left, top, width and height, as corners.
  BoxCorners box() const {
    const Json& value = field("bbox");
    require(value.is_array() && value.size() == 4, Code::kCorrupt, what(),
            ": \"bbox\" must be a list of 4 numbers, not ", shown(value));
    const double left = number_in(value[0], "bbox"), top = number_in(value[1], "bbox");
    return {left, top, left + number_in(value[2], "bbox"), top + number_in(value[3], "bbox")};
  }

 private:
  double number_in(const Json& value, const char* key) const {
    require(value.is_number(), Code::kCorrupt, what(), ": \"", key, "\" must hold numbers, not ",
            shown(value));
    return value.get<double>();
  }
  static std::string shown(const Json& value) {
    return in_quotes(value.is_string() ? value.get<std::string>()
                                       : value.dump(-1, ' ', true, Json::error_handler_t::replace));
  }

  const Json& json_;
  const char* kind_;
  size_t position_;
  const std::string& file_;
};

/// An annotation before images and categories are known: they may come later in the file.
struct Annotation {
  int64_t id, image_id, category_id;
  BoxCorners box;
  std::optional<double> area;
  bool crowd;
};

/// number -> position, after sorting by number. Throws kCorrupt for one that occurs twice.
template <typename T>
std::unordered_map<int64_t, int64_t> sort_by_id(std::vector<T>& entries, const char* kind,
                                                const std::string& file) {
  std::sort(entries.begin(), entries.end(), [](const T& a, const T& b) { return a.id < b.id; });
  std::unordered_map<int64_t, int64_t> position;
  for (size_t i = 0; i < entries.size(); ++i) {
    require(position.emplace(entries[i].id, static_cast<int64_t>(i)).second, Code::kCorrupt, file,
            " has two ", kind, " with the id ", entries[i].id);
  }
  return position;
}

int64_t look_up(const std::unordered_map<int64_t, int64_t>& positions, int64_t id,
                const std::string& what, const char* key) {
  const auto found = positions.find(id);
  require(found != positions.end(), Code::kCorrupt, what, ": \"", key, "\" is ", id,
          ", which the file does not have");
  return found->second;
}

/// Every id from 0 to the highest, each at its own place. `categories` by ascending id.
std::vector<DetectionCategory> without_gaps(std::vector<DetectionCategory> categories,
                                            const std::string& file) {
  std::vector<DetectionCategory> all;
  for (DetectionCategory& category : categories) {
    require(category.id >= 0 && category.id <= kHighestId, Code::kInvalidArgument, file,
            " has a category with the id ", category.id, "; ids that are labels may be 0 to ",
            kHighestId, ": number the categories anew, or take their places for labels");
    for (auto id = static_cast<int64_t>(all.size()); id < category.id; ++id) {
      all.push_back({id, str("unused ", id)});
    }
    all.push_back(std::move(category));
  }
  return all;
}

}  // namespace

DetectionDataset read_coco(const std::string& annotations_path, const std::string& image_folder,
                           CocoLabels labels) {
  const std::string file = in_quotes(base_name(annotations_path));
  std::vector<DetectionCategory> categories;
  std::vector<DetectionImage> images;
  std::vector<Annotation> annotations;
  const auto take = [&](const std::string& list, size_t position, const Json& entry) {
    if (list == "categories") {
      const Record record(entry, "category", position, file);
      categories.push_back({record.integer("id"), record.text("name")});
    } else if (list == "images") {
      const Record record(entry, "image", position, file);
      const std::string what = record.what();
      const ImageSize size = checked_size(record.number("height"), record.number("width"), what);
      images.push_back({record.integer("id"),
                        image_path(image_folder, record.text("file_name"), what),
                        {},
                        size,
                        {}});
    } else if (list == "annotations") {
      const Record record(entry, "annotation", position, file);
      annotations.push_back({record.integer("id"), record.integer("image_id"),
                             record.integer("category_id"), record.box(),
                             record.optional_number("area"), record.flag("iscrowd")});
    }
  };
  const Json rest =
      parse_json_lists(read_file(annotations_path, kMaxFileBytes), file, coco_limits(), take);
  require(rest.is_object(), Code::kCorrupt, file, " must hold a JSON object, not ",
          rest.type_name());
  for (const char* list : {"categories", "images", "annotations"}) {
    require(rest.contains(list) && rest[list].is_array(), Code::kCorrupt, file, " has no list \"",
            list, "\"; give a file of COCO instances");
  }
  require(!categories.empty(), Code::kCorrupt, file, " has no category");
  require(!images.empty(), Code::kCorrupt, file, " has no image");
  const auto place_of = sort_by_id(categories, "categories", file);
  if (labels == CocoLabels::kId) categories = without_gaps(std::move(categories), file);
  const auto image_at = sort_by_id(images, "images", file);

  int64_t left_out = 0;
  std::unordered_set<int64_t> seen;
  for (size_t i = 0; i < annotations.size(); ++i) {
    const Annotation& a = annotations[i];
    const std::string what = str("annotation ", i, " of ", file);
    require(seen.insert(a.id).second, Code::kCorrupt, file, " has two annotations with the id ",
            a.id);
    DetectionImage& image = images[look_up(image_at, a.image_id, what, "image_id")];
    const int64_t place = look_up(place_of, a.category_id, what, "category_id");
    const auto box = box_inside(a.box, image.size, what);
    if (!box) {
      ++left_out;
      continue;
    }
    const double area = a.area.value_or(box->width() * box->height());
    require(area >= 0 && area <= kLargestArea, Code::kCorrupt, what, ": \"area\" is ", area,
            "; allowed is 0 to ", kLargestArea);
    image.objects.push_back(
        {labels == CocoLabels::kId ? a.category_id : place, *box, area, a.crowd});
  }

  Json origin = {{"kind", "coco"},
                 {"annotations", absolute_path(annotations_path)},
                 {"images", absolute_path(image_folder)}};
  if (labels == CocoLabels::kId) origin["labels"] = "id";
  return DetectionDataset(std::move(categories), std::move(images), left_out)
      .with_origin(std::move(origin));
}

}  // namespace lethe
