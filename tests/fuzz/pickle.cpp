// The pickle machine alone, without the zip archive whose checksums keep most inputs out.
#include "storage/pickle.h"

#include "fuzz/fuzz.h"

FUZZ_TARGET(pickle) {
  using namespace lethe;
  const Limits limits = testing::fuzz_limits();
  PickleReader(bytes, "input", limits).read();
}
