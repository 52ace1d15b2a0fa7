#include "support/log.h"

#include <utility>

namespace lethe {
namespace {

/// The log whose sink this thread is in, if any.
thread_local const Log* current = nullptr;

}  // namespace

void Log::set(LogLevel level, Sink sink) {
  require(current != this, Code::kState,
          "the log cannot be replaced from inside its own callback; do it after the callback ends");
  const std::lock_guard lock(mutex_);
  threshold_ = sink ? static_cast<int32_t>(level) : kSilent;
  sink_ = std::move(sink);
}

void Log::close() {
  threshold_ = kSilent;
  if (current == this)
    return;  // the running sink is the last one; waiting for it would be for ever
  const std::lock_guard lock(mutex_);
  sink_ = nullptr;
}

void Log::deliver(LogLevel level, const char* component, const std::string& message) {
  if (current == this) return;
  const std::lock_guard lock(mutex_);
  if (!wants(level) || !sink_) return;
  struct Inside {
    const Log* before = current;
    ~Inside() { current = before; }
  } inside;
  current = this;
  sink_(level, component, message.c_str());
}

}  // namespace lethe
