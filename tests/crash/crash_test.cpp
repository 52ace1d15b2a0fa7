// Kills an engine again and again (kill -9), at random moments and at each call that changes a
// file, and looks whether anything is lost, done twice, corrupt or different from an undisturbed
// run.
//
// Usage: crash_test KILLS [SEED]. Last line: "N kills, N lost, N doubled, N corrupt, N differing".
//
// Seven of ten kills hit one file call each, spread over all of an undisturbed round: right before
// it, or in the middle of it when it writes. The others hit random moments, several in a round.
#include "crash/round.h"

namespace lethe::testing {
namespace {

void tell(int64_t kills) {
  if (kills % 100 != 0) return;
  std::printf("%lld kills\n", static_cast<long long>(kills));
  std::fflush(stdout);
}

int run(int64_t wanted, uint64_t seed) {
  Rounds rounds;
  RandomStream random(seed, "crash moments");
  int64_t kills = 0;
  const auto note = [&](const Attempt& attempt) {
    if (attempt.killed) tell(++kills);
    if (!attempt.killed && attempt.status != kDone) {
      ++rounds.findings().corrupt;
      std::fprintf(stderr, "after %lld kills: %s\n", static_cast<long long>(kills),
                   attempt.message.c_str());
    }
    return attempt.killed;
  };

  const int64_t at_calls = std::min(wanted * 7 / 10, rounds.calls());
  for (int64_t i = 0; i < at_calls; ++i) {
    const std::string folder = rounds.new_folder();
    note(rounds.attempt(folder, Fault::kKill, 1 + i * rounds.calls() / at_calls));
    rounds.finish(folder);
  }
  while (kills < wanted) {
    const std::string folder = rounds.new_folder();
    const auto most = static_cast<uint64_t>(rounds.duration().count() / 2);
    for (bool killed = true; killed && kills < wanted;) {
      const std::chrono::microseconds moment(static_cast<int64_t>(random.below(most)));
      killed = note(rounds.attempt(folder, Fault::kNone, 0, moment));
    }
    rounds.finish(folder);
  }
  const Findings& found = rounds.findings();
  std::printf("%lld kills, %lld lost, %lld doubled, %lld corrupt, %lld differing\n",
              static_cast<long long>(kills), static_cast<long long>(found.lost),
              static_cast<long long>(found.doubled), static_cast<long long>(found.corrupt),
              static_cast<long long>(found.differing));
  return found.any();
}

}  // namespace
}  // namespace lethe::testing

int main(int count, char** arguments) {
  const int64_t kills = count > 1 ? std::atoll(arguments[1]) : 1000;
  const uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1;
  if (kills < 1) {
    std::fprintf(stderr, "usage: crash_test KILLS [SEED]\n");
    return 2;
  }
  return lethe::testing::run(kills, seed);
}
