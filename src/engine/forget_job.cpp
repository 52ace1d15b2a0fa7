#include "engine/forget_job.h"

#include <algorithm>
#include <chrono>

#include "engine/audit.h"
#include "engine/environment.h"
#include "engine/gate.h"
#include "support/error.h"
#include "support/memory.h"

namespace lethe {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Right answers in the three states that a report compares.
struct Measured {
  ClassAccuracy base, start, after;
};

void put(Metrics& metrics, const std::string& name, const std::optional<double>& value) {
  if (value) metrics[name] = *value;
}

/// `suffix`: "" or "_margin".
void add_accuracies(Metrics& metrics, const ForgetPlan& plan, const Measured& m,
                    const std::string& suffix) {
  const auto of = [&](const std::string& name) -> double& { return metrics[name + suffix]; };
  put(metrics, "acc_f" + suffix, m.after.percent(plan.classes));
  put(metrics, "acc_r" + suffix, m.after.percent(plan.retained));
  put(metrics, "acc_o" + suffix, m.after.percent(plan.past));
  put(metrics, "acc_m" + suffix, m.after.percent(plan.missing));
  put(metrics, "acc_m_before" + suffix, m.base.percent(plan.missing));
  put(metrics, "acc_f_before" + suffix, m.base.percent(plan.classes));
  put(metrics, "acc_r_before" + suffix, m.base.percent(plan.retained));
  put(metrics, "acc_f_start" + suffix, m.start.percent(plan.classes));
  put(metrics, "acc_r_start" + suffix, m.start.percent(plan.retained));
  of("h") = h_mean(of("acc_r"), of("acc_f_before"), of("acc_f"));
  of("h_start") = h_mean(of("acc_r"), of("acc_f_start"), of("acc_f"));
}

Metrics accuracy_metrics(const ForgetPlan& plan, const Measured& m) {
  Metrics metrics;
  add_accuracies(metrics, plan, m, "");
  for (size_t c = 0; c < m.after.total.size(); ++c) {
    put(metrics, str("acc_class.", c), m.after.percent({static_cast<int64_t>(c)}));
  }
  metrics["over_forgetting"] = std::max(0.0, metrics["acc_r_before"] - metrics["acc_r"]);
  return metrics;
}

int64_t count_kept(const std::vector<AdapterGroup>& groups) {
  return std::count_if(groups.begin(), groups.end(), [](const auto& group) { return group.kept; });
}

void add_training_metrics(Metrics& metrics, const ForgetResult& trained, const BaseModel& base,
                          double seconds) {
  if (!trained.groups.empty()) {
    const auto kept = static_cast<double>(count_kept(trained.groups));
    const auto total = static_cast<double>(trained.groups.size());
    metrics["groups_kept"] = kept;
    metrics["groups_total"] = total;
    metrics["zero_group_ratio"] = 100 * (1 - kept / total);
  }
  int64_t parameters = 0;
  for (const auto& [name, tensor] : base.weights()) parameters += tensor.numel();
  metrics["tunable_ratio"] =
      100 * static_cast<double>(trained.trained_parameters) / static_cast<double>(parameters);
  metrics["peak_memory_mib"] = peak_memory_mib();
  metrics["steps"] = static_cast<double>(trained.last.step);
  metrics["seconds"] = seconds;
  metrics["forget_samples"] = static_cast<double>(trained.forget_samples);
  metrics["retain_samples"] = static_cast<double>(trained.retain_samples);
}

/// Samples and accuracy of every class with samples, in the three states.
Json describe_classes(const Measured& m) {
  Json list = Json::array();
  for (size_t c = 0; c < m.after.total.size(); ++c) {
    if (m.after.total[c] == 0) continue;
    const std::vector<int64_t> only = {static_cast<int64_t>(c)};
    list.push_back({{"class", c},
                    {"samples", m.after.total[c]},
                    {"before", *m.base.percent(only)},
                    {"start", *m.start.percent(only)},
                    {"after", *m.after.percent(only)}});
  }
  return list;
}

Json describe_groups(const std::vector<AdapterGroup>& groups) {
  Json list = Json::array();
  for (const AdapterGroup& group : groups) {
    list.push_back({{"name", group.name},
                    {"kept", group.kept},
                    {"norm", group.effect.norm},
                    {"effect", group.effect.effect},
                    {"relative", group.effect.relative}});
  }
  return list;
}

Json digests(const ForgetPlan& plan) {
  Json json = {{"forget", plan.forget.content_digest()}, {"retain", plan.retain.content_digest()}};
  if (plan.held_out) json["validation"] = plan.measured.front().content_digest();
  return json;
}

AdapterFacts adapter_facts(const ForgetRequest& request, const ForgetPlan& plan,
                           const Snapshot& snapshot, const RunContext& context) {
  AdapterFacts facts;
  facts.request_id = context.request_id;
  facts.task_id = context.request_digest;
  facts.lethe_version = library_version();
  facts.method = method_name(request.config.method);
  facts.config = request.config.to_json();
  facts.seed = request.config.seed;
  facts.classes = plan.classes;
  const std::vector<std::string>& names = request.forget.class_names();
  for (const int64_t c : plan.classes) {
    if (!names.empty()) facts.class_names.push_back(names[c]);
  }
  facts.parents = enabled_ids(snapshot.stack);
  facts.parent_state = state_fingerprint(*snapshot.base, snapshot.stack);
  facts.data_digests = digests(plan);
  facts.environment = describe_environment(context.threads);
  facts.created_utc = context.created_utc;
  return facts;
}

/// The figures that tell a reader of the checkpoint what the task did.
Json before_and_after(const Metrics& metrics) {
  Json json = {{"before", Json::object()}, {"after", Json::object()}};
  for (const auto& [name, value] : metrics) {
    if (name.ends_with("_before")) {
      json["before"][name.substr(0, name.size() - 7)] = value;
    } else if (name.starts_with("acc_") && !name.ends_with("_start")) {
      json["after"][name] = value;
    } else if (name == "h") {
      json["after"][name] = value;
    }
  }
  return json;
}

/// The state that the model would have with this adapter on top.
std::shared_ptr<const Snapshot> candidate(const Snapshot& snapshot,
                                          std::shared_ptr<const Adapter> adapter) {
  Stack stack = snapshot.stack;
  stack.push_back({std::move(adapter), 1});
  return make_snapshot(snapshot.base, std::move(stack));
}

/// The enabled adapters' tasks, with the weights that each began with.
std::vector<EarlierTask> earlier_tasks(const Snapshot& snapshot) {
  std::vector<EarlierTask> tasks;
  Stack below;
  for (const StackEntry& entry : snapshot.stack) {
    if (entry.scale == 0) continue;
    tasks.push_back(
        {entry.adapter->method(), merge(*snapshot.base, below), entry.adapter->importance()});
    below.push_back(entry);
  }
  return tasks;
}

std::string judge_task(const Metrics& metrics, const ForgetResult& trained,
                       const ForgetConfig& config) {
  GateFigures figures;
  figures.acc_f = metrics.at("acc_f");
  figures.acc_r = metrics.at("acc_r");
  figures.acc_r_base = metrics.at("acc_r_before");
  figures.groups_kept = count_kept(trained.groups);
  figures.groups_total = static_cast<int64_t>(trained.groups.size());
  figures.weights_changed = !trained.delta.empty();
  figures.largest_effect = 0;
  for (const AdapterGroup& group : trained.groups) {
    figures.largest_effect = std::max(figures.largest_effect, group.effect.relative);
  }
  figures.training_acc_f = trained.last.acc_f;
  figures.bound_reached = trained.bound_reached;
  figures.steps = trained.last.step;
  return judge(figures, config);
}

Json describe_task(const ForgetPlan& plan, const AdapterFacts& facts, const Snapshot& snapshot,
                   const ForgetResult& trained, const Measured& measured) {
  return {{"kind", "forget"},
          {"request_id", facts.request_id},
          {"classes_forgotten", plan.classes},
          {"classes_past", plan.past},
          {"classes_missing", plan.missing},
          {"method", facts.method},
          {"method_config", facts.config},
          {"measured_on", plan.held_out ? "validation set" : "training sets"},
          {"reversible", true},  // whoever has the base has the classes (abi.md 3.5)
          {"classes", describe_classes(measured)},
          {"groups", describe_groups(trained.groups)},
          {"parents", facts.parents},
          {"data_digests", facts.data_digests},
          {"base_fingerprint", hex(snapshot.base->fingerprint())},
          {"environment", facts.environment}};
}

}  // namespace

