// Section 4 of lethe.h: datasets.
#include <ATen/ATen.h>

#include <algorithm>

#include "data/detection_sources.h"
#include "data/selection.h"
#include "data/sources.h"
#include "guard.h"
#include "handles.h"
#include "support/threads.h"
#include "tensor_view.h"
#include "text.h"

using namespace lethe;
using namespace lethe::capi;

namespace {

Transform read_transform(const char* json) {
  if (!json) return {};
  return Transform::from_json(parse_json(text(json, "transform_json"), "transform"));
}

at::Tensor copy(const at::Tensor& borrowed) {
  return borrowed.is_contiguous() ? borrowed.clone() : borrowed.contiguous();
}

at::Tensor read_images(const lethe_tensor_view* view) {
  const at::Tensor images = borrow(view, "images");
  const bool bytes = images.scalar_type() == at::kByte;
  return copy(bytes ? borrow(view, "images", at::kByte, 4, "uint8 or float32 [N,C,H,W]")
                    : borrow(view, "images", at::kFloat, 4, "uint8 or float32 [N,C,H,W]"));
}

/// The ids or positions of a selection.
std::vector<int64_t> values_of(const int64_t* values, size_t count) {
  require(values || count == 0, Code::kInvalidArgument, "values is NULL");
  return {values, values + count};
}

/// Without the objects of these classes, and the images that show no other.
DetectionDataset drop_classes(const DetectionDataset& data, const std::vector<int64_t>& classes) {
  const std::vector<bool> dropped = class_flags(classes, data.class_count());
  std::vector<int64_t> kept;
  for (int64_t c = 0; c < data.class_count(); ++c) {
    if (!dropped[c]) kept.push_back(c);
  }
  return data.keep_classes(kept);
}
Dataset drop_classes(const Dataset& data, const std::vector<int64_t>& classes) {
  return data.drop_classes(classes);
}

template <typename Data>
Data select(const Data& data, lethe_select what, const std::vector<int64_t>& values) {
  switch (what) {
    case LETHE_KEEP_CLASSES:
      return data.keep_classes(values);
    case LETHE_DROP_CLASSES:
      return drop_classes(data, values);
    case LETHE_TAKE_INDICES:
      return data.take(values);
  }
  fail(Code::kInvalidArgument, "what is ", what,
       ", allowed is LETHE_KEEP_CLASSES (1) to LETHE_TAKE_INDICES (3)");
}

template <typename Data>
void check_index(const Data& data, int64_t index) {
  require(index >= 0 && index < data.size(), Code::kNotFound, "there is no sample ", index,
          "; the dataset has ", data.size());
}

std::vector<std::string> read_class_names(const char* json) {
  if (!json) return {};
  const Json names = parse_json(text(json, "class_names_json"), "class_names_json");
  const bool texts =
      names.is_array() && !names.empty() &&
      std::all_of(names.begin(), names.end(), [](const Json& name) { return name.is_string(); });
  require(texts, Code::kInvalidArgument,
          "class_names_json is no list of names; write [\"cat\",\"dog\"], or NULL for all names");
  return names.get<std::vector<std::string>>();
}

/// Images, numbered from 0, with the boxes that `image_of` puts into each.
std::vector<DetectionImage> read_boxes(const at::Tensor& images, const lethe_tensor_view* boxes,
                                       const lethe_tensor_view* labels,
                                       const lethe_tensor_view* image_of, int64_t class_count) {
  const at::Tensor corners = copy(borrow(boxes, "boxes", at::kFloat, 2, "float32 [M,4]"));
  const at::Tensor classes = copy(borrow(labels, "labels", at::kLong, 1, "int64 [M]"));
  const at::Tensor places = copy(borrow(image_of, "image_of", at::kLong, 1, "int64 [M]"));
  const int64_t count = classes.numel();
  require(corners.size(1) == 4 && corners.size(0) == count && places.numel() == count,
          Code::kInvalidArgument, "boxes have shape ", corners.sizes(), ", labels ",
          classes.sizes(), " and image_of ", places.sizes(), ", they must be [M,4], [M] and [M]");
  std::vector<DetectionImage> list(static_cast<size_t>(images.size(0)));
  for (int64_t i = 0; i < images.size(0); ++i) {
    list[i].id = i;
    list[i].pixels = images[i];
  }
  const auto* corner = corners.const_data_ptr<float>();
  for (int64_t k = 0; k < count; ++k, corner += 4) {
    const auto image = places.const_data_ptr<int64_t>()[k];
    require(image >= 0 && image < images.size(0), Code::kInvalidArgument, "box ", k,
            " is in image ", image, "; there are the images 0 to ", images.size(0) - 1);
    const BoxCorners box{corner[0], corner[1], corner[2], corner[3]};
    const DetectionObject object{classes.const_data_ptr<int64_t>()[k], box,
                                 box.width() * box.height(), false};
    check_object(object, {images.size(2), images.size(3)}, class_count, "box", k);
    list[image].objects.push_back(object);
  }
  return list;
}

std::vector<DetectionCategory> numbered_categories(int64_t count) {
  require(count >= 1 && count <= 100'000, Code::kInvalidArgument, "class_count is ", count,
          ", allowed is 1 to 100000");
  std::vector<DetectionCategory> categories;
  for (int64_t c = 0; c < count; ++c) categories.push_back({c, std::to_string(c)});
  return categories;
}

}  // namespace

