#include <tinyxml2.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <string_view>

#include "data/detection_records.h"
#include "data/detection_sources.h"
#include "storage/file.h"
#include "support/error.h"

namespace lethe {
namespace {

using tinyxml2::XMLElement;

constexpr int64_t kMaxFileBytes = 16 << 20;

/// What a file says of one object, its category still by name.
struct NamedObject {
  std::string name;
  DetectionObject object;
};

struct Annotation {
  DetectionImage image;
  std::vector<NamedObject> objects;
  int64_t left_out = 0;
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

void parse(tinyxml2::XMLDocument& document, const std::string& text, const std::string& what) {
  // tinyxml2 expands no entities of a document's own and would pass over the declaration; a file
  // that has one means something else than what would be read.
  require(text.find("<!DOCTYPE") == std::string::npos && text.find("<!ENTITY") == std::string::npos,
          Code::kUnsupported, what, " has a document type or entities; take them out");
  require(text.find('\0') == std::string::npos, Code::kCorrupt, what, " holds a NUL byte");
  const tinyxml2::XMLError error = document.Parse(text.data(), text.size());
  require(error != tinyxml2::XML_ELEMENT_DEPTH_EXCEEDED, Code::kLimitExceeded, what,
          " is nested deeper than ", TINYXML2_MAX_ELEMENT_DEPTH, " elements, the limit");
  require(error == tinyxml2::XML_SUCCESS, Code::kCorrupt, what, " is not valid XML near line ",
          document.ErrorLineNum());
}

const XMLElement& child(const XMLElement& parent, const char* name, const std::string& what) {
  const XMLElement* found = parent.FirstChildElement(name);
  require(found != nullptr, Code::kCorrupt, what, " has no <", name, "> in <", parent.Name(), ">");
  return *found;
}

std::string text_of(const XMLElement& parent, const char* name, const std::string& what) {
  const char* text = child(parent, name, what).GetText();
  return std::string(trimmed(text ? text : ""));
}

/// A decimal number; some of VOC's own boxes have fractions.
double number_of(const XMLElement& parent, const char* name, const std::string& what) {
  const std::string text = text_of(parent, name, what);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size() && std::isfinite(value),
          Code::kCorrupt, what, ": <", name, "> is ", in_quotes(text),
          "; it must be a finite number");
  return value;
}

bool flag_of(const XMLElement& parent, const char* name, const std::string& what) {
  if (!parent.FirstChildElement(name)) return false;
  const double value = number_of(parent, name, what);
  require(value == 0 || value == 1, Code::kCorrupt, what, ": <", name, "> is ", value,
          "; it must be 0 or 1");
  return value == 1;
}

void read_object(const XMLElement& element, Annotation& annotation, const std::string& what) {
  NamedObject found;
  found.name = text_of(element, "name", what);
  require(!found.name.empty(), Code::kCorrupt, what, " has an object without a name");
  found.object.crowd = flag_of(element, "difficult", what);
  const XMLElement& corners = child(element, "bndbox", what);
  const BoxCorners whole = {number_of(corners, "xmin", what) - 1,
                            number_of(corners, "ymin", what) - 1, number_of(corners, "xmax", what),
                            number_of(corners, "ymax", what)};
  const auto box = box_inside(whole, annotation.image.size, what);
  if (!box) {
    ++annotation.left_out;
    return;
  }
  found.object.box = *box;
  found.object.area = box->width() * box->height();
  annotation.objects.push_back(std::move(found));
}

Annotation read_annotation(const std::string& path, const std::string& image_folder) {
  const std::string what = in_quotes(base_name(path));
  tinyxml2::XMLDocument document;
  parse(document, read_file(path, kMaxFileBytes), what);
  const XMLElement* root = document.FirstChildElement("annotation");
  require(root != nullptr, Code::kCorrupt, what, " has no <annotation>");
  Annotation annotation;
  const XMLElement& size = child(*root, "size", what);
  annotation.image.size =
      checked_size(number_of(size, "height", what), number_of(size, "width", what), what);
  annotation.image.path = image_path(image_folder, text_of(*root, "filename", what), what);
  for (const XMLElement* object = root->FirstChildElement("object"); object;
       object = object->NextSiblingElement("object")) {
    read_object(*object, annotation, what);
  }
  return annotation;
}

/// Name -> label. `given` or, where there is none, all that occur.
std::map<std::string, int64_t> labels_of(const std::vector<Annotation>& annotations,
                                         const std::vector<std::string>& given) {
  std::map<std::string, int64_t> labels;
  for (size_t i = 0; i < given.size(); ++i) {
    require(labels.emplace(given[i], static_cast<int64_t>(i)).second, Code::kInvalidArgument,
            "the category ", in_quotes(given[i]), " is given twice");
  }
  if (!given.empty()) return labels;
  for (const Annotation& annotation : annotations) {
    for (const NamedObject& object : annotation.objects) labels.emplace(object.name, 0);
  }
  int64_t next = 0;
  for (auto& [name, label] : labels) label = next++;
  return labels;
}

}  // namespace

DetectionDataset read_voc(const std::string& annotations_folder, const std::string& image_folder,
                          const std::vector<std::string>& class_names) {
  const std::string folder = in_quotes(base_name(annotations_folder));
  const std::string prefix = annotations_folder + "/";
  std::vector<Annotation> annotations;
  for (const std::string& name : names_in(annotations_folder)) {
    if (name[0] == '.' || !name.ends_with(".xml")) continue;
    annotations.push_back(read_annotation(prefix + name, image_folder));
  }
  require(!annotations.empty(), Code::kNotFound, "the folder ", folder, " holds no .xml file");

  const std::map<std::string, int64_t> labels = labels_of(annotations, class_names);
  require(!labels.empty(), Code::kNotFound, "the folder ", folder,
          " names no object; give the names of the categories");
  std::vector<DetectionCategory> categories(labels.size());
  for (const auto& [name, label] : labels) categories[label] = {label, name};

  std::vector<DetectionImage> images;
  int64_t left_out = 0;
  for (Annotation& annotation : annotations) {
    annotation.image.id = static_cast<int64_t>(images.size());
    left_out += annotation.left_out;
    for (NamedObject& found : annotation.objects) {
      const auto label = labels.find(found.name);
      require(label != labels.end(), Code::kInvalidArgument, "image ",
              in_quotes(base_name(annotation.image.path)), " shows the category ",
              in_quotes(found.name), ", which is not among the ", labels.size(), " given");
      found.object.label = label->second;
      annotation.image.objects.push_back(found.object);
    }
    images.push_back(std::move(annotation.image));
  }
  return DetectionDataset(std::move(categories), std::move(images), left_out)
      .with_origin({{"kind", "voc"},
                    {"annotations", absolute_path(annotations_folder)},
                    {"images", absolute_path(image_folder)},
                    {"class_names", class_names}});
}

}  // namespace lethe
