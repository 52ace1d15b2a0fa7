// Makes each call that changes a file fail in turn: once with EIO, and from then on with ENOSPC, as
// a full disk does. The engine copes or answers with LETHE_E_IO; then the folder is worked off on a
// good disk, and nothing may be lost, done twice, corrupt or different.
//
// Usage: fault_test [EVERY]: every EVERY-th call (default 1: all).
// Last line: "N faults, N coped, N refused, N lost, N doubled, N corrupt, N differing".
#include "crash/round.h"

namespace lethe::testing {
namespace {

int run(int64_t every) {
  Rounds rounds;
  int64_t faults = 0, coped = 0, refused = 0;
  std::set<std::string> messages;
  for (const Fault fault : {Fault::kIoError, Fault::kDiskFull}) {
    for (int64_t call = 1; call <= rounds.calls(); call += every) {
      const std::string folder = rounds.new_folder();
      const Attempt attempt = rounds.attempt(folder, fault, call);
      ++faults;
      coped += attempt.status == kDone;
      refused += attempt.status == kError;
      if (attempt.killed || attempt.status == kDefect) {
        ++rounds.findings().corrupt;
        std::fprintf(stderr, "call %lld: %s\n", static_cast<long long>(call),
                     attempt.killed ? "crashed" : attempt.message.c_str());
      }
      if (!attempt.message.empty()) messages.insert(attempt.message);
      rounds.finish(folder);
    }
  }
  for (const std::string& message : messages) std::printf("  %s\n", message.c_str());
  const Findings& found = rounds.findings();
  std::printf(
      "%lld faults, %lld coped, %lld refused, %lld lost, %lld doubled, %lld corrupt, "
      "%lld differing\n",
      static_cast<long long>(faults), static_cast<long long>(coped),
      static_cast<long long>(refused), static_cast<long long>(found.lost),
      static_cast<long long>(found.doubled), static_cast<long long>(found.corrupt),
      static_cast<long long>(found.differing));
  return found.any() || coped == 0 || refused == 0;
}

}  // namespace
}  // namespace lethe::testing

int main(int count, char** arguments) {
  const int64_t every = count > 1 ? std::atoll(arguments[1]) : 1;
  if (every < 1) {
    std::fprintf(stderr, "usage: fault_test [EVERY]\n");
    return 2;
  }
  return lethe::testing::run(every);
}
