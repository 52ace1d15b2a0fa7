// Section 1 of lethe.h: versions, status names, the thread's record of its last failure.
#include <string>
#include <string_view>

#include "engine/failure.h"
#include "guard.h"
#include "support/code_name.h"

namespace lethe::capi {
namespace {

#define LETHE_TEXT(x) #x
#define LETHE_DOTTED(a, b, c) LETHE_TEXT(a) "." LETHE_TEXT(b) "." LETHE_TEXT(c)
constexpr char kVersion[] =
    LETHE_DOTTED(LETHE_VERSION_MAJOR, LETHE_VERSION_MINOR, LETHE_VERSION_PATCH);
static_assert(std::string_view(kVersion) == LETHE_PROJECT_VERSION,
              "lethe.h and meson.build name different versions");
static_assert(LETHE_VERSION_NUMBER ==
              LETHE_VERSION_MAJOR * 10000 + LETHE_VERSION_MINOR * 100 + LETHE_VERSION_PATCH);

struct Record {
  lethe_status code = LETHE_OK;
  const char* text = "";  ///< of `sentence`, or a literal where there was no memory for it
  std::string sentence;
};
thread_local Record record;

/// Line breaks become spaces, so that hosts can log a message as one line.
std::string one_line(std::string line) {
  for (char& c : line) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

void clear_error() noexcept {
  record.code = LETHE_OK;
  record.text = "";
}

lethe_status record_exception() noexcept {
  try {
    const Failure failure = describe_failure(std::current_exception());
    record.sentence = one_line(failure.message);
    record.text = record.sentence.c_str();
    return record.code = static_cast<lethe_status>(failure.code);
  } catch (...) {  // there was no memory for the sentence
    record.text = "there is not enough memory, not even to describe an error";
    return record.code = LETHE_E_OUT_OF_MEMORY;
  }
}

}  // namespace lethe::capi

using lethe::capi::record;

uint32_t lethe_abi_version(void) { return LETHE_ABI_VERSION; }

const char* lethe_version_string(void) { return lethe::capi::kVersion; }

const char* lethe_status_name(lethe_status status) {
  switch (status) {
    case LETHE_OK:
      return "OK";
    case LETHE_TIMEOUT:
      return "TIMEOUT";
    case LETHE_END:
      return "END";
    default:
      return lethe::code_name(static_cast<lethe::Code>(status));
  }
}

const char* lethe_last_error(void) { return record.text; }

lethe_status lethe_last_error_code(void) { return record.code; }

void lethe_last_error_clear(void) { lethe::capi::clear_error(); }
