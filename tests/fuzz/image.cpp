// JPEG, PNG and PNM, told apart by content.
#include "data/sources.h"
#include "fuzz/fuzz.h"

FUZZ_TARGET(image) {
  using namespace lethe;
  decode_image(std::string(bytes), "input");
}
