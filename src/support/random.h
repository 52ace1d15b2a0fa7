// Seeded random streams. Every use of chance in Lethe draws from a named stream of one seed, so a
// result repeats and adding a draw in one place moves nothing in another.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace lethe {

/// A stream of random numbers, defined by (seed, name). Not thread-safe; cheap to make.
class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view name);

  /// The next 64 random bits (SplitMix64: the same numbers on every platform).
  uint64_t next();

  /// A uniform integer in [0, bound), without modulo bias. `bound` > 0.
  uint64_t below(uint64_t bound);

  /// A random order of 0..n-1 (Fisher-Yates).
  std::vector<int64_t> permutation(int64_t n);

  /// A CPU tensor generator seeded from this stream, for draws made by LibTorch. LibTorch's own
  /// global generator is never touched.
  at::Generator generator();

  /// Where the stream stands; a stream set to it goes on from there, whatever its name was.
  uint64_t state() const { return state_; }
  void set_state(uint64_t state) { state_ = state; }

 private:
  uint64_t state_;
};

}  // namespace lethe
