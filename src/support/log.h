// Log lines on their way to a host. Without a sink there is silence: the library never prints.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "support/error.h"

namespace lethe {

/// Values as in lethe.h (lethe_log_level).
enum class LogLevel : int32_t { kDebug = 1, kInfo = 2, kWarning = 3, kError = 4 };

/// Thread-safe. Lines reach the sink one at a time, on the thread that writes them; so write() must
/// not be called with a lock held that the sink's host could need.
class Log {
 public:
  using Sink = std::function<void(LogLevel, const char* component, const char* message)>;

  /// Replaces level and sink (empty: silence). When it returns the old sink is not called any more;
  /// therefore kState from inside a sink.
  void set(LogLevel level, Sink sink);

  /// Ends the log for good; from inside a sink, after the line that it is about.
  void close();

  bool wants(LogLevel level) const { return static_cast<int32_t>(level) >= threshold_; }

  /// Forms the line only when it is wanted. A line written from inside a sink is dropped.
  template <typename... Args>
  void write(LogLevel level, const char* component, const Args&... args) {
    if (wants(level)) deliver(level, component, lethe::str(args...));
  }

 private:
  void deliver(LogLevel level, const char* component, const std::string& message);

  static constexpr int32_t kSilent = INT32_MAX;
  std::atomic<int32_t> threshold_{kSilent};
  std::mutex mutex_;  ///< held while the sink runs
  Sink sink_;
};

}  // namespace lethe
