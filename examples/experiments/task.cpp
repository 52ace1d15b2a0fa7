#include "task.h"

#include <algorithm>
#include <string_view>

#include "../cli/figures.h"
#include "follow.h"
#include "machine.h"
#include "results.h"

namespace experiments {
namespace {

using cli::check;
using cli::out;

constexpr double kCheckpointSeconds = 15;

/// The library's defaults of a method by its name, then the settings.
lethe_forget_config make_config(const Protocol& protocol, const Row& row, size_t step, int64_t seed,
                                lethe_head head) {
  cli::Buffer json;
  check(lethe_method_info_json(out(json)));
  const Json methods = cli::json_of(json).at("methods");
  lethe_method number = 0;
  std::string known;
  for (const Json& method : methods) {
    const std::string name = method.at("name");
    if (name == row.method) number = method.at("number");
    known += (known.empty() ? "" : ", ") + name;
  }
  if (number == 0) {
    throw Failure(LETHE_E_UNSUPPORTED,
                  "there is no method \"" + row.method + "\" in this library; it has " + known);
  }
  lethe_forget_config config;
  check(lethe_forget_config_init(&config, sizeof config, number, head));
  const std::string settings = settings_of(protocol, row, step, seed).dump();
  check(lethe_forget_config_from_json(settings.c_str(), &config));
  check(lethe_forget_config_validate(&config, nullptr));
  return config;
}

bool has_ended(const lethe_job_status_info& info) {
  return info.state >= LETHE_JOB_SUCCEEDED && info.state <= LETHE_JOB_CANCELLED;
}

const char* end_of(lethe_job_state state) {
  switch (state) {
    case LETHE_JOB_SUCCEEDED:
      return "succeeded";
    case LETHE_JOB_REJECTED:
      return "rejected";
    case LETHE_JOB_CANCELLED:
      return "cancelled";
    default:
      return "failed";
  }
}

lethe_job_status_info status_of(const cli::Job& job) {
  lethe_job_status_info info{};
  info.struct_size = sizeof info;
  check(lethe_job_status(job.get(), &info));
  return info;
}

Json report_of(const cli::Job& job) {
  cli::Report report;
  lethe_job_result(job.get(), nullptr, out(report));  // of a job that left none: null
  if (!report) return {{"metrics", Json::object()}, {"groups", Json::array()}};
  cli::Buffer json;
  check(lethe_report_json(report.get(), out(json)));
  return cli::json_of(json);
}

Json short_groups(const Json& report) {
  Json groups = Json::array();
  for (const Json& group : report.value("groups", Json::array())) {
    groups.push_back({{"name", group.at("name")},
                      {"kept", group.at("kept")},
                      {"relative", group.at("relative")}});
  }
  return groups;
}

}  // namespace

Json with_margin(const Json& metrics) {
  constexpr std::string_view kSuffix = "_margin";
  Json changed = metrics;
  for (const auto& [name, value] : metrics.items()) {
    if (!name.ends_with(kSuffix)) continue;
    const std::string stem = name.substr(0, name.size() - kSuffix.size());
    changed["plain_" + stem] = metrics.at(stem);
    changed[stem] = value;
    changed.erase(name);
  }
  if (!changed.contains("plain_acc_r")) return changed;
  for (const auto& [name, value] : metrics.items()) {
    if (name != "over_forgetting" && !name.starts_with("acc_class.")) continue;
    changed["plain_" + name] = value;
    changed.erase(name);
  }
  const double lost = changed.at("acc_r_before").get<double>() - changed.at("acc_r").get<double>();
  changed["over_forgetting"] = std::max(0.0, lost);
  return changed;
}

void check_all_settings(const Protocol& protocol, const cli::Model& base) {
  const lethe_head head = cli::head_of(base.get());
  for (const Row& row : protocol.rows) {
    for (size_t i = 0; i < protocol.steps.size(); ++i) {
      try {
        make_config(protocol, row, i, protocol.seeds.front(), head);
      } catch (const Failure& failure) {
        throw Failure(failure.status,
                      row.label + ", " + protocol.steps[i].name + ": " + failure.what());
      }
    }
  }
}

TaskRunner::TaskRunner(const Protocol& protocol, const Images& images, const cli::Model& base,
                       const RunOptions& options, const fs::path& folder)
    : protocol_(protocol), images_(images), options_(options), folder_(folder) {
  check(lethe_model_clone(base.get(), out(model_)));
  lethe_engine_options engine_options;
  check(lethe_engine_options_init(&engine_options, sizeof engine_options));
  engine_options.threads = options.threads;
  engine_options.checkpoint_seconds = kCheckpointSeconds;
  const std::string path = folder.string();
  engine_options.folder = path.c_str();
  check(lethe_engine_create(model_.get(), &engine_options, out(engine_)));
}

cli::Job TaskRunner::enqueue(const TaskRequest& request, const std::string& id) {
  const Step& step = protocol_.steps[request.step];
  const lethe_forget_config config =
      make_config(protocol_, request.row, request.step, request.seed, cli::head_of(model_.get()));
  const cli::Dataset forget = keep_classes(images_.train, step.forget);
  const cli::Dataset replay = keep_classes(images_.train, step.replay);
  cli::Job job;
  const lethe_status status =
      lethe_engine_enqueue(engine_.get(), id.c_str(), step.forget.data(), step.forget.size(),
                           &config, forget.get(), replay.get(), images_.test.get(), out(job));
  if (status == LETHE_E_EXISTS) {
    throw Failure(LETHE_E_STATE, folder_.string() + " has " + id +
                                     " with other settings, data or weights; remove that folder to "
                                     "run the row anew, or name another --out");
  }
  check(status);
  return job;
}

void TaskRunner::find_lost_data(const cli::Job& job) {
  if (status_of(job).state != LETHE_JOB_AWAITING_DATA) return;
  for (const cli::Dataset* set : {&images_.train, &images_.test}) {
    const lethe_status status = lethe_engine_bind_dataset(engine_.get(), set->get(), nullptr);
    if (status != LETHE_E_NOT_FOUND) check(status);
  }
}

TaskOutcome TaskRunner::run(const TaskRequest& request) {
  const std::string id = "task-" + std::to_string(request.number);
  reset_peak_memory();
  const cli::Job job = enqueue(request, id);
  find_lost_data(job);
  TaskOutcome outcome;
  outcome.ran_now = !has_ended(status_of(job));
  follow(engine_.get(), job.get(),
         request.row.label + " seed " + std::to_string(request.seed) + "  " +
             protocol_.steps[request.step].name,
         options_.quiet);

  const lethe_job_status_info info = status_of(job);
  const Json report = report_of(job);
  SplitMetrics metrics = split_metrics(report.at("metrics"));
  outcome.run = metrics.run;
  const Json settings = report.value("method_config", Json());
  if (!outcome.ran_now && !request.known.is_null() && request.known.at("settings") == settings) {
    outcome.task = request.known;
    return outcome;
  }
  if (protocol_.margin) metrics.figures = with_margin(metrics.figures);
  outcome.task = {{"state", end_of(info.state)},
                  {"message", lethe_job_error(job.get())},
                  {"settings", settings},
                  {"metrics", metrics.figures},
                  {"groups", short_groups(report)}};
  return outcome;
}

}  // namespace experiments
