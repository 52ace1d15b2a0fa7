#include "adapters/manifest.h"

#include <ATen/ATen.h>

#include <cmath>
#include <set>

#include "support/error.h"

namespace lethe {
namespace {

constexpr const char* kWhat = "the adapter manifest";
constexpr const char* kKeys[] = {"format",
                                 "lethe_version",
                                 "created_utc",
                                 "adapter_id",
                                 "task_id",
                                 "request_id",
                                 "method",
                                 "method_config",
                                 "seed",
                                 "arch_spec",
                                 "base",
                                 "parents",
                                 "parent_state_fingerprint",
                                 "classes_forgotten",
                                 "scaling",
                                 "tensors",
                                 "metrics",
                                 "data_digests",
                                 "environment"};
constexpr const char* kLoraKeys[] = {"rank", "alpha", "groups"};
constexpr const char* kTensorKeys[] = {"name", "target", "role", "shape", "dtype", "sha256"};
constexpr const char* kGroupKeys[] = {"all", "selected", "norms", "effects", "relative"};

template <size_t n>
void require_keys(const Json& object, const char* const (&keys)[n], const std::string& what) {
  require(object.is_object(), Code::kCorrupt, what, " must be an object, not ", object.type_name());
  for (const char* key : keys) {
    require(object.contains(key), Code::kCorrupt, what, " lacks the key \"", key, "\"");
  }
}

void require_object(JsonFields& fields, const std::string& key) {
  require(fields.value(key).is_object(), Code::kCorrupt, kWhat, ": \"", key,
          "\" must be an object");
}

template <typename T>
void require_distinct(const std::vector<T>& values, const char* key) {
  require(std::set<T>(values.begin(), values.end()).size() == values.size(), Code::kCorrupt, kWhat,
          ": \"", key, "\" lists something twice");
}

std::vector<int64_t> read_classes(JsonFields& fields, const Json& arch_spec) {
  const std::string what = "the adapter manifest's \"arch_spec\"";
  require_keys(arch_spec, {"classes"}, what);
  JsonFields spec(arch_spec, what);
  const int64_t count = spec.integer("classes", 0, 1, 1'000'000);
  std::vector<int64_t> classes = fields.integers("classes_forgotten", {});
  require(!classes.empty(), Code::kCorrupt, kWhat, ": \"classes_forgotten\" is empty");
  require_distinct(classes, "classes_forgotten");
  for (const int64_t c : classes) {
    require(c >= 0 && c < count, Code::kCorrupt, kWhat, ": \"classes_forgotten\" holds ", c,
            ", allowed is 0 to ", count - 1);
  }
  return classes;
}

void check_groups(const Json& groups) {
  const std::string what = "the adapter manifest's \"groups\"";
  require_keys(groups, kGroupKeys, what);
  JsonFields fields(groups, what);
  const std::vector<std::string> all = fields.texts("all", {});
  const std::vector<std::string> selected = fields.texts("selected", {});
  require_distinct(all, "all");
  require_distinct(selected, "selected");
  const std::set<std::string> known(all.begin(), all.end());
  for (const std::string& name : selected) {
    require(known.contains(name), Code::kCorrupt, what, " selects ", in_quotes(name),
            ", which is not one of \"all\"");
  }
  for (const char* key : {"norms", "effects", "relative"}) {
    const std::vector<double> values = fields.numbers(key, {});
    require(values.size() == all.size(), Code::kCorrupt, what, " holds ", values.size(), " \"", key,
            "\" for ", all.size(), " groups");
    for (const double value : values) {
      require(std::isfinite(value) && value >= 0, Code::kCorrupt, what, ": one of \"", key,
              "\" is ", value, ", allowed are finite values from 0");
    }
  }
}

/// A tensor's name as target and role: "<site>.lora_A" has role A, "<weight>.delta" role delta.
struct TensorName {
  std::string target, role;
};

TensorName split(const std::string& name) {
  const size_t dot = std::min(name.rfind('.'), name.size());
  std::string role = name.substr(std::min(dot + 1, name.size()));
  if (role.starts_with("lora_")) role = role.substr(5);
  return {name.substr(0, dot), role};
}

/// One entry of "tensors" against the tensor itself; returns its name.
std::string check_tensor(const Json& entry, const Weights& tensors,
                         const std::set<std::string>& roles) {
  const std::string what = "an entry of the adapter manifest's \"tensors\"";
  require_keys(entry, kTensorKeys, what);
  JsonFields fields(entry, what);
  const std::string name = fields.text("name", ""), target = fields.text("target", ""),
                    role = fields.text("role", ""), dtype = fields.text("dtype", "");
  const bool lora = role == "A" || role == "B";
  require(roles.contains(role) && name == target + (lora ? ".lora_" : ".") + role, Code::kCorrupt,
          "the adapter's tensor ", in_quotes(name), " is declared as role ", in_quotes(role),
          " of ", in_quotes(target), "; its name must be <target>.", lora ? "lora_" : "", "<role>");
  const auto found = tensors.find(name);
  require(found != tensors.end(), Code::kCorrupt, "the adapter lacks the tensor ", in_quotes(name),
          ", which its manifest declares");
  const at::Tensor& tensor = found->second;
  require(dtype == "F32" && tensor.scalar_type() == at::kFloat, Code::kCorrupt,
          "the adapter's tensor ", in_quotes(name), " is ", dtype_name(tensor.scalar_type()),
          " and declared as ", in_quotes(dtype), "; both must be F32");
  const std::vector<int64_t> shape = fields.integers("shape", {});
  require(tensor.sizes() == at::IntArrayRef(shape), Code::kCorrupt, "the adapter's tensor ",
          in_quotes(name), " has shape ", tensor.sizes(), ", its manifest declares ",
          at::IntArrayRef(shape));
  require(at::isfinite(tensor).all().item<bool>(), Code::kCorrupt, "the adapter's tensor ",
          in_quotes(name), " holds NaN or infinity");
  require(fields.text("sha256", "") == hex(sha256(tensor)), Code::kCorrupt, "the adapter's tensor ",
          in_quotes(name), " has not the digest that its manifest names");
  return name;
}

void check_tensors(const Json& list, const Weights& tensors, const std::set<std::string>& roles) {
  require(list.is_array() && !list.empty(), Code::kCorrupt, kWhat,
          ": \"tensors\" must be a list of at least one tensor");
  std::set<std::string> declared;
  for (const Json& entry : list) {
    const std::string name = check_tensor(entry, tensors, roles);
    require(declared.insert(name).second, Code::kCorrupt, kWhat, " declares the tensor ",
            in_quotes(name), " twice");
  }
  for (const auto& [name, tensor] : tensors) {
    require(declared.contains(name), Code::kCorrupt, "the adapter holds the tensor ",
            in_quotes(name), ", which its manifest does not declare");
  }
}

/// Every A has its B, and both have the rank.
void check_lora_pairs(const Weights& tensors, int64_t rank) {
  for (const auto& [name, tensor] : tensors) {
    const bool b = name.back() == 'B';
    require(tensor.dim() == 2 && tensor.size(b ? 1 : 0) == rank, Code::kCorrupt,
            "the adapter's tensor ", in_quotes(name), " has shape ", tensor.sizes(),
            ", which does not fit the rank ", rank);
    const std::string other = lora_tensor_name(split(name).target, !b);
    require(tensors.contains(other), Code::kCorrupt, "the adapter's tensor ", in_quotes(name),
            " lacks its counterpart ", in_quotes(other));
  }
}

void read_lora(const Json& manifest, JsonFields& fields, const Weights& tensors,
               ManifestFacts& facts) {
  require_keys(manifest, kLoraKeys, kWhat);
  const int64_t rank = fields.integer("rank", 0, 1, 65'536);
  const double alpha = fields.number("alpha", 0, 0, 1e9);
  const double expected = alpha / static_cast<double>(rank);
  require(expected > 0 && std::abs(facts.scaling - expected) <= 1e-12 * expected, Code::kCorrupt,
          kWhat, ": \"scaling\" is ", facts.scaling, " and alpha / rank ", expected,
          "; they must be equal and positive");
  check_groups(fields.value("groups"));
  check_tensors(fields.value("tensors"), tensors, {"A", "B"});
  check_lora_pairs(tensors, rank);
}

void read_delta(JsonFields& fields, const Weights& tensors, const ManifestFacts& facts) {
  require(fields.text("kind", "") == "delta", Code::kVersion, kWhat, ": \"kind\" is ",
          in_quotes(fields.text("kind", "")), ", this version knows \"delta\"");
  require(facts.scaling == 1, Code::kCorrupt, kWhat, ": \"scaling\" is ", facts.scaling,
          ", that of a delta is 1");
  check_tensors(fields.value("tensors"), tensors, {"delta", "importance"});
}

ManifestFacts read_checked(const Json& manifest, const Weights& tensors) {
  require_keys(manifest, kKeys, kWhat);
  JsonFields fields(manifest, kWhat);
  const int64_t format = fields.integer("format", 0, 1, INT32_MAX);
  require(format == kLoraFormat || format == kDeltaFormat, Code::kVersion, kWhat, " has format ",
          format, ", this version reads the formats ", kLoraFormat, " and ", kDeltaFormat);
  for (const char* key : {"lethe_version", "created_utc", "method"}) {
    require(!fields.text(key, "").empty(), Code::kCorrupt, kWhat, ": \"", key, "\" is empty");
  }
  for (const char* key : {"method_config", "arch_spec", "data_digests", "environment"}) {
    require_object(fields, key);
  }
  const Json base = fields.value("base"), arch_spec = fields.value("arch_spec");
  const Json metrics = fields.value("metrics");
  require_keys(base, {"fingerprint", "names_digest"}, "the adapter manifest's \"base\"");
  require_keys(metrics, {"before", "after"}, "the adapter manifest's \"metrics\"");
  fields.integer("seed", 0, INT64_MIN, INT64_MAX);
  digest_from_hex(fields.text("task_id", ""), "the adapter manifest's \"task_id\"");
  JsonFields base_fields(base, "the adapter manifest's \"base\"");
  digest_from_hex(base_fields.text("names_digest", ""), "the adapter manifest's names digest");

  ManifestFacts facts;
  facts.adapter_id = fields.text("adapter_id", "");
  facts.request_id = fields.text("request_id", "");
  require(is_request_id(facts.request_id), Code::kCorrupt, kWhat, ": \"request_id\" is ",
          in_quotes(facts.request_id), ", allowed are 1 to 128 bytes without control characters");
  facts.base_fingerprint = digest_from_hex(base_fields.text("fingerprint", ""),
                                           "the adapter manifest's base fingerprint");
  facts.parent_state = digest_from_hex(fields.text("parent_state_fingerprint", ""),
                                       "the adapter manifest's \"parent_state_fingerprint\"");
  facts.parents = fields.texts("parents", {});
  require_distinct(facts.parents, "parents");
  for (const std::string& parent : facts.parents) {
    digest_from_hex(parent, "a parent in the adapter manifest");
  }
  require(!facts.parents.empty() || facts.parent_state == facts.base_fingerprint, Code::kCorrupt,
          kWhat, " names no parents, but a parent state that is not the base");
  facts.classes = read_classes(fields, arch_spec);
  facts.class_names = fields.texts("class_names", {});
  require(facts.class_names.empty() || facts.class_names.size() == facts.classes.size(),
          Code::kCorrupt, kWhat, " holds ", facts.class_names.size(), " \"class_names\" for ",
          facts.classes.size(), " classes");

  facts.scaling = fields.number("scaling", 0, 0, 1e9);
  facts.delta = format == kDeltaFormat;
  if (facts.delta) {
    read_delta(fields, tensors, facts);
  } else {
    read_lora(manifest, fields, tensors, facts);
  }
  require(facts.adapter_id == derive_adapter_id(manifest), Code::kCorrupt, kWhat,
          ": \"adapter_id\" is not the digest of the adapter's content");
  return facts;
}

}  // namespace

bool is_request_id(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  try {
    (void)Json(std::string(text)).dump();  // checks the UTF-8
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

std::string lora_tensor_name(const std::string& site, bool b) {
  return site + (b ? ".lora_B" : ".lora_A");
}

Json describe_tensors(const Weights& tensors) {
  Json list = Json::array();
  for (const auto& [name, tensor] : tensors) {
    const TensorName parts = split(name);
    list.push_back({{"name", name},
                    {"target", parts.target},
                    {"role", parts.role},
                    {"shape", tensor.sizes().vec()},
                    {"dtype", dtype_name(tensor.scalar_type())},
                    {"sha256", hex(sha256(tensor))}});
  }
  return list;
}

std::string derive_adapter_id(const Json& manifest) {
  Json tensors = Json::array();
  for (const Json& tensor : manifest.at("tensors")) {
    tensors.push_back(Json::array({tensor.at("name"), tensor.at("shape"), tensor.at("sha256")}));
  }
  const Json content = {{"base", manifest.at("base").at("fingerprint")},
                        {"parents", manifest.at("parents")},
                        {"classes", manifest.at("classes_forgotten")},
                        {"method", manifest.at("method")},
                        {"config", manifest.at("method_config")},
                        {"scaling", manifest.at("scaling")},
                        {"tensors", tensors}};
  return hex(sha256(content.dump()));
}

ManifestFacts read_manifest(const Json& manifest, const Weights& tensors) {
  try {
    return read_checked(manifest, tensors);
  } catch (const Error& error) {
    // The strict readers of settings blame the caller; here the file is to blame.
    if (error.code() == Code::kInvalidArgument) fail(Code::kCorrupt, error.what());
    throw;
  } catch (const Json::exception&) {
    fail(Code::kCorrupt, kWhat, " holds text that is not UTF-8");
  }
}

}  // namespace lethe
