#include "engine/engine.h"

#include <algorithm>
#include <chrono>

#include "adapters/manifest.h"
#include "engine/records.h"
#include "engine/worker.h"
#include "storage/limits.h"
#include "support/error.h"

namespace lethe {
namespace {

const EngineOptions& checked(const EngineOptions& options) {
  require(options.threads >= 0 && options.threads <= 4096, Code::kInvalidArgument, "threads is ",
          options.threads, ", allowed is 0 (all processors) to 4096");
  require(options.event_capacity >= 16, Code::kInvalidArgument, "event_capacity is ",
          options.event_capacity, ", it must be at least 16");
  require(std::isfinite(options.checkpoint_seconds) && options.checkpoint_seconds >= 0,
          Code::kInvalidArgument, "checkpoint_seconds is ", options.checkpoint_seconds,
          ", allowed is 0 (after every step) and more");
  return options;
}

void check_id(const std::string& id) {
  require(id.empty() || is_request_id(id), Code::kInvalidArgument, "the request id ", in_quotes(id),
          " is not 1 to 128 bytes of UTF-8 without control characters");
}

/// Keeps host's changes off the model from here on, unless the request does not become a job.
class PendingTask {
 public:
  explicit PendingTask(LiveModel& model) : model_(&model) { model_->begin_task(); }
  ~PendingTask() {
    if (model_) model_->end_task();
  }
  PendingTask(const PendingTask&) = delete;
  PendingTask& operator=(const PendingTask&) = delete;
  void leave_to_worker() { model_ = nullptr; }

 private:
  LiveModel* model_;
};

/// Keeps the worker from ending a job that awaits data, for as long as its data is looked for.
class HeldJob {
 public:
  HeldJob(JobQueue& queue, const Job& job) : queue_(queue), held_(queue.hold(job)) {}
  ~HeldJob() {
    if (held_) queue_.let_go();
  }
  HeldJob(const HeldJob&) = delete;
  HeldJob& operator=(const HeldJob&) = delete;
  explicit operator bool() const { return held_; }

