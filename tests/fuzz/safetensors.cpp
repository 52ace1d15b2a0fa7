#include "storage/safetensors.h"

#include "fuzz/fuzz.h"

FUZZ_TARGET(safetensors) {
  using namespace lethe;
  const Limits limits = testing::fuzz_limits();
  const SafetensorsFile file = parse_safetensors(bytes, "input", limits);
  // What was read can be written, and reads alike.
  const std::string again = serialize_safetensors(file.tensors, file.metadata, limits);
  if (parse_safetensors(again, "again", limits).tensors.size() != file.tensors.size()) std::abort();
}
