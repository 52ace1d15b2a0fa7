// The durable record of an engine: its tasks and their states, the model's stack, the receipts.
//
// It never holds images, embeddings or prototypes: of data only where it lies and its digest.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/job.h"
#include "engine/task_options.h"
#include "storage/sqlite.h"
#include "support/json.h"

namespace lethe {

/// One task, whatever became of it. Times are UTC, milliseconds since 1970.
struct TaskRecord {
  int64_t id = 0;  ///< 1, 2, 3 ... in order of arrival
  std::string request_id;
  std::string digest;   ///< request_digest(): what the id stands for
  std::string kind;     ///< "forget", "pretrain"
  std::string request;  ///< JSON: settings and data references
  TaskOptions options;
  JobState state = JobState::kQueued;
  int64_t created_ms = 0;
  std::optional<int64_t> started_ms, ended_ms;
  int64_t step = 0, total_steps = 0;  ///< at the last checkpoint
  double seconds = 0;                 ///< of running, until then
  std::optional<int64_t> error;       ///< a Code
  std::string message;
  std::optional<std::string> report, adapter_id;
};

/// What the model was after the last change.
struct ModelRecord {
  std::string base;  ///< fingerprint of the present base
  std::vector<std::string>
      known_bases;  ///< it and those before it: what a host may bring (read only)
  std::vector<std::pair<std::string, double>> stack;  ///< adapter ids and scales, oldest first
};

/// Makes the line of receipt `number` that follows a line of this digest (see receipt.h).
using WriteReceipt = std::function<std::string(int64_t number, const std::string& previous)>;

/// Thread-safe. Every change is one transaction that is on the disk when the function returns; on
/// failure (kIo, kBusy, kOutOfMemory) nothing has changed.
class Journal {
 public:
  /// Opens or creates the database (":memory:": for as long as the object lives) and brings an
  /// older schema up to date. Throws kCorrupt (damaged, or not a journal), kVersion (of a newer
  /// library).
  explicit Journal(const std::string& path, Database::Open open = Database::Open::kCreate);

  static constexpr int64_t kSchema = 1;

  std::optional<ModelRecord> model() const;
  void set_model(const ModelRecord& model);

  /// Queues; the id is given here. kExists for a request id that is there already.
  int64_t add(const TaskRecord& task);
  void enter(int64_t id, JobState state, int64_t now_ms);
  /// Awaiting data, with the reason.
  void await_data(int64_t id, Code error, const std::string& message);
  void checkpoint(int64_t id, int64_t step, int64_t total_steps, double seconds);

  /// The end of a task, its receipt, and the model as the task left it (null: as it was), at once.
  struct End {
    JobState state;
    std::optional<Code> error;
    std::string message;
    std::optional<std::string> report, adapter_id;
    int64_t ended_ms;
  };
  void finish(int64_t id, const End& end, const WriteReceipt& receipt, const ModelRecord* model);
  /// The model was sealed: as `model` says, the adapters of all tasks gone, with a receipt.
  void seal(const std::string& request_id, const WriteReceipt& receipt, const ModelRecord& model);

  /// In order of arrival, without their reports: there may be many of them.
  std::vector<TaskRecord> tasks() const;
  std::vector<TaskRecord> unfinished_tasks() const;
  std::vector<std::string> adapter_ids() const;  ///< that tasks left
  TaskRecord task(int64_t id) const;             ///< whole

  int64_t receipt_count() const;
  std::vector<std::string> receipts() const;  ///< oldest first
  /// The receipt of the last task of this id; nothing when it has none.
  std::optional<std::string> receipt(const std::string& request_id) const;

 private:
  std::vector<TaskRecord> select_tasks(const char* condition) const;
  void migrate();
  void write_model(const ModelRecord& model);
  void write_receipt(const std::string& request_id, const WriteReceipt& receipt);

  mutable std::mutex mutex_;
  mutable Database db_;
};

}  // namespace lethe
