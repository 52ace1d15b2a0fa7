// The wrapper of every entry: whatever is thrown inside becomes a code and one line.
#include "guard.h"

#include <new>

#include "test.h"

namespace lethe::capi {
namespace {

void expect(lethe_status status, lethe_status code, const std::string& sentence) {
  assert_int_equal(status, code);
  assert_int_equal(lethe_last_error_code(), code);
  assert_string_equal(lethe_last_error(), sentence.c_str());
}

template <typename Thrown>
lethe_status throwing(const Thrown& thrown) {
  return guard([&] { throw thrown; });
}

void success_clears_the_record(void**) {
  throwing(Error(Code::kIo, "before"));
  expect(guard([] {}), LETHE_OK, "");
  throwing(Error(Code::kIo, "before"));
  assert_int_equal(guard([]() -> lethe_status { return LETHE_TIMEOUT; }), LETHE_TIMEOUT);
  expect(lethe_last_error_code(), LETHE_OK, "");  // an answer, not a failure
}

void own_errors_keep_code_and_sentence(void**) {
  expect(throwing(Error(Code::kBaseMismatch, "another base")), LETHE_E_BASE_MISMATCH,
         "another base");
  expect(throwing(Error(Code::kCorrupt, "two\nlines\r\n")), LETHE_E_CORRUPT, "two lines");
}

void errors_of_libtorch_lose_their_trace(void**) {
  const auto failing = [](const char* message) {
    return guard([&] { TORCH_CHECK(false, message); });
  };
  assert_int_equal(failing("shapes differ\nsecond line"), LETHE_E_INTERNAL);
  const std::string sentence = lethe_last_error();
  assert_true(sentence.find("shapes differ") != std::string::npos);
  assert_true(sentence.find("second") == std::string::npos);
  assert_true(sentence.find("frame #") == std::string::npos);
  assert_int_equal(failing("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"),
                   LETHE_E_OUT_OF_MEMORY);
}

void anything_else_has_a_code_too(void**) {
  assert_int_equal(throwing(std::bad_alloc()), LETHE_E_OUT_OF_MEMORY);
  assert_true(lethe_last_error()[0] != '\0');
  assert_int_equal(throwing(std::out_of_range("map::at")), LETHE_E_INTERNAL);
  assert_true(std::string(lethe_last_error()).find("map::at") != std::string::npos);
  assert_int_equal(throwing(42), LETHE_E_INTERNAL);
  assert_true(lethe_last_error()[0] != '\0');
}

void queries_leave_the_record_alone(void**) {
  throwing(Error(Code::kIo, "before"));
  assert_int_equal(query(7, [] { return 8; }), 8);
  assert_int_equal(query(7, []() -> int { throw Error(Code::kState, "inside"); }), 7);
  expect(lethe_last_error_code(), LETHE_E_IO, "before");
}

}  // namespace
}  // namespace lethe::capi

int main() {
  using namespace lethe::capi;
  const CMUnitTest tests[] = {
      cmocka_unit_test(success_clears_the_record),
      cmocka_unit_test(own_errors_keep_code_and_sentence),
      cmocka_unit_test(errors_of_libtorch_lose_their_trace),
      cmocka_unit_test(anything_else_has_a_code_too),
      cmocka_unit_test(queries_leave_the_record_alone),
  };
  return cmocka_run_group_tests_name("capi guard", tests, nullptr, nullptr);
}
