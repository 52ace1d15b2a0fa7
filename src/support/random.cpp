#include "support/random.h"

#include <ATen/CPUGeneratorImpl.h>

#include <numeric>
#include <utility>

namespace lethe {

RandomStream::RandomStream(uint64_t seed, std::string_view name) : state_(seed) {
  // FNV-1a over the name, mixed with the seed by one SplitMix64 step.
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (unsigned char c : name) hash = (hash ^ c) * 0x100000001b3ULL;
  state_ = next() ^ hash;
}

uint64_t RandomStream::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

uint64_t RandomStream::below(uint64_t bound) {
  const uint64_t threshold = -bound % bound;  // values under it would make small results likelier
  for (;;) {
    const uint64_t draw = next();
    if (draw >= threshold) return draw % bound;
  }
}

std::vector<int64_t> RandomStream::permutation(int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = n - 1; i > 0; --i) {
    std::swap(order[i], order[below(static_cast<uint64_t>(i) + 1)]);
  }
  return order;
}

at::Generator RandomStream::generator() { return at::make_generator<at::CPUGeneratorImpl>(next()); }

}  // namespace lethe
