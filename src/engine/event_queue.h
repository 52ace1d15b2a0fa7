// What an engine tells its host: bounded where that is harmless, complete where it is not.
#pragma once

#include <deque>

#include "engine/job.h"

namespace lethe {

struct Event {
  bool progress_only;  ///< false: the job entered `state`
  int64_t job_id;
  JobState state;
  Progress progress;
};

/// Thread-safe; any number of writers and readers. Each event goes to one reader, in order.
class EventQueue {
 public:
  /// From `capacity` events on, the oldest progress event gives way to a new event. State changes
  /// are never lost: what cannot give way stays, beyond the capacity if need be.
  explicit EventQueue(int capacity) : capacity_(static_cast<size_t>(capacity)) {}

  void push(const Event& event);
  /// No more will come: readers take what is left, then kEnd.
  void close();

  enum class Take { kEvent, kTimeout, kEnd };
  Take next(Timeout timeout, Event& event);

 private:
  bool drop_oldest_progress();

  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Event> events_;
  bool closed_ = false;
};

}  // namespace lethe
