#include "forgetting/config.h"

#include <algorithm>
#include <utility>

#include "forgetting/config_field.h"
#include "forgetting/method.h"
#include "support/error.h"

namespace lethe {

using namespace settings;

namespace {

Words<MethodKind> method_words() {
  Words<MethodKind> words;
  for (const MethodEntry& entry : methods()) words.emplace_back(entry.name, entry.kind);
  return words;
}

const Words<HeadKind> kHeads = {{"linear", HeadKind::kLinear},
                                {"cosface", HeadKind::kCosFace},
                                {"arcface", HeadKind::kArcFace},
                                {"detection", HeadKind::kDetection}};

const std::vector<Field<ForgetConfig>>& forget_fields() {
  using C = ForgetConfig;
  static const std::vector<Field<C>> fields = {
      word("method", &C::method, method_words(), "how the task is solved"),
      integer("rank", &C::rank, between(1, 256), "r of A [r, in] and B [out, r]"),
      word("grouping", &C::grouping,
           {{"block", Grouping::kBlock}, {"lora", Grouping::kLora}, {"matrix", Grouping::kMatrix}},
           "the unit of group sparsity: a Transformer block, the A and B of a linear, one matrix"),
      number("lora_alpha", &C::lora_alpha, positive(1e4),
             "the LoRA product is scaled by this / rank"),
      word("lora_init", &C::lora_init,
           {{"reference", LoraInit::kReference}, {"kaiming", LoraInit::kKaiming}},
           "initialisation of A: a = sqrt(5), in later tasks sqrt(50); or a = sqrt(5) always"),
      integer("epochs", &C::epochs, between(1, 1e6), "passes over the retain samples"),
      integer("warmup_epochs", &C::warmup_epochs, between(0, 1e6), "epochs of linear warm-up"),
      integer("forget_batch", &C::forget_batch, between(1, 65536), "forget samples a step"),
      integer("retain_batch", &C::retain_batch, between(1, 65536), "retain samples a step"),
      integer("few_shot", &C::few_shot, between(0, 1e6),
              "samples a class, instead of data_ratio; 0: off"),
      integer("max_steps", &C::max_steps, between(0, 1e9),
              "stop after so many steps, the schedule scaled to them; 0: by epochs"),
      number("learning_rate", &C::learning_rate, positive(10), "at the start of the cosine"),
      number("min_learning_rate", &C::min_learning_rate, between(0, 10), "at its end"),
      number("weight_decay", &C::weight_decay, between(0, 10), "decoupled, of AdamW"),
      number("data_ratio", &C::data_ratio, positive(1),
             "part of the forget and of the retain samples that is used"),
      number("dropout", &C::dropout, optional_up_to(0.9),
             "probability while training; negative: the model spec's"),
      number("forget_bound", &C::forget_bound, positive(1e4),
             "BND of the forget loss max(0, BND - mean cross entropy)"),
      number("forget_weight", &C::forget_weight, between(0, 1e6),
             "beta, weight of the forget loss"),
      number("structure_weight", &C::structure_weight, between(0, 1e6),
             "alpha, weight of the group-sparse term"),
      integer("structure_start_epoch", &C::structure_start_epoch, between(0, 1e6),
              "alpha is 0 in earlier epochs"),
      word("sparsity", &C::sparsity,
           {{"subgradient", Sparsity::kSubgradient}, {"proximal", Sparsity::kProximal}},
           "how groups vanish: as the paper's code, or by a proximal step to exact zeros"),
      number("proximal_weight", &C::proximal_weight, between(0, 1e6),
             "each step shrinks a group's norm by the learning rate times this"),
      number("zero_threshold", &C::zero_threshold, between(0, 1),
             "drop groups whose effect |sBA|_F is below this part of |W|_F"),
      number("prototype_forget_weight", &C::prototype_forget_weight, between(0, 1e6),
             "w_f, pushes forget embeddings from their prototypes"),
      number("prototype_retain_weight", &C::prototype_retain_weight, between(0, 1e6),
             "w_r, pulls retain embeddings to their prototypes"),
      number("prototype_bound", &C::prototype_bound, positive(1e6),
             "BND_pro of max(0, BND_pro - mean divergence)"),
      word("prototype_source", &C::prototype_source,
           {{"original", PrototypeSource::kOriginal},
            {"task-start", PrototypeSource::kTaskStart},
            {"random-network", PrototypeSource::kRandomNetwork}},
           "the model whose embeddings make the prototypes; the paper's single-step code takes a "
           "randomly initialised one"),
      integer("average_start_epoch", &C::average_start_epoch, optional_up_to(1e6),
              "weight averaging from this epoch; negative: off"),
      number("average_decay", &C::average_decay, between(0, 1),
             "d of theta_avg = d theta_avg + (1 - d) theta, once an epoch"),
      number("gate_max_acc_f", &C::gate_max_acc_f, optional_up_to(100),
             "percent of forget samples still right that a task may leave; negative: off"),
      number("gate_max_acc_r_drop", &C::gate_max_acc_r_drop, optional_up_to(100),
             "percentage points that retain accuracy may lose; negative: off"),
      integer("seed", &C::seed, {}, "of initialisation, sampling, order and dropout"),
      integer("prefix_cache_bytes", &C::prefix_cache_bytes, between(0, 0x1p50),
              "memory that the prefix cache may take"),
      integer("fast", &C::fast, between(0, kFastAll),
              "sum of savings: 1 one pass, 2 class token, 4 prefix cache, 8 fused attention, "
              "16 folded LoRA"),
      integer("progress_interval", &C::progress_interval, between(1, 1e9),
              "steps between progress events"),
      since(2, word("form", &C::form,
                 {{"corrected", Form::kCorrected}, {"reference", Form::kReference}},
                 "of baselines that the paper's code gets wrong: what it meant, or what it does")),
      since(2, word("lora_position", &C::lora_position,
                 {{"ffn", LoraPosition::kFfn},
                  {"attention", LoraPosition::kAttention},
                  {"encoder", LoraPosition::kEncoder},
                  {"decoder", LoraPosition::kDecoder}},
                 "the linears that carry LoRA: those of the spec's adapter_layers, in all blocks or "
                 "only in a detector's encoder or decoder; or q, k and v")),
      since(2, integer("first_block", &C::first_block, between(0, 199),
                    "blocks before it carry no LoRA, so they are computed once a sample")),
      since(2, word("structure_search", &C::structure_search,
                 {{"off", StructureSearch::kOff}, {"sparsest", StructureSearch::kSparsest}},
                 "after training, the sparsest adapter that still meets the gate is looked for")),
      since(2, integer("audits", &C::audits, between(0, kAuditAll),
                    "sum of what is measured besides accuracy: 1 membership inference, "
                    "2 verification, 4 linear probe, 8 relearning, 16 the first beside networks "
                    "retrained without the forgotten samples")),
      since(2, number("penalty_weight", &C::penalty_weight, between(0, 1e9),
                   "lambda of the penalty on weights that move: l2, ewc, mas")),
      since(2, number("distillation_weight", &C::distillation_weight, between(0, 1e9),
                   "of the term that holds the outputs to the base's: lwf, der, der++, fdr, scrub, "
                   "scrub-s, lirf")),
      since(2, number("replay_weight", &C::replay_weight, between(0, 1e9),
                   "of the cross entropy of retain samples: lwf, der++, scrub, scrub-s, lirf, "
                   "salun")),
      since(2, number("temperature", &C::temperature, positive(1e4),
                   "of distillation: lwf, scrub, scrub-s, lirf")),
      since(2, number("smoothing", &C::smoothing, between(0, 1e6),
                   "of scrub-s: weight of the distance from the averaged weights")),
      since(3, number("gradient_clip", &C::gradient_clip, between(0, 1e9),
                      "largest norm of a step's gradient; 0: any")),
      since(4, flag("augment", &C::augment,
                    "detectors: every image is flipped, resized and cropped at random, as in the "
                    "published training; then no map is computed once and kept")),
  };
  return fields;
}

const std::vector<Field<PretrainConfig>>& pretrain_fields() {
  using C = PretrainConfig;
  static const std::vector<Field<C>> fields = {
      integer("epochs", &C::epochs, between(1, 1e6), "passes over the samples"),
      integer("warmup_epochs", &C::warmup_epochs, between(0, 1e6), "epochs of linear warm-up"),
      integer("batch", &C::batch, between(1, 65536), "samples a step"),
      number("learning_rate", &C::learning_rate, positive(10), "after the warm-up"),
      number("min_learning_rate", &C::min_learning_rate, between(0, 10),
             "at the end of the cosine"),
      number("weight_decay", &C::weight_decay, between(0, 10), "decoupled, on matrices only"),
      number("label_smoothing", &C::label_smoothing, {.low = 0, .high = 1, .below_high = true},
             "part of the target spread over all classes"),
      number("dropout", &C::dropout, optional_up_to(0.9),
             "probability while training; negative: the model spec's"),
      flag("flip", &C::flip, "mirror half of the images"),
      integer("shift", &C::shift, between(0, 4096), "random shift of up to this many pixels"),
      number("erase", &C::erase, between(0, 1), "probability to blank a random rectangle"),
      number("average_decay", &C::average_decay, {.low = 0, .high = 1, .below_high = true},
             "of the weight average, once a step; 0: off"),
      integer("max_steps", &C::max_steps, between(0, 1e9), "0: by epochs"),
      integer("seed", &C::seed, {}, "of order, augmentation and dropout"),
      integer("progress_interval", &C::progress_interval, between(1, 1e9),
              "steps between progress events"),
      since(4, flag("augment", &C::augment,
                    "detectors: every image is flipped, resized and cropped at random, as DETR is "
                    "trained")),
  };
  return fields;
}

}  // namespace

ForgetConfig ForgetConfig::defaults_for(MethodKind method, HeadKind head) {
  const MethodEntry& entry = method_entry(method);
  ForgetConfig config;
  config.method = method;
  switch (head) {
    case HeadKind::kLinear:
      break;
    case HeadKind::kCosFace:  // the scale s = 64 makes cross entropies of up to 150 (4.2)
    case HeadKind::kArcFace:
      config.forget_bound = 105;
      break;
    case HeadKind::kDetection:  // section 8.6
      config.epochs = 30;
      config.forget_batch = config.retain_batch = 32;
      config.learning_rate = config.min_learning_rate = 3e-4;  // its one decay lies after the end
      config.weight_decay = 1e-4;
      config.gradient_clip = 0.1;
      config.forget_weight = 0.15;
      config.structure_weight = 3e-4;
      config.prototype_forget_weight = 0.005;
      config.audits = 0;
      break;
    default:
      fail(Code::kUnsupported, "there is no head ", static_cast<int32_t>(head),
           "; known are 1 (linear), 2 (cosface), 3 (arcface) and 4 (detection)");
  }
  entry.adapt_defaults(config, head);
  config.min_learning_rate = std::min(config.min_learning_rate, config.learning_rate);
  return config;
}

void ForgetConfig::update_from_json(const Json& json) {
  *this = updated(forget_fields(), *this, json, "forget settings");
}

Json ForgetConfig::to_json() const { return all_values(forget_fields(), *this); }

Json ForgetConfig::identity() const {
  return values_known_to(trains_lora(method) ? 0 : 2, forget_fields(), *this);
}

Json ForgetConfig::findings() const { return check(forget_fields(), *this); }

void ForgetConfig::validate() const { require_none(findings(), "forget settings"); }

Json method_info() {
  Json list = Json::array(), defaults = Json::object();
  for (const MethodEntry& entry : methods()) {
    list.push_back({{"name", entry.name},
                    {"number", static_cast<int32_t>(entry.kind)},
                    {"meaning", entry.meaning},
                    {"detectors", entry.detector != nullptr}});
    for (const auto& [head_text, head] : kHeads) {
      defaults[entry.name][head_text] =
          all_values(forget_fields(), ForgetConfig::defaults_for(entry.kind, head));
    }
  }
  return {{"methods", std::move(list)},
          {"settings", describe(forget_fields())},
          {"defaults", std::move(defaults)},
          {"pretraining", describe(pretrain_fields())}};
}

void PretrainConfig::update_from_json(const Json& json) {
  *this = updated(pretrain_fields(), *this, json, "pre-training settings");
}

Json PretrainConfig::to_json() const { return all_values(pretrain_fields(), *this); }

Json PretrainConfig::identity() const { return values_known_to(0, pretrain_fields(), *this); }

void PretrainConfig::validate() const {
  require_none(check(pretrain_fields(), *this), "pre-training settings");
}

}  // namespace lethe
