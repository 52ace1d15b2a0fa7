#include "engine/engine.h"

#include "adapters/manifest.h"
#include "engine/worker.h"
#include "support/error.h"

namespace lethe {
namespace {

const EngineOptions& checked(const EngineOptions& options) {
  require(options.threads >= 0 && options.threads <= 4096, Code::kInvalidArgument, "threads is ",
          options.threads, ", allowed is 0 (all processors) to 4096");
  require(options.event_capacity >= 16, Code::kInvalidArgument, "event_capacity is ",
          options.event_capacity, ", it must be at least 16");
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

}  // namespace

Engine::Engine(std::shared_ptr<LiveModel> model, const EngineOptions& options)
    : model_(std::move(model)),
      log_(options.log ? options.log : std::make_shared<Log>()),
      events_(checked(options).event_capacity),
      jobs_(*model_, events_, *log_) {
  model_->claim();
  try {
    worker_ = std::thread([this, threads = options.threads] {
      Worker(*model_, jobs_, events_, *log_, threads).run();
    });
  } catch (...) {
    model_->release();
    throw;
  }
}

Engine::~Engine() {
  jobs_.close();
  worker_.join();
}

bool Engine::close(Timeout timeout) {
  jobs_.close();
  return jobs_.wait_worker(timeout);
}

std::shared_ptr<Job> Engine::enqueue(ForgetRequest request) {
  return check_and_add(std::move(request),
                       [](const ForgetRequest& asked, const Snapshot& snapshot) {
                         plan_forgetting(asked, snapshot);
                       });
}

std::shared_ptr<Job> Engine::enqueue(PretrainRequest request) {
  return check_and_add(std::move(request), check_pretraining);
}

template <typename AnyRequest, typename Check>
std::shared_ptr<Job> Engine::check_and_add(AnyRequest request, const Check& check) {
  check_id(request.request_id);
  const std::string id = request.request_id, digest = request_digest(request);
  PendingTask pending(*model_);
  const auto snapshot = model_->snapshot();  // before find_repeated(): what is in it, was queued
  if (auto job = jobs_.find_repeated(id, digest)) return job;
  std::vector<std::string> taken;
  for (const StackEntry& entry : snapshot->stack) {
    taken.push_back(entry.adapter->request_id());
    require(taken.back() != id, Code::kExists, "an adapter of the model bears the request id ",
            in_quotes(id), " already; choose a new one");
  }
  check(request, *snapshot);
  const JobQueue::Added added = jobs_.add(std::move(request), id, digest, taken);
  if (added.is_new) pending.leave_to_worker();
  return added.job;
}

}  // namespace lethe
