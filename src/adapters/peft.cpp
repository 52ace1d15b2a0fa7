#include "adapters/peft.h"

#include <ATen/ATen.h>

#include <cmath>
#include <filesystem>
#include <regex>

#include "adapters/manifest.h"
#include "storage/file.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr const char* kConfigName = "adapter_config.json";
constexpr const char* kTensorsName = "adapter_model.safetensors";
constexpr std::string_view kPrefix = "base_model.model.";
constexpr int64_t kLargestRank = 65'536;

std::string path_in(const std::string& folder, const char* name) {
  require(!folder.empty(), Code::kInvalidArgument, "the folder of a PEFT adapter has no name");
  return (std::filesystem::path(folder) / name).string();
}

/// How PEFT calls the module of one of our sites.
std::string module_name(const Model& model, const std::string& site, Naming naming) {
  const std::string weight = model.rename_to(naming, {{site + ".weight", {}}}).begin()->first;
  return weight.substr(0, weight.size() - std::string_view(".weight").size());
}

/// PEFT adapts whole modules, and which rows of a qkv weight are q, k or v it cannot say.
void check_whole_modules(const Model& model, const Adapter& adapter) {
  for (const AdapterSite& site : model.attention_sites()) {
    require(!adapter.tensors().contains(lora_tensor_name(site.name, false)), Code::kUnsupported,
            "the adapter ", in_quotes(adapter.request_id()), " changes ", in_quotes(site.name),
            ", which is some rows of ", in_quotes(site.weight),
            "; PEFT adapts whole modules, so save it as a checkpoint of its own, or merge it into"
            " the model");
  }
}

std::string tensor_name(const std::string& module, bool b) {
  return lethe::str(kPrefix, module, b ? ".lora_B.weight" : ".lora_A.weight");
}

// ---------------------------------------------------------------------------------------- writing

std::shared_ptr<const Model> architecture_of(const Adapter& adapter) {
  try {
    return make_model(adapter.manifest().at("arch_spec"));
  } catch (const Error& error) {
    fail(Code::kUnsupported, "the adapter ", in_quotes(adapter.request_id()),
         " names no architecture of this version: ", error.what());
  }
}

/// The alpha whose quotient alpha / rank is the scaling to the last bit, where there is one.
double alpha_for(double scaling, double rank) {
  const double alpha = scaling * rank;
  for (const double near : {alpha, std::nextafter(alpha, INFINITY), std::nextafter(alpha, 0.0)}) {
    if (near / rank == scaling) return near;
  }
  return alpha;
}

Json peft_config(const Adapter& adapter, const Json& modules) {
  const auto rank = adapter.manifest().at("rank").get<int64_t>();
  const double alpha = alpha_for(adapter.scaling(), static_cast<double>(rank));
  const bool whole = alpha < 1e9 && alpha == std::floor(alpha);
  return {{"peft_type", "LORA"},
          {"task_type", nullptr},
          {"base_model_name_or_path", nullptr},
          {"revision", nullptr},
          {"inference_mode", true},
          {"r", rank},
          {"lora_alpha", whole ? Json(static_cast<int64_t>(alpha)) : Json(alpha)},
          {"rank_pattern", Json::object()},
          {"alpha_pattern", Json::object()},
          {"target_modules", modules},
          {"lora_dropout", 0.0},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"init_lora_weights", true},
          {"layers_to_transform", nullptr},
          {"layers_pattern", nullptr},
          {"modules_to_save", nullptr},
          {"use_rslora", false},
          {"use_dora", false}};
}

void make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directory(folder, error);
  require(!error, Code::kIo, "cannot make the folder ", in_quotes(base_name(folder)), ": ",
          error.message());
}

// ---------------------------------------------------------------------------------------- reading

