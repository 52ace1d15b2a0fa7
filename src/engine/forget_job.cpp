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

/// Figures of every class in the three states that a report compares.
template <typename Scores>
struct Measured {
  Scores base, start, after;
};

void put(Metrics& metrics, const std::string& name, const std::optional<double>& value) {
  if (value) metrics[name] = *value;
}

/// What the figures of a class are called.
template <typename Data>
constexpr const char* kFigure = "acc";
template <>
constexpr const char* kFigure<DetectionDataset> = "ap";

/// `of(scores, classes)`: a figure in percent, called `name`. `suffix`: "" or "_margin".
template <typename Data, typename Scores, typename Figure>
void add_figures(Metrics& metrics, const ForgetPlanOn<Data>& plan, const Measured<Scores>& m,
                 const Figure& of, const std::string& name, const std::string& suffix) {
  const auto add = [&](const char* what, const Scores& scores,
                       const std::vector<int64_t>& classes) {
    put(metrics, name + what + suffix, of(scores, classes));
  };
  add("_f", m.after, plan.classes);
  add("_r", m.after, plan.retained);
  add("_o", m.after, plan.past);
  add("_m", m.after, plan.missing);
  add("_m_before", m.base, plan.missing);
  add("_f_before", m.base, plan.classes);
  add("_r_before", m.base, plan.retained);
  add("_f_start", m.start, plan.classes);
  add("_r_start", m.start, plan.retained);
}

template <typename Data, typename Scores>
void add_scores(Metrics& metrics, const ForgetPlanOn<Data>& plan, const Measured<Scores>& m,
                const std::string& suffix) {
  const std::string name = kFigure<Data>;
  add_figures(
      metrics, plan, m,
      [](const Scores& scores, const std::vector<int64_t>& classes) {
        return scores.percent(classes);
      },
      name, suffix);
  const auto of = [&](const std::string& what) -> double& { return metrics[what + suffix]; };
  of("h") = h_mean(of(name + "_r"), of(name + "_f_before"), of(name + "_f"));
  of("h_start") = h_mean(of(name + "_r"), of(name + "_f_start"), of(name + "_f"));
}