 private:
  JobQueue& queue_;
  const bool held_;
};

template <typename Data>
const char* kind_of(const ForgetRequestOn<Data>&) {
  return "forget";
}
template <typename Data>
const char* kind_of(const PretrainRequestOn<Data>&) {
  return "pretrain";
}

template <typename Data>
void check(const ForgetRequestOn<Data>& request, const Snapshot& snapshot) {
  plan_forgetting(request, snapshot);
}
template <typename Data>
void check(const PretrainRequestOn<Data>& request, const Snapshot& snapshot) {
  check_pretraining(request, snapshot);
}

bool same_stack(const Stack& stack, const ModelRecord& kept) {
  return std::equal(stack.begin(), stack.end(), kept.stack.begin(), kept.stack.end(),
                    [](const StackEntry& entry, const auto& other) {
                      return entry.adapter->id() == other.first && entry.scale == other.second;
                    });
}

/// What a task left that ended in an earlier run.
JobResult recall(Archive& archive, const LiveModel& model, int64_t id) {
  const TaskRecord task = archive.journal().task(id);
  JobResult result;
  if (task.report) {
    Json json = parse_json(*task.report, "the journal's report", own_limits().json);
    Metrics metrics = json.value("metrics", Json::object()).get<Metrics>();
    result.report = std::make_shared<const Report>(Report{std::move(json), std::move(metrics)});
  }
  if (task.adapter_id) {
    for (const StackEntry& entry : model.snapshot()->stack) {
      if (entry.adapter->id() == *task.adapter_id) result.adapter = entry.adapter;
    }
    if (!result.adapter) result.adapter = archive.adapter(*task.adapter_id);
  }
  return result;
}

}  // namespace

Engine::Engine(std::shared_ptr<LiveModel> model, const EngineOptions& options)
    : archive_(std::make_shared<Archive>(checked(options).folder, options.signing_seed)),
      model_(std::move(model)),
      log_(options.log ? options.log : std::make_shared<Log>()),
      now_ms_(options.now_ms ? options.now_ms : system_now_ms),
      events_(options.event_capacity),
      jobs_(*model_, events_, *log_) {
  model_->claim();
  try {
    restore_model();
    restore_jobs();
    archive_->clean();
    if (options.paused) jobs_.pause();
    const auto worker = std::make_shared<Worker>(
        *model_, jobs_, events_, *archive_, *log_,
        WorkerSettings{options.threads, options.checkpoint_seconds, now_ms_});
    worker_ = std::thread([worker] { worker->run(); });
  } catch (...) {
    jobs_.interrupt_unfinished();  // the model does not count them any more
    model_->release();
    throw;
  }
}

Engine::~Engine() {
  close_queue();
  worker_.join();
}

void Engine::close_queue() {
  const std::lock_guard lock(enqueue_mutex_);
  jobs_.close(/*keep=*/archive_->durable());
}

bool Engine::close(Timeout timeout) {
  close_queue();
  return jobs_.wait_worker(timeout);
}

void Engine::restore_model() {
  const auto snapshot = model_->snapshot();
  const auto kept = archive_->journal().model();
  if (!kept) {
    record_change(*snapshot, Change::kStack);
  } else {
    const std::string present = hex(snapshot->base->fingerprint());
    const bool known = std::find(kept->known_bases.begin(), kept->known_bases.end(), present) !=
                       kept->known_bases.end();
    require(known, Code::kBaseMismatch, "the folder belongs to the base ", kept->base.substr(0, 12),
            ", this model's is ", present.substr(0, 12),
            "; load the weights that the folder was made with, or name another folder");
    const bool as_kept = present == kept->base && same_stack(snapshot->stack, *kept);
    require(as_kept || snapshot->stack.empty(), Code::kState, "the model carries ",
            snapshot->stack.size(), " adapters, the folder keeps ", kept->stack.size(),
            " others; give the engine a model without adapters");
    if (!as_kept) {
      auto base =
          present == kept->base ? snapshot->base : archive_->base(kept->base, *snapshot->base);
      Stack stack;
      for (const auto& [id, scale] : kept->stack) stack.push_back({archive_->adapter(id), scale});
      model_->restore(std::move(base), std::move(stack));
    }
  }
  model_->record_changes(
      [this](const Snapshot& next, Change change) { record_change(next, change); });
}

void Engine::restore_jobs() {
  for (const TaskRecord& task : archive_->journal().tasks()) {
    if (ended(task.state)) {
      std::optional<Code> error;
      if (task.error) error = static_cast<Code>(*task.error);
      jobs_.recall(Job::recalled(task.id, task.request_id, task.digest,
                                 {task.state, {}, error, task.message},
                                 [archive = archive_, model = model_, id = task.id] {
                                   return recall(*archive, *model, id);
                                 }));
      continue;
    }
    model_->begin_task();
    jobs_.add({std::make_shared<Job>(task.id, task.request_id, task.digest, task.options), {}});
  }
}

void Engine::record_change(const Snapshot& next, Change change) {
  {
    const auto keeping = archive_->keeping();
    for (const StackEntry& entry : next.stack) archive_->keep(*entry.adapter);
    if (change != Change::kStack) archive_->keep(*next.base);
    if (change != Change::kSeal) {
      archive_->journal().set_model(describe_model(next));
      return;
    }
    const Json receipt = describe_seal(*model_->snapshot(), next, now_ms_());
    archive_->journal().seal(
        kSealId,
        [&](int64_t number, const std::string& previous) {
          return sign_receipt(receipt, number, previous, archive_->key());
        },
        describe_model(next));
  }
  jobs_.drop_adapters();
  try {
    archive_->clean();  // adapters and old weights are gone from the folder too
  } catch (...) {
    // It is sealed, for the journal says so: what is left over goes with the next task, or when the
    // folder is opened. No line in the log: whoever hears it may want the model's writers, who are
    // locked out.
  }
}

int64_t Engine::bind(const AnyDataset& dataset) {
  const auto queued = put_back(dataset);
  for (const auto& job : queued) {  // not under the lock: whoever hears it may enqueue
    log_->write(LogLevel::kInfo, "engine", "task ", job->request_id(), ": ",
                name_of(JobState::kQueued));
  }
  return static_cast<int64_t>(queued.size());
}

std::vector<std::shared_ptr<Job>> Engine::put_back(const AnyDataset& dataset) {
  const std::string& digest = content_digest_of(dataset);
  const std::lock_guard lock(enqueue_mutex_);
  jobs_.require_open();
  bool wanted = false;
  std::vector<std::shared_ptr<Job>> queued;
  for (const auto& job : jobs_.waiting()) {
    const HeldJob held(jobs_, *job);
    if (!held) continue;  // it has been ended meanwhile
    const TaskRecord task = archive_->journal().task(job->id());
    if (!needs(task, digest)) continue;
    if (!wanted) archive_->bind(dataset);
    wanted = true;
    try {
      Request request = read_request(task, *archive_);
      archive_->journal().enter(job->id(), JobState::kQueued, now_ms_());
      PendingTask pending(*model_);
      if (jobs_.put_back({job, std::move(request)})) pending.leave_to_worker();
      queued.push_back(job);
    } catch (const DataMissing& other) {
      archive_->journal().await_data(job->id(), other.code(), other.what());
    }
  }
  require(wanted, Code::kNotFound, "no job waits for data of the digest ", digest.substr(0, 12),
          "; see the jobs' messages for what they wait for");
  return queued;
}

std::shared_ptr<Job> Engine::enqueue(Request request) {
  return std::visit([&](auto& asked) { return check_and_add(std::move(asked)); }, request);
}

template <typename AnyRequest>
std::shared_ptr<Job> Engine::check_and_add(AnyRequest request) {
  check_id(request.request_id);
  request.options.validate();
  const std::string digest = request_digest(request);
  PendingTask pending(*model_);
  const auto snapshot = model_->snapshot();  // before find_repeated(): what is in it, was queued
  if (auto job = jobs_.find_repeated(request.request_id, digest)) return job;
  jobs_.require_open();
  std::vector<std::string> taken;
  for (const StackEntry& entry : snapshot->stack) {
    taken.push_back(entry.adapter->request_id());
    require(taken.back() != request.request_id, Code::kExists,
            "an adapter of the model bears the request id ", in_quotes(request.request_id),
            " already; choose a new one");
  }
  check(request, *snapshot);

  const std::lock_guard lock(enqueue_mutex_);
  if (auto job = jobs_.find_repeated(request.request_id, digest)) return job;  // another was faster
  jobs_.require_open();
  if (request.request_id.empty()) request.request_id = jobs_.free_id(taken);
  const auto keeping = archive_->keeping();
  TaskRecord task;
  task.request_id = request.request_id;
  task.digest = digest;
  task.kind = kind_of(request);
  task.request = write_request(request, *archive_).dump();
  task.options = request.options;
  task.created_ms = now_ms_();
  task.id = archive_->journal().add(task);
  const auto job = std::make_shared<Job>(task.id, task.request_id, digest, task.options);
  if (jobs_.add({job, Request(std::move(request))})) pending.leave_to_worker();
  return job;
}

}  // namespace lethe
