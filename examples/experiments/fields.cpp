#include "fields.h"

#include <utility>

namespace experiments {
namespace {

[[noreturn]] void refuse(const std::string& message) {
  throw Failure(LETHE_E_INVALID_ARGUMENT, message);
}

std::string shortened(const Json& value) {
  const std::string text = value.dump();
  return text.size() <= 40 ? text : text.substr(0, 37) + "...";
}

}  // namespace

Fields::Fields(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object()) refuse(where_ + " must be an object, not " + shortened(object));
}

bool Fields::has(const char* key) {
  asked_.insert(key);
  return object_.contains(key);
}

const Json& Fields::value(const char* key) {
  asked_.insert(key);
  const auto found = object_.find(key);
  if (found == object_.end()) refuse(where_ + " lacks the key \"" + key + "\"");
  return *found;
}

const Json& Fields::typed(const char* key, bool (Json::*is)() const noexcept, const char* type) {
  const Json& found = value(key);
  if (!(found.*is)()) {
    refuse(where_ + ": \"" + key + "\" must be " + type + ", not " + shortened(found));
  }
  return found;
}

std::string Fields::text(const char* key) { return typed(key, &Json::is_string, "text"); }
int64_t Fields::integer(const char* key) {
  return typed(key, &Json::is_number_integer, "an integer");
}
double Fields::number(const char* key) { return typed(key, &Json::is_number, "a number"); }
bool Fields::flag(const char* key) { return typed(key, &Json::is_boolean, "true or false"); }
const Json& Fields::object(const char* key) { return typed(key, &Json::is_object, "an object"); }
const Json& Fields::list(const char* key) { return typed(key, &Json::is_array, "a list"); }

void Fields::finish() const {
  for (const auto& [key, unused] : object_.items()) {
    if (asked_.contains(key)) continue;
    std::string known;
    for (const std::string& name : asked_) known += (known.empty() ? "" : ", ") + name;
    refuse(where_ + " has the unknown key \"" + key + "\"; it may have: " + known);
  }
}

}  // namespace experiments