template <typename Data, typename Scores>
Metrics score_metrics(const ForgetPlanOn<Data>& plan, const Measured<Scores>& m) {
  Metrics metrics;
  add_scores(metrics, plan, m, "");
  const std::string name = kFigure<Data>;
  for (size_t c = 0; c < m.after.total.size(); ++c) {
    put(metrics, str(name, "_class.", c), m.after.percent({static_cast<int64_t>(c)}));
  }
  metrics["over_forgetting"] =
      std::max(0.0, metrics.at(name + "_r_before") - metrics.at(name + "_r"));
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

Json or_null(const std::optional<double>& figure) { return figure ? Json(*figure) : Json(); }

/// Samples (objects, of detectors) and figure of every class with samples, in the three states.
template <typename Scores>
Json describe_classes(const Measured<Scores>& m) {
  Json list = Json::array();
  for (size_t c = 0; c < m.after.total.size(); ++c) {
    if (m.after.total[c] == 0) continue;
    const std::vector<int64_t> only = {static_cast<int64_t>(c)};
    list.push_back({{"class", c},
                    {"samples", m.after.total[c]},
                    {"before", or_null(m.base.percent(only))},
                    {"start", or_null(m.start.percent(only))},
                    {"after", or_null(m.after.percent(only))}});
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

template <typename Data>
Json digests(const ForgetPlanOn<Data>& plan) {
  Json json = {{"forget", plan.forget.content_digest()}, {"retain", plan.retain.content_digest()}};
  if (plan.held_out) json["validation"] = plan.measured.front().content_digest();
  return json;
}

std::vector<std::string> class_names(const Dataset& dataset) { return dataset.class_names(); }
std::vector<std::string> class_names(const DetectionDataset& dataset) {
  std::vector<std::string> names;
  for (const DetectionCategory& category : dataset.categories()) names.push_back(category.name);
  return names;
}

template <typename Data>
AdapterFacts adapter_facts(const ForgetRequestOn<Data>& request, const ForgetPlanOn<Data>& plan,
                           const Snapshot& snapshot, const RunContext& context) {
  AdapterFacts facts;
  facts.request_id = context.request_id;
  facts.task_id = context.request_digest;
  facts.lethe_version = library_version();
  facts.method = method_name(request.config.method);
  facts.config = request.config.identity();
  facts.seed = request.config.seed;
  facts.classes = plan.classes;
  const std::vector<std::string> names = class_names(request.forget);
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
    if (name.find("_class.") != std::string::npos) continue;  // as many as there are classes
    if (name.ends_with("_before")) {
      json["before"][name.substr(0, name.size() - 7)] = value;
    } else if ((name.starts_with("acc_") || name.starts_with("ap")) && !name.ends_with("_start")) {
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

/// `name`: what the figures are called.
std::string judge_task(const Metrics& metrics, const std::string& name, const ForgetResult& trained,
                       const ForgetConfig& config) {
  GateFigures figures;
  figures.name = name == "ap" ? "AP" : "Acc";
  figures.acc_f = metrics.at(name + "_f");
  figures.acc_r = metrics.at(name + "_r");
  figures.acc_r_base = metrics.at(name + "_r_before");
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

template <typename Data, typename Scores>
Json describe_task(const ForgetPlanOn<Data>& plan, const AdapterFacts& facts,
                   const Snapshot& snapshot, const ForgetResult& trained,
                   const Measured<Scores>& measured) {
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

ForgetResult train(const ForgetTask& task, const RunContext& context) {
  return method_of(task.config.method).run(task, context.observer, context.checkpoints);
}
ForgetResult train(const DetectorTask& task, const RunContext& context) {
  return detector_method_of(task.config.method).run(task, context.observer, context.checkpoints);
}

/// What one kind of model alone has: accuracies with the head's margin, and audits.
void add_particulars(Metrics& metrics, const ForgetRequest& request, const ForgetPlan& plan,
                     const Snapshot& base, const Snapshot& start, const Snapshot& after,
                     const Measured<ClassAccuracy>&, const RunContext& context) {
  if (start.base->model().head_kind() != HeadKind::kLinear) {
    const auto measure = [&](const Snapshot& state) {
      return context.scores.get(state, plan.measured, context.cancelled, /*margin=*/true);
    };
    add_scores(metrics, plan,
               Measured<ClassAccuracy>{measure(base), measure(start), measure(after)}, "_margin");
  }
  metrics.merge(audit(request, plan, base, after, context.cancelled));
}

/// The AP at one IoU.
void add_particulars(Metrics& metrics, const DetectorForgetRequest&,
                     const ForgetPlanOn<DetectionDataset>& plan, const Snapshot&, const Snapshot&,
                     const Snapshot&, const Measured<ClassPrecision>& measured, const RunContext&) {
  add_figures(
      metrics, plan, measured,
      [](const ClassPrecision& scores, const std::vector<int64_t>& classes) {
        return scores.percent50(classes);
      },
      "ap50", "");
}

}  // namespace

template <typename Data>
ForgetOutcome run_forgetting(const ForgetRequestOn<Data>& request, const Snapshot& snapshot,
                             const RunContext& context) {
  const Clock::time_point began = Clock::now();
  const ForgetPlanOn<Data> plan = plan_forgetting(request, snapshot);
  const auto base_state = make_snapshot(snapshot.base, {});
  const auto measure = [&](const Snapshot& state) {
    return context.scores.get(state, plan.measured, context.cancelled);
  };
  Measured<decltype(measure(snapshot))> measured{measure(*base_state), measure(snapshot), {}};

  const TaskOn<Data> task{
      snapshot.base,  snapshot.weights,  static_cast<int64_t>(enabled_ids(snapshot.stack).size()),
      plan.classes,   plan.forget,       plan.retain,
      request.config, context.cancelled, [&] { return earlier_tasks(snapshot); }};
  const ForgetResult trained = train(task, context);

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
  Metrics metrics = score_metrics(plan, measured);
  add_training_metrics(metrics, trained, *snapshot.base, seconds_since(began));
  add_particulars(metrics, request, plan, *base_state, snapshot, state_after, measured, context);

  ForgetOutcome outcome;
  outcome.rejection = judge_task(metrics, kFigure<Data>, trained, request.config);
  Json description = describe_task(plan, facts, snapshot, trained, measured);
  description["over_forgets"] = metrics.at("over_forgetting") > kOverForgetting;
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

template ForgetOutcome run_forgetting(const ForgetRequest&, const Snapshot&, const RunContext&);
template ForgetOutcome run_forgetting(const DetectorForgetRequest&, const Snapshot&,
                                      const RunContext&);

}  // namespace lethe
