// A JSON object read strictly: every key is known, every value has its type.
#pragma once

#include <set>
#include <string>

#include "../cli/handles.h"

namespace experiments {

using cli::Failure;
using cli::Json;

/// Reads the members of one object. `where` names it in messages: "data", "methods[2]".
class Fields {
 public:
  /// Throws INVALID_ARGUMENT when `object` is not one. It must outlive this.
  Fields(const Json& object, std::string where);

  /// Whether an optional member is there; from now on it is a known one.
  bool has(const char* key);

  /// A required member. Throws INVALID_ARGUMENT when it is absent or of another type.
  std::string text(const char* key);
  int64_t integer(const char* key);
  double number(const char* key);
  bool flag(const char* key);
  const Json& object(const char* key);
  const Json& list(const char* key);
  const Json& value(const char* key);

  /// Throws INVALID_ARGUMENT naming the first key that nobody has asked for.
  void finish() const;

 private:
  const Json& typed(const char* key, bool (Json::*is)() const noexcept, const char* type);

  const Json& object_;
  std::string where_;
  std::set<std::string> asked_;
};

}  // namespace experiments
