// Section 5 of lethe.h: the settings of tasks.
#include "config.h"

#include <algorithm>

#include "forgetting/method.h"
#include "guard.h"
#include "structs.h"
#include "text.h"

namespace lethe::capi {
namespace {

/// Every setting, once: the structs of the ABI and the library's own name them alike.
#define LETHE_FORGET_FIELDS(X)                                                                     \
  X(method)                                                                                        \
  X(rank)                                                                                          \
  X(grouping)                                                                                      \
  X(lora_alpha) X(lora_init) X(epochs) X(warmup_epochs) X(forget_batch) X(retain_batch)            \
      X(few_shot) X(max_steps) X(learning_rate) X(min_learning_rate) X(weight_decay) X(data_ratio) \
          X(dropout) X(forget_bound) X(forget_weight) X(structure_weight) X(structure_start_epoch) \
              X(sparsity) X(proximal_weight) X(zero_threshold) X(prototype_forget_weight)          \
                  X(prototype_retain_weight) X(prototype_bound) X(prototype_source)                \
                      X(average_start_epoch) X(average_decay) X(gate_max_acc_f)                    \
                          X(gate_max_acc_r_drop) X(seed) X(prefix_cache_bytes) X(fast)             \
                              X(progress_interval) X(form) X(lora_position) X(first_block)         \
                                  X(structure_search) X(audits) X(penalty_weight)                  \
                                      X(distillation_weight) X(replay_weight) X(temperature)       \
                                          X(smoothing) X(gradient_clip) X(augment)

#define LETHE_PRETRAIN_FIELDS(X)                                                              \
  X(epochs)                                                                                   \
  X(warmup_epochs)                                                                            \
  X(batch)                                                                                    \
  X(learning_rate) X(min_learning_rate) X(weight_decay) X(label_smoothing) X(dropout) X(flip) \
      X(shift) X(erase) X(average_decay) X(max_steps) X(seed) X(progress_interval) X(augment)

#define LETHE_COPY_FIELD(name) to.name = static_cast<decltype(to.name)>(from.name);

template <typename From, typename To>
void copy_forget_fields(const From& from, To& to) {
  LETHE_FORGET_FIELDS(LETHE_COPY_FIELD)
}

template <typename From, typename To>
void copy_pretrain_fields(const From& from, To& to){LETHE_PRETRAIN_FIELDS(LETHE_COPY_FIELD)}

lethe_forget_config to_struct(const ForgetConfig& config) {
  lethe_forget_config out{};
  out.struct_size = sizeof out;
  copy_forget_fields(config, out);
  return out;
}

void require_flag(int32_t value, const char* what) {
  require(value == 0 || value == 1, Code::kInvalidArgument, what, " is ", value,
          ", allowed is 0 or 1");
}

/// Whether the caller's header ends before the fields of ABI 1.2.
bool is_of_older_abi(const lethe_forget_config& config) {
  return config.struct_size < LETHE_SIZE_UP_TO(lethe_forget_config, smoothing);
}

/// A method that came with ABI 1.2; a number that is none is validate()'s to refuse.
bool is_baseline(MethodKind kind) {
  const auto& all = methods();
  return !trains_lora(kind) &&
         std::any_of(all.begin(), all.end(), [&](const auto& entry) { return entry.kind == kind; });
}

lethe_pretrain_config to_struct(const PretrainConfig& config) {
  lethe_pretrain_config out{};
  out.struct_size = sizeof out;
  copy_pretrain_fields(config, out);
  return out;
}

}  // namespace

ForgetConfig read_forget_config(const lethe_forget_config* config) {
  require(config, Code::kInvalidArgument, "config is NULL");
  const auto given = read_struct(config, to_struct(ForgetConfig{}), "config");
  require_reserved(given.reserved, "config");
  require_reserved(given.reserved1, "config");
  require_reserved(given.reserved2, "config");
  require_flag(given.augment, "forget settings: \"augment\"");
  ForgetConfig settings;
  copy_forget_fields(given, settings);
  require(!is_of_older_abi(*config) || !is_baseline(settings.method), Code::kUnsupported,
          "the method number ", given.method,
          " has settings that the caller's lethe.h does not know; build against the library's own");
  return settings;
}

PretrainConfig read_pretrain_config(const lethe_pretrain_config* config) {
  require(config, Code::kInvalidArgument, "config is NULL");
  const auto given = read_struct(config, to_struct(PretrainConfig{}), "config");
  require_reserved(given.reserved0, "config");
  require_reserved(given.reserved, "config");
  require_reserved(given.reserved1, "config");
  require_flag(given.flip, "pre-training settings: \"flip\"");
  require_flag(given.augment, "pre-training settings: \"augment\"");
  PretrainConfig settings;
  copy_pretrain_fields(given, settings);
  return settings;
}

}  // namespace lethe::capi

using namespace lethe;
using namespace lethe::capi;

lethe_status lethe_forget_config_init(lethe_forget_config* config, size_t size, lethe_method method,
                                      lethe_head head) {
  return guard([&] {
    const auto defaults =
        ForgetConfig::defaults_for(static_cast<MethodKind>(method), static_cast<HeadKind>(head));
    init_struct(config, size, to_struct(defaults), "config");
  });
}

lethe_status lethe_forget_config_from_json(const char* json, lethe_forget_config* config) {
  return guard([&] {
    ForgetConfig settings = read_forget_config(config);
    settings.update_from_json(parse_json(text(json, "json"), "forget settings"));
    // As far as the caller's struct goes; what does not fit in it must not be lost in silence.
    lethe_forget_config fitting{};
    write_fields(&fitting, to_struct(settings),
                 std::min<size_t>(config->struct_size, sizeof fitting));
    require(read_forget_config(&fitting).to_json() == settings.to_json(), Code::kUnsupported,
            "the settings name a field that the caller's lethe.h does not know; build against the "
            "library's own");
    write_fields(config, to_struct(settings), config->struct_size);
  });
}

lethe_status lethe_forget_config_to_json(const lethe_forget_config* config,
                                         lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    const ForgetConfig settings = read_forget_config(config);
    settings.validate();
    *out_json = json_buffer(settings.to_json());
  });
}

lethe_status lethe_forget_config_validate(const lethe_forget_config* config,
                                          lethe_buffer** out_findings) {
  return guard([&] {
    clear(out_findings);
    const ForgetConfig settings = read_forget_config(config);
    if (out_findings) *out_findings = json_buffer(settings.findings());
    settings.validate();
  });
}

lethe_status lethe_method_info_json(lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    *out_json = json_buffer(method_info());
  });
}

lethe_status lethe_pretrain_config_init(lethe_pretrain_config* config, size_t size) {
  return guard([&] { init_struct(config, size, to_struct(PretrainConfig{}), "config"); });
}
