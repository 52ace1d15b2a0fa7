// What an engine keeps: its journal and, with a folder, the files that the journal speaks of.
//
//   lock              held while an engine has the folder
//   journal.db        tasks, states, stack, receipts (journal.h)
//   receipt.key       the seed that signs receipts, mode 0600
//   adapters/<adapter id>.lethe           of the stack and of every task that succeeded
//   base/<fingerprint>.safetensors        base weights that the engine made (pre-trained, sealed)
//   checkpoints/<job id>.safetensors      where unfinished tasks stand
//   data/<content digest>.safetensors     data sets from arrays, while a task needs them
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>

#include "data/any_dataset.h"
#include "engine/journal.h"
#include "engine/live_model.h"
#include "engine/receipt.h"
#include "forgetting/training_state.h"
#include "storage/folder_lock.h"

namespace lethe {

/// Thread-safe. A file is written before the journal names it and removed after the journal does
/// not name it any more: whoever does the former holds keeping() from before until after. Every
/// file is replaced atomically. Failures to read or write throw kIo.
class Archive {
 public:
  /// `folder` "": in memory, with no files. The folder is made when it is missing, its parent is
  /// not. Throws kBusy (another engine has it), kCorrupt, kVersion, kIo.
  Archive(std::string folder, const std::optional<SigningKey::Seed>& seed);

  bool durable() const { return !folder_.empty(); }
  Journal& journal() { return *journal_; }
  const Journal& journal() const { return *journal_; }
  const SigningKey& key() const { return *key_; }

  std::shared_lock<std::shared_mutex> keeping() { return std::shared_lock(files_); }
  /// Removes every file that the journal does not name, and what a crash left half-written.
  void clean();

  /// The set as a reference that open() understands, in this process or, with a folder, another.
  Json keep(const Dataset& dataset);
  Json keep(const DetectionDataset& dataset);
  /// Throws what reading it again throws; kCorrupt when the content has changed.
  AnyDataset open(const Json& reference);
  /// From now on open() finds this content here.
  void bind(const AnyDataset& dataset);

  void keep(const Adapter& adapter);
  std::shared_ptr<const Adapter> adapter(const std::string& id);

  void keep(const BaseModel& base);
  /// `like` tells architecture and device.
  std::shared_ptr<const BaseModel> base(const std::string& fingerprint, const BaseModel& like);

  /// The state is kept with `facts`, and found again only with equal ones: what it belongs to.
  void save(int64_t job, const TrainingState& state, const Json& facts);
  /// Nothing when there is none, or none that can be used: the task then begins anew.
  std::optional<TrainingState> saved(int64_t job, const Json& facts);

  /// Lets go of the folder: another engine may have it. Only reading is left.
  void close() { lock_.reset(); }

 private:
  template <typename Data>
  Json keep_set(const Data& dataset);
  std::string path(const char* kind, const std::string& name) const;

  std::string folder_;
  std::unique_ptr<FolderLock> lock_;
  std::unique_ptr<SigningKey> key_;
  std::unique_ptr<Journal> journal_;
  std::shared_mutex files_;
  std::mutex data_mutex_;
  std::map<std::string, AnyDataset> bound_;  ///< by content digest
};

/// Whether the task's request refers to a data set of this content digest.
bool needs(const TaskRecord& task, const std::string& digest);

/// lethe_journal_info_json: what a folder holds, read without its lock.
Json describe_folder(const std::string& folder);
/// The lines of all receipts in a folder.
std::string receipts_of_folder(const std::string& folder);

}  // namespace lethe