lethe_status lethe_dataset_from_tensors(lethe_runtime* runtime, const lethe_tensor_view* images,
                                        const lethe_tensor_view* labels, int64_t class_count,
                                        const char* transform_json, lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    checked(runtime, "runtime");
    const ThreadBudget budget(0);
    const Transform transform = read_transform(transform_json);
    *out_dataset = new lethe_dataset(
        Dataset(read_images(images), copy(borrow(labels, "labels", at::kLong, 1, "int64 [N]")),
                class_count, transform));
  });
}

lethe_status lethe_dataset_from_idx(lethe_runtime* runtime, const char* images_path,
                                    const char* labels_path, int64_t class_count,
                                    const char* transform_json, lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    checked(runtime, "runtime");
    const ThreadBudget budget(0);
    *out_dataset = new lethe_dataset(read_idx(text(images_path, "images_path"),
                                              text(labels_path, "labels_path"),
                                              read_transform(transform_json), class_count));
  });
}

lethe_status lethe_dataset_from_image_folder(lethe_runtime* runtime, const char* path,
                                             const char* transform_json,
                                             lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    checked(runtime, "runtime");
    const ThreadBudget budget(0);
    *out_dataset =
        new lethe_dataset(read_image_folder(text(path, "path"), read_transform(transform_json)));
  });
}

lethe_status lethe_dataset_from_coco(lethe_runtime* runtime, const char* annotations_path,
                                     const char* image_folder, lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    checked(runtime, "runtime");
    *out_dataset = new lethe_dataset(
        read_coco(text(annotations_path, "annotations_path"), text(image_folder, "image_folder")));
  });
}

lethe_status lethe_dataset_from_coco_ids(lethe_runtime* runtime, const char* annotations_path,
                                         const char* image_folder, lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    checked(runtime, "runtime");
    *out_dataset =
        new lethe_dataset(read_coco(text(annotations_path, "annotations_path"),
                                    text(image_folder, "image_folder"), CocoLabels::kId));
  });
}

lethe_status lethe_dataset_from_voc(lethe_runtime* runtime, const char* annotations_folder,
                                    const char* image_folder, const char* class_names_json,
                                    lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    checked(runtime, "runtime");
    *out_dataset = new lethe_dataset(read_voc(text(annotations_folder, "annotations_folder"),
                                              text(image_folder, "image_folder"),
                                              read_class_names(class_names_json)));
  });
}

lethe_status lethe_dataset_from_boxes(lethe_runtime* runtime, const lethe_tensor_view* images,
                                      const lethe_tensor_view* boxes,
                                      const lethe_tensor_view* labels,
                                      const lethe_tensor_view* image_of, int64_t class_count,
                                      lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    checked(runtime, "runtime");
    const at::Tensor pixels = copy(borrow(images, "images", at::kByte, 4, "uint8 [N,3,H,W]"));
    const std::vector<DetectionCategory> categories = numbered_categories(class_count);
    *out_dataset = new lethe_dataset(
        DetectionDataset(categories, read_boxes(pixels, boxes, labels, image_of, class_count)));
  });
}

