// The class order of the paper's runs, which Python's random module made.
#pragma once

#include <cstdint>
#include <vector>

namespace experiments {

/// 0..count-1 as CPython 3 leaves them after
///   numbers = list(range(count)); random.seed(seed); random.shuffle(numbers)
/// with 0 <= count <= 2^31: MT19937 seeded by init_by_array with the 32-bit words of the seed, and
/// positions drawn by getrandbits until one fits.
std::vector<int64_t> python_shuffled(int64_t count, uint64_t seed);

}  // namespace experiments
