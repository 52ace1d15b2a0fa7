#include "engine/archive.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>

#include "data/reference.h"
#include "storage/file.h"
#include "support/code_name.h"
#include "support/error.h"

namespace lethe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAdapters = "adapters";
constexpr const char* kBases = "base";
constexpr const char* kCheckpoints = "checkpoints";
constexpr const char* kData = "data";

const char* extension_of(const std::string& kind) {
  return kind == kAdapters ? ".lethe" : ".safetensors";
}

void make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return;
  fail(Code::kIo, "cannot make the folder ", in_quotes(base_name(path)), ": ",
       std::generic_category().message(errno), "; check that its parent exists and is writable");
}

std::string journal_path(const std::string& folder) { return folder + "/journal.db"; }

/// The folder's own key; made by whoever asks first.
SigningKey::Seed kept_seed(const std::string& folder) {
  const std::string path = folder + "/receipt.key";
  SigningKey::Seed seed;
  std::string text;
  try {
    text = read_file(path, 1024);
  } catch (const Error& error) {
    if (error.code() != Code::kNotFound) throw;
    seed = SigningKey::new_seed();
    write_file_atomically(path, {hex(seed)}, 0600);
    return seed;
  }
  return digest_from_hex(text, "the folder's receipt.key");
}

/// The data references of a task's request.
std::vector<Json> references_of(const TaskRecord& task) {
  std::vector<Json> references;
  const Json request = Json::parse(task.request);
  for (const char* name : {"forget", "retain", "train", "validation"}) {
    if (request.contains(name) && request[name].is_object()) references.push_back(request[name]);
  }
  return references;
}

}  // namespace

Archive::Archive(std::string folder, const std::optional<SigningKey::Seed>& seed)
    : folder_(folder.empty() ? folder : absolute_path(folder)) {
  if (!durable()) {
    key_ = std::make_unique<SigningKey>(seed ? *seed : SigningKey::new_seed());
    journal_ = std::make_unique<Journal>(":memory:");
    return;
  }
  make_folder(folder_);
  lock_ = std::make_unique<FolderLock>(folder_);
  for (const char* kind : {kAdapters, kBases, kCheckpoints, kData}) {
    make_folder(folder_ + "/" + kind);
  }
  key_ = std::make_unique<SigningKey>(seed ? *seed : kept_seed(folder_));
  journal_ = std::make_unique<Journal>(journal_path(folder_));
  const bool empty = !journal_->model() && journal_->receipt_count() == 0;
  require(!empty || names_in(folder_ + "/" + kAdapters).empty(), Code::kCorrupt,
          "the folder holds adapters but its journal is empty; restore the journal from a backup, "
          "or name another folder");
}

std::string Archive::path(const char* kind, const std::string& name) const {
  return folder_ + "/" + kind + "/" + name + extension_of(kind);
}

void Archive::clean() {
  if (!durable()) return;
  const std::unique_lock alone(files_);
  std::set<std::string> needed;  // "kind/file"
  const auto need = [&](const char* kind, const std::string& name) {
    needed.insert(lethe::str(kind, '/', name, extension_of(kind)));
  };
  if (const auto model = journal_->model()) {
    need(kBases, model->base);
    for (const auto& [id, scale] : model->stack) need(kAdapters, id);
  }
  for (const std::string& id : journal_->adapter_ids()) need(kAdapters, id);
  for (const TaskRecord& task : journal_->unfinished_tasks()) {
    need(kCheckpoints, std::to_string(task.id));
    for (const Json& reference : references_of(task)) {
      if (reference.contains("digest")) need(kData, reference["digest"].get<std::string>());
    }
  }
  for (const char* kind : {kAdapters, kBases, kCheckpoints, kData}) {
    for (const std::string& name : names_in(folder_ + "/" + kind)) {
      std::error_code ignored;  // what cannot be removed now is tried again the next time
      if (!needed.contains(lethe::str(kind, '/', name))) {
        fs::remove(folder_ + "/" + kind + "/" + name, ignored);
      }
    }
  }
}

