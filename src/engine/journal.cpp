#include "engine/journal.h"

#include "storage/digest.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr int64_t kApplicationId = 0x4c455448;  // "LETH": tells a journal from any other database

/// Schema n is what the first n entries make. Entries are never changed, only added.
constexpr const char* kMigrations[] = {
    R"(CREATE TABLE task (
         id INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL,
         kind TEXT NOT NULL, request TEXT NOT NULL, priority INTEGER NOT NULL,
         deadline_ms INTEGER NOT NULL, max_seconds REAL NOT NULL, max_steps INTEGER NOT NULL,
         state INTEGER NOT NULL, created_ms INTEGER NOT NULL, started_ms INTEGER,
         ended_ms INTEGER, step INTEGER NOT NULL DEFAULT 0, total_steps INTEGER NOT NULL DEFAULT 0,
         seconds REAL NOT NULL DEFAULT 0, error INTEGER, message TEXT NOT NULL DEFAULT '',
         report TEXT, adapter_id TEXT);
       CREATE TABLE stack (position INTEGER PRIMARY KEY, adapter_id TEXT NOT NULL,
         scale REAL NOT NULL);
       CREATE TABLE base (position INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE);
       CREATE TABLE receipt (number INTEGER PRIMARY KEY, request_id TEXT NOT NULL,
         line TEXT NOT NULL, digest TEXT NOT NULL);)",
};
static_assert(std::size(kMigrations) == Journal::kSchema);

/// Then comes the report, or NULL where it is not wanted.
constexpr const char* kTaskColumns =
    "id, request_id, digest, kind, request, priority, deadline_ms, max_seconds, max_steps, state, "
    "created_ms, started_ms, ended_ms, step, total_steps, seconds, error, message, adapter_id";

TaskRecord read_task(const Statement& row) {
  TaskRecord task;
  int column = 0;
  task.id = row.integer(column++);
  task.request_id = row.text(column++);
  task.digest = row.text(column++);
  task.kind = row.text(column++);
  task.request = row.text(column++);
  task.options.priority = static_cast<int32_t>(row.integer(column++));
  task.options.deadline_ms = row.integer(column++);
  task.options.max_seconds = row.number(column++);
  task.options.max_steps = row.integer(column++);
  task.state = static_cast<JobState>(row.integer(column++));
  task.created_ms = row.integer(column++);
  task.started_ms = row.optional_integer(column++);
  task.ended_ms = row.optional_integer(column++);
  task.step = row.integer(column++);
  task.total_steps = row.integer(column++);
  task.seconds = row.number(column++);
  task.error = row.optional_integer(column++);
  task.message = row.text(column++);
  task.adapter_id = row.optional_text(column++);
  task.report = row.optional_text(column++);
  return task;
}

int64_t read_pragma(Database& db, const char* name) {
  Statement row = db.prepare(lethe::str("PRAGMA ", name));
  return row.next() ? row.integer(0) : 0;
}

}  // namespace

Journal::Journal(const std::string& path, Database::Open open) : db_(path, "the journal", open) {
  const bool is_new = read_pragma(db_, "schema_version") == 0;
  require(is_new || read_pragma(db_, "application_id") == kApplicationId, Code::kCorrupt,
          "the journal: it is a database of another program; name another folder");
  const int64_t schema = read_pragma(db_, "user_version");
  require(schema >= 0, Code::kCorrupt, "the journal is damaged: it names the schema ", schema,
          "; restore it from a backup");
  require(schema <= kSchema, Code::kVersion, "the journal has schema ", schema,
          ", this library knows up to ", kSchema, "; use the newer library");
  if (open == Database::Open::kReadOnly) return;
  {
    Statement check = db_.prepare("PRAGMA quick_check(1)");
    require(check.next() && check.text(0) == "ok", Code::kCorrupt,
            "the journal is damaged: ", check.text(0), "; restore it from a backup");
  }
  db_.run("PRAGMA journal_mode = WAL");
  db_.run("PRAGMA synchronous = FULL");
  if (schema < kSchema) migrate();
}

