#include "engine/live_model.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "support/error.h"

namespace lethe {
namespace {

/// The entry of a request's adapter; throws kNotFound.
Stack::iterator entry_of(Stack& stack, const std::string& request_id) {
  const auto found = std::find_if(stack.begin(), stack.end(), [&](const StackEntry& entry) {
    return entry.adapter->request_id() == request_id;
  });
  require(found != stack.end(), Code::kNotFound, "no adapter of the request ",
          in_quotes(request_id), " is among the model's ", stack.size(), "; name one of them");
  return found;
}

}  // namespace

std::shared_ptr<const Snapshot> make_snapshot(std::shared_ptr<const BaseModel> base, Stack stack) {
  Weights weights = merge(*base, stack);
  return std::make_shared<const Snapshot>(
      Snapshot{std::move(base), std::move(stack), std::move(weights)});
}

std::shared_ptr<const BaseModel> merged_base(const Snapshot& snapshot) {
  const BaseModel& base = *snapshot.base;
  BaseOrigin origin{base.origin().naming, forgotten_classes(base, snapshot.stack)};
  return std::make_shared<const BaseModel>(base.model_ptr(), snapshot.weights, base.device(),
                                           std::move(origin));
}

LiveModel::LiveModel(std::shared_ptr<const BaseModel> base)
    : LiveModel(make_snapshot(std::move(base), {})) {}

LiveModel::LiveModel(std::shared_ptr<const Snapshot> snapshot) : snapshot_(std::move(snapshot)) {}

std::shared_ptr<const Snapshot> LiveModel::snapshot() const {
  const std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

std::shared_ptr<LiveModel> LiveModel::clone() const {
  return std::shared_ptr<LiveModel>(new LiveModel(snapshot()));
}

void LiveModel::attach(std::shared_ptr<const Adapter> adapter) {
  const std::lock_guard lock(writer_mutex_);
  require_idle();
  put_on_top(std::move(adapter), record_);
}

void LiveModel::set_stack(Stack stack, bool allow_unverified) {
  const std::lock_guard lock(writer_mutex_);
  require_idle();
  const auto base = snapshot()->base;
  check_stack(*base, stack, allow_unverified);
  swap(base, std::move(stack), Change::kStack, record_);
}

void LiveModel::rollback_to(const std::string* request_id) {
  const std::lock_guard lock(writer_mutex_);
  require_idle();
  const auto current = snapshot();
  Stack stack = current->stack;
  stack.erase(request_id ? entry_of(stack, *request_id) + 1 : stack.begin(), stack.end());
  swap(current->base, std::move(stack), Change::kStack, record_);
}

void LiveModel::enable(const std::string& request_id, bool enabled, bool allow_unverified) {
  const std::lock_guard lock(writer_mutex_);
  require_idle();
  const auto current = snapshot();
  Stack stack = current->stack;
  const auto entry = entry_of(stack, request_id);
  if ((entry->scale != 0) == enabled) return;
  entry->scale = enabled ? 1 : 0;
  if (!allow_unverified) check_verified(*current->base, stack);
  swap(current->base, std::move(stack), Change::kStack, record_);
}

void LiveModel::detach(const std::string& request_id, bool allow_unverified) {
  const std::lock_guard lock(writer_mutex_);
  require_idle();
  const auto current = snapshot();
  Stack stack = current->stack;
  stack.erase(entry_of(stack, request_id));
  if (!allow_unverified) check_verified(*current->base, stack);
  swap(current->base, std::move(stack), Change::kStack, record_);
}

void LiveModel::seal() {
  const std::lock_guard lock(writer_mutex_);
  require_idle();
  swap(merged_base(*snapshot()), {}, Change::kSeal, record_);
}

void LiveModel::load_weights(Weights checkpoint) {
  const std::lock_guard lock(writer_mutex_);
  require_idle();
  Naming naming;
  Weights weights = snapshot()->base->model().import_weights(std::move(checkpoint), &naming);
  set_base(std::move(weights), naming, record_);
}

void LiveModel::publish(std::shared_ptr<const Adapter> adapter, const RecordChange& record) {
  const std::lock_guard lock(writer_mutex_);
  put_on_top(std::move(adapter), record);
}

void LiveModel::replace_base(Weights weights, const RecordChange& record) {
  const std::lock_guard lock(writer_mutex_);
  for (auto& [name, tensor] : weights) tensor = tensor.detach().to(at::kCPU).contiguous();
  snapshot()->base->model().check_weights(weights);
  set_base(std::move(weights), snapshot()->base->origin().naming, record);
}

void LiveModel::restore(std::shared_ptr<const BaseModel> base, Stack stack) {
  const std::lock_guard lock(writer_mutex_);
  check_stack(*base, stack, /*allow_unverified=*/true);
  swap(std::move(base), std::move(stack), Change::kStack, {});
}

void LiveModel::claim() {
  const std::lock_guard lock(writer_mutex_);
  require(!claimed_, Code::kBusy,
          "the model has an engine already; close that one first, or give this one a clone");
  claimed_ = true;
}

void LiveModel::release() {
  const std::lock_guard lock(writer_mutex_);
  claimed_ = false;
  record_ = {};
}

void LiveModel::record_changes(RecordChange record) {
  const std::lock_guard lock(writer_mutex_);
  record_ = std::move(record);
}

void LiveModel::begin_task() {
  const std::lock_guard lock(writer_mutex_);
  ++pending_tasks_;
}

void LiveModel::end_task() {
  const std::lock_guard lock(writer_mutex_);
  --pending_tasks_;
}

void LiveModel::require_idle() const {
  require(pending_tasks_ == 0, Code::kState, "an engine has ", pending_tasks_,
          " tasks of this model queued or running; wait until it is idle, or cancel them");
}

void LiveModel::put_on_top(std::shared_ptr<const Adapter> adapter, const RecordChange& record) {
  const auto current = snapshot();
  check_on_top(*current->base, current->stack, *adapter);
  Stack stack = current->stack;
  stack.push_back({std::move(adapter), 1});
  swap(current->base, std::move(stack), Change::kStack, record);
}

void LiveModel::set_base(Weights weights, Naming naming, const RecordChange& record) {
  const auto current = snapshot();
  require(current->stack.empty(), Code::kState, "the model carries ", current->stack.size(),
          " adapters, which belong to its present weights; roll back before the first one, then "
          "replace the weights");
  swap(std::make_shared<const BaseModel>(current->base->model_ptr(), std::move(weights),
                                         current->base->device(), BaseOrigin{naming, {}}),
       {}, Change::kBase, record);
}

void LiveModel::swap(std::shared_ptr<const BaseModel> base, Stack stack, Change change,
                     const RecordChange& record) {
  auto next = make_snapshot(std::move(base), std::move(stack));
  if (record) record(*next, change);
  const std::lock_guard lock(snapshot_mutex_);
  snapshot_.swap(next);  // the old one, perhaps the last reference, dies after the lock
}

}  // namespace lethe