/// rank_pattern or alpha_pattern. PEFT takes the first key, in the order of the file, that as a
/// regular expression matches the end of a module's name, from a dot or the beginning on.
class Patterns {
 public:
  /// `object`: null, or key to number from `low` to `high`.
  Patterns(const nlohmann::ordered_json& object, const std::string& name, double low, double high,
           bool whole) {
    constexpr size_t kMost = 4096, kLongest = 256;
    if (object.is_null()) return;
    require(object.is_object(), Code::kCorrupt, kConfigName, ": \"", name, "\" must be an object");
    require(object.size() <= kMost, Code::kLimitExceeded, kConfigName, ": \"", name, "\" has ",
            object.size(), " keys, the limit is ", kMost);
    for (const auto& [key, value] : object.items()) {
      const double number = value.is_number() ? value.get<double>() : NAN;
      require(number >= low && number <= high && (!whole || number == std::floor(number)),
              Code::kCorrupt, kConfigName, ": \"", name, "\" gives ", in_quotes(key), " no ",
              whole ? "whole " : "", "number from ", low, " to ", high);
      // Bounded repeats can grow to any number of states, which a hostile file would make use of.
      require(key.size() <= kLongest && key.find('{') == std::string::npos, Code::kUnsupported,
              kConfigName, ": the key ", in_quotes(key), " of \"", name, "\" is longer than ",
              kLongest, " bytes or repeats with braces");
      list_.emplace_back(compiled(key, name), number);
    }
  }

  double of(const std::string& module, double otherwise) const {
    for (const auto& [pattern, value] : list_) {
      if (std::regex_match(module, pattern)) return value;
    }
    return otherwise;
  }

 private:
  static std::regex compiled(const std::string& key, const std::string& name) {
    try {
      std::regex pattern;
      pattern.imbue(std::locale::classic());
      // The plain matcher of libstdc++ takes exponential time for some patterns.
      pattern.assign("(.*\\.)?(" + key + ")",
                     std::regex::ECMAScript | std::regex_constants::__polynomial);
      return pattern;
    } catch (const std::regex_error&) {
      fail(Code::kUnsupported, kConfigName, ": the key ", in_quotes(key), " of \"", name,
           "\" is no regular expression that this version understands; write out the names");
    }
  }

  std::vector<std::pair<std::regex, double>> list_;
};

struct Config {
  double rank, alpha;
  bool rslora;
  Patterns ranks, alphas;
  Json kept;  ///< what the manifest keeps of it

  double scaling(const std::string& module) const {
    const double r = ranks.of(module, rank);
    return alphas.of(module, alpha) / (rslora ? std::sqrt(r) : r);
  }
};

/// Refuses what would make the adapter more than s B A on linears of the base as it was published.
void check_plain_lora(JsonFields& fields) {
  const std::string type = fields.text("peft_type", "");
  require(type == "LORA", Code::kUnsupported, kConfigName, ": the PEFT method is ", in_quotes(type),
          ", this version reads LORA");
  const std::string bias = fields.text("bias", "none");
  require(bias == "none", Code::kUnsupported, kConfigName, ": \"bias\" is ", in_quotes(bias),
          "; an adapter holds no biases");
  for (const char* key :
       {"use_dora", "lora_bias", "use_qalora", "modules_to_save", "layer_replication",
        "target_parameters", "trainable_token_indices", "alora_invocation_tokens"}) {
    const Json value = fields.value(key);
    const bool off = value.is_null() || value == false || (value.is_structured() && value.empty());
    require(off, Code::kUnsupported, kConfigName, ": \"", key,
            "\" is set, which is more than a low-rank sum on linears");
  }
  const Json init = fields.value("init_lora_weights");
  const bool base_kept = init.is_null() || init.is_boolean() || init == "gaussian" ||
                         init == "eva" || init == "orthogonal";
  require(base_kept, Code::kUnsupported, kConfigName, ": \"init_lora_weights\" is ",
          in_quotes(init.dump()),
          ", which changes the base; convert the adapter to plain LoRA when saving it");
}

Config read_config(const std::string& text, const Limits& limits) {
  JsonLimits bounds = limits.json;
  bounds.max_bytes = limits.header_bytes;
  const Json json = parse_json(text, kConfigName, bounds);
  try {
    JsonFields fields(json, kConfigName);
    check_plain_lora(fields);
    const int64_t rank = fields.integer("r", 8, 1, kLargestRank);
    const double alpha = fields.number("lora_alpha", 8, -1e9, 1e9);
    const bool rslora = fields.boolean("use_rslora", false);
    const auto ordered = nlohmann::ordered_json::parse(text);  // checked by parse_json
    const auto patterns = [&](const char* key, double low, double high, bool whole) {
      return Patterns(ordered.value(key, nlohmann::ordered_json()), key, low, high, whole);
    };
    return {static_cast<double>(rank),
            alpha,
            rslora,
            patterns("rank_pattern", 1, kLargestRank, /*whole=*/true),
            patterns("alpha_pattern", -1e9, 1e9, /*whole=*/false),
            Json{{"r", rank},
                 {"lora_alpha", alpha},
                 {"use_rslora", rslora},
                 {"rank_pattern", fields.value("rank_pattern")},
                 {"alpha_pattern", fields.value("alpha_pattern")}}};
  } catch (const Error& error) {
    // The strict readers of settings blame the caller; here the file is to blame.
    if (error.code() == Code::kInvalidArgument) fail(Code::kCorrupt, error.what());
    throw;
  }
}

