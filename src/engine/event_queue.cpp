#include "engine/event_queue.h"

#include <algorithm>

namespace lethe {

void EventQueue::push(const Event& event) {
  const std::lock_guard lock(mutex_);
  const bool room = events_.size() < capacity_ || drop_oldest_progress();
  if (!room && event.progress_only) return;
  events_.push_back(event);
  changed_.notify_one();
}

bool EventQueue::drop_oldest_progress() {
  const auto oldest = std::find_if(events_.begin(), events_.end(),
                                   [](const Event& event) { return event.progress_only; });
  if (oldest == events_.end()) return false;
  events_.erase(oldest);
  return true;
}

void EventQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

EventQueue::Take EventQueue::next(Timeout timeout, Event& event) {
  std::unique_lock lock(mutex_);
  const auto ready = [this] { return closed_ || !events_.empty(); };
  if (!wait_until_ready(changed_, lock, timeout, ready)) return Take::kTimeout;
  if (events_.empty()) return Take::kEnd;
  event = events_.front();
  events_.pop_front();
  return Take::kEvent;
}

}  // namespace lethe
