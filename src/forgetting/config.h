// The settings of a forget task: fields, defaults by method and head, ranges, JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adapters/lora.h"
#include "models/spec.h"
#include "support/json.h"

namespace lethe {

/// Values of these enumerations as in lethe.h.
enum class MethodKind : int32_t {
  kGsLora = 1,
  kGsLoraPlusPlus = 2,
  kL2 = 3,
  kEwc = 4,
  kMas = 5,
  kLwf = 6,
  kDer = 7,
  kDerPlusPlus = 8,
  kFdr = 9,
  kScrub = 10,
  kScrubS = 11,
  kLirf = 12,
  kRetrain = 13,
  kFineTune = 14,
  kGradientAscent = 15,
  kSalUn = 16
};
inline bool trains_lora(MethodKind kind) {
  return kind == MethodKind::kGsLora || kind == MethodKind::kGsLoraPlusPlus;
}
/// What the paper's code does, to compare with its tables, or what it meant (algorithm.md 10).
/// method.h lists what has no reference form.
enum class Form : int32_t { kCorrected = 1, kReference = 2 };
enum class Sparsity : int32_t { kSubgradient = 1, kProximal = 2 };
enum class PrototypeSource : int32_t { kOriginal = 1, kTaskStart = 2, kRandomNetwork = 3 };
enum class StructureSearch : int32_t { kOff = 1, kSparsest = 2 };
enum class LoraInit : int32_t { kReference = 1, kKaiming = 2 };
enum Fast : int32_t {
  kFastOnePass = 1,
  kFastClassToken = 2,
  kFastPrefixCache = 4,
  kFastFusedAttention = 8,
  kFastFoldedLora = 16,
  kFastAll = 31
};
enum Audit : int32_t {
  kAuditMembership = 1,
  kAuditVerification = 2,
  kAuditProbe = 4,
  kAuditRelearning = 8,
  kAuditRetrain = 16,
  kAuditAll = 31
};

/// Field by field what lethe_forget_config documents. Defaults here are those of GS-LoRA++ with a
/// linear head; defaults_for() adapts them (algorithm.md 4.12, data.md).
struct ForgetConfig {
  MethodKind method = MethodKind::kGsLoraPlusPlus;
  int32_t rank = 8;
  Grouping grouping = Grouping::kBlock;
  double lora_alpha = 1;
  LoraInit lora_init = LoraInit::kReference;
  int32_t epochs = 100;
  int32_t warmup_epochs = 0;
  int32_t forget_batch = 48;
  int32_t retain_batch = 48;
  int32_t few_shot = 0;
  int64_t max_steps = 0;
  double learning_rate = 1e-2;
  double min_learning_rate = 1e-5;
  double weight_decay = 0.05;
  double data_ratio = 0.1;
  double dropout = -1;
  double forget_bound = 15;
  double forget_weight = 0.2;
  double structure_weight = 1e-4;
  int32_t structure_start_epoch = 0;
  Sparsity sparsity = Sparsity::kSubgradient;
  double proximal_weight = 0;
  double zero_threshold = 1e-3;
  double prototype_forget_weight = 0.01;
  double prototype_retain_weight = 0;
  double prototype_bound = 18;
  PrototypeSource prototype_source = PrototypeSource::kOriginal;
  int32_t average_start_epoch = -1;
  double average_decay = 0.9;
  double gate_max_acc_f = 5;
  double gate_max_acc_r_drop = 10;
  int64_t seed = 1337;
  int64_t prefix_cache_bytes = int64_t{1} << 30;
  int32_t fast = kFastAll;
  int32_t progress_interval = 10;
  // Since ABI 1.2.
  Form form = Form::kCorrected;
  LoraPosition lora_position = LoraPosition::kFfn;
  int32_t first_block = 0;
  StructureSearch structure_search = StructureSearch::kOff;
  int32_t audits = kAuditMembership;
  double penalty_weight = 0;
  double distillation_weight = 0;
  double replay_weight = 1;
  double temperature = 2;
  double smoothing = 0;
  // Since ABI 1.3.
  double gradient_clip = 0;
  // Since ABI 1.4.
  bool augment = false;

  /// Throws kUnsupported for an unknown method or head.
  static ForgetConfig defaults_for(MethodKind method, HeadKind head);

  double scale() const { return lora_alpha / rank; }

  /// Overwrites the fields named in `json`; throws kInvalidArgument, leaving *this unchanged.
  void update_from_json(const Json& json);
  /// All fields, canonical.
  Json to_json() const;
  /// What digests, ids, journals and manifests are made of, to be read over ForgetConfig{}: all
  /// fields but those that the first version to know the method did not know, where they hold the
  /// plain default. So what that version wrote for equal settings stays equal.
  Json identity() const;

  /// One entry a field that is out of range: {"field", "value", "allowed"}. Empty: all is well.
  Json findings() const;
  /// Throws kInvalidArgument with the first finding.
  void validate() const;
};

/// Every method and setting with type, range, defaults and meaning.
Json method_info();

/// Settings of pre-training; lethe_pretrain_config documents them.
struct PretrainConfig {
  int32_t epochs = 30;
  int32_t warmup_epochs = 2;
  int32_t batch = 128;
  double learning_rate = 1e-3;
  double min_learning_rate = 1e-5;
  double weight_decay = 0.05;
  double label_smoothing = 0;
  double dropout = -1;
  bool flip = false;
  int32_t shift = 0;
  double erase = 0;
  double average_decay = 0;
  int64_t max_steps = 0;
  int64_t seed = 1337;
  int32_t progress_interval = 10;
  // Since ABI 1.4.
  bool augment = false;

  void update_from_json(const Json& json);  ///< as ForgetConfig's
  Json to_json() const;
  Json identity() const;  ///< as ForgetConfig's
  void validate() const;
};

}  // namespace lethe
