#include "support/json.h"

#include <cmath>
#include <unordered_set>

#include "support/error.h"

namespace lethe {
namespace {

/// Looks at every value of a text without building any, and stops at the limits and at duplicate
/// keys, which nlohmann's own parser would overwrite.
class LimitChecker : public nlohmann::json_sax<Json> {
 public:
  LimitChecker(const JsonLimits& limits, std::string_view what) : limits_(limits), what_(what) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool string(string_t& value) override {
    check(value);
    return true;
  }
  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return enter();
  }
  bool end_object() override {
    keys_.pop_back();
    return leave();
  }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override { return leave(); }
  bool key(string_t& name) override {
    check(name);
    require(++key_count_ <= limits_.max_keys, Code::kLimitExceeded, what_, " has more than ",
            limits_.max_keys, " keys, the limit");
    require(keys_.back().insert(name).second, Code::kCorrupt, what_, " names the key ",
            in_quotes(name), " twice");
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::detail::exception&) override {
    fail(Code::kCorrupt, what_, " is not valid JSON at byte ", position, " near ",
         in_quotes(token));
  }

 private:
  bool enter() {
    require(++depth_ <= limits_.max_depth, Code::kLimitExceeded, what_, " is nested deeper than ",
            limits_.max_depth, " levels, the limit");
    return true;
  }
  bool leave() {
    --depth_;
    return true;
  }
  void check(const std::string& value) {
    require(static_cast<int64_t>(value.size()) <= limits_.max_string_bytes, Code::kLimitExceeded,
            what_, " holds a string of ", value.size(), " bytes, the limit is ",
            limits_.max_string_bytes);
    require(value.find('\0') == std::string::npos, Code::kCorrupt, what_,
            " holds a string with a NUL byte");
  }

  const JsonLimits& limits_;
  std::string_view what_;
  int depth_ = 0;
  int64_t key_count_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;
};

/// `text` within 80 bytes.
std::string cut(std::string text) {
  constexpr size_t kLongest = 80;
  if (text.size() > kLongest) text.replace(kLongest, std::string::npos, "...");
  return text;
}

/// A value as an error message shows it: one line of ASCII, not too long.
std::string shown(const Json& json) {
  return cut(json.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace));
}

bool is_int64(const Json& json) {
  return json.is_number_integer() &&
         (!json.is_number_unsigned() || json.get<uint64_t>() <= uint64_t{INT64_MAX});
}

void check_text(std::string_view text, std::string_view what, const JsonLimits& limits) {
  require(static_cast<int64_t>(text.size()) <= limits.max_bytes, Code::kLimitExceeded, what, " is ",
          text.size(), " bytes, the limit is ", limits.max_bytes);
  // nlohmann takes a NUL byte for the end of the text, whatever follows.
  require(text.find('\0') == std::string_view::npos, Code::kCorrupt, what,
          " is not valid JSON at byte ", text.find('\0'), ": it holds a NUL byte");
  LimitChecker checker(limits, what);
  Json::sax_parse(text, &checker);
}

}  // namespace

Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  check_text(text, what, limits);
  return Json::parse(text);
}

Json parse_json_lists(
    std::string_view text, std::string_view what, const JsonLimits& limits,
    const std::function<void(const std::string& list, size_t place, const Json& entry)>& entry) {
  check_text(text, what, limits);
  using Event = Json::parse_event_t;
  bool in_object = false, in_list = false;  // the outermost value is an object, its member a list
  std::string key;
  size_t place = 0;
  return Json::parse(text, [&](int depth, Event event, const Json& value) {
    if (depth == 0 && event == Event::object_start) in_object = true;
    if (depth == 1 && event == Event::key) key = value.get<std::string>();
    if (depth == 1 && event == Event::array_start) in_list = in_object, place = 0;
    if (depth == 1 && event == Event::array_end) in_list = false;
    const bool whole =
        event == Event::value || event == Event::object_end || event == Event::array_end;
    if (depth != 2 || !in_list || !whole) return true;
    entry(key, place++, value);
    return false;
  });
}

