// Section 7 of lethe.h: predictions and evaluation.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>

#include "data/describe.h"
#include "engine/report.h"
#include "evaluation/accuracy.h"
#include "guard.h"
#include "handles.h"
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
  snapshot.base->model().check_images(images.sizes());
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

/// Throws unless the model can look at these samples and knows their classes.
void require_fitting(const Model& model, const Dataset& data) {
  require(data.size() > 0, Code::kInvalidArgument, "the dataset is empty");
  std::vector<int64_t> shape = data.image_shape();
  shape.insert(shape.begin(), data.size());
  model.check_images(shape);
  const int64_t largest = data.present_classes().back();
  require(largest < model.spec().classes, Code::kInvalidArgument, "the dataset holds class ",
          largest, ", the model has ", model.spec().classes, " classes");
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
  const int64_t classes = state.base->model().spec().classes;
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

std::map<std::string, double> metrics_of(const ClassAccuracy& accuracy, const ClassRoles& roles) {
  std::map<std::string, double> metrics;
  const auto add = [&](const std::string& name, std::optional<double> percent) {
    if (percent) metrics[name] = *percent;
  };
  add("acc", accuracy.percent());
  add("acc_f", accuracy.percent(roles.forget));
  add("acc_r", accuracy.percent(roles.retain));
  add("acc_o", accuracy.percent(roles.past));
  for (size_t id = 0; id < accuracy.total.size(); ++id) {
    add(lethe::str("acc_class.", id), accuracy.percent({static_cast<int64_t>(id)}));
  }
  return metrics;
}

}  // namespace

lethe_status lethe_model_predict(const lethe_model* model, const lethe_tensor_view* images,
                                 int32_t threads, lethe_buffer** out_logits) {
  return guard([&] {
    clear_required(out_logits, "out_logits");
    const auto snapshot = checked(model, "model").live->snapshot();
    const Model& architecture = snapshot->base->model();
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
      return snapshot->base->model().embed(snapshot->weights, chunk);
    });
  });
}

lethe_status lethe_model_predict_dataset(const lethe_model* model, const lethe_dataset* dataset,
                                         int32_t threads, lethe_buffer** out_logits) {
  return guard([&] {
    clear_required(out_logits, "out_logits");
    const auto snapshot = checked(model, "model").live->snapshot();
    const Dataset& data = checked(dataset, "dataset").data;
    require_fitting(snapshot->base->model(), data);
    const ThreadBudget budget(checked_threads(threads));
    const c10::InferenceMode inference;
    EvaluationOptions evaluation;
    evaluation.batch = kChunk;
    const at::Tensor scores =
        dataset_scores(snapshot->base->model(), snapshot->weights, data, evaluation).contiguous();
    *out_logits = make_buffer(scores.const_data_ptr(), scores.nbytes());
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
    const Dataset& data = checked(dataset, "dataset").data;
    const lethe_evaluate_options chosen = read_options(options);
    const Model& architecture = snapshot->base->model();
    require_fitting(architecture, data);
    const ClassRoles roles = roles_of(*snapshot, chosen);

    const auto start = std::chrono::steady_clock::now();
    const ThreadBudget budget(checked_threads(chosen.threads));
    const c10::InferenceMode inference;
    EvaluationOptions evaluation;
    evaluation.batch = chosen.batch;
    evaluation.margin = chosen.margin != 0;
    const Weights& weights = chosen.base ? snapshot->base->weights() : snapshot->weights;
    const ClassAccuracy accuracy = class_accuracy(architecture, weights, data, evaluation);
    std::map<std::string, double> metrics = metrics_of(accuracy, roles);
    metrics["samples"] = static_cast<double>(data.size());
    metrics["seconds"] =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

    Json context = {{"kind", "evaluation"},         {"state", chosen.base ? "base" : "current"},
                    {"margin", chosen.margin != 0}, {"forget_classes", roles.forget},
                    {"past_classes", roles.past},   {"dataset", data.content_digest()}};
    auto report =
        std::make_shared<const Report>(make_report(std::move(context), std::move(metrics)));
    *out_report = make_handle(&lethe_report::report, std::move(report));
  });
}
