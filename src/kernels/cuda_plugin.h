// The CUDA part, loaded on demand: a CPU host needs no CUDA library.
#pragma once

#include <string>

namespace lethe {

struct CudaStatus {
  bool loaded = false;
  int device_count = 0;
  std::string reason;  ///< one sentence when not loaded or without a device
};

/// Loads liblethe_cuda.so (beside this library, then by the loader's search) the first time it is
/// called; later calls return the same answer. Thread-safe.
const CudaStatus& cuda_status();

/// A function that the CUDA part exports, or null: it is not loaded, or is of another version.
/// Thread-safe.
void* cuda_symbol(const char* name);

}  // namespace lethe