template <typename Data>
Json Archive::keep_set(const Data& dataset) {
  if (!durable()) return {{"digest", dataset.content_digest()}};
  if (!dataset.origin().is_null()) return refer_to(dataset);
  const std::string file = path(kData, dataset.content_digest());
  std::error_code error;
  if (!fs::exists(file, error)) write_dataset(file, dataset);
  return {{"digest", dataset.content_digest()}};
}

Json Archive::keep(const Dataset& dataset) { return keep_set(dataset); }
Json Archive::keep(const DetectionDataset& dataset) { return keep_set(dataset); }

AnyDataset Archive::open(const Json& reference) {
  const std::string digest = reference.at("digest");
  {
    const std::lock_guard lock(data_mutex_);
    if (const auto found = bound_.find(digest); found != bound_.end()) return found->second;
  }
  if (reference.contains("origin")) return open_reference(reference);
  AnyDataset dataset = read_dataset(path(kData, digest));
  require(content_digest_of(dataset) == digest, Code::kCorrupt,
          "the folder's copy of the data set ", digest.substr(0, 12),
          " is damaged; bind the data again");
  return dataset;
}

void Archive::bind(const AnyDataset& dataset) {
  const std::lock_guard lock(data_mutex_);
  bound_.insert_or_assign(content_digest_of(dataset), dataset);
}

void Archive::keep(const Adapter& adapter) {
  if (!durable()) return;
  const std::string file = path(kAdapters, adapter.id());
  std::error_code error;
  if (!fs::exists(file, error)) {
    write_adapter_file(file, adapter.to_file(), kDefaultLevel, own_limits());
  }
}

std::shared_ptr<const Adapter> Archive::adapter(const std::string& id) {
  require(durable(), Code::kState, "the adapter ", id.substr(0, 12),
          " is not kept: its engine was closed");
  try {
    auto adapter = Adapter::from_file(read_adapter_file(path(kAdapters, id), own_limits()));
    require(adapter->id() == id, Code::kCorrupt, "it is another one, ",
            adapter->id().substr(0, 12));
    return adapter;
  } catch (const Error& error) {
    const bool gone = error.code() == Code::kNotFound;
    fail(gone ? Code::kCorrupt : error.code(), "the folder's adapter ", id.substr(0, 12), ": ",
         error.what(), "; restore the folder from a backup");
  }
}

void Archive::keep(const BaseModel& base) {
  if (!durable()) return;
  Weights weights;
  for (const auto& [name, tensor] : base.weights()) weights[name] = tensor.to(at::kCPU);
  const Json origin = {{"naming", base.origin().naming}, {"forgotten", base.origin().forgotten}};
  write_safetensors(path(kBases, hex(base.fingerprint())), weights,
                    {{"format", "pt"}, {"origin", origin.dump()}}, own_limits());
}

std::shared_ptr<const BaseModel> Archive::base(const std::string& fingerprint,
                                               const BaseModel& like) {
  SafetensorsFile file = [&] {
    try {
      return read_safetensors(path(kBases, fingerprint), own_limits());
    } catch (const Error& error) {
      if (error.code() != Code::kNotFound) throw;
      fail(Code::kBaseMismatch, "the folder's base is ", fingerprint.substr(0, 12),
           ", this model's is ", hex(like.fingerprint()).substr(0, 12),
           "; load the weights that the folder was made with");
    }
  }();
  like.model().check_weights(file.tensors);
  const Json origin = parse_json(file.metadata["origin"], "the folder's base", own_limits().json);
  JsonFields fields(origin, "the folder's base");
  const auto naming = static_cast<Naming>(fields.integer(
      "naming", 0, static_cast<int>(Naming::kOwn), static_cast<int>(Naming::kHuggingFace)));
  auto base =
      std::make_shared<const BaseModel>(like.model_ptr(), std::move(file.tensors), like.device(),
                                        BaseOrigin{naming, fields.integers("forgotten", {})});
  require(hex(base->fingerprint()) == fingerprint, Code::kCorrupt,
          "the folder's base weights are damaged; restore them from a backup");
  return base;
}

