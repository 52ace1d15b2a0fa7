#include "support/threads.h"

#include <ATen/Parallel.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>

namespace lethe {

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

ThreadBudget::ThreadBudget(int count) {
  previous_ = omp_get_max_threads();
  // LibTorch sets a thread's OpenMP count the first time that thread asks for it. Ask now, so that
  // it cannot overwrite ours, or the host's after us.
  at::get_num_threads();
  omp_set_num_threads(count > 0 ? count : available_processors());
}

ThreadBudget::~ThreadBudget() { omp_set_num_threads(previous_); }

}  // namespace lethe
