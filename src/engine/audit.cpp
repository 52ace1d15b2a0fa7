#include "engine/audit.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "evaluation/accuracy.h"
#include "evaluation/membership.h"
#include "evaluation/probe.h"
#include "evaluation/verification.h"
#include "forgetting/method.h"
#include "forgetting/relearning.h"
#include "storage/digest.h"
#include "support/error.h"

namespace lethe {
namespace {

constexpr int64_t kReferences = 2;   ///< retrained networks: the fewest that LiRA can work with
constexpr int64_t kMembers = 1000;   ///< of an attack, on each side
constexpr int64_t kProbed = 5000;    ///< samples that a probe is trained on
constexpr int64_t kVerified = 4000;  ///< embeddings that are compared in pairs

void put(Metrics& metrics, const std::string& name, const std::optional<double>& value,
         double factor = 1) {
  if (value) metrics[name] = factor * *value;
}

/// What one audit looks at, in both states.
struct Audited {
  const ForgetRequest& request;
  const ForgetPlan& plan;
  const std::function<bool()>& cancelled;

  /// At most `count` samples, as many of each class.
  Dataset some(const Dataset& set, int64_t count) const {
    const auto classes = static_cast<int64_t>(set.present_classes().size());
    if (set.size() <= count || classes == 0) return set;
    return set.few_shot(std::max<int64_t>(1, count / classes),
                        static_cast<uint64_t>(request.config.seed));
  }
  const Dataset& held_out() const { return plan.measured.front(); }
  EvaluationOptions options() const {
    EvaluationOptions options;
    options.cancelled = cancelled;
    return options;
  }
};

at::Tensor labels_of(const Dataset& set) {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < set.size(); ++i) labels.push_back(set.label(i));
  return at::tensor(labels, at::kLong);
}

void put_attack(Metrics& metrics, const std::string& name, const AttackResult& attack,
                const std::string& suffix) {
  put(metrics, "mia_" + name + "_auc" + suffix, attack.auc);
  put(metrics, "mia_" + name + "_advantage" + suffix, attack.advantage);
  put(metrics, "mia_" + name + "_tpr" + suffix, attack.tpr, 100);
}

void put_gap(Metrics& metrics, const std::string& name, const AucGap& gap,
             const AttackResult& yardstick) {
  put(metrics, "mia_" + name + "_auc_retrain", yardstick.auc);
  put(metrics, "mia_" + name + "_gap", gap.distance);
}

/// The samples of the attacks.
struct Attacked {
  explicit Attacked(const Audited& a)
      : members(a.some(a.plan.forget, kMembers)),
        others(a.some(a.held_out().keep_classes(a.plan.classes), kMembers)) {}
  Dataset members, others;
};

/// Scores of members and others, one below the other, by network `number` of those that were never
/// shown the forgotten classes. Tasks that only differ by their method share it.
at::Tensor reference_scores(const Audited& a, const Attacked& attacked,
                            const std::shared_ptr<const BaseModel>& shared, int64_t number) {
  const BaseModel& base = *shared;
  const ForgetConfig config =
      yardstick_settings(a.request.config, base.classifier().spec().head, number);
  const std::string name = str("retrained scores ", hex(sha256(config.identity().dump())),
                               a.plan.retain.content_digest(), attacked.members.content_digest(),
                               attacked.others.content_digest());
  const auto go_on = [&](const Progress&) { return !a.cancelled || !a.cancelled(); };
  return base.derived(name, [&] {
    const ForgetTask task{shared,        base.weights(), 0,      a.plan.classes,
                          a.plan.forget, a.plan.retain,  config, a.cancelled};
    const ForgetResult result = method_of(MethodKind::kRetrain).run(task, go_on, {});
    Weights weights = base.weights();
    for (const auto& [weight, delta] : result.delta) {
      weights.at(weight) = weights.at(weight) + delta.to(base.device());
    }
    return at::cat({dataset_scores(base.classifier(), weights, attacked.members, a.options()),
                    dataset_scores(base.classifier(), weights, attacked.others, a.options())});
  });
}

void audit_membership(Metrics& metrics, const Audited& a, const Snapshot& state,
                      const std::string& suffix) {
  const Attacked attacked(a);
  const auto scored = [&](const Dataset& set) {
    return ScoredSamples{dataset_scores(state.base->classifier(), state.weights, set, a.options()),
                         labels_of(set)};
  };
  ScoredSamples members = scored(attacked.members), others = scored(attacked.others);
  std::optional<Membership> yardstick;
  if (a.request.config.audits & kAuditRetrain) {
    const int64_t count = attacked.members.size();
    for (int64_t i = 0; i < kReferences; ++i) {
      const at::Tensor scores = reference_scores(a, attacked, state.base, i);
      members.references.push_back(scores.slice(0, 0, count));
      others.references.push_back(scores.slice(0, count));
    }
    yardstick = membership({members.references.front(), members.labels},
                           {others.references.front(), others.labels});
  }
  const Membership result = membership(members, others);
  metrics["mia_members"] = static_cast<double>(result.members);
  metrics["mia_non_members"] = static_cast<double>(result.non_members);
  put_attack(metrics, "loss", result.loss, suffix);
  put_attack(metrics, "entropy", result.entropy, suffix);
  put_attack(metrics, "modified_entropy", result.modified_entropy, suffix);
  put_attack(metrics, "lira", result.lira, suffix);
  if (!yardstick || !suffix.empty()) return;
  const MembershipGap gap = membership_gap(result, *yardstick);
  put_gap(metrics, "loss", gap.loss, yardstick->loss);
  put_gap(metrics, "entropy", gap.entropy, yardstick->entropy);
  put_gap(metrics, "modified_entropy", gap.modified_entropy, yardstick->modified_entropy);
}

void audit_verification(Metrics& metrics, const Audited& a, const Snapshot& state,
                        const std::string& suffix) {
  const Dataset set = a.some(a.held_out(), kVerified);
  const at::Tensor embeddings =
      dataset_embeddings(state.base->classifier(), state.weights, set, a.options());
  const at::Tensor labels = labels_of(set);
  const Verification r = verify(pair_cosines(embeddings, labels, a.plan.retained));
  // One identity alone has no impostors of its own.
  const Impostors impostors =
      a.plan.classes.size() == 1 ? Impostors::kAgainstAll : Impostors::kWithin;
  const PairScores forgotten = pair_cosines(embeddings, labels, a.plan.classes, impostors);
  const Verification f = verify(forgotten);
  const auto put_figures = [&](const Verification& v, const std::string& of) {
    put(metrics, "verification_auc_" + of + suffix, v.auc);
    put(metrics, "verification_tar_" + of + suffix, v.tar, 100);
    put(metrics, "verification_eer_" + of + suffix, v.equal_error_rate, 100);
  };
  put_figures(r, "r");
  put_figures(f, "f");
  if (r.threshold) {
    put(metrics, "verification_tar_f_at_r" + suffix, verify_at(forgotten, *r.threshold).tar, 100);
  }
}

void audit_probe(Metrics& metrics, const Audited& a, const Snapshot& state,
                 const std::string& suffix) {
  const Classifier& model = state.base->classifier();
  const auto embed = [&](const Dataset& set) {
    return dataset_embeddings(model, state.weights, set, a.options());
  };
  const Dataset forget = a.some(a.plan.forget, kProbed / 4);
  const Dataset retain = a.some(a.plan.retain, kProbed - forget.size());
  const Dataset test = a.some(a.held_out(), kProbed);
  ProbeOptions options;
  options.cancelled = a.cancelled;
  const ProbeResult probe = linear_probe(
      at::cat({embed(forget), embed(retain)}), at::cat({labels_of(forget), labels_of(retain)}),
      embed(test), labels_of(test), model.spec().classes, options);
  put(metrics, "probe_f" + suffix, probe.accuracy.percent(a.plan.classes));
  put(metrics, "probe_r" + suffix, probe.accuracy.percent(a.plan.retained));
}

void audit_relearning(Metrics& metrics, const Audited& a, const Snapshot& base,
                      const Snapshot& after) {
  const Dataset held_out = a.some(a.held_out().keep_classes(a.plan.classes), kMembers);
  const auto before =
      class_accuracy(base.base->classifier(), base.weights, held_out, a.options()).percent();
  if (!before || *before == 0) return;  // the base never knew them
  RelearningOptions options;
  options.seed = a.request.config.seed;
  options.cancelled = a.cancelled;
  const RelearningResult result = relearn(after.base->classifier(), after.weights, a.plan.forget,
                                          a.plan.retain, held_out, *before, options);
  metrics["relearning_steps"] = static_cast<double>(result.steps);
  metrics["relearning_reached"] = result.reached ? 1 : 0;
}

}  // namespace