ForgetOutcome run_forgetting(const ForgetRequest& request, const Snapshot& snapshot,
                             const RunContext& context) {
  const Clock::time_point began = Clock::now();
  const ForgetPlan plan = plan_forgetting(request, snapshot);
  const auto base_state = make_snapshot(snapshot.base, {});
  const auto measure = [&](const Snapshot& state, bool margin = false) {
    return context.accuracies.get(state, plan.measured, margin, context.cancelled);
  };
  Measured measured{measure(*base_state), measure(snapshot), {}};

  const ForgetTask task{
      snapshot.base,  snapshot.weights,  static_cast<int64_t>(enabled_ids(snapshot.stack).size()),
      plan.classes,   plan.forget,       plan.retain,
      request.config, context.cancelled, [&] { return earlier_tasks(snapshot); }};
  const ForgetResult trained =
      method_of(request.config.method).run(task, context.observer, context.checkpoints);

  AdapterFacts facts = adapter_facts(request, plan, snapshot, context);
  const bool changed = count_kept(trained.groups) > 0 || !trained.delta.empty();
  const auto build = [&] {
    return trained.lora
               ? Adapter::create(*snapshot.base, *trained.lora, trained.groups, facts)
               : Adapter::create_delta(*snapshot.base, trained.delta, trained.importance, facts);
  };
  const auto after = changed ? candidate(snapshot, build()) : nullptr;
  const Snapshot& state_after = after ? *after : snapshot;
  measured.after = measure(state_after);
  Metrics metrics = accuracy_metrics(plan, measured);
  if (snapshot.base->model().spec().head != HeadKind::kLinear) {
    add_accuracies(
        metrics, plan,
        {measure(*base_state, true), measure(snapshot, true), measure(state_after, true)},
        "_margin");
  }
  add_training_metrics(metrics, trained, *snapshot.base, seconds_since(began));
  metrics.merge(audit(request, plan, *base_state, state_after, context.cancelled));

  ForgetOutcome outcome;
  outcome.rejection = judge_task(metrics, trained, request.config);
  Json description = describe_task(plan, facts, snapshot, trained, measured);
  description["accepted"] = outcome.rejection.empty();
  if (outcome.rejection.empty()) {
    facts.metrics = before_and_after(metrics);
    outcome.adapter = build();  // the same adapter, now with its figures
    description["adapter_id"] = outcome.adapter->id();
  } else {
    description["rejection"] = outcome.rejection;
  }
  outcome.report =
      std::make_shared<const Report>(make_report(std::move(description), std::move(metrics)));
  return outcome;
}

}  // namespace lethe
