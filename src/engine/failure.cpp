#include "engine/failure.h"

#include <c10/util/Exception.h>

#include <new>
#include <string_view>
#include <typeinfo>

namespace lethe {
namespace {

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

Failure describe_torch_failure(const c10::Error& error) {
  const std::string message = first_line(error.what_without_backtrace());
  const auto names = [&](std::string_view part) { return message.find(part) != std::string::npos; };
  // The CPU allocator reports exhaustion as a plain c10::Error.
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) || names("can't allocate memory") ||
      names("not enough memory") || names("out of memory")) {
    return {Code::kOutOfMemory, "there is not enough memory: " + message};
  }
  if (names("CUDA")) return {Code::kDevice, "the device failed: " + message};
  return {Code::kInternal, "a tensor operation failed: " + message};
}

/// oneDNN's exception hides its status. It is asked for nothing that it does not know, so what it
/// lacked was memory.
bool is_one_dnn_failure(const std::exception& error) {
  return std::string_view(typeid(error).name()).find("dnnl") != std::string_view::npos;
}

}  // namespace

Failure describe_failure(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const c10::Error& error) {
    return describe_torch_failure(error);
  } catch (const std::bad_alloc&) {
    return {Code::kOutOfMemory, "there is not enough memory"};
  } catch (const std::exception& error) {
    if (is_one_dnn_failure(error)) {
      return {Code::kOutOfMemory,
              "there is not enough memory: oneDNN: " + first_line(error.what())};
    }
    return {Code::kInternal, "unexpected failure: " + first_line(error.what())};
  } catch (...) {
    return {Code::kInternal, "unexpected failure of unknown kind"};
  }
}

}  // namespace lethe
