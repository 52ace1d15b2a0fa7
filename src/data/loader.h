// The order in which training visits the samples of a data set.
#pragma once

#include <cstdint>
#include <vector>

#include "support/random.h"

namespace lethe {

/// Shuffled batches of positions, epoch after epoch (algorithm.md 5.3): every epoch visits each
/// position once in a new order, and its last, smaller batch is kept. Not thread-safe.
class Loader {
 public:
  /// Positions 0..size-1 in batches of `batch`; the orders are drawn from `stream`. Throws
  /// kInvalidArgument unless both are at least 1.
  Loader(int64_t size, int64_t batch, RandomStream stream);

  /// The positions of the next batch, 1 to `batch` of them. An exhausted epoch is followed by the
  /// next one.
  std::vector<int64_t> next();

  /// Abandons what is left of this epoch: the next batch begins a freshly shuffled one. Calling it
  /// at the beginning of an epoch that has not been read from changes nothing.
  void restart() { position_ = size_; }

  /// Whether next() begins an epoch.
  bool at_epoch_start() const { return position_ == size_; }

  int64_t batches_per_epoch() const { return (size_ - 1) / batch_ + 1; }

  /// Where it stands: a loader of the same size and batch set to it goes on exactly alike.
  struct State {
    uint64_t stream;
    std::vector<int64_t> order;  ///< of this epoch; empty before the first
    int64_t position;
  };
  State state() const { return {stream_.state(), order_, position_}; }
  /// Throws kCorrupt unless `state` is one of a loader of this size.
  void restore(State state);

 private:
  int64_t size_;
  int64_t batch_;
  RandomStream stream_;
  std::vector<int64_t> order_;
  int64_t position_;
};

}  // namespace lethe
