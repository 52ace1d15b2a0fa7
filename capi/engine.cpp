// Section 6 of lethe.h: engines, their queue and their events.
#include <chrono>

#include "config.h"
#include "guard.h"
#include "handles.h"
#include "options.h"
#include "progress.h"
#include "structs.h"
#include "text.h"

using namespace lethe;
using namespace lethe::capi;

namespace {

constexpr size_t kLongestRequestId = 128;

lethe_engine_options default_options() {
  lethe_engine_options options{};
  options.struct_size = sizeof options;
  options.event_capacity = EngineOptions{}.event_capacity;
  options.checkpoint_seconds = EngineOptions{}.checkpoint_seconds;
  return options;
}

lethe_task_options default_task_options() {
  lethe_task_options options{};
  options.struct_size = sizeof options;
  return options;
}

EngineOptions read_options(const lethe_engine_options* given) {
  EngineOptions options;
  if (!given) return options;
  const auto read = read_struct(given, default_options(), "options");
  require_reserved(read.reserved0, "options");
  require_reserved(read.reserved, "options");
  options.threads = checked_threads(read.threads);
  require(read.event_capacity >= 16, Code::kInvalidArgument, "event_capacity is ",
          read.event_capacity, ", allowed is 16 and more");
  options.event_capacity = read.event_capacity;
  require_reserved(read.reserved1, "options");
  require(read.paused == 0 || read.paused == 1, Code::kInvalidArgument, "paused is ", read.paused,
          ", allowed is 0 or 1");
  options.folder = optional_text(read.folder, "folder").value_or("");
  require(!read.folder || !options.folder.empty(), Code::kInvalidArgument,
          "folder is empty; name one, or give NULL to keep everything in memory");
  options.checkpoint_seconds = read.checkpoint_seconds;
  if (read.signing_seed) {
    std::copy_n(read.signing_seed, sizeof(SigningKey::Seed), options.signing_seed.emplace().data());
  }
  options.paused = read.paused == 1;
  return options;
}

TaskOptions read_task_options(const lethe_task_options* given) {
  TaskOptions options;
  if (!given) return options;
  const auto read = read_struct(given, default_task_options(), "options");
  require_reserved(read.reserved, "options");
  options.priority = read.priority;
  options.deadline_ms = read.deadline_ms;
  options.max_seconds = read.max_seconds;
  options.max_steps = read.max_steps;
  return options;
}

/// "" stands for an id that the engine makes.
std::string read_request_id(const char* given) {
  if (!given) return "";
  std::string id = text(given, "request_id");
  require(!id.empty() && id.size() <= kLongestRequestId, Code::kInvalidArgument, "request_id has ",
          id.size(), " bytes, allowed is 1 to ", kLongestRequestId,
          "; NULL lets the engine make one");
  return id;
}

/// A further set of a request, of the kind of the first one.
template <typename Data>
std::optional<Data> optional_data(const lethe_dataset* dataset, const char* name) {
  if (!dataset) return std::nullopt;
  const auto* set = std::get_if<Data>(&checked(dataset, name).data);
  require(set, Code::kInvalidArgument, name,
          " is of another kind than the other sets; give images with boxes, or images with labels, "
          "throughout");
  return *set;
}

lethe_job* job_handle(std::shared_ptr<Job> job) {
  return make_handle(&lethe_job::job, std::move(job));
}

HeadKind head_of(const lethe_engine& engine) {
  return engine.live->snapshot()->base->model().head_kind();
}

}  // namespace

lethe_status lethe_engine_options_init(lethe_engine_options* options, size_t size) {
  return guard([&] { init_struct(options, size, default_options(), "options"); });
}

lethe_status lethe_engine_create(lethe_model* model, const lethe_engine_options* options,
                                 lethe_engine** out_engine) {
  return guard([&] {
    clear_required(out_engine, "out_engine");
    const lethe_model& target = checked(model, "model");
    EngineOptions chosen = read_options(options);
    chosen.log = target.log;
    auto handle = std::make_unique<lethe_engine>();
    handle->live = target.live;
    handle->engine = std::make_shared<Engine>(target.live, chosen);
    *out_engine = handle.release();
  });
}

lethe_status lethe_task_options_init(lethe_task_options* options, size_t size) {
  return guard([&] { init_struct(options, size, default_task_options(), "options"); });
}

lethe_status lethe_engine_enqueue(lethe_engine* engine, const char* request_id,
                                  const int64_t* classes, size_t class_count,
                                  const lethe_forget_config* config,
                                  const lethe_dataset* forget_set, const lethe_dataset* retain_set,
                                  const lethe_dataset* validation_set, lethe_job** out_job) {
  return lethe_engine_enqueue_with(engine, request_id, classes, class_count, config, forget_set,
                                   retain_set, validation_set, nullptr, out_job);
}

