// SQLite with this library's errors: a database, its statements, its transactions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace lethe {

class Statement;

/// One connection. Not thread-safe. Every failure throws an Error whose message names `what`, never
/// the path:
///   kIo        cannot read or write, disk full, read-only     kCorrupt   not a database, or
///   damaged kBusy      another connection holds it                    kOutOfMemory
class Database {
 public:
  enum class Open { kReadOnly, kCreate };
  /// `path` ":memory:": in memory, for as long as the object lives.
  Database(const std::string& path, std::string what, Open open = Open::kCreate);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Statements without parameters and results, separated by ';'.
  void run(const std::string& sql);
  Statement prepare(std::string_view sql);
  int64_t last_id() const;

  /// Runs `body` as one transaction: all of it is in the file when this returns, and nothing of it
  /// when this throws.
  template <typename Body>
  void transaction(const Body& body) {
    run("BEGIN IMMEDIATE");
    try {
      body();
      run("COMMIT");
    } catch (...) {
      roll_back();
      throw;
    }
  }

 private:
  friend class Statement;
  void roll_back() noexcept;
  void check(int result) const;

  sqlite3* handle_ = nullptr;
  std::string what_;
};

/// A prepared statement; parameters are bound in order, columns are read in order.
///
///     Statement rows = db.prepare("SELECT id, name FROM task WHERE state = ?");
///     for (rows.bind(3); rows.next();) use(rows.integer(0), rows.text(1));
class Statement {
 public:
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(int64_t value);
  Statement& bind(double value);
  Statement& bind(std::string_view text);
  Statement& bind(std::nullptr_t);
  template <typename T>
  Statement& bind(const std::optional<T>& value) {
    return value ? bind(*value) : bind(nullptr);
  }

  /// The next row; false after the last. Of a statement without rows: runs it.
  bool next();
  /// Runs a statement without rows.
  void run() { next(); }

  bool is_null(int column) const;
  int64_t integer(int column) const;
  double number(int column) const;
  std::string text(int column) const;
  std::optional<int64_t> optional_integer(int column) const;
  std::optional<std::string> optional_text(int column) const;

 private:
  friend class Database;
  Statement(const Database& database, sqlite3_stmt* handle)
      : database_(database), handle_(handle) {}

  const Database& database_;
  sqlite3_stmt* handle_;
  int bound_ = 0;
};

}  // namespace lethe
