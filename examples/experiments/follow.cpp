#include "follow.h"

#include <csignal>

namespace experiments {
namespace {

volatile std::sig_atomic_t interrupted = 0;

extern "C" void note_interrupt(int) { interrupted = 1; }

}  // namespace

Interrupts::Interrupts() {
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  action.sa_flags = SA_RESETHAND;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

Interrupts::~Interrupts() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool Interrupts::came() { return interrupted != 0; }

void follow(lethe_engine* engine, const lethe_job* job, const std::string& title, bool quiet) {
  cli::ProgressLine line(quiet);
  lethe_event event{};
  event.struct_size = sizeof event;
  while (cli::check(lethe_job_wait(job, 0)) == LETHE_TIMEOUT) {
    if (Interrupts::came()) {
      cli::check(lethe_engine_close(engine, -1));
      throw Interrupted();
    }
    if (cli::check(lethe_engine_next_event(engine, 200, &event)) != LETHE_OK) continue;
    if (event.kind == LETHE_EVENT_PROGRESS) line.show(title, event.progress);
  }
}

}  // namespace experiments