void Journal::migrate() {
  db_.transaction([&] {
    for (int64_t schema = read_pragma(db_, "user_version"); schema < kSchema; ++schema) {
      db_.run(kMigrations[schema]);
    }
    db_.run(lethe::str("PRAGMA application_id = ", kApplicationId));
    db_.run(lethe::str("PRAGMA user_version = ", kSchema));
  });
}

std::optional<ModelRecord> Journal::model() const {
  const std::lock_guard lock(mutex_);
  ModelRecord model;
  Statement bases = db_.prepare("SELECT fingerprint FROM base ORDER BY position");
  while (bases.next()) model.known_bases.push_back(bases.text(0));
  if (model.known_bases.empty()) return std::nullopt;
  model.base = model.known_bases.back();
  Statement stack = db_.prepare("SELECT adapter_id, scale FROM stack ORDER BY position");
  while (stack.next()) model.stack.emplace_back(stack.text(0), stack.number(1));
  return model;
}

void Journal::set_model(const ModelRecord& model) {
  const std::lock_guard lock(mutex_);
  db_.transaction([&] { write_model(model); });
}

void Journal::write_model(const ModelRecord& model) {
  // The present base is the one that came last, also when it was there before.
  db_.prepare("DELETE FROM base WHERE fingerprint = ?").bind(model.base).run();
  db_.prepare("INSERT INTO base (fingerprint) VALUES (?)").bind(model.base).run();
  db_.run("DELETE FROM stack");
  for (const auto& [id, scale] : model.stack) {
    db_.prepare("INSERT INTO stack (adapter_id, scale) VALUES (?, ?)").bind(id).bind(scale).run();
  }
}