std::string in_quotes(std::string_view text) {
  return Json(cut(std::string(text)))
      .dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

JsonFields::JsonFields(const Json& object, std::string what)
    : object_(object), what_(std::move(what)) {
  require(object.is_object(), Code::kInvalidArgument, what_, " must be a JSON object, not ",
          object.type_name());
}

const Json* JsonFields::find(const std::string& key) {
  known_.insert(key);
  auto it = object_.find(key);
  return it == object_.end() ? nullptr : &*it;
}

bool JsonFields::has(const std::string& key) { return find(key) != nullptr; }

Json JsonFields::value(const std::string& key) {
  const Json* found = find(key);
  return found ? *found : Json();
}

int64_t JsonFields::integer(const std::string& key, int64_t otherwise, int64_t low, int64_t high) {
  const Json* found = find(key);
  if (!found) return otherwise;
  require(is_int64(*found), Code::kInvalidArgument, what_, ": \"", key,
          "\" must be an integer, not ", shown(*found));
  const auto value = found->get<int64_t>();
  require(value >= low && value <= high, Code::kInvalidArgument, what_, ": \"", key, "\" is ",
          value, ", allowed is ", low, " to ", high);
  return value;
}

double JsonFields::number(const std::string& key, double otherwise, double low, double high) {
  const Json* found = find(key);
  if (!found) return otherwise;
  require(found->is_number(), Code::kInvalidArgument, what_, ": \"", key,
          "\" must be a number, not ", shown(*found));
  const auto value = found->get<double>();
  require(std::isfinite(value) && value >= low && value <= high, Code::kInvalidArgument, what_,
          ": \"", key, "\" is ", value, ", allowed is ", low, " to ", high);
  return value;
}

bool JsonFields::boolean(const std::string& key, bool otherwise) {
  const Json* found = find(key);
  if (!found) return otherwise;
  require(found->is_boolean(), Code::kInvalidArgument, what_, ": \"", key,
          "\" must be true or false, not ", shown(*found));
  return found->get<bool>();
}

std::string JsonFields::text(const std::string& key, const std::string& otherwise) {
  const Json* found = find(key);
  if (!found) return otherwise;
  require(found->is_string(), Code::kInvalidArgument, what_, ": \"", key,
          "\" must be a string, not ", shown(*found));
  return found->get<std::string>();
}

template <typename T, typename Check>
static std::vector<T> list(const Json* found, const std::vector<T>& otherwise, const Check& is_type,
                           const std::string& what, const std::string& key, const char* of) {
  if (!found) return otherwise;
  require(found->is_array(), Code::kInvalidArgument, what, ": \"", key, "\" must be a list of ", of,
          ", not ", shown(*found));
  std::vector<T> values;
  for (const Json& item : *found) {
    require(is_type(item), Code::kInvalidArgument, what, ": \"", key, "\" must be a list of ", of,
            ", not of ", shown(item));
    values.push_back(item.get<T>());
  }
  return values;
}

std::vector<int64_t> JsonFields::integers(const std::string& key,
                                          const std::vector<int64_t>& otherwise) {
  return list<int64_t>(find(key), otherwise, is_int64, what_, key, "integers");
}

std::vector<double> JsonFields::numbers(const std::string& key,
                                        const std::vector<double>& otherwise) {
  return list<double>(
      find(key), otherwise, [](const Json& j) { return j.is_number(); }, what_, key, "numbers");
}

std::vector<std::string> JsonFields::texts(const std::string& key,
                                           const std::vector<std::string>& otherwise) {
  return list<std::string>(
      find(key), otherwise, [](const Json& j) { return j.is_string(); }, what_, key, "strings");
}

void JsonFields::finish() const {
  for (const auto& [key, value] : object_.items()) {
    if (known_.count(key)) continue;
    std::string known;
    for (const std::string& k : known_) known += (known.empty() ? "" : ", ") + k;
    fail(Code::kInvalidArgument, what_, " has the unknown key \"", key, "\"; known are: ", known);
  }
}

}  // namespace lethe
