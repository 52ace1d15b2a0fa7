#include "engine/request.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "adapters/lora.h"
#include "forgetting/detector_pretrain.h"
#include "forgetting/detector_weights.h"
#include "forgetting/method.h"
#include "support/error.h"

namespace lethe {
namespace {

using Classes = std::vector<int64_t>;

bool holds(const Classes& ascending, int64_t c) {
  return std::binary_search(ascending.begin(), ascending.end(), c);
}

Classes sorted(Classes classes) {
  std::sort(classes.begin(), classes.end());
  return classes;
}

Classes all_but(int64_t count, const Classes& a, const Classes& b) {
  Classes rest;
  for (int64_t c = 0; c < count; ++c) {
    if (!holds(a, c) && !holds(b, c)) rest.push_back(c);
  }
  return rest;
}

/// Those of `classes` that the data set has a label for: it may know fewer than the model.
template <typename Data>
Classes known_to(const Data& dataset, Classes classes) {
  std::erase_if(classes, [&](int64_t c) { return c >= dataset.class_count(); });
  return classes;
}

void check_images(const Dataset& dataset, const BaseModel& base, const char*) {
  std::vector<int64_t> shape = dataset.image_shape();
  shape.insert(shape.begin(), dataset.size());
  base.classifier().check_images(shape);
}

/// Images of any size fit a detector.
void check_images(const DetectionDataset&, const BaseModel& base, const char*) {
  require(base.detector().spec().has_backbone(), Code::kUnsupported,
          "the model spec's \"backbone\" is \"features\", so it cannot look at images; name a "
          "ResNet");
}

void check_trainable(const Dataset&, const BaseModel&, const char*) {}

/// Every object that is taught needs a query of its own; crowds are not taught.
void check_trainable(const DetectionDataset& dataset, const BaseModel& base, const char* name) {
  const int64_t queries = base.detector().spec().queries;
  for (int64_t i = 0; i < dataset.size(); ++i) {
    const std::vector<DetectionObject> all = dataset.objects(i);
    const int64_t objects = std::count_if(
        all.begin(), all.end(), [](const DetectionObject& object) { return !object.crowd; });
    require(objects <= queries, Code::kInvalidArgument, "image ", dataset.image_id(i), " of the ",
            name, " set has ", objects, " objects, the model can name ", queries,
            " in an image; use a model with more \"queries\" or leave the image out");
  }
}

void check_kind(const Dataset&, const BaseModel& base) { base.classifier(); }
void check_kind(const DetectionDataset&, const BaseModel& base) { base.detector(); }

template <typename Data>
void check_fits_model(const Data& dataset, const BaseModel& base, const char* name) {
  require(dataset.size() > 0, Code::kInvalidArgument, "the ", name, " set is empty");
  check_kind(dataset, base);
  const int64_t classes = base.model().classes();
  require(dataset.class_count() <= classes, Code::kInvalidArgument, "the ", name, " set has ",
          dataset.class_count(), " classes, the model knows ", classes,
          "; drop the others or use a model with more outputs");
  check_images(dataset, base, name);
}

void check_method(const ForgetRequest& request) {
  require(!request.config.augment, Code::kUnsupported,
          "augment is set, but it is of detectors; leave it out");
}
void check_method(const DetectorForgetRequest& request) {
  const ForgetConfig& config = request.config;
  detector_method_of(config.method);
  require(!config.augment || trains_lora(config.method), Code::kUnsupported,
          "augment is set, but it is of gs-lora and gs-lora++; leave it out with ",
          method_name(config.method));
  require(config.method != MethodKind::kGsLoraPlusPlus ||
              config.prototype_source != PrototypeSource::kRandomNetwork,
          Code::kUnsupported,
          "prototype_source is \"random-network\", but a detector's prototypes are rows of its "
          "classifier; use \"original\" or \"task-start\"");
  require(config.audits == 0, Code::kUnsupported, "audits is ", config.audits,
          ", but there are none of detectors; set it to 0");
}

void check_withheld_class(const ForgetRequest&, const ForgetPlan&, const BaseModel&) {}
/// What the method would find only when it runs. SCRUB keeps the forget objects' names.
void check_withheld_class(const DetectorForgetRequest& request,
                          const ForgetPlanOn<DetectionDataset>& plan, const BaseModel& base) {
  const ForgetConfig& config = request.config;
  if (trains_lora(config.method) || config.method == MethodKind::kScrub) return;
  check_withheld(config, base.model().classes(), plan.forget, plan.retain);
}

void check_settings(const PretrainRequest& request, const BaseModel&) {
  request.config.validate();
  require(!request.config.augment, Code::kInvalidArgument,
          "pre-training settings: \"augment\" is true, but it is of detectors; a classifier has "
          "flip, shift and erase");
}
void check_settings(const DetectorPretrainRequest& request, const BaseModel& base) {
  check_detector_pretraining(base.detector(), request.config);
}

template <typename Data>
void check_has_samples(const Data& dataset, const Classes& classes, const char* name) {
  const Classes present = dataset.present_classes();
  for (const int64_t c : classes) {
    require(holds(present, c), Code::kNotFound, "class ", c, " has no sample in the ", name,
            " set; add some or leave the class out");
  }
}

void check_classes(const Classes& classes, const Classes& past, int64_t class_count) {
  require(!classes.empty(), Code::kInvalidArgument,
          "no class to forget is named; name at least one");
  for (size_t i = 0; i < classes.size(); ++i) {
    require(classes[i] >= 0 && classes[i] < class_count, Code::kNotFound, "class ", classes[i],
            " is unknown; the model has the classes 0 to ", class_count - 1);
    require(i == 0 || classes[i] != classes[i - 1], Code::kInvalidArgument, "class ", classes[i],
            " is named twice; name each class once");
    require(!holds(past, classes[i]), Code::kInvalidArgument, "class ", classes[i],
            " is forgotten already; leave it out, or roll back the task that forgot it");
  }
}

/// Given sets must say what `classes` says: nothing else to forget, nothing forgotten to retain.
template <typename Data>
void check_labels(const Data& forget, const Data& retain, const ForgetPlanOn<Data>& plan) {
  for (const int64_t c : forget.present_classes()) {
    require(holds(plan.classes, c), Code::kInvalidArgument, "the forget set holds class ", c,
            ", which is not among the classes to forget; name it or take its samples out");
  }
  for (const int64_t c : retain.present_classes()) {
    require(!holds(plan.classes, c), Code::kInvalidArgument, "the retain set holds class ", c,
            ", which is to be forgotten; take its samples out");
    require(!holds(plan.past, c), Code::kInvalidArgument, "the retain set holds class ", c,
            ", which an earlier task forgot; take its samples out");
  }
}

void check_draws_samples(const ForgetConfig& config, int64_t size, const char* name) {
  const bool some =
      config.few_shot > 0 || std::floor(config.data_ratio * static_cast<double>(size)) >= 1;
  require(some, Code::kInvalidArgument, "data_ratio ", config.data_ratio, " of ", size, " ", name,
          " samples is less than one; raise data_ratio or set few_shot");
}

template <typename Data>
std::string digest_or_none(const std::optional<Data>& dataset) {
  return dataset ? dataset->content_digest() : std::string();
}

}  // namespace

template <typename Data>
std::string request_digest(const ForgetRequestOn<Data>& request) {
  const Json asked = {{"kind", "forget"},
                      {"classes", sorted(request.classes)},
                      {"config", request.config.identity()},
                      {"forget", request.forget.content_digest()},
                      {"retain", digest_or_none(request.retain)},
                      {"validation", digest_or_none(request.validation)}};
  return hex(sha256(asked.dump()));
}

template <typename Data>
std::string request_digest(const PretrainRequestOn<Data>& request) {
  const Json asked = {{"kind", "pretrain"},
                      {"config", request.config.identity()},
                      {"train", request.train.content_digest()},
                      {"validation", digest_or_none(request.validation)}};
  return hex(sha256(asked.dump()));
}

template <typename Data>
ForgetPlanOn<Data> plan_forgetting(const ForgetRequestOn<Data>& request, const Snapshot& snapshot) {
  const BaseModel& base = *snapshot.base;
  const int64_t class_count = base.model().classes();
  request.config.validate();
  require(request.config.first_block < base.model().blocks(), Code::kInvalidArgument,
          "first_block is ", request.config.first_block, ", the model has the blocks 0 to ",
          base.model().blocks() - 1);
  check_method(request);
  if (trains_lora(request.config.method)) {  // throws where there is none
    lora_sites(base.model(), request.config.lora_position, request.config.first_block);
  }

  const Classes classes = sorted(request.classes);
  const Classes past = sorted(forgotten_classes(*snapshot.base, snapshot.stack));
  check_classes(classes, past, class_count);
  const Classes retained = all_but(class_count, classes, past);
  require(!retained.empty(), Code::kInvalidArgument, "no class is left to retain: ", classes.size(),
          " are to be forgotten and ", past.size(), " are forgotten already of ", class_count,
          "; forget fewer");

  const bool divided = !request.retain;
  check_fits_model(request.forget, base, "forget");
  if (!divided) check_fits_model(*request.retain, base, "retain");
  check_has_samples(request.forget, classes, "forget");
  ForgetPlanOn<Data> plan{
      classes,
      past,
      retained,
      /*missing=*/{},
      divided ? request.forget.keep_classes(classes) : request.forget,
      divided ? request.forget.keep_classes(known_to(request.forget, retained)) : *request.retain,
      /*measured=*/{request.forget},
      request.validation.has_value()};
  if (!divided) check_labels(plan.forget, plan.retain, plan);
  require(plan.retain.size() > 0, Code::kInvalidArgument,
          "the forget set holds no sample of a class to retain; add some or give a retain set");
  check_trainable(plan.forget, base, "forget");
  check_trainable(plan.retain, base, "retain");
  check_withheld_class(request, plan, base);
  check_draws_samples(request.config, plan.forget.size(), "forget");
  check_draws_samples(request.config, plan.retain.size(), "retain");
  const Classes trained = plan.retain.present_classes();
  std::set_difference(retained.begin(), retained.end(), trained.begin(), trained.end(),
                      std::back_inserter(plan.missing));

  if (plan.held_out) {
    check_fits_model(*request.validation, base, "validation");
    check_has_samples(*request.validation, classes, "validation");
    require(request.validation->keep_classes(known_to(*request.validation, retained)).size() > 0,
            Code::kInvalidArgument,
            "the validation set holds no sample of a class to retain; add some or leave it out");
    plan.measured = {*request.validation};
  } else if (!divided) {
    plan.measured.push_back(*request.retain);
  }
  return plan;
}

template <typename Data>
void check_pretraining(const PretrainRequestOn<Data>& request, const Snapshot& snapshot) {
  require(snapshot.stack.empty(), Code::kState, "the model carries ", snapshot.stack.size(),
          " adapters, which belong to its present weights; roll back before the first one, then "
          "train");
  check_fits_model(request.train, *snapshot.base, "training");
  check_trainable(request.train, *snapshot.base, "training");
  check_settings(request, *snapshot.base);
  if (request.validation) check_fits_model(*request.validation, *snapshot.base, "validation");
}

template std::string request_digest(const ForgetRequest&);
template std::string request_digest(const DetectorForgetRequest&);
template std::string request_digest(const PretrainRequest&);
template std::string request_digest(const DetectorPretrainRequest&);
template ForgetPlanOn<Dataset> plan_forgetting(const ForgetRequest&, const Snapshot&);
template ForgetPlanOn<DetectionDataset> plan_forgetting(const DetectorForgetRequest&,
                                                        const Snapshot&);
template void check_pretraining(const PretrainRequest&, const Snapshot&);
template void check_pretraining(const DetectorPretrainRequest&, const Snapshot&);

}  // namespace lethe
