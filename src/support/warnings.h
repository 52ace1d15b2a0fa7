// LibTorch's warnings, which would otherwise go to the standard error stream.
#pragma once

#include <c10/util/Exception.h>

#include "support/log.h"

namespace lethe {

/// Within its scope, warnings that LibTorch gives on this thread go to `log`; null drops them.
class TorchWarnings {
 public:
  explicit TorchWarnings(Log* log = nullptr) : handler_(log), guard_(&handler_) {}

 private:
  class Handler : public c10::WarningHandler {
   public:
    explicit Handler(Log* log) : log_(log) {}
    void process(const c10::Warning& warning) override {
      if (log_) log_->write(LogLevel::kWarning, "libtorch", warning.msg());
    }

   private:
    Log* log_;
  };

  Handler handler_;
  c10::WarningUtils::WarningHandlerGuard guard_;
};

}  // namespace lethe
