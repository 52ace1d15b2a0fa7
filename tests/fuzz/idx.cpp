// An IDX pair: two bytes of length, the labels file of that length, the images file.
#include "data/sources.h"
#include "fuzz/fuzz.h"

FUZZ_TARGET(idx) {
  using namespace lethe;
  if (bytes.size() < 2) return;
  const size_t wanted = static_cast<uint8_t>(bytes[0]) + 256u * static_cast<uint8_t>(bytes[1]);
  bytes.remove_prefix(2);
  const size_t size = std::min(wanted, bytes.size());
  const testing::FileInMemory labels(bytes.substr(0, size)), images(bytes.substr(size));
  read_idx(images.path(), labels.path(), {}, 0).info();
}
