// The manifest of an adapter, without the container whose checksums keep most inputs out.
#include "adapters/manifest.h"

#include <ATen/ATen.h>

#include "fuzz/fuzz.h"

FUZZ_TARGET(manifest) {
  using namespace lethe;
  static const Weights tensors = [] {
    Weights made;
    for (const bool b : {false, true}) {
      made[lora_tensor_name("fc", b)] = b ? at::ones({3, 2}) : at::ones({2, 3});
    }
    return made;
  }();
  read_manifest(parse_json(bytes, "input", testing::fuzz_limits().json), tensors);
}
