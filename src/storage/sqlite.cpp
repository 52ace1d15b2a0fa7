#include "storage/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "support/error.h"

namespace lethe {
namespace {

constexpr int kBusyMilliseconds = 5000;  // readers of the same file hold it for moments only

Code code_of(int result) {
  switch (result & 0xff) {
    case SQLITE_NOMEM:
      return Code::kOutOfMemory;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kCorrupt;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::kBusy;
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return Code::kIo;
    default:
      return Code::kInternal;
  }
}

const char* remedy_of(int result) {
  switch (result & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return "; restore it from a backup";
    case SQLITE_FULL:
      return "; free some space";
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return "; check the folder's permissions and its disk";
    default:
      return "";
  }
}

}  // namespace

Database::Database(const std::string& path, std::string what, Open open) : what_(std::move(what)) {
  const int flags =
      open == Open::kReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int result = sqlite3_open_v2(path.c_str(), &handle_,
                                     flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  try {
    check(result);
    check(sqlite3_busy_timeout(handle_, kBusyMilliseconds));
  } catch (...) {
    sqlite3_close(handle_);
    throw;
  }
}

Database::~Database() { sqlite3_close(handle_); }

void Database::check(int result) const {
  if (result == SQLITE_OK) return;
  fail(code_of(result), what_, ": ", handle_ ? sqlite3_errmsg(handle_) : sqlite3_errstr(result),
       remedy_of(result));
}

void Database::run(const std::string& sql) {
  check(sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr));
}

void Database::roll_back() noexcept {
  // Some failures end the transaction by themselves.
  if (!sqlite3_get_autocommit(handle_)) {
    sqlite3_exec(handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

Statement Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  check(sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &statement, nullptr));
  return {*this, statement};
}

int64_t Database::last_id() const { return sqlite3_last_insert_rowid(handle_); }

Statement::~Statement() { sqlite3_finalize(handle_); }

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      handle_(std::exchange(other.handle_, nullptr)),
      bound_(other.bound_) {}

Statement& Statement::bind(int64_t value) {
  database_.check(sqlite3_bind_int64(handle_, ++bound_, value));
  return *this;
}

Statement& Statement::bind(double value) {
  database_.check(sqlite3_bind_double(handle_, ++bound_, value));
  return *this;
}

Statement& Statement::bind(std::string_view text) {
  database_.check(sqlite3_bind_text64(handle_, ++bound_, text.data(), text.size(), SQLITE_TRANSIENT,
                                      SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind(std::nullptr_t) {
  database_.check(sqlite3_bind_null(handle_, ++bound_));
  return *this;
}

bool Statement::next() {
  const int result = sqlite3_step(handle_);
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) database_.check(result);
  return false;
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_, column); }

double Statement::number(int column) const { return sqlite3_column_double(handle_, column); }

std::string Statement::text(int column) const {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  return data ? std::string(data, static_cast<size_t>(sqlite3_column_bytes(handle_, column)))
              : std::string();
}

std::optional<int64_t> Statement::optional_integer(int column) const {
  return is_null(column) ? std::nullopt : std::optional(integer(column));
}

std::optional<std::string> Statement::optional_text(int column) const {
  return is_null(column) ? std::nullopt : std::optional(text(column));
}

}  // namespace lethe