void Archive::save(int64_t job, const TrainingState& state, const Json& facts) {
  if (!durable()) return;
  write_safetensors(path(kCheckpoints, std::to_string(job)), state.tensors(),
                    {{"values", state.values().dump()}, {"facts", facts.dump()}}, own_limits());
}

std::optional<TrainingState> Archive::saved(int64_t job, const Json& facts) {
  if (!durable()) return std::nullopt;
  try {
    SafetensorsFile file = read_safetensors(path(kCheckpoints, std::to_string(job)), own_limits());
    if (file.metadata["facts"] != facts.dump()) return std::nullopt;
    return TrainingState(std::move(file.tensors),
                         parse_json(file.metadata["values"], "the checkpoint", own_limits().json));
  } catch (const Error&) {
    return std::nullopt;  // a checkpoint saves time; the task can do without
  }
}

bool needs(const TaskRecord& task, const std::string& digest) {
  for (const Json& reference : references_of(task)) {
    if (reference.value("digest", "") == digest) return true;
  }
  return false;
}

Json describe_folder(const std::string& folder) {
  std::error_code error;
  require(fs::exists(journal_path(folder), error), Code::kNotFound, "the folder ",
          in_quotes(base_name(folder)), " holds no journal; name the folder of an engine");
  const Journal journal(journal_path(folder), Database::Open::kReadOnly);
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(); };

  Json jobs = Json::array();
  std::map<std::string, std::string> request_of;  // adapter -> request
  for (const TaskRecord& task : journal.tasks()) {
    if (task.adapter_id) request_of[*task.adapter_id] = task.request_id;
    const Json request = Json::parse(task.request);
    const auto kept = ended(task.state) ? journal.task(task.id).report : std::nullopt;
    const Json report = kept ? Json::parse(*kept) : Json::object();
    jobs.push_back(
        {{"job_id", task.id},
         {"request_id", task.request_id},
         {"kind", task.kind},
         {"state", name_of(task.state)},
         {"classes", request.value("classes", Json::array())},
         {"priority", task.options.priority},
         {"created", task.created_ms},
         {"started", or_null(task.started_ms)},
         {"ended", or_null(task.ended_ms)},
         {"step", task.step},
         {"total_steps", task.total_steps},
         {"error", task.error ? Json(code_name(static_cast<Code>(*task.error))) : Json()},
         {"message", task.message},
         {"metrics", report.value("metrics", Json())}});
  }
  Json adapters = Json::array();
  const auto model = journal.model();
  for (const auto& [id, scale] : model ? model->stack : decltype(model->stack){}) {
    const auto request = request_of.find(id);
    adapters.push_back(
        {{"request_id", request == request_of.end() ? Json() : Json(request->second)},
         {"adapter_id", id},
         {"scale", scale}});
  }
  const auto holder = FolderLock::holder(folder);
  return {{"schema", Journal::kSchema},      {"base", model ? Json(model->base) : Json()},
          {"holder_pid", or_null(holder)},   {"jobs", std::move(jobs)},
          {"adapters", std::move(adapters)}, {"receipts", journal.receipt_count()}};
}

std::string receipts_of_folder(const std::string& folder) {
  std::error_code error;
  require(fs::exists(journal_path(folder), error), Code::kNotFound, "the folder ",
          in_quotes(base_name(folder)), " holds no journal; name the folder of an engine");
  std::string lines;
  for (const std::string& line :
       Journal(journal_path(folder), Database::Open::kReadOnly).receipts()) {
    lines += line + '\n';
  }
  return lines;
}

}  // namespace lethe
