// Section 7 of lethe.h: predictions and evaluation.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "data/describe.h"
#include "data/detection_batch.h"
#include "engine/report.h"
#include "evaluation/accuracy.h"
#include "evaluation/class_precision.h"
#include "guard.h"
#include "handles.h"
#include "models/detect.h"
#include "options.h"
#include "structs.h"
#include "support/threads.h"
#include "tensor_view.h"
#include "text.h"

using namespace lethe;
using namespace lethe::capi;

namespace {

/// Images a forward pass. Fixed, so that an image's scores do not depend on how many follow it.
constexpr int64_t kChunk = 250;

void require_finite(const at::Tensor& images, int64_t first) {
  if (images.isfinite().all().item<bool>()) return;
  const at::Tensor good = images.isfinite().flatten(1).all(1);
  for (int64_t i = 0; i < good.size(0); ++i) {
    require(good[i].item<bool>(), Code::kInvalidArgument, "image ", first + i,
            " holds NaN or infinity; give finite pixels");
  }
}

/// `compute` of every chunk of the images, joined, as a buffer of float32 rows.
template <typename Compute>
lethe_buffer* per_chunk(const Snapshot& snapshot, const lethe_tensor_view* view, int32_t threads,
                        const Compute& compute) {
  const at::Tensor images = borrow(view, "images", at::kFloat, 4, "float32 [N,C,H,W]");
  const ThreadBudget budget(checked_threads(threads));
  const c10::InferenceMode inference;
  snapshot.base->classifier().check_images(images.sizes());
  std::vector<at::Tensor> rows;
  for (int64_t begin = 0; begin < images.size(0); begin += kChunk) {
    const int64_t length = std::min(kChunk, images.size(0) - begin);
    const at::Tensor chunk = images.narrow(0, begin, length).contiguous();
    require_finite(chunk, begin);
    rows.push_back(compute(chunk.to(snapshot.base->device())).to(at::kCPU, at::kFloat));
  }
  const at::Tensor joined = rows.empty() ? at::Tensor() : at::cat(rows).contiguous();
  return rows.empty() ? make_buffer(nullptr, 0)
                      : make_buffer(joined.const_data_ptr(), joined.nbytes());
}

template <typename Data>
void require_known_classes(const Model& model, const Data& data) {
  const std::vector<int64_t> present = data.present_classes();
  require(present.empty() || present.back() < model.classes(), Code::kInvalidArgument,
          "the dataset holds class ", present.empty() ? 0 : present.back(), ", the model has ",
          model.classes(), " classes");
}

/// Throws unless the model can look at these samples and knows their classes.
void require_fitting(const Classifier& model, const Dataset& data) {
  require(data.size() > 0, Code::kInvalidArgument, "the dataset is empty");
  std::vector<int64_t> shape = data.image_shape();
  shape.insert(shape.begin(), data.size());
  model.check_images(shape);
  require_known_classes(model, data);
}
void require_fitting(const DeformableDetr& model, const DetectionDataset& data) {
  require(data.size() > 0, Code::kInvalidArgument, "the dataset is empty");
  require_known_classes(model, data);
}

lethe_evaluate_options default_options() {
  lethe_evaluate_options options{};
  options.struct_size = sizeof options;
  options.batch = kChunk;
  return options;
}

lethe_evaluate_options read_options(const lethe_evaluate_options* given) {
  if (!given) return default_options();
  const auto options = read_struct(given, default_options(), "options");
  require_reserved(options.reserved0, "options");
  require_reserved(options.reserved, "options");
  require(options.batch >= 1 && options.batch <= 65536, Code::kInvalidArgument, "batch is ",
          options.batch, ", allowed is 1 to 65536");
  require(options.margin == 0 || options.margin == 1, Code::kInvalidArgument, "margin is ",
          options.margin, ", allowed is 0 or 1");
  require(options.base == 0 || options.base == 1, Code::kInvalidArgument, "base is ", options.base,
          ", allowed is 0 or 1");
  return options;
}

/// Which classes Acc_f, Acc_o and Acc_r are about.
struct ClassRoles {
  std::vector<int64_t> forget, past, retain;
};

ClassRoles roles_of(const Snapshot& state, const lethe_evaluate_options& options) {
  const int64_t classes = state.base->model().classes();
  ClassRoles roles{{}, state.base->origin().forgotten, {}};
  for (const StackEntry& entry :
       state.stack) {  // the last enabled adapter's classes end up in `forget`
    if (entry.scale == 0) continue;
    roles.past.insert(roles.past.end(), roles.forget.begin(), roles.forget.end());
    roles.forget = entry.adapter->classes();
  }
  if (options.forget_classes) {
    roles.forget.assign(options.forget_classes,
                        options.forget_classes + options.forget_class_count);
  }
  if (options.past_classes) {
    roles.past.assign(options.past_classes, options.past_classes + options.past_class_count);
  }
  std::vector<bool> named(classes, false);
  const auto take = [&](std::vector<int64_t>& list, const char* name) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    for (int64_t id : list) {
      require(id >= 0 && id < classes, Code::kNotFound, name, " names class ", id,
              ", the model has ", classes, " classes");
      named[id] = true;
    }
  };
  take(roles.forget, "forget_classes");
  take(roles.past, "past_classes");
  for (int64_t id = 0; id < classes; ++id) {
    if (!named[id]) roles.retain.push_back(id);
  }
  return roles;
}