/// One module of the file, on the site of ours that it stands for.
struct Module {
  std::string name;
  AdapterSite site;
  at::Tensor a, b;  ///< float32
  double scaling;
};

/// Our sites by every name that a module may have.
std::map<std::string, AdapterSite> sites_by_module(const Model& model) {
  std::map<std::string, AdapterSite> sites;
  for (const AdapterSite& site : model.adapter_sites()) {
    for (const Naming naming : model.namings()) {
      sites.emplace(module_name(model, site.name, naming), site);
    }
  }
  return sites;
}

/// The module of a tensor's name, and whether the tensor is its B.
std::pair<std::string, bool> parse_tensor_name(const std::string& name) {
  for (const bool b : {false, true}) {
    const std::string ending = tensor_name("", b).substr(kPrefix.size());
    if (name.size() > kPrefix.size() + ending.size() && name.starts_with(kPrefix) &&
        name.ends_with(ending)) {
      return {name.substr(kPrefix.size(), name.size() - kPrefix.size() - ending.size()), b};
    }
  }
  fail(Code::kUnsupported, "the tensor ", in_quotes(name), " is no LoRA matrix of a linear (",
       tensor_name("<module>", false), " or B); other things cannot be read");
}

at::Tensor checked_matrix(const std::string& name, const at::Tensor& tensor) {
  const at::ScalarType type = tensor.scalar_type();
  require(type == at::kFloat || type == at::kHalf || type == at::kBFloat16, Code::kUnsupported,
          "the tensor ", in_quotes(name), " is ", dtype_name(type), "; known are F32, F16, BF16");
  require(tensor.dim() == 2, Code::kCorrupt, "the tensor ", in_quotes(name), " has shape ",
          tensor.sizes(), ", a LoRA matrix has two dimensions");
  require(at::isfinite(tensor).all().item<bool>(), Code::kCorrupt, "the tensor ", in_quotes(name),
          " holds NaN or infinity");
  return tensor.to(at::kFloat);
}

void check_shape(const Module& module, double rank) {
  const auto r = static_cast<int64_t>(rank);
  require(module.a.size(0) == r && module.b.size(1) == r, Code::kCorrupt, "the module ",
          in_quotes(module.name), " has A of shape ", module.a.sizes(), " and B of shape ",
          module.b.sizes(), ", ", kConfigName, " gives it rank ", r);
  require(module.a.size(1) == module.site.in && module.b.size(0) == module.site.out,
          Code::kBaseMismatch, "the module ", in_quotes(module.name), " maps ", module.a.size(1),
          " to ", module.b.size(0), " values, this model's ", module.site.in, " to ",
          module.site.out);
}

std::vector<Module> read_modules(const Weights& tensors, const Config& config, const Model& model) {
  const std::map<std::string, AdapterSite> sites = sites_by_module(model);
  std::map<std::string, Module> modules;  // by site
  for (const auto& [name, tensor] : tensors) {
    const auto [own_name, is_b] = parse_tensor_name(name);
    const auto site = sites.find(own_name);
    require(site != sites.end(), Code::kBaseMismatch, "the module ", in_quotes(own_name),
            " is none of this model's linears that carry adapters; the first of them is ",
            in_quotes(sites.begin()->first));
    Module& module = modules[site->second.name];
    require(module.name.empty() || module.name == own_name, Code::kCorrupt, "the modules ",
            in_quotes(module.name), " and ", in_quotes(own_name), " are the same linear");
    module.name = own_name;
    module.site = site->second;
    (is_b ? module.b : module.a) = checked_matrix(name, tensor);
  }
  require(!modules.empty(), Code::kCorrupt, kTensorsName, " holds no tensor");
  std::vector<Module> list;
  for (const AdapterSite& site : model.adapter_sites()) {
    const auto found = modules.find(site.name);
    if (found == modules.end()) continue;
    Module& module = found->second;
    for (const bool b : {false, true}) {
      require((b ? module.b : module.a).defined(), Code::kCorrupt, "the tensor ",
              in_quotes(tensor_name(module.name, b)), " is missing");
    }
    check_shape(module, config.ranks.of(module.name, config.rank));
    module.scaling = config.scaling(module.name);
    list.push_back(std::move(module));
  }
  return list;
}

