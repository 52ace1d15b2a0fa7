// Waiting for a job with a progress line, until it ends or somebody presses Ctrl-C.
#pragma once

#include <string>

#include "../cli/terminal.h"

namespace experiments {

/// SIGINT and SIGTERM are noted once while this lives; a second one ends the program as usual.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  static bool came();
};

/// Thrown when a run was interrupted; what was accepted is kept and goes on with the next run.
struct Interrupted {};

/// Until the job has ended. Throws Interrupted after closing the engine, whose folder keeps the
/// job; cli::Failure when the engine's folder cannot be written.
void follow(lethe_engine* engine, const lethe_job* job, const std::string& title, bool quiet);

}  // namespace experiments
