#include "kernels/cuda_plugin.h"

#include <dlfcn.h>

#include "support/error.h"
#include "support/warnings.h"

namespace lethe {
namespace {

constexpr char kLibrary[] = "liblethe_cuda.so";

/// What liblethe_cuda.so exports: 0 and a count, or anything else and a reason.
using DeviceCount = int (*)(int* count, char* reason, size_t size);

/// The loader's sentence, without the folders in it.
std::string loader_error() {
  const char* error = dlerror();
  std::string text = error ? error : "unknown error";
  const size_t colon = text.find(':');
  const size_t slash = text.rfind('/', colon);
  return slash != std::string::npos && slash < colon ? text.substr(slash + 1) : text;
}

/// The folder of the library (or program) that holds this code, with a slash; "" when unknown.
std::string own_folder() {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<void*>(&cuda_status), &info) || !info.dli_fname) return "";
  const std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}

struct Plugin {
  CudaStatus status;
  void* library = nullptr;  ///< never unloaded: LibTorch keeps pointers into it
};

Plugin load() {
  Plugin plugin;
  auto& [status, library] = plugin;
  const TorchWarnings silent;
  library = dlopen((own_folder() + kLibrary).c_str(), RTLD_NOW | RTLD_LOCAL);
  std::string reason = library ? "" : loader_error();
  if (!library) {
    library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    // "No such file" for the library itself tells less than what the first attempt missed.
    if (!library && reason.starts_with(kLibrary)) reason = loader_error();
  }
  if (!library) {
    status.reason = "the CUDA part could not be loaded: " + reason;
    return plugin;
  }
  const auto device_count =
      reinterpret_cast<DeviceCount>(dlsym(library, "lethe_cuda_device_count"));
  if (!device_count) {
    status.reason = "the CUDA part does not belong to this version of Lethe: " + loader_error();
    return plugin;
  }
  status.loaded = true;
  char text[512] = "";
  if (device_count(&status.device_count, text, sizeof text) != 0 || status.device_count == 0) {
    status.device_count = 0;
    status.reason = lethe::str("no CUDA device can be used: ", text[0] ? text : "none was found");
  }
  return plugin;
}

const Plugin& plugin() {
  static const Plugin loaded = load();
  return loaded;
}

}  // namespace

const CudaStatus& cuda_status() { return plugin().status; }

void* cuda_symbol(const char* name) {
  return plugin().status.loaded ? dlsym(plugin().library, name) : nullptr;
}

}  // namespace lethe