/// `percent(classes)` for all of `classes` classes together, by role, and for each one.
template <typename Percent>
void add_figures(Metrics& metrics, const std::string& name, const ClassRoles& roles,
                 int64_t classes, const Percent& percent) {
  const auto add = [&](const std::string& what, std::optional<double> value) {
    if (value) metrics[name + what] = *value;
  };
  std::vector<int64_t> all(classes);
  std::iota(all.begin(), all.end(), 0);
  add("", percent(all));
  add("_f", percent(roles.forget));
  add("_r", percent(roles.retain));
  add("_o", percent(roles.past));
  for (const int64_t id : all) add(lethe::str("_class.", id), percent({id}));
}

Metrics measure(const BaseModel& base, const Weights& weights, const Dataset& data,
                const ClassRoles& roles, const EvaluationOptions& options) {
  const Classifier& model = base.classifier();
  require_fitting(model, data);
  const ClassAccuracy accuracy = class_accuracy(model, weights, data, options);
  Metrics metrics;
  add_figures(metrics, "acc", roles, model.classes(),
              [&](const std::vector<int64_t>& classes) { return accuracy.percent(classes); });
  return metrics;
}

Metrics measure(const BaseModel& base, const Weights& weights, const DetectionDataset& data,
                const ClassRoles& roles, const EvaluationOptions& options) {
  const DeformableDetr& model = base.detector();
  require(!options.margin, Code::kInvalidArgument, "margin is 1, but detectors have none");
  require_fitting(model, data);
  const ClassPrecision precision = class_precision(model, weights, data, options);
  Metrics metrics;
  add_figures(metrics, "ap", roles, model.classes(),
              [&](const std::vector<int64_t>& classes) { return precision.percent(classes); });
  add_figures(metrics, "ap50", roles, model.classes(),
              [&](const std::vector<int64_t>& classes) { return precision.percent50(classes); });
  return metrics;
}

int64_t checked_most(int32_t most) {
  require(most >= 1 && most <= 1000, Code::kInvalidArgument, "most is ", most,
          ", allowed is 1 to 1000");
  return most;
}

/// Writes `found`, images from `first` on, into rows [N, most, 6]; the rest of them stays.
void write_detections(const std::vector<Detections>& found, int64_t first, const at::Tensor& rows) {
  for (size_t k = 0; k < found.size(); ++k) {
    const Detections& image = found[k];
    at::Tensor target = rows[first + static_cast<int64_t>(k)].narrow(0, 0, image.labels.numel());
    target.narrow(1, 0, 4).copy_(image.boxes);
    target.select(1, 4).copy_(image.scores);
    target.select(1, 5).copy_(image.labels);
  }
}

at::Tensor no_detections(int64_t images, int64_t most) {
  at::Tensor rows = at::zeros({images, most, 6}, at::kFloat);
  rows.select(2, 5).fill_(-1);
  return rows;
}

/// Looks at `count` images, a few at a time; `sample(i)` gives image i.
template <typename Sample>
lethe_buffer* detect_all(const Snapshot& snapshot, int64_t count, int32_t most,
                         const Sample& sample) {
  constexpr int64_t kImages = 16;
  const c10::InferenceMode inference;
  const DeformableDetr& model = snapshot.base->detector();
  const ResNet backbone = model.backbone(snapshot.weights);
  const at::Tensor rows = no_detections(count, checked_most(most));
  for (int64_t begin = 0; begin < count; begin += kImages) {
    std::vector<DetectionSample> samples;
    std::vector<ImageSize> sizes;
    for (int64_t i = begin; i < std::min(begin + kImages, count); ++i) {
      const DetectionSample whole = sample(i);
      sizes.push_back({whole.image.size(1), whole.image.size(2)});
      samples.push_back(resized_for(model.spec(), whole));
    }
    write_detections(detect(model, backbone, snapshot.weights, batch_of(samples), sizes, most),
                     begin, rows);
  }
  return make_buffer(rows.const_data_ptr(), rows.nbytes());
}

}  // namespace

