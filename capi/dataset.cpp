// Section 4 of lethe.h: datasets.
#include <ATen/ATen.h>

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

Dataset select(const Dataset& data, lethe_select what, const std::vector<int64_t>& values) {
  switch (what) {
    case LETHE_KEEP_CLASSES:
      return data.keep_classes(values);
    case LETHE_DROP_CLASSES:
      return data.drop_classes(values);
    case LETHE_TAKE_INDICES:
      return data.take(values);
  }
  fail(Code::kInvalidArgument, "what is ", what,
       ", allowed is LETHE_KEEP_CLASSES (1) to LETHE_TAKE_INDICES (3)");
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

lethe_status lethe_dataset_select(const lethe_dataset* dataset, lethe_select what,
                                  const int64_t* values, size_t count, int64_t few_shot,
                                  int64_t seed, lethe_dataset** out_dataset) {
  return guard([&] {
    clear_required(out_dataset, "out_dataset");
    require(few_shot >= 0, Code::kInvalidArgument, "few_shot is ", few_shot,
            ", allowed is 0 (all samples) and more");
    Dataset part = select(checked(dataset, "dataset").data, what, values_of(values, count));
    if (few_shot > 0) part = part.few_shot(few_shot, static_cast<uint64_t>(seed));
    *out_dataset = new lethe_dataset(std::move(part));
  });
}

lethe_status lethe_dataset_split(const lethe_dataset* dataset, double fraction, int64_t seed,
                                 lethe_dataset** out_first, lethe_dataset** out_second) {
  return guard([&] {
    clear(out_first);
    clear(out_second);
    auto [first, second] =
        checked(dataset, "dataset").data.split(fraction, static_cast<uint64_t>(seed));
    auto first_handle = std::make_unique<lethe_dataset>(std::move(first));
    auto second_handle = std::make_unique<lethe_dataset>(std::move(second));
    if (out_first) *out_first = first_handle.release();
    if (out_second) *out_second = second_handle.release();
  });
}

int64_t lethe_dataset_size(const lethe_dataset* dataset) {
  return usable(dataset) ? dataset->data.size() : 0;
}

lethe_status lethe_dataset_sample(const lethe_dataset* dataset, int64_t index,
                                  lethe_buffer** out_image, int64_t* out_label) {
  return guard([&] {
    clear(out_image);
    clear(out_label);
    const Dataset& data = checked(dataset, "dataset").data;
    require(index >= 0 && index < data.size(), Code::kNotFound, "there is no sample ", index,
            "; the dataset has ", data.size());
    if (out_image) {
      const ThreadBudget budget(1);
      const at::Tensor image = data.batch(index, index + 1).images.contiguous();
      *out_image = make_buffer(image.const_data_ptr(), image.nbytes());
    }
    if (out_label) *out_label = data.label(index);
  });
}

lethe_status lethe_dataset_info_json(const lethe_dataset* dataset, lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    *out_json = json_buffer(checked(dataset, "dataset").data.info());
  });
}

void lethe_dataset_free(lethe_dataset* dataset) {
  query(0, [&] {
    destroy(dataset);
    return 0;
  });
}
