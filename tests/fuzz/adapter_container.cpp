#include "adapters/manifest.h"
#include "fuzz/fuzz.h"
#include "storage/adapter_file.h"

FUZZ_TARGET(adapter_container) {
  using namespace lethe;
  const AdapterFile file = parse_adapter_file(bytes, "input", testing::fuzz_limits());
  read_manifest(file.manifest, file.tensors);
}
