// JSON with limits, settings by name, random streams, thread budgets, messages.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <limits>
#include <locale>
#include <numeric>
#include <thread>

#include "support/json.h"
#include "support/random.h"
#include "support/threads.h"
#include "test.h"

namespace lethe {
namespace {

using testing::expect_error;

void expect_equal(const std::string& actual, const std::string& expected) {
  assert_string_equal(actual.c_str(), expected.c_str());
}

// --- errors ---

void texts_are_the_same_in_every_locale(void**) {
  struct German : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const std::locale before = std::locale::global(std::locale(std::locale::classic(), new German));
  const std::string text = str(1234567, " ", 0.5);
  std::locale::global(before);
  assert_string_equal(text.c_str(), "1234567 0.5");
}

void error_carries_code_and_sentence(void**) {
  expect_error(Code::kState, "3 is not 4", [] { fail(Code::kState, 3, " is not ", 4); });
  require(true, Code::kInternal, "never");
  expect_error(Code::kBusy, "two", [] { require(false, Code::kBusy, "one ", "two"); });
}

// --- parse_json ---

void json_good_text(void**) {
  const Json json = parse_json(R"( {"b": [1, -2, 2.5, true, null], "a": {"c": "Käse"}} )", "text");
  expect_equal(json.dump(), R"({"a":{"c":"Käse"},"b":[1,-2,2.5,true,null]})");
  assert_int_equal(parse_json("7", "text").get<int>(), 7);
}

void json_equal_values_give_equal_text(void**) {
  expect_equal(parse_json(R"({"x":1,"a":2})", "text").dump(),
               parse_json(R"({ "a" : 2, "x" : 1 })", "text").dump());
}

void json_syntax_errors(void**) {
  for (const char* text : {"", " ", "{", "[1,]", "{\"a\":}", "{\"a\" 1}", "nul", "[1] 2", "{'a':1}",
                           "\"\xff\"", "\"\xc3\"", "[1e999]", "\"\n\"", "01", "\"\\ud800\""}) {
    expect_error(Code::kCorrupt, "settings is not valid JSON at byte",
                 [&] { parse_json(text, "settings"); });
  }
}

void json_duplicate_key(void**) {
  expect_error(Code::kCorrupt, "the key \"a\" twice",
               [] { parse_json(R"({"a":1,"b":{"a":2},"a":3})", "text"); });
  parse_json(R"([{"a":1},{"a":2}])", "text");
  expect_error(Code::kCorrupt, "twice", [] { parse_json(R"({"a":1,"\u0061":3})", "text"); });
}

void json_nul_bytes(void**) {
  expect_error(Code::kCorrupt, "NUL", [] { parse_json(R"({"a\u0000b":1})", "text"); });
  expect_error(Code::kCorrupt, "NUL", [] { parse_json(R"(["\u0000"])", "text"); });
  expect_error(Code::kCorrupt, "NUL", [] { parse_json(std::string("{}\0x", 4), "text"); });
}

void json_limits(void**) {
  JsonLimits limits;
  limits.max_bytes = 40;
  limits.max_depth = 3;
  limits.max_keys = 2;
  limits.max_string_bytes = 5;
  parse_json("[[[1]],[[2]]]", "text", limits);
  parse_json(R"({"a":"12345","b":2})", "text", limits);
  const auto refused = [&](const std::string& text, const char* part) {
    expect_error(Code::kLimitExceeded, part, [&] { parse_json(text, "text", limits); });
  };
  refused("[[[[1]]]]", "deeper than 3");
  refused(R"([[[{"a":1}]]])", "deeper than 3");
  refused(R"({"a":1,"b":2,"c":3})", "more than 2 keys");
  refused(R"(["123456"])", "string of 6 bytes, the limit is 5");
  refused(R"({"123456":1})", "string of 6 bytes");
  refused(std::string(41, ' '), "41 bytes, the limit is 40");
}

void json_lists_come_entry_by_entry(void**) {
  const auto read = [](const char* text) {
    std::string seen;
    const Json rest = parse_json_lists(
        text, "text", {}, [&](const std::string& list, size_t place, const Json& entry) {
          seen += str(list, place, "=", entry.dump(), " ");
        });
    return str(seen, rest.dump());
  };
  expect_equal(
      read(R"({"a":[{"x":[1,{"y":2}]},7,[8,[9]],{}],"b":{"c":[1],"d":{}},"e":[],"f":[0]})"),
      R"(a0={"x":[1,{"y":2}]} a1=7 a2=[8,[9]] a3={} f0=0 )"
      R"({"a":[],"b":{"c":[1],"d":{}},"e":[],"f":[]})");
  expect_equal(read(R"([[1],{"a":[2]}])"), R"([[1],{"a":[2]}])");
  expect_equal(read("7"), "7");
  expect_error(Code::kCorrupt, "not valid JSON", [&] { read(R"({"a":[1,2)"); });
  expect_error(Code::kCorrupt, "twice", [&] { read(R"({"a":[{"x":1,"x":2}]})"); });
  expect_error(Code::kState, "enough", [] {
    parse_json_lists(R"({"a":[1]})", "text", {},
                     [](const std::string&, size_t, const Json&) { fail(Code::kState, "enough"); });
  });
}

void json_deep_nesting_does_not_exhaust_the_stack(void**) {
  expect_error(Code::kLimitExceeded, "deeper than 32",
               [] { parse_json(std::string(1'000'000, '['), "text"); });
}

// --- in_quotes ---

void quotes_make_one_short_line(void**) {
  expect_equal(in_quotes("a\nb\"c"), R"("a\nb\"c")");
  expect_equal(in_quotes("Käse"), "\"Käse\"");
  assert_true(in_quotes(std::string(100'000, 'x')).size() < 100);
  expect_equal(in_quotes("a\xff"), "\"a\xef\xbf\xbd\"");
  expect_equal(in_quotes(std::string("a\0b", 3)), R"("a\u0000b")");
}

// --- JsonFields ---

void fields_values_and_defaults(void**) {
  const Json json = parse_json(
      R"({"i":3,"n":2.5,"whole":4,"b":true,"t":"x","is":[1,2],"ns":[1,0.5],"ts":["a"],"v":{"k":1}})",
      "spec");
  JsonFields fields(json, "spec");
  assert_int_equal(fields.integer("i", 0, 1, 10), 3);
  assert_int_equal(fields.integer("absent", -5, 1, 10), -5);
  assert_true(fields.number("n", 0, 0, 10) == 2.5);
  assert_true(fields.number("whole", 0, 0, 10) == 4.0);
  assert_true(fields.number("absent", 0.25, 1, 10) == 0.25);
  assert_true(fields.boolean("b", false));
  expect_equal(fields.text("t", ""), "x");
  expect_equal(fields.text("absent", "y"), "y");
  assert_true((fields.integers("is", {}) == std::vector<int64_t>{1, 2}));
  assert_true((fields.numbers("ns", {}) == std::vector<double>{1, 0.5}));
  assert_true((fields.texts("ts", {}) == std::vector<std::string>{"a"}));
  assert_true((fields.texts("absent", {"z"}) == std::vector<std::string>{"z"}));
  assert_int_equal(fields.value("v")["k"].get<int>(), 1);
  assert_true(fields.value("absent").is_null());
  assert_true(fields.has("i"));
  assert_false(fields.has("absent"));
  fields.finish();
}

void fields_wrong_types(void**) {
  const Json json = parse_json(
      R"({"s":"x","f":1.5,"big":9223372036854775808,"mixed":[1,"a"],"fs":[1.5],"bigs":[9223372036854775808]})",
      "spec");
  JsonFields fields(json, "spec");
  const auto refused = [](const char* part, const std::function<void()>& body) {
    expect_error(Code::kInvalidArgument, part, body);
  };
  refused("\"s\" must be an integer, not \"x\"", [&] { fields.integer("s", 0, 0, 9); });
  refused("\"f\" must be an integer, not 1.5", [&] { fields.integer("f", 0, 0, 9); });
  refused("\"big\" must be an integer", [&] { fields.integer("big", 0, 0, INT64_MAX); });
  refused("\"s\" must be a number", [&] { fields.number("s", 0, 0, 9); });
  refused("\"f\" must be true or false", [&] { fields.boolean("f", false); });
  refused("\"f\" must be a string", [&] { fields.text("f", ""); });
  refused("list of integers, not of \"a\"", [&] { fields.integers("mixed", {}); });
  refused("list of integers, not of 1.5", [&] { fields.integers("fs", {}); });
  refused("list of integers, not of 9223372036854775808", [&] { fields.integers("bigs", {}); });
  refused("must be a list of numbers, not 1.5", [&] { fields.numbers("f", {}); });
  refused("list of strings, not of 1", [&] { fields.texts("mixed", {}); });
}

void fields_ranges(void**) {
  const Json json = parse_json(R"({"i":11,"n":-0.5})", "spec");
  JsonFields fields(json, "spec");
  expect_error(Code::kInvalidArgument, "spec: \"i\" is 11, allowed is 1 to 10",
               [&] { fields.integer("i", 0, 1, 10); });
  expect_error(Code::kInvalidArgument, "spec: \"n\" is -0.5, allowed is 0 to 1",
               [&] { fields.number("n", 0, 0, 1); });
  Json infinite = Json::object();
  infinite["n"] = std::numeric_limits<double>::infinity();
  expect_error(Code::kInvalidArgument, "\"n\"", [&] {
    JsonFields(infinite, "spec").number("n", 0, 0, std::numeric_limits<double>::infinity());
  });
}

void fields_unknown_key(void**) {
  const Json json = parse_json(R"({"depth":3,"dept":4})", "spec");
  JsonFields fields(json, "model spec");
  fields.integer("depth", 0, 0, 9);
  fields.integer("width", 0, 0, 9);
  expect_error(Code::kInvalidArgument,
               "model spec has the unknown key \"dept\"; known are: depth, width",
               [&] { fields.finish(); });
}

void fields_need_an_object(void**) {
  const Json list = Json::array();
  expect_error(Code::kInvalidArgument, "spec must be a JSON object, not array",
               [&] { JsonFields(list, "spec"); });
}

void fields_show_long_values_short(void**) {
  const Json json = {{"i", std::string(100'000, 'x')}};
  JsonFields fields(json, "spec");
  try {
    fields.integer("i", 0, 0, 1);
    fail_msg("nothing was thrown");
  } catch (const Error& error) {
    assert_true(std::string(error.what()).size() < 200);
  }
}

// --- RandomStream ---

void random_is_pinned(void**) {
  // Computed by an independent implementation; a change would change every result of a seed.
  RandomStream stream(42, "shuffle");
  assert_true(stream.next() == 0x3630cc7113bec210);
  assert_true(stream.next() == 0x91a44cdcb903f62e);
  assert_true(stream.next() == 0x1d1adb00dca30aed);
  assert_true(
      (RandomStream(7, "p").permutation(10) == std::vector<int64_t>{2, 7, 3, 0, 4, 9, 1, 6, 8, 5}));
}

void random_streams_repeat_and_differ(void**) {
  RandomStream a(1, "data"), same(1, "data"), other_seed(2, "data"), other_name(1, "init");
  int equal_seed = 0, equal_name = 0;
  for (int i = 0; i < 100; ++i) {
    const uint64_t value = a.next();
    assert_true(value == same.next());
    equal_seed += value == other_seed.next();
    equal_name += value == other_name.next();
  }
  assert_int_equal(equal_seed + equal_name, 0);
}

void random_below_is_uniform(void**) {
  RandomStream stream(3, "below");
  std::vector<int> counts(10);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t value = stream.below(10);
    assert_true(value < 10);
    ++counts[value];
  }
  for (const int count : counts) assert_in_range(count, 9'500, 10'500);  // 5 standard deviations
  assert_true(stream.below(1) == 0);
  const uint64_t large = (uint64_t{1} << 63) + 1;
  for (int i = 0; i < 100; ++i) assert_true(stream.below(large) < large);
}

void random_permutation_holds_each_once(void**) {
  RandomStream stream(4, "order");
  std::vector<int64_t> order = stream.permutation(1000);
  assert_true(order != stream.permutation(1000));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) assert_int_equal(order[i], i);
  assert_true(stream.permutation(0).empty());
  assert_int_equal(stream.permutation(1)[0], 0);
}

void random_generator_repeats(void**) {
  const at::Tensor a = at::randn({100}, RandomStream(5, "w").generator());
  const at::Tensor b = at::randn({100}, RandomStream(5, "w").generator());
  const at::Tensor c = at::randn({100}, RandomStream(6, "w").generator());
  assert_true(at::equal(a, b));
  assert_false(at::equal(a, c));
}

void random_leaves_the_global_generator_alone(void**) {
  const at::Generator& global = at::globalContext().defaultGenerator(at::kCPU);
  const at::Tensor before = global.get_state();
  at::randn({1000}, RandomStream(5, "w").generator());
  RandomStream(1, "x").permutation(100);
  assert_true(at::equal(before, global.get_state()));
}

// --- ThreadBudget ---

void threads_follow_the_affinity_mask(void**) {
  cpu_set_t all;
  CPU_ZERO(&all);
  assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
  assert_int_equal(available_processors(), CPU_COUNT(&all));
  int first = 0;
  while (!CPU_ISSET(first, &all)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  const int seen = available_processors();
  assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
  assert_int_equal(seen, 1);
}

void threads_budget_holds_within_its_scope(void**) {
  at::get_num_threads();
  const int before = omp_get_max_threads();
  {
    ThreadBudget outer(3);
    assert_int_equal(omp_get_max_threads(), 3);
    assert_int_equal(at::get_num_threads(), 3);
    {
      ThreadBudget inner(1);
      assert_int_equal(at::get_num_threads(), 1);
    }
    assert_int_equal(omp_get_max_threads(), 3);
    ThreadBudget every(0);
    assert_int_equal(omp_get_max_threads(), available_processors());
  }
  assert_int_equal(omp_get_max_threads(), before);
}

void threads_budget_is_of_one_thread(void**) {
  const int here = omp_get_max_threads();
  int there = 0, there_after = 0;
  std::thread([&] {
    const ThreadBudget budget(here + 2);
    there = omp_get_max_threads();
  }).join();
  std::thread([&] { there_after = omp_get_max_threads(); }).join();
  assert_int_equal(there, here + 2);
  assert_int_not_equal(there_after, here + 2);
  assert_int_equal(omp_get_max_threads(), here);
}

}  // namespace
}  // namespace lethe

int main() {
  using namespace lethe;
  const CMUnitTest tests[] = {
      cmocka_unit_test(error_carries_code_and_sentence),
      cmocka_unit_test(texts_are_the_same_in_every_locale),
      cmocka_unit_test(json_good_text),
      cmocka_unit_test(json_equal_values_give_equal_text),
      cmocka_unit_test(json_syntax_errors),
      cmocka_unit_test(json_duplicate_key),
      cmocka_unit_test(json_nul_bytes),
      cmocka_unit_test(json_limits),
      cmocka_unit_test(json_lists_come_entry_by_entry),
      cmocka_unit_test(json_deep_nesting_does_not_exhaust_the_stack),
      cmocka_unit_test(quotes_make_one_short_line),
      cmocka_unit_test(fields_values_and_defaults),
      cmocka_unit_test(fields_wrong_types),
      cmocka_unit_test(fields_ranges),
      cmocka_unit_test(fields_unknown_key),
      cmocka_unit_test(fields_need_an_object),
      cmocka_unit_test(fields_show_long_values_short),
      cmocka_unit_test(random_is_pinned),
      cmocka_unit_test(random_streams_repeat_and_differ),
      cmocka_unit_test(random_below_is_uniform),
      cmocka_unit_test(random_permutation_holds_each_once),
      cmocka_unit_test(random_generator_repeats),
      cmocka_unit_test(random_leaves_the_global_generator_alone),
      cmocka_unit_test(threads_follow_the_affinity_mask),
      cmocka_unit_test(threads_budget_holds_within_its_scope),
      cmocka_unit_test(threads_budget_is_of_one_thread),
  };
  return cmocka_run_group_tests_name("support", tests, nullptr, nullptr);
}
