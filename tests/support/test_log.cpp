// The log: levels, replacement, calls from inside the sink.
#include "support/log.h"

#include <atomic>
#include <thread>
#include <vector>

#include "support/warnings.h"
#include "test.h"

namespace lethe {
namespace {

using testing::expect_error;

void without_a_sink_lines_are_not_formed(void**) {
  Log log;
  assert_false(log.wants(LogLevel::kError));
  log.set(LogLevel::kDebug, nullptr);
  assert_false(log.wants(LogLevel::kError));
  log.write(LogLevel::kError, "test", "nobody hears this");
}

void lines_below_the_level_are_left_out(void**) {
  Log log;
  std::string heard;
  log.set(LogLevel::kWarning, [&](LogLevel level, const char* component, const char* message) {
    heard += lethe::str(static_cast<int>(level), component, message, ";");
  });
  log.write(LogLevel::kInfo, "a", "quiet");
  log.write(LogLevel::kWarning, "b", "loud ", 1);
  log.write(LogLevel::kError, "c", "louder");
  assert_string_equal(heard.c_str(), "3bloud 1;4clouder;");
}

void a_sink_may_not_replace_itself_but_may_end_the_log(void**) {
  Log log;
  int lines = 0;
  log.set(LogLevel::kInfo, [&](LogLevel, const char*, const char*) {
    ++lines;
    expect_error(Code::kState, "callback", [&] { log.set(LogLevel::kInfo, nullptr); });
    log.write(LogLevel::kError, "test", "from inside: dropped");
    log.close();
  });
  log.write(LogLevel::kInfo, "test", "first");
  log.write(LogLevel::kInfo, "test", "second");
  assert_int_equal(lines, 1);
}

void sinks_run_one_at_a_time_and_not_after_replacement(void**) {
  Log log;
  std::atomic<int> inside{0}, lines{0};
  std::atomic<bool> overlap{false}, replaced{false}, late{false};
  log.set(LogLevel::kInfo, [&](LogLevel, const char*, const char*) {
    if (++inside > 1) overlap = true;
    if (replaced) late = true;
    std::this_thread::yield();
    --inside;
    ++lines;
  });
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&] {
      for (int n = 0; n < 2000; ++n) log.write(LogLevel::kInfo, "test", n);
    });
  }
  while (lines < 100) std::this_thread::yield();
  log.set(LogLevel::kInfo, nullptr);
  replaced = true;
  for (std::thread& writer : writers) writer.join();
  assert_false(overlap || late);
  assert_true(lines >= 100);
}

void warnings_of_libtorch_go_to_the_log(void**) {
  Log log;
  std::string heard;
  log.set(LogLevel::kWarning, [&](LogLevel, const char* component, const char* message) {
    heard += lethe::str(component, ": ", message);
  });
  {
    const TorchWarnings warnings(&log);
    TORCH_WARN("a warning");
    const TorchWarnings silent;
    TORCH_WARN("dropped");
  }
  assert_string_equal(heard.c_str(), "libtorch: a warning");
}

}  // namespace
}  // namespace lethe

int main() {
  using namespace lethe;
  const CMUnitTest tests[] = {
      cmocka_unit_test(without_a_sink_lines_are_not_formed),
      cmocka_unit_test(lines_below_the_level_are_left_out),
      cmocka_unit_test(a_sink_may_not_replace_itself_but_may_end_the_log),
      cmocka_unit_test(sinks_run_one_at_a_time_and_not_after_replacement),
      cmocka_unit_test(warnings_of_libtorch_go_to_the_log),
  };
  return cmocka_run_group_tests_name("log", tests, nullptr, nullptr);
}
