#include "python_shuffle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <utility>

namespace experiments {
namespace {

/// Matsumoto and Nishimura's MT19937 with init_by_array (mt19937ar, 2002).
class MersenneTwister {
 public:
  explicit MersenneTwister(const std::vector<uint32_t>& key) {
    state_[0] = 19650218;
    for (uint32_t i = 1; i < kSize; ++i) state_[i] = 1812433253u * mixed(i) + i;
    size_t i = 1, j = 0;
    const auto advance = [&] {
      if (++i == kSize) {
        state_[0] = state_[kSize - 1];
        i = 1;
      }
    };
    for (size_t k = std::max(kSize, key.size()); k > 0; --k) {
      state_[i] = (state_[i] ^ (mixed(i) * 1664525u)) + key[j] + static_cast<uint32_t>(j);
      j = (j + 1) % key.size();
      advance();
    }
    for (size_t k = kSize - 1; k > 0; --k) {
      state_[i] = (state_[i] ^ (mixed(i) * 1566083941u)) - static_cast<uint32_t>(i);
      advance();
    }
    state_[0] = 0x80000000u;
  }

  uint32_t next() {
    if (position_ == kSize) renew();
    uint32_t y = state_[position_++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
  }

 private:
  static constexpr size_t kSize = 624, kShift = 397;

  uint32_t mixed(size_t i) const { return state_[i - 1] ^ (state_[i - 1] >> 30); }

  void renew() {
    for (size_t i = 0; i < kSize; ++i) {
      const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kSize] & 0x7fffffffu);
      state_[i] = state_[(i + kShift) % kSize] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    position_ = 0;
  }

  std::array<uint32_t, kSize> state_;
  size_t position_ = kSize;
};

/// A number below `limit`, as Random._randbelow_with_getrandbits draws it.
uint32_t below(MersenneTwister& random, uint32_t limit) {
  const int bits = std::bit_width(limit);
  for (;;) {
    const uint32_t drawn = random.next() >> (32 - bits);
    if (drawn < limit) return drawn;
  }
}

}  // namespace

std::vector<int64_t> python_shuffled(int64_t count, uint64_t seed) {
  std::vector<uint32_t> key = {static_cast<uint32_t>(seed)};
  if (seed >> 32) key.push_back(static_cast<uint32_t>(seed >> 32));
  MersenneTwister random(key);
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  for (size_t i = numbers.size(); i-- > 1;) {
    std::swap(numbers[i], numbers[below(random, static_cast<uint32_t>(i + 1))]);
  }
  return numbers;
}

}  // namespace experiments
