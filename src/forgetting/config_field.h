// What every group of settings is made of: a table of fields, each with its name, range, JSON and
// meaning, and what can be done with such a table. Only config.cpp includes it.
#pragma once

#include <cmath>
#include <functional>
#include <iomanip>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "support/error.h"
#include "support/json.h"

namespace lethe::settings {

/// The values a number may take.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool above_low = false;    ///< `low` itself is excluded
  bool below_high = false;   ///< `high` itself is excluded
  bool or_negative = false;  ///< a negative number stands for "off" or "the model's"

  bool holds(double value) const {
    if (or_negative && value < 0) return true;
    return (above_low ? value > low : value >= low) && (below_high ? value < high : value <= high);
  }
  std::string text() const {
    if (std::isinf(low)) return "";
    return str(std::setprecision(17), or_negative ? ", negative or " : ", ",
               above_low ? "above " : "at least ", low, " and ", below_high ? "below " : "at most ",
               high);
  }
};

/// Shapes of ranges that several fields share.
constexpr Range between(double low, double high) { return {low, high}; }
constexpr Range positive(double high) { return {.low = 0, .high = high, .above_low = true}; }
constexpr Range optional_up_to(double high) {
  return {.low = 0, .high = high, .or_negative = true};
}

/// One setting: everything that validation, JSON and documentation need to know of it.
template <typename Config>
struct Field {
  const char* name;
  const char* type;
  std::string allowed;
  const char* meaning;
  std::function<bool(const Json&)> accepts;
  std::function<Json(const Config&)> get;
  std::function<void(Config&, const Json&)> set;  ///< of an accepted value
  int32_t since = 0;                              ///< minor version of the ABI
};

template <typename Config, typename T>
Field<Config> integer(const char* name, T Config::*member, Range range, const char* meaning) {
  return {name,
          "integer",
          "an integer" + range.text(),
          meaning,
          [range](const Json& value) {
            constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<T>::max());
            if (!value.is_number_integer()) return false;
            if (value.is_number_unsigned() && value.get<uint64_t>() > kMax) return false;
            return value.get<int64_t>() >= std::numeric_limits<T>::min() &&
                   range.holds(static_cast<double>(value.get<int64_t>()));
          },
          [member](const Config& config) { return Json(static_cast<int64_t>(config.*member)); },
          [member](Config& config, const Json& value) { config.*member = value.get<T>(); }};
}

template <typename Config>
Field<Config> number(const char* name, double Config::*member, Range range, const char* meaning) {
  return {name,
          "number",
          "a number" + range.text(),
          meaning,
          [range](const Json& value) {
            return value.is_number() && std::isfinite(value.get<double>()) &&
                   range.holds(value.get<double>());
          },
          [member](const Config& config) {
            const double value = config.*member;
            // JSON has no NaN; + 0.0 turns a negative zero into zero, so equal settings are equal
            // text.
            return std::isfinite(value) ? Json(value + 0.0) : Json(lethe::str(value));
          },
          [member](Config& config, const Json& value) { config.*member = value.get<double>(); }};
}

template <typename Config>
Field<Config> flag(const char* name, bool Config::*member, const char* meaning) {
  return {name,
          "boolean",
          "true or false",
          meaning,
          [](const Json& value) { return value.is_boolean(); },
          [member](const Config& config) { return Json(config.*member); },
          [member](Config& config, const Json& value) { config.*member = value.get<bool>(); }};
}

template <typename Config>
Field<Config> since(int32_t minor, Field<Config> field) {
  field.since = minor;
  return field;
}

/// Json's own comparison makes a Json of the text, for which there may be no memory, and may not
/// throw.
inline bool is_word(const Json& value, const char* text) {
  return value.is_string() && value.get_ref<const std::string&>() == text;
}

template <typename Enum>
using Words = std::vector<std::pair<const char*, Enum>>;

template <typename Config, typename Enum>
Field<Config> word(const char* name, Enum Config::*member, const Words<Enum>& words,
                   const char* meaning) {
  std::string allowed = "one of";
  for (const auto& [text, value] : words) allowed += lethe::str(" \"", text, "\"");
  return {name,
          "word",
          allowed,
          meaning,
          [words](const Json& value) {
            for (const auto& [text, unused] : words) {
              if (is_word(value, text)) return true;
            }
            return false;
          },
          [member, words](const Config& config) {
            for (const auto& [text, value] : words) {
              if (value == config.*member) return Json(text);
            }
            return Json(static_cast<int32_t>(config.*member));
          },
          [member, words](Config& config, const Json& given) {
            for (const auto& [text, value] : words) {
              if (is_word(given, text)) config.*member = value;
            }
          }};
}

template <typename Config>
Json all_values(const std::vector<Field<Config>>& fields, const Config& config) {
  Json json = Json::object();
  for (const auto& field : fields) json[field.name] = field.get(config);
  return json;
}

/// all_values() but for the fields newer than ABI 1.`known` that hold the plain default.
template <typename Config>
Json values_known_to(int32_t known, const std::vector<Field<Config>>& fields,
                     const Config& config) {
  Json json = all_values(fields, config);
  for (const auto& field : fields) {
    if (field.since > known && field.get(config) == field.get(Config{})) json.erase(field.name);
  }
  return json;
}

template <typename Config>
Json check(const std::vector<Field<Config>>& fields, const Config& config) {
  Json findings = Json::array();
  const auto add = [&](const char* field, Json value, const std::string& allowed) {
    findings.push_back({{"field", field}, {"value", std::move(value)}, {"allowed", allowed}});
  };
  for (const auto& field : fields) {
    const Json value = field.get(config);
    if (!field.accepts(value)) add(field.name, value, field.allowed);
  }
  if (config.warmup_epochs > config.epochs) {
    add("warmup_epochs", config.warmup_epochs, lethe::str("at most epochs, ", config.epochs));
  }
  if (config.min_learning_rate > config.learning_rate) {
    add("min_learning_rate", config.min_learning_rate,
        lethe::str("at most learning_rate, ", config.learning_rate));
  }
  return findings;
}

inline std::string shown(const Json& value) {
  if (value.is_string()) return in_quotes(value.get<std::string>());
  return value.is_structured() ? lethe::str("an ", value.type_name()) : value.dump();
}

/// `config` with the fields that `json` names.
template <typename Config>
Config updated(const std::vector<Field<Config>>& fields, Config config, const Json& json,
               const char* what) {
  JsonFields given(json, what);
  for (const auto& field : fields) {
    if (!given.has(field.name)) continue;
    const Json value = given.value(field.name);
    require(field.accepts(value), Code::kInvalidArgument, what, ": \"", field.name, "\" is ",
            shown(value), ", allowed is ", field.allowed);
    field.set(config, value);
  }
  given.finish();
  return config;
}

inline void require_none(const Json& findings, const char* what) {
  if (findings.empty()) return;
  const Json& first = findings.front();
  fail(Code::kInvalidArgument, what, ": ", first.at("field").dump(), " is ",
       first.at("value").dump(), ", allowed is ", first.at("allowed").get<std::string>());
}

template <typename Config>
Json describe(const std::vector<Field<Config>>& fields) {
  Json list = Json::array();
  for (const auto& field : fields) {
    list.push_back({{"name", field.name},
                    {"type", field.type},
                    {"allowed", field.allowed},
                    {"default", field.get(Config{})},
                    {"meaning", field.meaning}});
  }
  return list;
}

}  // namespace lethe::settings
