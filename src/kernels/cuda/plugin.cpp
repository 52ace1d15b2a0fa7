// liblethe_cuda.so: being linked with LibTorch's CUDA libraries is what it is for. Loading it
// registers their operators; its one function tells whether there is a device to run them on.
#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <cstdio>
#include <cstring>
#include <exception>

// As <c10/cuda/CUDAFunctions.h> declares it; that header needs the CUDA toolkit's.
namespace c10::cuda {
DeviceIndex device_count_ensure_non_zero();
}

/// 0 and the number of devices, or 1 and one line in `reason`, which has room for `size` bytes.
extern "C" __attribute__((visibility("default"))) int lethe_cuda_device_count(int* count,
                                                                              char* reason,
                                                                              size_t size) {
  *count = 0;
  const auto explain = [&](const char* text) {
    std::snprintf(reason, size, "%.*s", static_cast<int>(std::strcspn(text, "\r\n")), text);
    return 1;
  };
  try {
    *count = c10::cuda::device_count_ensure_non_zero();
    return 0;
  } catch (const c10::Error& error) {
    return explain(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return explain(error.what());
  } catch (...) {
    return explain("unknown error");
  }
}