int64_t Journal::add(const TaskRecord& task) {
  const std::lock_guard lock(mutex_);
  int64_t id = 0;
  db_.transaction([&] {
    Statement known = db_.prepare("SELECT 1 FROM task WHERE request_id = ?");
    require(!known.bind(task.request_id).next(), Code::kExists, "the request id ",
            in_quotes(task.request_id), " belongs to another request; choose a new one");
    db_.prepare(
           "INSERT INTO task (request_id, digest, kind, request, priority, deadline_ms, "
           "max_seconds, max_steps, state, created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(task.request_id)
        .bind(task.digest)
        .bind(task.kind)
        .bind(task.request)
        .bind(int64_t{task.options.priority})
        .bind(task.options.deadline_ms)
        .bind(task.options.max_seconds)
        .bind(task.options.max_steps)
        .bind(static_cast<int64_t>(JobState::kQueued))
        .bind(task.created_ms)
        .run();
    id = db_.last_id();
  });
  return id;
}

void Journal::enter(int64_t id, JobState state, int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  db_.transaction([&] {
    db_.prepare(
           "UPDATE task SET state = ?, error = NULL, message = '', started_ms = "
           "coalesce(started_ms, CASE ? WHEN 1 THEN NULL ELSE ? END) WHERE id = ?")
        .bind(static_cast<int64_t>(state))
        .bind(static_cast<int64_t>(state))
        .bind(now_ms)
        .bind(id)
        .run();
  });
}

void Journal::await_data(int64_t id, Code error, const std::string& message) {
  const std::lock_guard lock(mutex_);
  db_.transaction([&] {
    db_.prepare("UPDATE task SET state = ?, error = ?, message = ? WHERE id = ?")
        .bind(static_cast<int64_t>(JobState::kAwaitingData))
        .bind(static_cast<int64_t>(error))
        .bind(message)
        .bind(id)
        .run();
  });
}

void Journal::checkpoint(int64_t id, int64_t step, int64_t total_steps, double seconds) {
  const std::lock_guard lock(mutex_);
  db_.transaction([&] {
    db_.prepare("UPDATE task SET step = ?, total_steps = ?, seconds = ? WHERE id = ?")
        .bind(step)
        .bind(total_steps)
        .bind(seconds)
        .bind(id)
        .run();
  });
}

void Journal::finish(int64_t id, const End& end, const WriteReceipt& receipt,
                     const ModelRecord* model) {
  const std::lock_guard lock(mutex_);
  db_.transaction([&] {
    Statement row = db_.prepare("SELECT request_id FROM task WHERE id = ?");
    require(row.bind(id).next(), Code::kInternal, "the journal has no task ", id);
    db_.prepare(
           "UPDATE task SET state = ?, error = ?, message = ?, report = ?, adapter_id = ?, "
           "ended_ms = ? WHERE id = ?")
        .bind(static_cast<int64_t>(end.state))
        .bind(end.error ? std::optional(static_cast<int64_t>(*end.error)) : std::nullopt)
        .bind(end.message)
        .bind(end.report)
        .bind(end.adapter_id)
        .bind(end.ended_ms)
        .bind(id)
        .run();
    if (model) write_model(*model);
    write_receipt(row.text(0), receipt);
  });
}

void Journal::seal(const std::string& request_id, const WriteReceipt& receipt,
                   const ModelRecord& model) {
  const std::lock_guard lock(mutex_);
  db_.transaction([&] {
    db_.run("UPDATE task SET adapter_id = NULL");
    write_model(model);
    write_receipt(request_id, receipt);
  });
}

void Journal::write_receipt(const std::string& request_id, const WriteReceipt& receipt) {
  Statement last = db_.prepare("SELECT number, digest FROM receipt ORDER BY number DESC LIMIT 1");
  const bool any = last.next();
  const int64_t number = any ? last.integer(0) + 1 : 1;
  const std::string line = receipt(number, any ? last.text(1) : hex(Digest{}));
  db_.prepare("INSERT INTO receipt (number, request_id, line, digest) VALUES (?, ?, ?, ?)")
      .bind(number)
      .bind(request_id)
      .bind(line)
      .bind(hex(sha256(line)))
      .run();
}

std::vector<TaskRecord> Journal::select_tasks(const char* condition) const {
  const std::lock_guard lock(mutex_);
  std::vector<TaskRecord> tasks;
  Statement rows = db_.prepare(
      lethe::str("SELECT ", kTaskColumns, ", NULL FROM task WHERE ", condition, " ORDER BY id"));
  while (rows.next()) tasks.push_back(read_task(rows));
  return tasks;
}

std::vector<TaskRecord> Journal::tasks() const { return select_tasks("1"); }

std::vector<TaskRecord> Journal::unfinished_tasks() const {
  return select_tasks(lethe::str("state < ", static_cast<int>(JobState::kSucceeded)).c_str());
}

std::vector<std::string> Journal::adapter_ids() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> ids;
  Statement rows = db_.prepare("SELECT adapter_id FROM task WHERE adapter_id IS NOT NULL");
  while (rows.next()) ids.push_back(rows.text(0));
  return ids;
}

TaskRecord Journal::task(int64_t id) const {
  const std::lock_guard lock(mutex_);
  Statement row =
      db_.prepare(lethe::str("SELECT ", kTaskColumns, ", report FROM task WHERE id = ?"));
  require(row.bind(id).next(), Code::kNotFound, "the journal has no task ", id);
  return read_task(row);
}

int64_t Journal::receipt_count() const {
  const std::lock_guard lock(mutex_);
  Statement row = db_.prepare("SELECT count(*) FROM receipt");
  return row.next() ? row.integer(0) : 0;
}

std::vector<std::string> Journal::receipts() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  Statement rows = db_.prepare("SELECT line FROM receipt ORDER BY number");
  while (rows.next()) lines.push_back(rows.text(0));
  return lines;
}

std::optional<std::string> Journal::receipt(const std::string& request_id) const {
  const std::lock_guard lock(mutex_);
  Statement row =
      db_.prepare("SELECT line FROM receipt WHERE request_id = ? ORDER BY number DESC LIMIT 1");
  return row.bind(request_id).next() ? std::optional(row.text(0)) : std::nullopt;
}

}  // namespace lethe
