// cmocka for C++ suites, with the few checks they share.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}
// cmocka's macro of that name would hide lethe::fail; fail_msg is all that the suites need of it.
#undef fail
#undef fail_msg
#define fail_msg(message, ...)                                      \
  do {                                                              \
    print_error("ERROR: " message "\n" __VA_OPT__(, ) __VA_ARGS__); \
    _fail(__FILE__, __LINE__);                                      \
  } while (0)

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <string>

#include "support/error.h"

namespace lethe::testing {

/// Fails unless `body` throws an Error with this code whose message contains `part`.
inline void expect_error(Code code, const std::string& part, const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.code() != code) {
      fail_msg("code %d instead of %d: %s", static_cast<int>(error.code()), static_cast<int>(code),
               error.what());
    }
    if (std::string(error.what()).find(part) == std::string::npos) {
      fail_msg("\"%s\" does not name \"%s\"", error.what(), part.c_str());
    }
    return;
  }
  fail_msg("nothing was thrown; expected an error naming \"%s\"", part.c_str());
}

/// Fails unless |actual - expected| <= tolerance * max(1, |expected|).
inline void expect_close(double actual, double expected, double tolerance = 1e-5) {
  const double bound = tolerance * std::max(1.0, std::abs(expected));
  if (!(std::abs(actual - expected) <= bound)) {
    fail_msg("%.9g is not %.9g (tolerance %g)", actual, expected, tolerance);
  }
}

/// An empty folder that is removed at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "lethe-test-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace lethe::testing