ForgetConfig yardstick_settings(const ForgetConfig& asked, HeadKind head, int64_t number) {
  ForgetConfig config = ForgetConfig::defaults_for(MethodKind::kRetrain, head);
  config.data_ratio = asked.data_ratio;
  config.few_shot = asked.few_shot;
  config.epochs = asked.epochs;
  config.max_steps = asked.max_steps;
  config.retain_batch = asked.retain_batch;
  config.dropout = asked.dropout;
  if (asked.method == MethodKind::kRetrain) {
    config.learning_rate = asked.learning_rate;
    config.min_learning_rate = asked.min_learning_rate;
    config.weight_decay = asked.weight_decay;
    config.gradient_clip = asked.gradient_clip;
    config.warmup_epochs = asked.warmup_epochs;
  }
  config.warmup_epochs = std::min(config.warmup_epochs, config.epochs);
  config.seed = asked.seed + 1 + number;
  return config;
}

Metrics audit(const ForgetRequest& request, const ForgetPlan& plan, const Snapshot& base,
              const Snapshot& after, const std::function<bool()>& cancelled) {
  Metrics metrics;
  if (!plan.held_out) return metrics;
  const Audited audited{request, plan, cancelled};
  const auto both = [&](auto audit_state) {
    audit_state(metrics, audited, base, "_before");
    audit_state(metrics, audited, after, "");
  };
  const int32_t audits = request.config.audits;
  if (audits & (kAuditMembership | kAuditRetrain)) both(audit_membership);
  if (audits & kAuditVerification) both(audit_verification);
  if (audits & kAuditProbe) both(audit_probe);
  if (audits & kAuditRelearning) audit_relearning(metrics, audited, base, after);
  return metrics;
}

}  // namespace lethe