lethe_status lethe_dataset_select(const lethe_dataset* dataset, lethe_select what,
                                  const int64_t* values, size_t count, int64_t few_shot,
                                  int64_t seed, lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    require(few_shot >= 0, Code::kInvalidArgument, "few_shot is ", few_shot,
            ", allowed is 0 (all samples) and more");
    *out_dataset = std::visit(
        [&](const auto& data) {
          auto part = select(data, what, values_of(values, count));
          if (few_shot > 0) part = part.few_shot(few_shot, static_cast<uint64_t>(seed));
          return new lethe_dataset(std::move(part));
        },
        checked(dataset, "dataset").data);
  });
}

lethe_status lethe_dataset_split(const lethe_dataset* dataset, double fraction, int64_t seed,
                                 lethe_dataset** out_first, lethe_dataset** out_second) {
  return guard([&] {
    clear(out_first);
    clear(out_second);
    std::visit(
        [&](const auto& data) {
          auto [first, second] = data.split(fraction, static_cast<uint64_t>(seed));
          auto first_handle = std::make_unique<lethe_dataset>(std::move(first));
          auto second_handle = std::make_unique<lethe_dataset>(std::move(second));
          if (out_first) *out_first = first_handle.release();
          if (out_second) *out_second = second_handle.release();
        },
        checked(dataset, "dataset").data);
  });
}

int64_t lethe_dataset_size(const lethe_dataset* dataset) {
  if (!usable(dataset)) return 0;
  return std::visit([](const auto& data) { return data.size(); }, dataset->data);
}

lethe_status lethe_dataset_sample(const lethe_dataset* dataset, int64_t index,
                                  lethe_buffer** out_image, int64_t* out_label) {
  return guard([&] {
    clear(out_image);
    clear(out_label);
    const Dataset& data = labelled(checked(dataset, "dataset"));
    check_index(data, index);
    if (out_image) {
      const ThreadBudget budget(1);
      const at::Tensor image = data.batch(index, index + 1).images.contiguous();
      *out_image = make_buffer(image.const_data_ptr(), image.nbytes());
    }
    if (out_label) *out_label = data.label(index);
  });
}

lethe_status lethe_dataset_image(const lethe_dataset* dataset, int64_t index,
                                 lethe_buffer** out_image, int64_t* out_height,
                                 int64_t* out_width) {
  return guard([&] {
    clear(out_image);
    clear(out_height);
    clear(out_width);
    const DetectionDataset& data = with_boxes(checked(dataset, "dataset"));
    check_index(data, index);
    if (out_image) {
      const ThreadBudget budget(1);
      const at::Tensor image = data.sample(index).image.contiguous();
      *out_image = make_buffer(image.const_data_ptr(), image.nbytes());
    }
    if (out_height) *out_height = data.image_size(index).height;
    if (out_width) *out_width = data.image_size(index).width;
  });
}

lethe_status lethe_dataset_objects(const lethe_dataset* dataset, int64_t index,
                                   lethe_buffer** out_objects) {
  return guard([&] {
    clear_required(out_objects, "out_objects");
    const DetectionDataset& data = with_boxes(checked(dataset, "dataset"));
    check_index(data, index);
    std::vector<float> rows;
    for (const DetectionObject& object : data.objects(index)) {
      const BoxCorners& box = object.box;
      for (const double value : {box.left, box.top, box.right, box.bottom, object.crowd ? 0.0 : 1.0,
                                 static_cast<double>(object.label)}) {
        rows.push_back(static_cast<float>(value));
      }
    }
    *out_objects = make_buffer(rows.data(), rows.size() * sizeof(float));
  });
}

lethe_status lethe_dataset_drop_objects(const lethe_dataset* dataset, double share, int64_t seed,
                                        lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    *out_dataset = new lethe_dataset(
        with_boxes(checked(dataset, "dataset")).drop_objects(share, static_cast<uint64_t>(seed)));
  });
}

lethe_status lethe_dataset_info_json(const lethe_dataset* dataset, lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    *out_json = json_buffer(
        std::visit([](const auto& data) { return data.info(); }, checked(dataset, "dataset").data));
  });
}

void lethe_dataset_free(lethe_dataset* dataset) {
  query(0, [&] {
    destroy(dataset);
    return 0;
  });
}
