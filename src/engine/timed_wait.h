// Waiting on a condition with an optional time limit, for every wait that a host can start.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

namespace lethe {

/// Nothing means for ever; zero or less means not at all.
using Timeout = std::optional<std::chrono::milliseconds>;

/// Waits until `ready()`, false when `timeout` passed first. A limit beyond a year is for ever: it
/// could overflow the clock.
template <typename Ready>
bool wait_until_ready(std::condition_variable& changed, std::unique_lock<std::mutex>& lock,
                      const Timeout& timeout, const Ready& ready) {
  constexpr std::chrono::hours kForEver{24 * 365};
  if (!timeout || *timeout >= kForEver) {
    changed.wait(lock, ready);
    return true;
  }
  return changed.wait_for(lock, *timeout, ready);
}

}  // namespace lethe