/// All modules with the largest rank and the largest scaling among them.
LoraParameters unified(const std::vector<Module>& modules, const Limits& limits) {
  std::vector<AdapterSite> sites;
  int64_t rank = 0, width = 0;
  double scaling = 0;
  for (const Module& module : modules) {
    sites.push_back(module.site);
    rank = std::max(rank, module.a.size(0));
    width += module.site.in + module.site.out;
    scaling = std::max(scaling, std::abs(module.scaling));
  }
  require(scaling > 0, Code::kCorrupt, kConfigName,
          ": \"lora_alpha\" is 0 for every module, so the adapter does nothing");
  const int64_t bytes = rank * width * static_cast<int64_t>(sizeof(float));
  require(bytes <= limits.total_bytes, Code::kLimitExceeded, "with the largest rank, ", rank,
          ", for every module the adapter has ", bytes, " bytes, the limit is ",
          limits.total_bytes);
  LoraParameters lora(std::move(sites), rank, scaling, Grouping::kLora, at::kCPU);  // zeros
  for (size_t i = 0; i < modules.size(); ++i) {
    const Module& module = modules[i];
    const int64_t r = module.a.size(0);
    const double ratio = module.scaling / scaling;
    lora.a(i).narrow(0, 0, r).copy_(module.a);
    lora.b(i).narrow(1, 0, r).copy_(ratio == 1 ? module.b : module.b.to(at::kDouble) * ratio);
  }
  return lora;
}

}  // namespace

void write_peft(const std::string& folder, const Adapter& adapter, Naming naming) {
  require(!adapter.is_delta(), Code::kUnsupported, "the adapter ", in_quotes(adapter.request_id()),
          " changes the weights themselves (", adapter.method(),
          "), and PEFT's folder holds low-rank pairs only; export the merged weights instead");
  const auto model = architecture_of(adapter);
  check_whole_modules(*model, adapter);
  if (naming == Naming::kOriginal) naming = Naming::kOwn;
  Weights tensors;
  Json modules = Json::array();
  for (const auto& [name, tensor] : adapter.tensors()) {
    const bool b = name.ends_with('B');
    const std::string site = name.substr(0, name.size() - lora_tensor_name("", b).size());
    const std::string module = module_name(*model, site, naming);
    tensors[tensor_name(module, b)] = tensor;
    if (!b) modules.push_back(module);
  }
  const std::string config = peft_config(adapter, modules).dump(2) + "\n";
  const std::string config_path = path_in(folder, kConfigName);
  make_folder(folder);
  write_safetensors(path_in(folder, kTensorsName), tensors, {{"format", "pt"}});
  write_file_atomically(config_path, {config});
}

std::shared_ptr<const Adapter> read_peft(const std::string& folder, const BaseModel& base,
                                         AdapterFacts facts, const Limits& limits) {
  const Config config =
      read_config(read_file(path_in(folder, kConfigName), limits.header_bytes), limits);
  const std::string bytes = read_file(path_in(folder, kTensorsName), limits.file_bytes);
  const std::vector<Module> modules =
      read_modules(parse_safetensors(bytes, kTensorsName, limits).tensors, config, base.model());
  const LoraParameters lora = unified(modules, limits);

  std::vector<AdapterGroup> groups;
  const std::vector<GroupEffect> effects = group_effects(lora, base.weights());
  for (size_t i = 0; i < effects.size(); ++i) {
    groups.push_back({lora.groups()[i].name, /*kept=*/true, effects[i]});
  }
  const Json asked = {{"kind", "peft"},
                      {"classes", facts.classes},
                      {"config", config.kept},
                      {"tensors", hex(sha256(bytes))}};
  facts.task_id = hex(sha256(asked.dump()));
  facts.method = "peft-lora";
  facts.config = config.kept;
  facts.seed = 0;
  return Adapter::create(base, lora, groups, facts);
}

}  // namespace lethe
