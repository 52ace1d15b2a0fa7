#include "storage/torch_pickle.h"

#include "fuzz/fuzz.h"

FUZZ_TARGET(torch_pickle) {
  using namespace lethe;
  if (looks_like_torch_pickle(bytes)) {
    parse_torch_state_dict(bytes, "input", testing::fuzz_limits());
  }
}
