// lethe.h for a C++ program: handles that free themselves, failures that are thrown.
#pragma once

#include <lethe/lethe.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

namespace cli {

using Json = nlohmann::json;

/// A failed call, or a failure of the tool itself under the same codes.
struct Failure : std::runtime_error {
  Failure(lethe_status failed, const std::string& message)
      : std::runtime_error(message), status(failed) {}
  lethe_status status;
};

/// Passes LETHE_OK and positive answers on, throws failures with their sentence.
inline lethe_status check(lethe_status status) {
  if (status < 0) throw Failure(status, lethe_last_error());
  return status;
}

template <typename T, void (*kFree)(T*)>
struct Freed {
  void operator()(T* handle) const { kFree(handle); }
};
template <typename T, void (*kFree)(T*)>
using Handle = std::unique_ptr<T, Freed<T, kFree>>;

using Buffer = Handle<lethe_buffer, lethe_buffer_free>;
using Runtime = Handle<lethe_runtime, lethe_runtime_free>;
using Model = Handle<lethe_model, lethe_model_free>;
using Dataset = Handle<lethe_dataset, lethe_dataset_free>;
using Engine = Handle<lethe_engine, lethe_engine_free>;
using Job = Handle<lethe_job, lethe_job_free>;
using Adapter = Handle<lethe_adapter, lethe_adapter_free>;
using Report = Handle<lethe_report, lethe_report_free>;

/// Receives an output: `check(f(..., out(handle)))`. The handle is set at the end of the statement.
template <typename H>
class Out {
 public:
  explicit Out(H& handle) : handle_(handle) {}
  ~Out() { handle_.reset(raw_); }
  Out(const Out&) = delete;
  Out& operator=(const Out&) = delete;
  operator typename H::pointer *() { return &raw_; }

 private:
  H& handle_;
  typename H::pointer raw_ = nullptr;
};
template <typename H>
Out<H> out(H& handle) {
  return Out<H>(handle);
}

inline std::string text_of(const Buffer& buffer) {
  return {static_cast<const char*>(lethe_buffer_data(buffer.get())),
          lethe_buffer_size(buffer.get())};
}
inline Json json_of(const Buffer& buffer) { return Json::parse(text_of(buffer)); }

}  // namespace cli
