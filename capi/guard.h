// The one way in: every function of lethe.h that can fail runs its body in guard(), so no exception
// leaves and every failure leaves its sentence in the thread's record.
#pragma once

#include <cxxabi.h>

#include <type_traits>

#include "lethe/lethe.h"
#include "support/error.h"
#include "support/warnings.h"

namespace lethe::capi {

/// Forgets the calling thread's last failure.
void clear_error() noexcept;

/// Records the exception in flight as the thread's last failure and returns its code. The sentence
/// is one line without a trailing newline, whatever was thrown.
lethe_status record_exception() noexcept;

/// Runs the body of a function that returns a status. A body returns nothing (success) or a status
/// that is no failure; failures are thrown.
template <typename Body>
lethe_status guard(const Body& body) {
  clear_error();
  try {
    const TorchWarnings silent;
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      return LETHE_OK;
    } else {
      return body();
    }
  } catch (abi::__forced_unwind&) {
    throw;  // the host cancels this thread: glibc's unwinding must not be stopped
  } catch (...) {
    return record_exception();
  }
}

/// Runs the body of a function that returns a value and cannot fail: `otherwise` stands for
/// whatever goes wrong. Such functions leave the thread's record alone, so that cleaning up and
/// looking around after a failure keep its sentence.
template <typename T, typename Body>
T query(T otherwise, const Body& body) {
  try {
    return body();
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    return otherwise;
  }
}

/// Sets an output to NULL or 0; the first thing a function does, so that failures leave it so.
template <typename T>
void clear(T* out) {
  if (out) *out = T{};
}

/// The same for an output that must be there.
template <typename T>
void clear_required(T* out, const char* name) {
  require(out, Code::kInvalidArgument, name, " is NULL; give the address of a variable");
  *out = T{};
}

}  // namespace lethe::capi
