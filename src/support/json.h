// Reading settings from JSON strictly: an unknown key, a wrong type or a value out of range is an
// error that names the key and the remedy.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace lethe {

/// Objects keep their keys in alphabetical order, so dump() of equal values gives equal text.
using Json = nlohmann::json;

/// Limits that every JSON text from outside is held to (abi.md, reader limits).
struct JsonLimits {
  int64_t max_bytes = 16 << 20;
  int max_depth = 32;
  int64_t max_keys = 100'000;
  int64_t max_string_bytes = 64 << 10;
};

/// Parses UTF-8 text. Throws kCorrupt (syntax, duplicate key) or kLimitExceeded; `what` names the
/// text in the message ("model spec", "adapter manifest").
Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});

/// As parse_json, but each entry of each list that the outermost object holds goes to `entry` as
/// soon as it is read, with the list's key and its place from 0, and is not kept: a text of long
/// lists needs the memory of one entry. Returns the object with those lists empty.
Json parse_json_lists(
    std::string_view text, std::string_view what, const JsonLimits& limits,
    const std::function<void(const std::string& list, size_t place, const Json& entry)>& entry);

/// The text as a JSON string of valid UTF-8 without control characters, cut after 80 bytes: how an
/// error message shows a value from outside.
std::string in_quotes(std::string_view text);

/// One object whose keys are taken one by one; finish() rejects what was not taken.
///
///     JsonFields fields(json, "model spec");
///     spec.depth = fields.integer("depth", spec.depth, 1, 1000);
///     fields.finish();
///
/// Each getter returns `otherwise` when the key is absent and throws kInvalidArgument when its
/// value has the wrong type or lies outside [low, high].
class JsonFields {
 public:
  JsonFields(const Json& object, std::string what);

  bool has(const std::string& key);
  int64_t integer(const std::string& key, int64_t otherwise, int64_t low, int64_t high);
  double number(const std::string& key, double otherwise, double low, double high);
  bool boolean(const std::string& key, bool otherwise);
  std::string text(const std::string& key, const std::string& otherwise);
  std::vector<int64_t> integers(const std::string& key, const std::vector<int64_t>& otherwise);
  std::vector<double> numbers(const std::string& key, const std::vector<double>& otherwise);
  std::vector<std::string> texts(const std::string& key, const std::vector<std::string>& otherwise);
  /// The raw value, or null when absent.
  Json value(const std::string& key);
  /// Throws kInvalidArgument naming the first key that no getter asked for, and the known ones.
  void finish() const;

 private:
  const Json* find(const std::string& key);

  const Json& object_;
  std::string what_;
  std::set<std::string> known_;
};

}  // namespace lethe
