// The compute threads a piece of work may use, without touching any process-wide setting.
#pragma once

namespace lethe {

/// Number of processors this process may run on (its affinity mask), at least 1.
int available_processors();

/// Within its scope, tensor operations started by the calling thread use at most `count` threads.
/// OpenMP keeps that number per thread, so other threads of the host are unaffected; the old value
/// is restored at the end. `count` <= 0 means available_processors().
class ThreadBudget {
 public:
  explicit ThreadBudget(int count);
  ~ThreadBudget();
  ThreadBudget(const ThreadBudget&) = delete;
  ThreadBudget& operator=(const ThreadBudget&) = delete;

 private:
  int previous_;
};

}  // namespace lethe
