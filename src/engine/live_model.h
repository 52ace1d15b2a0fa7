// A model as a host holds it: the untouched base, the stack, and the snapshot that predictions run
// on.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "adapters/stack.h"

namespace lethe {

/// An immutable state: whoever holds it predicts on it, whatever happens to the model meanwhile.
struct Snapshot {
  std::shared_ptr<const BaseModel> base;
  Stack stack;
  Weights weights;  ///< base plus enabled adapters; shares what no adapter changes
};

/// The snapshot of a checked stack.
std::shared_ptr<const Snapshot> make_snapshot(std::shared_ptr<const BaseModel> base, Stack stack);

/// The base of a derived model: the snapshot's weights, which no longer can be taken apart. What
/// its adapters forgot counts as forgotten in it.
std::shared_ptr<const BaseModel> merged_base(const Snapshot& snapshot);

/// What changes a model: its stack, its base weights, or both for good.
enum class Change { kStack, kBase, kSeal };

/// Makes a change durable before it counts: `next` becomes the model when this returns, and nothing
/// has happened when it throws. Called with the model's writers locked out.
using RecordChange = std::function<void(const Snapshot& next, Change change)>;

/// Thread-safe. Readers take the current snapshot; writers build a new one and swap it in, so no
/// reader waits for work and none sees half a change.
class LiveModel {
 public:
  explicit LiveModel(std::shared_ptr<const BaseModel> base);

  std::shared_ptr<const Snapshot> snapshot() const;

  /// A second model with the same base and stack, and no engine.
  std::shared_ptr<LiveModel> clone() const;

  /// Host's changes. Throw kState while tasks of the model are queued or running; otherwise as
  /// check_on_top() and check_stack(). All or nothing.
  void attach(std::shared_ptr<const Adapter> adapter);
  void set_stack(Stack stack, bool allow_unverified);
  void rollback_to(const std::string* request_id);  ///< null: before the first; kNotFound
  /// Sets the scale of a request's adapter (kNotFound) to 1 or 0, unless it is enabled or disabled
  /// already. Unless `allow_unverified`, the result must pass check_verified(); so in detach().
  void enable(const std::string& request_id, bool enabled, bool allow_unverified);
  void detach(const std::string& request_id, bool allow_unverified);
  /// Makes the present state the only one: its weights become the base, the stack is empty.
  void seal();
  /// Imports a checkpoint as the new base weights. kState when there are adapters.
  void load_weights(Weights checkpoint);

  /// The engine's changes, allowed while tasks are pending, each recorded by `record`. The adapter
  /// was trained on the current stack; new base weights need an empty one (kState).
  void publish(std::shared_ptr<const Adapter> adapter, const RecordChange& record = {});
  void replace_base(Weights weights, const RecordChange& record = {});
  /// What the engine's archive holds, at the start; recorded already.
  void restore(std::shared_ptr<const BaseModel> base, Stack stack);

  /// An engine claims the model for as long as it works (kBusy when another has it), and counts its
  /// unfinished tasks: from begin_task() on, no host's change comes in between.
  void claim();
  void release();
  /// From now on until release(), how host's changes are recorded.
  void record_changes(RecordChange record);
  void begin_task();
  void end_task();

 private:
  explicit LiveModel(std::shared_ptr<const Snapshot> snapshot);
  void require_idle() const;
  void put_on_top(std::shared_ptr<const Adapter> adapter, const RecordChange& record);
  void set_base(Weights weights, Naming naming, const RecordChange& record);
  void swap(std::shared_ptr<const BaseModel> base, Stack stack, Change change,
            const RecordChange& record);

  mutable std::mutex snapshot_mutex_;  ///< guards the pointer only, held for nanoseconds
  std::shared_ptr<const Snapshot> snapshot_;
  std::mutex writer_mutex_;  ///< one writer at a time; held while a new snapshot is built
  bool claimed_ = false;
  RecordChange record_;
  int64_t pending_tasks_ = 0;
};

}  // namespace lethe