lethe_status lethe_engine_enqueue_with(lethe_engine* engine, const char* request_id,
                                       const int64_t* classes, size_t class_count,
                                       const lethe_forget_config* config,
                                       const lethe_dataset* forget_set,
                                       const lethe_dataset* retain_set,
                                       const lethe_dataset* validation_set,
                                       const lethe_task_options* options, lethe_job** out_job) {
  return guard([&] {
    clear_required(out_job, "out_job");
    const lethe_engine& target = checked(engine, "engine");
    require(classes || class_count == 0, Code::kInvalidArgument, "classes is NULL");
    const ForgetConfig settings =
        config ? read_forget_config(config)
               : ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, head_of(target));
    const auto request_on = [&]<typename Data>(const Data& forget) {
      return Request(
          ForgetRequestOn<Data>{.request_id = read_request_id(request_id),
                                .classes = {classes, classes + class_count},
                                .config = settings,
                                .forget = forget,
                                .retain = optional_data<Data>(retain_set, "retain_set"),
                                .validation = optional_data<Data>(validation_set, "validation_set"),
                                .options = read_task_options(options)});
    };
    *out_job = job_handle(
        target.engine->enqueue(std::visit(request_on, checked(forget_set, "forget_set").data)));
  });
}

lethe_status lethe_engine_enqueue_pretraining(lethe_engine* engine, const char* request_id,
                                              const lethe_pretrain_config* config,
                                              const lethe_dataset* train_set,
                                              const lethe_dataset* validation_set,
                                              lethe_job** out_job) {
  return guard([&] {
    clear_required(out_job, "out_job");
    const lethe_engine& target = checked(engine, "engine");
    const auto request_on = [&]<typename Data>(const Data& train) {
      return Request(PretrainRequestOn<Data>{
          .request_id = read_request_id(request_id),
          .config = config ? read_pretrain_config(config) : PretrainConfig{},
          .train = train,
          .validation = optional_data<Data>(validation_set, "validation_set")});
    };
    *out_job = job_handle(
        target.engine->enqueue(std::visit(request_on, checked(train_set, "train_set").data)));
  });
}

lethe_status lethe_engine_next_event(lethe_engine* engine, int64_t timeout_ms,
                                     lethe_event* out_event) {
  return guard([&]() -> lethe_status {
    const size_t size = clear_struct(out_event, "out_event");
    Event event{};
    switch (checked(engine, "engine").engine->next_event(timeout_of(timeout_ms), event)) {
      case Engine::Take::kTimeout:
        return LETHE_TIMEOUT;
      case Engine::Take::kEnd:
        return LETHE_END;
      case Engine::Take::kEvent:
        break;
    }
    lethe_event out{};
    out.kind = event.progress_only ? LETHE_EVENT_PROGRESS : LETHE_EVENT_STATE;
    out.job_id = event.job_id;
    out.state = static_cast<lethe_job_state>(event.state);
    out.progress = to_struct(event.progress);
    write_fields(out_event, out, size);
    return LETHE_OK;
  });
}

lethe_status lethe_engine_pause(lethe_engine* engine) {
  return guard([&] { checked(engine, "engine").engine->pause(); });
}

lethe_status lethe_engine_resume(lethe_engine* engine) {
  return guard([&] { checked(engine, "engine").engine->resume(); });
}

lethe_status lethe_engine_bind_dataset(lethe_engine* engine, const lethe_dataset* dataset,
                                       int32_t* out_jobs) {
  return guard([&] {
    clear(out_jobs);
    const lethe_engine& target = checked(engine, "engine");
    const int64_t bound = target.engine->bind(checked(dataset, "dataset").data);
    if (out_jobs) *out_jobs = static_cast<int32_t>(bound);
  });
}

lethe_status lethe_engine_wait_idle(lethe_engine* engine, int64_t timeout_ms) {
  return guard([&]() -> lethe_status {
    const bool idle = checked(engine, "engine").engine->wait_idle(timeout_of(timeout_ms));
    return idle ? LETHE_OK : LETHE_TIMEOUT;
  });
}

int32_t lethe_engine_job_count(const lethe_engine* engine) {
  return query(
      0, [&] { return usable(engine) ? static_cast<int32_t>(engine->engine->job_count()) : 0; });
}

lethe_status lethe_engine_job_at(const lethe_engine* engine, int32_t index, lethe_job** out_job) {
  return guard([&] {
    clear_required(out_job, "out_job");
    *out_job = job_handle(checked(engine, "engine").engine->job_at(index));
  });
}

lethe_status lethe_engine_job_find(const lethe_engine* engine, const char* request_id,
                                   lethe_job** out_job) {
  return guard([&] {
    clear_required(out_job, "out_job");
    const lethe_engine& target = checked(engine, "engine");
    *out_job = job_handle(target.engine->find(text(request_id, "request_id")));
  });
}

lethe_status lethe_engine_close(lethe_engine* engine, int64_t timeout_ms) {
  return guard([&]() -> lethe_status {
    const bool closed = checked(engine, "engine").engine->close(timeout_of(timeout_ms));
    return closed ? LETHE_OK : LETHE_TIMEOUT;
  });
}

void lethe_engine_free(lethe_engine* engine) {
  query(0, [&] {
    if (engine && engine->intact() && engine->inherited()) {
      // The worker stayed behind in the parent: there is no thread to join, so keep the memory.
      new std::shared_ptr<Engine>(std::move(engine->engine));
    }
    destroy(engine);
    return 0;
  });
}
