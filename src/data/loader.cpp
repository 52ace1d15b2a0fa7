#include "data/loader.h"

#include <algorithm>

#include "support/error.h"

namespace lethe {

Loader::Loader(int64_t size, int64_t batch, RandomStream stream)
    : size_(size), batch_(batch), stream_(stream), position_(size) {
  require(size >= 1, Code::kInvalidArgument, "a loader needs at least one sample, it got ", size);
  require(batch >= 1, Code::kInvalidArgument, "the batch size is ", batch,
          ", it must be 1 or more");
}

std::vector<int64_t> Loader::next() {
  if (at_epoch_start()) {
    order_ = stream_.permutation(size_);
    position_ = 0;
  }
  const int64_t count = std::min(batch_, size_ - position_);
  const auto begin = order_.begin() + position_;
  position_ += count;
  return {begin, begin + count};
}

void Loader::restore(State state) {
  const auto size = static_cast<int64_t>(state.order.size());
  const bool fits = (size == size_ || size == 0) && state.position >= 0 &&
                    state.position <= size_ && (size > 0 || state.position == size_);
  require(fits, Code::kCorrupt, "the saved order of ", size, " samples at ", state.position,
          " is not one of ", size_, " samples");
  for (const int64_t index : state.order) {
    require(index >= 0 && index < size_, Code::kCorrupt, "the saved order holds ", index,
            ", allowed is 0 to ", size_ - 1);
  }
  stream_.set_state(state.stream);
  order_ = std::move(state.order);
  position_ = state.position;
}

}  // namespace lethe