lethe_status lethe_model_predict(const lethe_model* model, const lethe_tensor_view* images,
                                 int32_t threads, lethe_buffer** out_logits) {
  return guard([&] {
    clear_required(out_logits, "out_logits");
    const auto snapshot = checked(model, "model").live->snapshot();
    const Classifier& architecture = snapshot->base->classifier();
    const Head head = architecture.head(snapshot->weights);
    *out_logits = per_chunk(*snapshot, images, threads, [&](const at::Tensor& chunk) {
      return head.scores(architecture.embed(snapshot->weights, chunk));
    });
  });
}

lethe_status lethe_model_embed(const lethe_model* model, const lethe_tensor_view* images,
                               int32_t threads, lethe_buffer** out_embeddings) {
  return guard([&] {
    clear_required(out_embeddings, "out_embeddings");
    const auto snapshot = checked(model, "model").live->snapshot();
    *out_embeddings = per_chunk(*snapshot, images, threads, [&](const at::Tensor& chunk) {
      return snapshot->base->classifier().embed(snapshot->weights, chunk);
    });
  });
}

lethe_status lethe_model_predict_dataset(const lethe_model* model, const lethe_dataset* dataset,
                                         int32_t threads, lethe_buffer** out_logits) {
  return guard([&] {
    clear_required(out_logits, "out_logits");
    const auto snapshot = checked(model, "model").live->snapshot();
    const Dataset& data = labelled(checked(dataset, "dataset"));
    require_fitting(snapshot->base->classifier(), data);
    const ThreadBudget budget(checked_threads(threads));
    const c10::InferenceMode inference;
    EvaluationOptions evaluation;
    evaluation.batch = kChunk;
    const at::Tensor scores =
        dataset_scores(snapshot->base->classifier(), snapshot->weights, data, evaluation)
            .contiguous();
    *out_logits = make_buffer(scores.const_data_ptr(), scores.nbytes());
  });
}

lethe_status lethe_model_detect(const lethe_model* model, const lethe_tensor_view* images,
                                int32_t most, int32_t threads, lethe_buffer** out_detections) {
  return guard([&] {
    clear_required(out_detections, "out_detections");
    const auto snapshot = checked(model, "model").live->snapshot();
    const at::Tensor pixels = borrow(images, "images", at::kByte, 4, "uint8 [N,3,H,W]");
    require(pixels.size(1) == 3, Code::kInvalidArgument, "images have ", pixels.size(1),
            " channels, a detector takes 3");
    const ThreadBudget budget(checked_threads(threads));
    *out_detections = detect_all(*snapshot, pixels.size(0), most, [&](int64_t i) {
      return DetectionSample{pixels[i].contiguous(), {}};
    });
  });
}

lethe_status lethe_model_detect_dataset(const lethe_model* model, const lethe_dataset* dataset,
                                        int32_t most, int32_t threads,
                                        lethe_buffer** out_detections) {
  return guard([&] {
    clear_required(out_detections, "out_detections");
    const auto snapshot = checked(model, "model").live->snapshot();
    const DetectionDataset& data = with_boxes(checked(dataset, "dataset"));
    const ThreadBudget budget(checked_threads(threads));
    *out_detections =
        detect_all(*snapshot, data.size(), most, [&](int64_t i) { return data.sample(i); });
  });
}

lethe_status lethe_evaluate_options_init(lethe_evaluate_options* options, size_t size) {
  return guard([&] { init_struct(options, size, default_options(), "options"); });
}

lethe_status lethe_model_evaluate(const lethe_model* model, const lethe_dataset* dataset,
                                  const lethe_evaluate_options* options,
                                  lethe_report** out_report) {
  return guard([&] {
    clear_required(out_report, "out_report");
    const auto snapshot = checked(model, "model").live->snapshot();
    const AnyDataset& data = checked(dataset, "dataset").data;
    const lethe_evaluate_options chosen = read_options(options);
    const ClassRoles roles = roles_of(*snapshot, chosen);

    const auto start = std::chrono::steady_clock::now();
    const ThreadBudget budget(checked_threads(chosen.threads));
    const c10::InferenceMode inference;
    EvaluationOptions evaluation;
    evaluation.batch = chosen.batch;
    evaluation.margin = chosen.margin != 0;
    const Weights& weights = chosen.base ? snapshot->base->weights() : snapshot->weights;
    Metrics metrics = std::visit(
        [&](const auto& set) { return measure(*snapshot->base, weights, set, roles, evaluation); },
        data);
    metrics["samples"] =
        std::visit([](const auto& set) { return static_cast<double>(set.size()); }, data);
    metrics["seconds"] =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

    Json context = {{"kind", "evaluation"},         {"state", chosen.base ? "base" : "current"},
                    {"margin", chosen.margin != 0}, {"forget_classes", roles.forget},
                    {"past_classes", roles.past},   {"dataset", content_digest_of(data)}};
    auto report =
        std::make_shared<const Report>(make_report(std::move(context), std::move(metrics)));
    *out_report = make_handle(&lethe_report::report, std::move(report));
  });
}
